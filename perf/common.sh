# Sourced by the benchmarks: the caller's arguments, the build, and programs on borrowed memory.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
caller=$OLDPWD  # common.sh has changed to the root of the project
arguments=()

# Each figure says how it was made: the command in the caller's words, and the revision (documents are not measured).
said() { if [[ $1 =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then printf '%s' "$1"; else printf '%s' "${1@Q}"; fi; }
command_of() {  # command_of SCRIPT ARGUMENT...
  local word
  printf 'perf/%s' "$(basename "$1")"
  for word in "${@:2}"; do printf ' %s' "$(said "$word")"; done
}
revision_of() {
  local revision
  revision=$(git describe --always 2>/dev/null) || return 0
  git diff --quiet HEAD -- . ':!docs' ':!*.md' || revision+=-dirty
  printf '%s' "$revision"
}
MILLRACE_COMMAND=$(command_of "$0" "$@") MILLRACE_REVISION=$(revision_of)
export MILLRACE_COMMAND MILLRACE_REVISION

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
