#!/usr/bin/env bash
# SONiC's PTF tests, unmodified, against Millrace (docs/ptf.md; --help lists the options). Installs what is missing
# and builds; the checkouts of sonic-net/sonic-mgmt and p4lang/ptf are the caller's.
#   scripts/ptf.sh SONIC_MGMT [PTF] [--only REGEX] [--seed N] [--logs DIR] [--list]
# The last line is `N passed, N failed, N differs`; exit status 1 if any failed.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in -h | --help) exec /usr/bin/python3 tests/ptf/run.py --help ;; esac

# Paths are the caller's, and common.sh has changed to the root of the project.
cd "$OLDPWD"
absolute() { realpath -m -- "$1"; }
arguments=() list=false
while [[ $# -gt 0 ]]; do
  case $1 in
    --logs) [[ $# -ge 2 ]] || die "--logs wants a directory"; arguments+=(--logs "$(absolute "$2")"); shift 2 ;;
    --only | --seed) [[ $# -ge 2 ]] || die "$1 wants a value"; arguments+=("$1" "$2"); shift 2 ;;
    --list) list=true; arguments+=("$1"); shift ;;
    -*) die "there is no option $1 (--help lists them)" ;;
    *) arguments+=("$(absolute "$1")"); shift ;;
  esac
done
cd "$root"

if ! $list; then
  need_root "the tests use network namespaces"
  scripts/setup.sh --ptf
  scripts/build.sh test controlplane/millraced cli/millrace
fi
exec /usr/bin/python3 tests/ptf/run.py "${arguments[@]}"
