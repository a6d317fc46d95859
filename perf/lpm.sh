#!/usr/bin/env bash
# Millrace's prefix tables beside DPDK's: lookups, loads, changes, memory (docs/benchmarking.md).
# Installs what is missing, builds, and reserves hugepages for the time of the run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'USAGE'
usage: perf/lpm.sh [OPTION...]
  --quick          fewer and shorter runs: under a minute in all
  --json FILE      where the figures go (default build-perf/lpm.json)
  --table4 FILE    IPv4 routes, gzipped text, a line "PREFIX NEXT-HOP" (default: the 2024 table of tests/data)
  --table6 FILE    IPv6 routes (default: the 2024 table of tests/data)
  --feed FILE      IPv4 routes in the order of their arrival (default: the 2015 feed of tests/data)
  --only REGEX     run the cases whose name this finds: 'v4/prefix', '/b32$', 'load'
  --subjects LIST  who takes part: millrace,rte_fib4,...
  --runs N         runs of each lookup case (default 9, with --quick 3)
  --seed N         of the addresses and of all random orders (default 1)
  --core N         the core that measures (default: the last)
  --slow           let rte_lpm load and change tables, too: it takes minutes
USAGE
}

if asks_for_help "$@"; then usage; exit 0; fi
take_arguments "--json --table4 --table6 --feed" "$@"
need_root "to reserve hugepages"
scripts/setup.sh
build_perf perf/lpm_bench
# Pages for DPDK's tables and for ours, twice while a load is measured.
with_hugepages 1536 build-perf/perf/lpm_bench --json build-perf/lpm.json \
  --table4 tests/data/v4-2024-prefix-nhidx.txt.gz --table6 tests/data/v6-2024-prefix-nhidx.txt.gz \
  --feed tests/data/feed20151023-v4-prefix-nexthop.txt.gz "${arguments[@]}"
