#!/usr/bin/env bash
# RFC 2544 measurements of Millrace, or of any device, and a report (docs/benchmarking.md; --help lists the options).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

# Paths are the caller's, and common.sh has changed to the root of the project.
arguments=()
caller=$OLDPWD
hugepages_wanted=true
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) PYTHONPATH=perf exec /usr/bin/python3 -m rfc2544 --help ;;
    --json | --table4 | --trex-client)
      [[ $# -ge 2 ]] || die "$1 wants a path"
      case $2 in /*) arguments+=("$1" "$2") ;; *) arguments+=("$1" "$caller/$2") ;; esac
      shift 2
      ;;
    *) [[ $1 != --no-huge ]] || hugepages_wanted=false; arguments+=("$1"); shift ;;
  esac
done

need_root "to reserve hugepages and to make interfaces"
scripts/setup.sh
targets=(perf/generator/generator perf/generator/wire controlplane/millraced cli/millrace)
[[ " ${arguments[*]} " != *' --table4 '* ]] || targets+=(perf/net_stamp/make_destinations)
scripts/build.sh perf "${targets[@]}" >build-perf.log 2>&1 || { cat build-perf.log >&2; die "the build failed"; }
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
if $hugepages_wanted; then borrow_hugepages 400; fi  # 256 MB each for generator and device, and the tables

PYTHONPATH=perf /usr/bin/python3 -m rfc2544 "${arguments[@]}" &
python=$!
wait "$python"
