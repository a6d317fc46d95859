#!/usr/bin/env bash
# Millrace between two kernel hosts in network namespaces: ping, traceroute and iperf3 cross it.
#   scripts/demo.sh [--ipv6 | --dual-stack] [--keep]
# Needs no special NIC and no hugepages. Everything it makes is gone at the end, or on Ctrl-C.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage='usage: scripts/demo.sh [--ipv6 | --dual-stack] [--keep]'
keep=false families=(4)
for option; do
  case $option in
    --keep) keep=true ;;
    --ipv6) families=(6) ;;
    --dual-stack) families=(4 6) ;;
    -h | --help)
      say "$usage
  --ipv6        IPv6 alone; without an option: IPv4 alone
  --dual-stack  both
  --keep        leaves it running until Ctrl-C
Builds build/ first; with MILLRACE_BUILD=DIRECTORY it takes what is built there."
      exit 0
      ;;
    *) say "$usage" >&2; exit 2 ;;
  esac
done
need_root "network namespaces need it"
build=${MILLRACE_BUILD:-build}

# By family.
declare -A length=([4]=24 [6]=64) whole=([4]=32 [6]=128)
declare -A left_host=([4]=192.0.2.2 [6]=2001:db8:1::2) left_router=([4]=192.0.2.1 [6]=2001:db8:1::1)
declare -A right_host=([4]=198.51.100.2 [6]=2001:db8:2::2) right_router=([4]=198.51.100.1 [6]=2001:db8:2::1)
declare -A target=([4]=203.0.113.1 [6]=2001:db8:99::1) target_net=([4]=203.0.113.0/24 [6]=2001:db8:99::/48)
declare -A blackhole=([4]=10.0.0.0/8 [6]=2001:db8:bad::/48)

left=mr-demo-$$-left right=mr-demo-$$-right router=mr-demo-$$-router
directory=$(mktemp -d "${TMPDIR:-/tmp}/mr-demo-XXXXXX")
socket=$directory/api.sock
namespaces=() daemon='' iperf=''

