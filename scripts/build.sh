#!/usr/bin/env bash
# Configures (the first time) and builds one kind of build; does nothing where that is up to date.
#   scripts/build.sh [release|test|asan|fuzz|tsan|perf|coverage] [ninja target...]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: scripts/build.sh [KIND] [NINJA TARGET...]
  release  build/       what one installs and measures: optimised, LTO, no tests (the default)
  test     build-test/  optimised with assertions and tests
  asan     build-asan/  AddressSanitizer and UBSan, by clang: the tests and the libFuzzer targets
  fuzz     build-asan/  of these the libFuzzer targets alone
  tsan     build-tsan/  ThreadSanitizer: the tests that start threads
  perf     build-perf/  the benchmarks, optimised as a release
  coverage build-coverage/  unoptimised and instrumented, for scripts/coverage.sh
USAGE
}

kind=${1:-release}
[[ $# -eq 0 ]] || shift
options=()
case $kind in
  release) dir=build; options+=(--buildtype=release -Db_lto=true -Dtests=false) ;;
  perf) dir=build-perf; options+=(--buildtype=release -Db_lto=true -Dtests=false -Dperf=true) ;;
  test) dir=build-test; options+=(--buildtype=debugoptimized -Db_ndebug=false) ;;
  coverage) dir=build-coverage; options+=(--buildtype=debug -Db_coverage=true) ;;
  tsan) dir=build-tsan; options+=(--buildtype=debugoptimized -Db_ndebug=false -Db_sanitize=thread) ;;
  asan | fuzz)
    dir=build-asan
    # Enough debug information for the lines of a stack.
    options+=(-Doptimization=2 -Ddebug=false -Dcpp_args=-gline-tables-only -Db_ndebug=false)
    options+=(-Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true)
    launcher=$(command -v ccache || true)
    export CC="${launcher:+$launcher }clang" CXX="${launcher:+$launcher }clang++"
    ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
# Warnings are errors where the optimiser sees the code as it is; sanitizers make GCC see ghosts.
[[ ${CI:-} != true || $kind != @(release|test|perf) ]] || options+=(--werror)

# Meson takes ccache by itself where it is installed.
if [[ ! -f $dir/build.ninja ]]; then
  meson setup "${options[@]}" "$dir" >"$dir.setup.log" 2>&1 ||
    { cat "$dir.setup.log" >&2; rm -f "$dir.setup.log"; die "meson setup failed"; }
  rm -f "$dir.setup.log"
fi
if [[ $kind == fuzz && $# -eq 0 ]]; then
  ninja -C "$dir" build.ninja >/dev/null  # so that targets that are new are known
  # Only the fuzzers: the daemon and the tests are not run from this build.
  mapfile -t fuzzers < <(ninja -C "$dir" -t targets all | sed -nE 's#^(tests/fuzz/[a-z0-9_]+_fuzz): cpp_LINKER.*#\1#p')
  [[ ${#fuzzers[@]} -gt 0 ]] || die "tests/fuzz declares no fuzz target"
  set -- "${fuzzers[@]}"
fi
ninja -C "$dir" "$@"
