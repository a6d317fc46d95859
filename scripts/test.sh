#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests, fast ones first. The last line is `N passed, N failed`.
#   scripts/test.sh [unit|system|fuzz|nehalem]...      without a kind: all but nehalem
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: scripts/test.sh [unit|system|fuzz|nehalem]...
  unit     unit and behaviour tests, in process
  system   millraced between kernel hosts in network namespaces (pytest; needs root)
  fuzz     each fuzz target for 10 s
  nehalem  the tables' tests on an emulated processor without AVX (installs qemu-user)
Without a kind: unit, system and fuzz. MILLRACE_HOSTILE_SECONDS=60 makes the hostile-traffic test as long as a release wants it.
USAGE
}

kinds=" $* "
for kind in "$@"; do
  case $kind in
    unit | system | fuzz | nehalem) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[[ $# -gt 0 ]] || kinds=' unit system fuzz '
[[ $kinds != *' system '* ]] || need_root "system tests use network namespaces"

arguments=()
heading "set-up"
if [[ $kinds == *' nehalem '* ]]; then scripts/setup.sh --emulation; else scripts/setup.sh; fi
if [[ $kinds == *' unit '* || $kinds == *' system '* || $kinds == *' nehalem '* ]]; then
  heading "build (test)"
  scripts/build.sh test
fi
if [[ $kinds == *' fuzz '* ]]; then
  heading "build (fuzz)"
  scripts/build.sh fuzz
  arguments+=(--fuzz build-asan)
fi
[[ $kinds != *' nehalem '* ]] || arguments+=(--nehalem build-test)
[[ $kinds != *' unit '* ]] || arguments+=(--declared build-test)
if [[ $kinds == *' system '* ]]; then
  arguments+=(--system)
  # Aborts the daemon when a worker thread allocates, locks or throws.
  guard=build-test/tests/guard/libworker_guard.so
  [[ -f $guard ]] || die "$guard is not built"
  export MILLRACE_PRELOAD=${MILLRACE_PRELOAD:-$root/$guard}
fi
exec /usr/bin/python3 scripts/run_tests.py "${arguments[@]}"
