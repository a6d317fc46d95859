#!/usr/bin/env bash
# Line coverage of the packet steps by the unit and behaviour tests: a table of files, the lines that no test reaches,
# and the total. Fails below the target.
#   scripts/coverage.sh [--lines]     --lines also prints each line that is not reached
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target=90  # per cent of lines
lines=false
case ${1:-} in
  '') ;;
  --lines) lines=true ;;
  *) say "usage: scripts/coverage.sh [--lines]" >&2; exit 2 ;;
esac

# What a worker runs for each packet (dataplane/), but not what only the control thread or the start calls.
steps='dataplane/(ethernet|straight[a-z0-9_]*|ip_[a-z_]+|ipv4_[a-z_]+|ipv6_[a-z_]+|fragment|feature|urpf|vlan|worker)\.(cc|h)|dataplane/(flow_hash|packet|punt)\.h'
programs=(tests/behaviour/behaviour_test tests/unit/api_test tests/unit/controlplane_test)

scripts/setup.sh --coverage
heading "build (coverage)"
scripts/build.sh coverage "${programs[@]}"
heading "tests"
find build-coverage -name '*.gcda' -delete  # of an earlier run
for program in "${programs[@]}"; do
  "build-coverage/$program" --gtest_brief=1 >"build-coverage/$(basename "$program").log" 2>&1 ||
    { tail -n 40 "build-coverage/$(basename "$program").log" >&2; die "$program failed"; }
  say "  $(basename "$program"): $(sed -nE 's/^\[=+\] (.* ran)\..*/\1/p' "build-coverage/$(basename "$program").log")"
done

heading "coverage"
gcovr --root . --object-directory build-coverage --filter "$steps" --json build-coverage/coverage.json build-coverage
/usr/bin/python3 - "$target" "$lines" build-coverage/coverage.json <<'PYTHON'
import json
import sys

target, show_lines = float(sys.argv[1]), sys.argv[2] == "true"
reached = total = 0
for file in sorted(json.load(open(sys.argv[3]))["files"], key=lambda file: file["file"]):
    counted = [line for line in file["lines"] if not line["gcovr/noncode"]]
    missed = [line["line_number"] for line in counted if line["count"] == 0]
    if not counted:
        continue
    reached, total = reached + len(counted) - len(missed), total + len(counted)
    print(f'  {file["file"]:32} {len(counted) - len(missed):4} of {len(counted):4} lines  '
          f'{100 * (1 - len(missed) / len(counted)):5.1f} %')
    source = open(file["file"]).read().splitlines() if show_lines else []
    for number in missed if show_lines else []:
        print(f'    {number:4}: {source[number - 1]}')
if not total:
    sys.exit("coverage.sh: no line was counted")
share = 100 * reached / total
print(f"\n{reached} of {total} lines, {share:.1f} % (target {target:.0f} %)")
sys.exit(share < target)
PYTHON