stop() {  # stop PID: asks, waits, insists
  local pid=$1 tries
  [[ -n $pid ]] && kill -TERM "$pid" 2>/dev/null || return 0
  for ((tries = 0; tries < 100; tries++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
clean_up() {
  trap '' INT TERM
  stop "$iperf"
  stop "$daemon"
  local name
  for name in "${namespaces[@]}"; do ip netns del "$name" 2>/dev/null || true; done
  rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf '\n%sFAILED: %s%s\n' "$bold" "$*" "$plain" >&2
  if [[ -s $directory/log ]]; then
    printf '\nthe end of the log of millraced:\n' >&2
    tail -n 30 "$directory/log" | sed 's/^/  /' >&2
  fi
  exit 1
}

show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; }
on() { local namespace=$1; shift; ip netns exec "$namespace" "$@"; }
millrace() { "$build/cli/millrace" --socket "$socket" "$@"; }

# --- set-up and build: nothing to do the second time

heading "set-up and build"
scripts/setup.sh
[[ -n ${MILLRACE_BUILD:-} ]] || scripts/build.sh release || fail "the build did not succeed"

# --- two hosts, and a namespace for Millrace's ends of the cables

heading "two hosts, Millrace between them"
say ""
for v in "${families[@]}"; do
  say "   ${bold}left${plain} ${left_host[$v]} ──── ${left_router[$v]} ${bold}millraced${plain}" \
    "${right_router[$v]} ──── ${right_host[$v]} ${bold}right${plain} (also ${target[$v]})"
done
say ""
add_namespace() {
  ip netns add "$1" || fail "cannot make a network namespace: is this a container without CAP_SYS_ADMIN?"
  namespaces+=("$1")
  # In the router's, the kernel has no part in it.
  [[ " ${families[*]} " == *' 6 '* && $1 != "$router" ]] || on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
  ip -n "$1" link set lo up
}
add_namespace "$router"
own_address() {  # own_address NAMESPACE ADDRESS DEVICE
  local -a options=()
  [[ $2 != *:* ]] || options=(nodad)
  ip -n "$1" address add "$2" dev "$3" "${options[@]}"
}
add_host() {  # add_host NAMESPACE PORT
  add_namespace "$1"
  ip -n "$router" link add "$2" type veth peer name eth0 netns "$1"
  ip -n "$router" link set "$2" up
  # Millrace takes frames off the wire as they are: checksums and segments have to be real.
  on "$1" ethtool -K eth0 tx off gso off tso off >/dev/null
  ip -n "$1" link set eth0 up
}
add_host "$left" left
add_host "$right" right
left_addresses='' right_addresses='' routes=''
for v in "${families[@]}"; do
  own_address "$left" "${left_host[$v]}/${length[$v]}" eth0
  own_address "$right" "${right_host[$v]}/${length[$v]}" eth0
  own_address "$right" "${target[$v]}/${whole[$v]}" lo
  ip -n "$left" "-$v" route add default via "${left_router[$v]}"
  ip -n "$right" "-$v" route add default via "${right_router[$v]}"
  left_addresses+=${left_addresses:+, }"\"${left_router[$v]}/${length[$v]}\""
  right_addresses+=${right_addresses:+, }"\"${right_router[$v]}/${length[$v]}\""
  routes+="
  - { prefix: \"${target_net[$v]}\", via: \"${right_host[$v]}\" }
  - { prefix: \"${blackhole[$v]}\", type: blackhole }"
done

cat >"$directory/millrace.yaml" <<YAML
dataplane:
  workers: [$(($(nproc) - 1))]
  hugepages: none
  memory: 512M
  idle: adaptive
control:
  core: 0
  api: $socket
interfaces:
  left:
    device: "net_af_packet,iface=left"
    addresses: [$left_addresses]
  right:
    device: "net_af_packet,iface=right"
    addresses: [$right_addresses]
routes:$routes
YAML
show cat millrace.yaml
sed 's/^/  /' "$directory/millrace.yaml"

ip netns exec "$router" "$build/controlplane/millraced" -c "$directory/millrace.yaml" >"$directory/log" 2>&1 &
daemon=$!
for ((tries = 0; tries < 300; tries++)); do
  millrace status >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || fail "millraced ended"
  sleep 0.1
done
millrace status >/dev/null 2>&1 || fail "millraced does not answer on its socket"

# --- traffic: whatever is not right ends the demo with an error

run_on_left() { show "$*"; on "$left" "$@" 2>&1 | tee "$directory/output"; }

cross() {  # cross FAMILY
  local to=${target[$1]} hops
  heading "IPv$1, ping: left to right"
  # The first packets may wait for ARP, and for the second in which IPv6 addresses are tried.
  for ((tries = 0; tries < 50; tries++)); do
    on "$left" ping -n -q -c 1 -W 1 "$to" >/dev/null 2>&1 && break
    sleep 0.2
  done
  run_on_left ping -n -q -c 20 -i 0.1 "$to" || fail "ping did not get through"
  grep -q ' 0% packet loss' "$directory/output" || fail "ping lost packets"

  heading "IPv$1, traceroute: Millrace is the hop"
  run_on_left traceroute -n -q 1 -w 3 -m 5 "-$1" "$to" || fail "traceroute failed"
  hops=$(awk '$1 ~ /^[0-9]+$/ {print $2}' "$directory/output" | xargs)
  [[ $hops == "${left_router[$1]} $to" ]] ||
    fail "the hops are '$hops', not Millrace (${left_router[$1]}) and the destination"

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

# --- what Millrace says about it

heading "Millrace's view"
show millrace status
millrace status || fail "millrace status failed"
for what in routes counters drops; do
  say ""
  show millrace show $what
  millrace show $what || fail "millrace show $what failed"
done

# Packets under way may be counted on one side only: they get two seconds.
balance() {
  millrace status --json | python3 -c '
import json, sys
a = json.load(sys.stdin)["accounting"]
came = a["received"] + a["originated"] + a["fragments_added"]
went = a["transmitted"] + a["punted"] + a["dropped"]
print("received {received:,} + originated {originated:,} + fragments {fragments_added:,} = "
      "transmitted {transmitted:,} + punted {punted:,} + dropped {dropped:,}".format(**a))
sys.exit(0 if came == went and a["difference"] == 0 and a["transmitted"] > 0 else 1)'
}
heading "every packet is accounted for"
for ((tries = 0; tries < 20; tries++)); do
  balanced=true
  balance >"$directory/output" && break
  balanced=false
  sleep 0.1
done
cat "$directory/output"
$balanced || fail "the counters do not add up"

heading "where to go next"
say "  scripts/demo.sh --keep     the same, left running to play with
  scripts/test.sh            all tests
  README.md                  install it, write your own configuration
  ARCHITECTURE.md            how it works, and where to start reading"

if $keep; then
  heading "still running (Ctrl-C stops it and cleans up)"
  say "  the left host     ip netns exec $left bash
  the right host    ip netns exec $right bash
  the router        $build/cli/millrace --socket $socket status
  configuration     $directory/millrace.yaml   (edit, then: $build/cli/millrace --socket $socket apply FILE)
  log               $directory/log"
  # A signal ends the wait at once.
  while kill -0 "$daemon" 2>/dev/null; do sleep 1 & wait $! || true; done
  fail "millraced ended"
fi
