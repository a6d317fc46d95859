#!/usr/bin/env bash
# Fetches the source of the installed DPDK, once, into build-perf/peers/dpdk: the examples l3fwd and ipsec-secgw to
# build, and the headers that drivers need and Debian does not package.
#   perf/dpdk-source.sh
# Uses package lists of its own: the system's sources stay as they are.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

peers=$root/build-perf/peers
version=$(dpkg-query -W -f='${Version}' libdpdk-dev) || die "libdpdk-dev is not installed: scripts/setup.sh"
[[ $(cat "$peers/dpdk/millrace-version" 2>/dev/null) != "$version" || ! -d $peers/dpdk/examples/ipsec-secgw ]] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/parts" "$work/lists/partial"

# The distribution's own entries, with sources in place of packages.
for file in /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
  [[ -f $file ]] || continue
  sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$work/parts/$(basename "$file")"
done
if [[ -f /etc/apt/sources.list ]]; then
  sed -nE 's/^deb(-src)? /deb-src /p' /etc/apt/sources.list | sort -u >"$work/parts/system.list"
fi
apt=(apt-get -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/parts"
  -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User=root)

say "fetching the source of dpdk $version"
cd "$work"
"${apt[@]}" update >log 2>&1 || { cat log >&2; die "apt-get update failed: is there a network?"; }
"${apt[@]}" source --tar-only "dpdk=$version" >log 2>&1 || { cat log >&2; die "apt-get source dpdk=$version failed"; }
mkdir dpdk
tar -xf dpdk_*.orig.tar.* -C dpdk --strip-components=1 --wildcards \
  '*/examples/common' '*/examples/l3fwd' '*/examples/ipsec-secgw' '*/lib/ethdev/*.h' '*/lib/eal/include/*_driver.h' '*/drivers/bus/vdev/*.h'
printf '%s\n' "$version" >dpdk/millrace-version
mkdir -p "$peers"
rm -rf "$peers/dpdk"
mv dpdk "$peers/dpdk"
