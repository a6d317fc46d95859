#!/usr/bin/env bash
# Forwarding, end to end: the real millraced beside testpmd and l3fwd (docs/benchmarking.md; --help lists the options).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

# Paths are the caller's, and common.sh has changed to the root of the project.
arguments=()
caller=$OLDPWD
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) exec /usr/bin/python3 perf/forward.py --help ;;
    --json | --table4 | --table6)
      [[ $# -ge 2 ]] || die "$1 wants a file"
      case $2 in /*) arguments+=("$1" "$2") ;; *) arguments+=("$1" "$caller/$2") ;; esac
      shift 2
      ;;
    *) arguments+=("$1"); shift ;;
  esac
done

need_root "to reserve hugepages"
[[ $(nproc) -ge 2 ]] || die "needs two cores: one forwards, one controls"
scripts/setup.sh --perf
perf/dpdk-source.sh
perf/l3fwd.sh
scripts/build.sh perf perf/net_stamp/libnet_stamp.so perf/net_stamp/make_destinations controlplane/millraced \
  cli/millrace >build-perf.log 2>&1 || { cat build-perf.log >&2; die "the build failed"; }
rm -f build-perf.log

python=''
interrupted() {  # the programs end before their memory is given back
  trap '' INT TERM
  if [[ -n $python ]]; then
    kill -TERM "$python" 2>/dev/null || true
    wait "$python" || true
  fi
  exit "$1"
}
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
source perf/hugepages.sh
borrow_hugepages 1280  # for five programs with their tables at the same time

/usr/bin/python3 perf/forward.py "${arguments[@]}" &
python=$!
wait "$python"
