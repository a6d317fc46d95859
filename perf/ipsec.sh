#!/usr/bin/env bash
# IPsec, end to end: the real millraced beside DPDK's ipsec-secgw (docs/benchmarking.md; --help lists the options).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

asks_for_help "$@" && exec /usr/bin/python3 perf/ipsec.py --help
take_arguments "--json" "$@"
need_root "to reserve hugepages"
[[ $(nproc) -ge 2 ]] || die "needs two cores: one encrypts, one controls"
scripts/setup.sh --perf
perf/dpdk-source.sh
perf/ipsec-secgw.sh
build_perf perf/net_stamp/libnet_stamp.so perf/net_stamp/make_destinations perf/net_stamp/make_esp_frames \
  perf/net_stamp/ipsec_mb_bench controlplane/millraced cli/millrace
with_hugepages 1024 /usr/bin/python3 perf/ipsec.py "${arguments[@]}"
