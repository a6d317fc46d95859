#!/usr/bin/env bash
# Instructions a packet, counted by callgrind, beside the committed budget (docs/benchmarking.md; --help lists the
# options). Installs what is missing, builds, and needs neither root nor a quiet machine.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

asks_for_help "$@" && exec /usr/bin/python3 perf/budget.py --help
take_arguments "--json --budget" "$@"
scripts/setup.sh --counting
build_perf perf/instructions_bench
exec /usr/bin/python3 perf/budget.py "${arguments[@]}"
