#!/usr/bin/env bash
# Routes: a table coming in, changes, failover and memory, beside the Linux kernel (docs/benchmarking.md; --help lists
# the options). Installs what is missing and builds.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

# Paths are the caller's, and common.sh has changed to the root of the project.
arguments=()
caller=$OLDPWD
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) exec /usr/bin/python3 perf/routes.py --help ;;
    --json | --table4 | --table6)
      [[ $# -ge 2 ]] || die "$1 wants a file"
      case $2 in /*) arguments+=("$1" "$2") ;; *) arguments+=("$1" "$caller/$2") ;; esac
      shift 2
      ;;
    *) arguments+=("$1"); shift ;;
  esac
done

need_root "to make a network namespace"
[[ $(nproc) -ge 2 ]] || die "needs two cores: one forwards, one controls"
scripts/setup.sh
scripts/build.sh perf perf/failover_bench perf/memory_bench controlplane/millraced cli/millrace >build-perf.log 2>&1 ||
  { cat build-perf.log >&2; die "the build failed"; }
rm -f build-perf.log

exec /usr/bin/python3 perf/routes.py "${arguments[@]}"
