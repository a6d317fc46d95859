#!/usr/bin/env bash
# Runs fuzz targets for as long as one wants, each from its seeds and from what earlier runs found.
#   scripts/fuzz.sh [--minutes N] [TARGET...]      N minutes of processor time each; without a target: all
# The last line is `N targets without findings, N with`; exit status 1 where there are any.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: scripts/fuzz.sh [--minutes N] [TARGET...]
  --minutes N   of processor time for each target (5)
  TARGET        such as packet, for packet_fuzz; without one: all
Inputs that reach something new are kept in build-asan/corpus/TARGET from run to run, findings in
build-asan/findings/TARGET.
USAGE
}

minutes=5
targets=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --minutes) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--minutes wants a whole number"; minutes=$2; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) targets+=("${1%_fuzz}"); shift ;;
  esac
done

scripts/setup.sh
scripts/build.sh fuzz
built=build-asan/tests/fuzz
if [[ ${#targets[@]} -eq 0 ]]; then
  for program in "$built"/*_fuzz; do name=$(basename "$program"); targets+=("${name%_fuzz}"); done
fi
for target in "${targets[@]}"; do [[ -x $built/${target}_fuzz ]] || die "there is no target $target"; done

ticks=$(getconf CLK_TCK)
cpu_seconds() {  # of process $1, user and system; empty when it is gone
  local fields
  fields=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && awk -v hz="$ticks" '{ print int(($12 + $13) / hz) }' <<<"$fields"
}

run() {  # run TARGET: from the kept inputs and the seeds; a graceful end once the time is used up
  local target=$1 corpus=build-asan/corpus/$1 findings=build-asan/findings/$1 log=build-asan/$1.fuzz.log pid status=0
  mkdir -p "$corpus" "$findings"
  "$built/${target}_fuzz" "$corpus" "tests/fuzz/corpus/$target" -entropic=0 -timeout=10 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="$findings/" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    [[ $(cpu_seconds "$pid") -lt $((minutes * 60)) ]] || kill -USR1 "$pid" 2>/dev/null || true
    sleep 1
  done
  wait "$pid" || status=$?
  printf '  %-4s %-20s %12s inputs, %5s kept\n' "$([[ $status == 0 ]] && echo ok || echo FAIL)" "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(find "$corpus" -type f | wc -l)"
  [[ $status == 0 ]] || { tail -n 40 "$log"; say "    the log is $log, the input is in $findings"; }
  return "$status"
}

heading "fuzz targets, $minutes minutes of processor time each"
good=0 bad=0
for target in "${targets[@]}"; do
  if run "$target"; then good=$((good + 1)); else bad=$((bad + 1)); fi
done
say ""
say "$good targets without findings, $bad with"
[[ $bad == 0 ]]
