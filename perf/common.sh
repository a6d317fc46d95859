# Sourced by the benchmarks: the caller's arguments, the build, and programs on borrowed memory.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
caller=$OLDPWD  # common.sh has changed to the root of the project
arguments=()

# take_arguments "OPTION..." ARGUMENT...: into `arguments`; what follows one of the options is a path of the caller's.
take_arguments() {
  local options=" $1 "
  shift
  while [[ $# -gt 0 ]]; do
    arguments+=("$1")
    if [[ $options == *" $1 "* ]]; then
      [[ $# -ge 2 ]] || die "$1 wants a path"
      case $2 in /*) arguments+=("$2") ;; *) arguments+=("$caller/$2") ;; esac
      shift
    fi
    shift
  done
}

asks_for_help() { [[ " $* " == *' -h '* || " $* " == *' --help '* ]]; }

build_perf() {  # build_perf TARGET...: in silence, unless it fails; a build that took its time says so
  local started=$SECONDS
  scripts/build.sh perf "$@" >build-perf.log 2>&1 || { cat build-perf.log >&2; die "the build failed"; }
  rm -f build-perf.log
  [[ $((SECONDS - started)) -lt 5 ]] || say "built in $((SECONDS - started)) s"
}

borrower=''
interrupted() {  # the programs end before their memory is given back
  trap '' INT TERM
  if [[ -n $borrower ]]; then
    kill -TERM "$borrower" 2>/dev/null || true
    wait "$borrower" || true
  fi
  exit "$1"
}

# with_hugepages N COMMAND...: while N pages of 2 MB are free for it.
with_hugepages() {
  local pages=$1
  shift
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  source perf/hugepages.sh
  borrow_hugepages "$pages"
  "$@" &
  borrower=$!
  wait "$borrower"
}
