#!/usr/bin/env bash
# Builds DPDK's example l3fwd, once, as build-perf/peers/l3fwd: as shipped, but for checksum offload, which virtual
# ports lack, and for the number of routes that its tables hold.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

perf/dpdk-source.sh
peers=$root/build-perf/peers
[[ ! $peers/l3fwd -nt $peers/dpdk/millrace-version || $peers/l3fwd -ot perf/l3fwd.sh ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$peers/dpdk/examples" "$work/"
cd "$work/examples/l3fwd"
replace() {  # replace FILE PATTERN BY: what is not there ends the script
  grep -qE "$2" "$1" || die "$1 of this DPDK has no \"$2\""
  sed -i -E "s/$2/$3/" "$1"
}
replace main.c '\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,' '.offloads = 0,'
replace l3fwd_lpm.c 'define IPV4_L3FWD_LPM_MAX_RULES +[0-9]+' 'define IPV4_L3FWD_LPM_MAX_RULES (1 << 20)'
replace l3fwd_lpm.c 'define IPV4_L3FWD_LPM_NUMBER_TBL8S .*' 'define IPV4_L3FWD_LPM_NUMBER_TBL8S (1 << 14)'
replace l3fwd_fib.c 'config_ipv4\.max_routes = .*' 'config_ipv4.max_routes = (1 << 20);'
replace l3fwd_lpm.c 'define IPV6_L3FWD_LPM_MAX_RULES +[0-9]+' 'define IPV6_L3FWD_LPM_MAX_RULES (1 << 14)'
# The TRIE takes as many groups for a prefix as if it shared none.
replace l3fwd_fib.c 'config\.max_routes = .*' 'config.max_routes = (1 << 18);'
replace l3fwd_fib.c 'config\.trie\.num_tbl8 = .*' 'config.trie.num_tbl8 = (1 << 19);'
say "building l3fwd"
CFLAGS=-w make shared >log 2>&1 || { cat log >&2; die "l3fwd does not build"; }
mv build/l3fwd-shared "$peers/l3fwd"
