#!/usr/bin/env bash
# Millrace between two kernel hosts in network namespaces: ping, traceroute and iperf3 cross it. Or two Millraces with an
# IPsec tunnel between them, and on the way a sniffer that has to see nothing but ESP.
#   scripts/demo.sh [--ipv6 | --dual-stack] [--ipsec] [--keep]
# Needs no special NIC and no hugepages. Everything it makes is gone at the end, or on Ctrl-C.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage='usage: scripts/demo.sh [--ipv6 | --dual-stack] [--ipsec] [--keep]'
keep=false ipsec=false families=(4)
for option; do
  case $option in
    --keep) keep=true ;;
    --ipv6) families=(6) ;;
    --dual-stack) families=(4 6) ;;
    --ipsec) ipsec=true ;;
    -h | --help)
      say "$usage
  --ipv6        IPv6 alone; without an option: IPv4 alone
  --dual-stack  both
  --ipsec       two sites with a Millrace each, and an IPsec tunnel between them
  --keep        leaves it running until Ctrl-C
Builds build/ first; with MILLRACE_BUILD=DIRECTORY it takes what is built there."
      exit 0
      ;;
    *) say "$usage" >&2; exit 2 ;;
  esac
done
need_root "network namespaces need it"
build=${MILLRACE_BUILD:-build}

# By family. Behind the right host there is a network more, with the target. Functions get them by name.
# shellcheck disable=SC2034
declare -A length=([4]=24 [6]=64) whole=([4]=32 [6]=128) tunnel_length=([4]=30 [6]=64)
# shellcheck disable=SC2034
if $ipsec; then
  routers=(a b)
  declare -A left_host=([4]=10.1.0.2 [6]=2001:db8:1::2) left_router=([4]=10.1.0.1 [6]=2001:db8:1::1)
  declare -A right_host=([4]=10.2.0.2 [6]=2001:db8:2::2) right_router=([4]=10.2.0.1 [6]=2001:db8:2::1)
  declare -A target=([4]=10.2.99.1 [6]=2001:db8:2:99::1) target_net=([4]=10.2.99.0/24 [6]=2001:db8:2:99::/64)
  declare -A left_site=([4]=10.1.0.0/16 [6]=2001:db8:1::/48) right_site=([4]=10.2.0.0/16 [6]=2001:db8:2::/48)
  declare -A tunnel_a=([4]=10.255.0.1 [6]=2001:db8:255::1) tunnel_b=([4]=10.255.0.2 [6]=2001:db8:255::2)
  wan_a=192.0.2.1 wan_b=198.51.100.1 internet_a=192.0.2.254 internet_b=198.51.100.254
else
  routers=(router)
  declare -A left_host=([4]=192.0.2.2 [6]=2001:db8:1::2) left_router=([4]=192.0.2.1 [6]=2001:db8:1::1)
  declare -A right_host=([4]=198.51.100.2 [6]=2001:db8:2::2) right_router=([4]=198.51.100.1 [6]=2001:db8:2::1)
  declare -A target=([4]=203.0.113.1 [6]=2001:db8:99::1) target_net=([4]=203.0.113.0/24 [6]=2001:db8:99::/48)
  declare -A blackhole=([4]=10.0.0.0/8 [6]=2001:db8:bad::/48)
fi

# A router has a namespace, a configuration, a log and a socket of its name.
prefix=mr-demo-$$
left=$prefix-left right=$prefix-right internet=$prefix-internet
directory=$(mktemp -d "${TMPDIR:-/tmp}/mr-demo-XXXXXX")
namespaces=() daemons=() iperf='' sniffer=''

