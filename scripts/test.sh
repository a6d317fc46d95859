#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests, fast ones first. The last line is `N passed, N failed`.
#   scripts/test.sh [unit|system|fuzz]...      without a kind: all of them
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: scripts/test.sh [unit|system|fuzz]...
  unit     unit and behaviour tests, in process
  system   millraced between kernel hosts in network namespaces (pytest; needs root)
  fuzz     each fuzz target for 10 s
Without a kind: all. MILLRACE_HOSTILE_SECONDS=60 makes the hostile-traffic test as long as a release wants it.
USAGE
}

kinds=" $* "
for kind in "$@"; do
  case $kind in
    unit | system | fuzz) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[[ $# -gt 0 ]] || kinds=' unit system fuzz '
[[ $kinds != *' system '* ]] || need_root "system tests use network namespaces"

arguments=()
heading "set-up"
scripts/setup.sh
if [[ $kinds == *' unit '* || $kinds == *' system '* ]]; then
  heading "build (test)"
  scripts/build.sh test
fi
if [[ $kinds == *' fuzz '* ]]; then
  heading "build (fuzz)"
  scripts/build.sh fuzz
  arguments+=(--fuzz build-fuzz)
fi
[[ $kinds != *' unit '* ]] || arguments+=(--declared build-test)
if [[ $kinds == *' system '* ]]; then
  arguments+=(--system)
  # Aborts the daemon when a worker thread allocates, locks or throws.
  guard=build-test/tests/guard/libworker_guard.so
  [[ -f $guard ]] || die "$guard is not built"
  export MILLRACE_PRELOAD=${MILLRACE_PRELOAD:-$root/$guard}
fi
exec /usr/bin/python3 scripts/run_tests.py "${arguments[@]}"
