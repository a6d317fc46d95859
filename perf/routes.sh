#!/usr/bin/env bash
# Routes: a table coming in, changes, failover and memory, beside the Linux kernel (docs/benchmarking.md; --help lists
# the options). Installs what is missing and builds.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

asks_for_help "$@" && exec /usr/bin/python3 perf/routes.py --help
take_arguments "--json --table4 --table6" "$@"
need_root "to make a network namespace"
[[ $(nproc) -ge 2 ]] || die "needs two cores: one forwards, one controls"
scripts/setup.sh
build_perf perf/failover_bench perf/memory_bench controlplane/millraced cli/millrace
exec /usr/bin/python3 perf/routes.py "${arguments[@]}"
