#!/usr/bin/env bash
# Proves that the libraries of workers call nothing but what is listed in worker-symbols.allow: no allocation, no lock, no
# exception, no log, no system call beyond the idle nap and the doorbell.
#   scripts/worker-symbols.sh [BUILD]      BUILD: build-test (the default) or build
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build=${1:-build-test}
libraries=("$build/dataplane/libworker.a" "$build/esp/libworker_esp.a")
for library in "${libraries[@]}"; do [[ -f $library ]] || die "$library is not built"; done

# What they need from elsewhere: undefined in one of their objects and defined in none.
symbols() { nm --format=posix "${libraries[@]}" | awk 'NF >= 2 && $0 !~ /:$/'; }
needed=$(comm -23 <(symbols | awk '$2 == "U" {print $1}' | sort -u) <(symbols | awk '$2 != "U" {print $1}' | sort -u))
allowed=$(sed -E 's/[[:space:]]*#.*//; /^[[:space:]]*$/d' scripts/worker-symbols.allow | sort -u)

forbidden=$(comm -23 <(printf '%s\n' "$needed") <(printf '%s\n' "$allowed"))
if [[ -n $forbidden ]]; then
  say "a worker's library calls what scripts/worker-symbols.allow does not list:"
  printf '%s\n' "$forbidden" | c++filt | sed 's/^/  /'
  exit 1
fi
say "the libraries of workers need $(printf '%s\n' "$needed" | wc -l) symbols, all of them allowed"
