#!/usr/bin/env bash
# Builds DPDK's example ipsec-secgw, once, as build-perf/peers/ipsec-secgw: as shipped, but for checksum offload, which
# virtual ports lack.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

perf/dpdk-source.sh
peers=$root/build-perf/peers
[[ ! $peers/ipsec-secgw -nt $peers/dpdk/millrace-version || $peers/ipsec-secgw -ot perf/ipsec-secgw.sh ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$peers/dpdk/examples" "$work/"
cd "$work/examples/ipsec-secgw"
grep -q '\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,' ipsec-secgw.c || die "this ipsec-secgw has no such offloads"
sed -i 's/\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,/.offloads = 0,/' ipsec-secgw.c
say "building ipsec-secgw"
CFLAGS=-w make shared >log 2>&1 || { cat log >&2; die "ipsec-secgw does not build"; }
mv build/ipsec-secgw-shared "$peers/ipsec-secgw"
