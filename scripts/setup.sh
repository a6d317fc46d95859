#!/usr/bin/env bash
# Installs what building and testing Millrace needs, on Debian 12 and Ubuntu 24.04.
#   scripts/setup.sh [--perf] [--counting] [--coverage] [--emulation] [--ptf] [--hugepages N]
# Where nothing is missing it changes nothing and needs neither network nor root.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
  # build
  git meson ninja-build ccache pkg-config gcc g++
  libdpdk-dev libyaml-cpp-dev libspdlog-dev libboost-dev nlohmann-json3-dev libcli11-dev
  zlib1g-dev libsystemd-dev libmnl-dev libipsec-mb-dev
  # unit and behaviour tests, benchmarks, fuzzing, lint
  libgtest-dev libssl-dev
  clang clang-format clang-tidy libclang-rt-dev
  # demo and system tests
  iproute2 iputils-ping iputils-tracepath traceroute iperf3 ethtool openssl procps strace util-linux
  systemd systemd-container libcap2-bin frr bird2 gobgpd exabgp keepalived
  charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins
  python3 python3-pytest python3-scapy python3-yaml python3-jsonschema
)

perf_packages=(dpdk-dev make)  # testpmd; l3fwd's Makefile
counting_packages=(valgrind)
coverage_packages=(gcovr)
emulation_packages=(qemu-user)
ptf_packages=(python3-six python3-subnettree python3-cryptography)

usage() {
  cat <<USAGE
usage: scripts/setup.sh [--perf] [--counting] [--coverage] [--emulation] [--ptf] [--hugepages N]
  --perf          also what the benchmarks compare with
  --counting      also what perf/budget.sh counts instructions with
  --coverage      also what scripts/coverage.sh counts with
  --emulation     also what runs tests on emulated processors
  --ptf           also what SONiC's tests import (scripts/ptf.sh)
  --hugepages N   also reserve N hugepages of 2 MB and mount hugetlbfs where it is not mounted
USAGE
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
  done
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "to install: ${missing[*]}"
  need_root "to install packages"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update || die "apt-get update failed: is there a network?"
  keep_services_down
  apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
  # Tests start these daemons themselves; on a machine that did not have them, they do nothing by themselves.
  [[ -d /run/systemd/system ]] || return 0
  [[ " ${missing[*]} " != *" frr "* ]] || systemctl -q disable --now frr
  [[ " ${missing[*]} " != *" bird2 "* ]] || systemctl -q disable --now bird
  [[ " ${missing[*]} " != *" gobgpd "* ]] || systemctl -q disable --now gobgpd
  [[ " ${missing[*]} " != *" exabgp "* ]] || systemctl -q disable --now exabgp
  [[ " ${missing[*]} " != *" keepalived "* ]] || systemctl -q disable --now keepalived
  [[ " ${missing[*]} " != *" charon-systemd "* ]] || systemctl -q disable --now strongswan
}

# No service of a package starts while it is installed, unless this machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
keep_services_down() {
  [[ ! -e $policy ]] || return 0
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

# 2 MB pages only: 1 GB pages are best reserved on the kernel's command line.
reserve_hugepages() {
  local wanted=$1 got
  local control=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
  [[ -w $control ]] || die "this kernel offers no 2 MB hugepages, or this is not root"
  [[ $(<"$control") -ge $wanted ]] || printf '%s\n' "$wanted" >"$control"
  got=$(<"$control")
  [[ $got -ge $wanted ]] || die "only $got of $wanted hugepages could be reserved: memory is short or fragmented"
  if ! grep -qE '^[^ ]+ [^ ]+ hugetlbfs [^ ]*pagesize=2M' /proc/mounts; then
    mkdir -p /dev/hugepages
    mount -t hugetlbfs -o pagesize=2M none /dev/hugepages || die "cannot mount hugetlbfs on /dev/hugepages"
  fi
  say "$got hugepages of 2 MB are reserved"
}

hugepages=0
while [[ $# -gt 0 ]]; do
  case $1 in
    --perf) packages+=("${perf_packages[@]}"); shift ;;
    --counting) packages+=("${counting_packages[@]}"); shift ;;
    --coverage) packages+=("${coverage_packages[@]}"); shift ;;
    --emulation) packages+=("${emulation_packages[@]}"); shift ;;
    --ptf) packages+=("${ptf_packages[@]}"); shift ;;
    --hugepages) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--hugepages wants a number of 2 MB pages"; hugepages=$2; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

install_packages
[[ $hugepages == 0 ]] || reserve_hugepages "$hugepages"
