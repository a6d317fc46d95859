#!/usr/bin/env bash
# Forwards under route churn, reloads, a flapping link and mutated packets; exit status 0 only if nothing was lost or
# leaked.
#   scripts/soak.sh [--minutes N] [--build release|test] [options of tests/soak/soak.py]
#   scripts/soak.sh --tests [--build release|test]      instead, the system tests that are too long for each day
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: scripts/soak.sh [--minutes N] [--build release|test] [OPTION...]
       scripts/soak.sh --tests [--build release|test]
  --tests       instead, the system tests that scripts/test.sh leaves out as they take long
  --minutes N   how long (10)
  --build KIND  which millraced: release (the default), or test, with assertions and the worker guard
USAGE
  /usr/bin/python3 tests/soak/soak.py --help | sed -n '/^options:/,$p'
}

kind=release tests=false
arguments=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --build) [[ ${2:-} == @(release|test) ]] || die "--build wants release or test"; kind=$2; shift 2 ;;
    --tests) tests=true; shift ;;
    -h | --help) usage; exit 0 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
need_root "the soak makes network namespaces"

scripts/setup.sh
scripts/build.sh "$kind"
if [[ $kind == release ]]; then
  export MILLRACE_BUILD=build
else
  export MILLRACE_BUILD=build-test
  export MILLRACE_PRELOAD=${MILLRACE_PRELOAD:-$root/build-test/tests/guard/libworker_guard.so}
fi
if $tests; then
  export MILLRACE_BUILD=$root/$MILLRACE_BUILD
  exec /usr/bin/python3 -m pytest -p no:cacheprovider -m long tests/system
fi
exec /usr/bin/python3 tests/soak/soak.py "${arguments[@]}"