stop() {  # stop PID: asks, waits, insists
  local pid=$1 tries
  [[ -n $pid ]] && kill -TERM "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 100; tries++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
clean_up() {
  trap '' INT TERM
  local pid name
  for pid in "$iperf" "$sniffer" "${daemons[@]}"; do stop "$pid"; done
  for name in "${namespaces[@]}"; do ip netns del "$name" 2>/dev/null || true; done
  rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '\n%sFAILED: %s%s\n' "$bold" "$*" "$plain" >&2
  local name
  for name in "${routers[@]}"; do
    [[ -s $directory/$name.log ]] || continue
    printf '\nthe end of the log of millraced%s:\n' "$(at "$name")" >&2
    tail -n 30 "$directory/$name.log" | sed 's/^/  /' >&2
  done
  exit 1
}

at() { ! $ipsec || printf ' at site %s' "$1"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; }
on() { local namespace=$1; shift; ip netns exec "$namespace" "$@"; }
millrace() { local name=$1; shift; "$build/cli/millrace" --socket "$directory/$name.sock" "$@"; }

# --- set-up and build: nothing to do the second time

heading "set-up and build"
scripts/setup.sh
[[ -n ${MILLRACE_BUILD:-} ]] || scripts/build.sh release || fail "the build did not succeed"

# --- namespaces, cables, configurations

add_namespace() {
  ip netns add "$1" || fail "cannot make a network namespace: is this a container without CAP_SYS_ADMIN?"
  namespaces+=("$1")
  # In the routers', the kernel has no part in it; the Internet of the demo has IPv4 alone.
  [[ " ${families[*]} " == *' 6 '* && ($1 == "$left" || $1 == "$right") ]] ||
    on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
  ip -n "$1" link set lo up
}
own_address() {  # own_address NAMESPACE ADDRESS DEVICE
  local -a options=()
  [[ $2 != *:* ]] || options=(nodad)
  ip -n "$1" address add "$2" dev "$3" "${options[@]}"
}
connect() {  # connect ROUTER PORT NAMESPACE DEVICE: by a cable
  ip -n "$prefix-$1" link add "$2" type veth peer name "$4" netns "$3"
  ip -n "$prefix-$1" link set "$2" up
  # Millrace takes frames off the wire as they are: checksums and segments have to be real.
  on "$3" ethtool -K "$4" tx off gso off tso off >/dev/null
  ip -n "$3" link set "$4" up
}
add_host() {  # add_host ROUTER PORT NAMESPACE HOST-BY-FAMILY GATEWAY-BY-FAMILY
  local -n host=$4 gateway=$5
  local v
  add_namespace "$3"
  connect "$1" "$2" "$3" eth0
  for v in "${families[@]}"; do
    own_address "$3" "${host[$v]}/${length[$v]}" eth0
    ip -n "$3" "-$v" route add default via "${gateway[$v]}"
  done
}
addresses() {  # addresses BY-FAMILY [LENGTH-BY-FAMILY]: those of an interface
  local -n of=$1 of_length=${2:-length}
  local v text=''
  for v in "${families[@]}"; do text+="${text:+, }\"${of[$v]}/${of_length[$v]}\""; done
  say "addresses: [$text]"
}
routes() {  # routes PREFIX-BY-FAMILY VIA-BY-FAMILY
  local -n of=$1 via=$2
  local v
  for v in "${families[@]}"; do say "  - { prefix: \"${of[$v]}\", via: \"${via[$v]}\" }"; done
}
settings() {  # settings ROUTER: all but interfaces and routes
  say "dataplane:
  workers: [$(($(nproc) - 1))]
  hugepages: none
  memory: 512M
  idle: adaptive
control:
  core: 0
  api: $directory/$1.sock"
}
start_router() {  # start_router ROUTER: with what its file says
  local name=$1 pid tries
  ip netns exec "$prefix-$name" "$build/controlplane/millraced" -c "$directory/$name.yaml" >"$directory/$name.log" 2>&1 &
  pid=$!
  daemons+=("$pid")
  for ((tries = 0; tries < 300; tries++)); do
    millrace "$name" status >/dev/null 2>&1 && return
    kill -0 "$pid" 2>/dev/null || fail "millraced$(at "$name") ended"
    sleep 0.1
  done
  fail "millraced$(at "$name") does not answer on its socket"
}

set_up_router() {
  heading "two hosts, Millrace between them"
  say ""
  for v in "${families[@]}"; do
    say "   ${bold}left${plain} ${left_host[$v]} ──── ${left_router[$v]} ${bold}millraced${plain}" \
      "${right_router[$v]} ──── ${right_host[$v]} ${bold}right${plain} (also ${target[$v]})"
  done
  say ""
  add_namespace "$prefix-router"
  add_host router left "$left" left_host left_router
  add_host router right "$right" right_host right_router
  {
    settings router
    say "interfaces:
  left:
    device: \"net_af_packet,iface=left\"
    $(addresses left_router)
  right:
    device: \"net_af_packet,iface=right\"
    $(addresses right_router)
routes:"
    routes target_net right_host
    for v in "${families[@]}"; do say "  - { prefix: \"${blackhole[$v]}\", type: blackhole }"; done
  } >"$directory/router.yaml"
  show cat millrace.yaml
  sed 's/^/  /' "$directory/router.yaml"
}

# All but the routes into the site and the tunnel.
site() {  # site ROUTER LAN WAN FAR-WAN GATEWAY OUT-KEY IN-KEY TUNNEL-BY-FAMILY LAN-BY-FAMILY
  local -A spi=([a-to-b]=0x1001 [b-to-a]=0x2001)
  settings "$1"
  say "ipsec: { state: $directory/$1.json }
interfaces:
  wan:
    device: \"net_af_packet,iface=wan\"
    addresses: [$3/24]
  $2:
    device: \"net_af_packet,iface=$2\"
    $(addresses "$9")
  ipsec0:
    $(addresses "$8" tunnel_length)
    ipsec:
      local: $3
      remote: $4
      out: { spi: ${spi[$6]}, key_file: $directory/$6.key }
      in: { spi: ${spi[$7]}, key_file: $directory/$7.key }
routes:
  - { prefix: \"0.0.0.0/0\", via: \"$5\" }"
}
set_up_sites() {
  heading "two sites, a Millrace in each, the Internet and an IPsec tunnel between them"
  say ""
  for v in "${families[@]}"; do
    say "   ${bold}left${plain} ${left_host[$v]} ──── ${left_router[$v]} ${bold}millraced a${plain} $wan_a ════ Internet ════"
    say "     ════ $wan_b ${bold}millraced b${plain} ${right_router[$v]} ──── ${right_host[$v]} ${bold}right${plain}" \
      "(also ${target[$v]})"
  done
  say ""
  add_namespace "$prefix-a"
  add_namespace "$prefix-b"
  add_host a left "$left" left_host left_router
  add_host b right "$right" right_host right_router
  # It knows the two public networks and no other, as a router of the kernel.
  add_namespace "$internet"
  connect a wan "$internet" to-a
  connect b wan "$internet" to-b
  own_address "$internet" "$internet_a/24" to-a
  own_address "$internet" "$internet_b/24" to-b
  on "$internet" sysctl -qw net.ipv4.ip_forward=1

  local key
  show umask 077
  for key in a-to-b b-to-a; do
    show "openssl rand -hex 20 > $key.key     # AES-128-GCM: 16 bytes of the key, 4 of the salt"
    (umask 077 && openssl rand -hex 20 >"$directory/$key.key") || fail "openssl made no key"
  done
  {
    site a left "$wan_a" "$wan_b" "$internet_a" a-to-b b-to-a tunnel_a left_router
    routes right_site tunnel_b
  } >"$directory/a.yaml"
  {
    site b right "$wan_b" "$wan_a" "$internet_b" b-to-a a-to-b tunnel_b right_router
    routes left_site tunnel_a
    routes target_net right_host
  } >"$directory/b.yaml"
  for name in a b; do
    say ""
    show "cat $name.yaml"
    sed 's/^/  /' "$directory/$name.yaml"
  done
}

if $ipsec; then set_up_sites; else set_up_router; fi
for v in "${families[@]}"; do own_address "$right" "${target[$v]}/${whole[$v]}" lo; done
if $ipsec; then
  ip netns exec "$internet" scripts/demo_sniffer.py to-a to-b >"$directory/sniffer" 2>&1 &
  sniffer=$!
  for ((tries = 0; tries < 100; tries++)); do
    grep -q listening "$directory/sniffer" && break
    sleep 0.1
  done
fi
for name in "${routers[@]}"; do start_router "$name"; done

# --- traffic: whatever is not right ends the demo with an error

run_on_left() { show "$*"; on "$left" "$@" 2>&1 | tee "$directory/output"; }

cross() {  # cross FAMILY
  local to=${target[$1]} hops expected tries
  heading "IPv$1, ping: left to right"
  # The first packets may wait for ARP, and for the second in which IPv6 addresses are tried.
  for ((tries = 0; tries < 50; tries++)); do
    on "$left" ping -n -q -c 1 -W 1 "$to" >/dev/null 2>&1 && break
    sleep 0.2
  done
  run_on_left ping -n -q -c 20 -i 0.1 "$to" || fail "ping did not get through"
  grep -q ' 0% packet loss' "$directory/output" || fail "ping lost packets"

  if $ipsec; then
    heading "IPv$1, traceroute: the sites' Millraces are the hops, the Internet is none"
    expected="${left_router[$1]} ${tunnel_b[$1]} $to"
  else
    heading "IPv$1, traceroute: Millrace is the hop"
    expected="${left_router[$1]} $to"
  fi
  run_on_left traceroute -n -q 1 -w 3 -m 5 "-$1" "$to" || fail "traceroute failed"
  hops=$(awk '$1 ~ /^[0-9]+$/ {print $2}' "$directory/output" | xargs)
  [[ $hops == "$expected" ]] || fail "the hops are '$hops', not '$expected'"

  heading "IPv$1, iperf3: TCP from left to right"
  ip netns exec "$right" iperf3 -s -1 >/dev/null 2>&1 &
  iperf=$!
  for ((tries = 0; tries < 50; tries++)); do
    [[ -n $(on "$right" ss -Hltn 'sport = :5201') ]] && break
    sleep 0.1
  done
  run_on_left iperf3 -c "$to" -t 4 --connect-timeout 3000 || fail "iperf3 failed"
  wait "$iperf" || true
  iperf=''
}
for v in "${families[@]}"; do cross "$v"; done

if $ipsec; then
  heading "what the Internet saw"
  stop "$sniffer"
  sniffer=''
  cat "$directory/sniffer"
  grep -Eq '^seen on the way: [1-9][0-9,]* ESP packets, [0-9,]+ of ARP and ND, 0 others$' "$directory/sniffer" ||
    fail "the sniffer on the way did not see ESP, and nothing else"
fi

# --- what Millrace says about it

if $ipsec; then shown=(ipsec drops); else shown=(routes counters drops); fi
for name in "${routers[@]}"; do
  heading "Millrace's view$(at "$name")"
  show millrace status
  millrace "$name" status || fail "millrace status failed"
  for what in "${shown[@]}"; do
    say ""
    show millrace show "$what"
    millrace "$name" show "$what" || fail "millrace show $what failed"
  done
done

# Packets under way may be counted on one side only: they get two seconds.
balance() {
  millrace "$1" status --json | python3 -c '
import json, sys
a = json.load(sys.stdin)["accounting"]
came = a["received"] + a["originated"] + a["fragments_added"]
went = a["transmitted"] + a["punted"] + a["dropped"]
print("received {received:,} + originated {originated:,} + fragments {fragments_added:,} = "
      "transmitted {transmitted:,} + punted {punted:,} + dropped {dropped:,}".format(**a))
sys.exit(0 if came == went and a["difference"] == 0 and a["transmitted"] > 0 else 1)'
}
heading "every packet is accounted for"
for name in "${routers[@]}"; do
  for ((tries = 0; tries < 20; tries++)); do
    balanced=true
    balance "$name" >"$directory/output" && break
    balanced=false
    sleep 0.1
  done
  cat "$directory/output"
  $balanced || fail "the counters$(at "$name") do not add up"
done

heading "where to go next"
say "  scripts/demo.sh --keep     the same, left running to play with
  scripts/test.sh            all tests
  README.md                  install it, write your own configuration
  ARCHITECTURE.md            how it works, and where to start reading"
! $ipsec || say "  docs/ipsec.md              tunnels, their algorithms and keys"

if $keep; then
  heading "still running (Ctrl-C stops it and cleans up)"
  say "  the left host     ip netns exec $left bash
  the right host    ip netns exec $right bash"
  ! $ipsec || say "  the Internet      ip netns exec $internet bash"
  for name in "${routers[@]}"; do
    if $ipsec; then say ""; say "  at site $name"; fi
    say "  the router        $build/cli/millrace --socket $directory/$name.sock status
  configuration     $directory/$name.yaml   (edit, then: $build/cli/millrace --socket $directory/$name.sock apply FILE)
  log               $directory/$name.log"
  done
  # A signal ends the wait at once.
  while kill -0 "${daemons[@]}" 2>/dev/null; do sleep 1 & wait $! || true; done
  fail "millraced ended"
fi
