#!/usr/bin/env bash
# Forwarding, end to end: the real millraced beside testpmd and l3fwd (docs/benchmarking.md; --help lists the options).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

asks_for_help "$@" && exec /usr/bin/python3 perf/forward.py --help
take_arguments "--json --table4 --table6" "$@"
need_root "to reserve hugepages"
[[ $(nproc) -ge 2 ]] || die "needs two cores: one forwards, one controls"
scripts/setup.sh --perf
perf/dpdk-source.sh
perf/l3fwd.sh
build_perf perf/net_stamp/libnet_stamp.so perf/net_stamp/make_destinations controlplane/millraced cli/millrace
# Pages for five programs with their tables at the same time: 512 MB are rte_fib6's alone, in each l3fwd that has it.
with_hugepages 1792 /usr/bin/python3 perf/forward.py "${arguments[@]}"
