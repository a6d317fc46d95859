#!/usr/bin/env bash
# Millrace between two kernel hosts in network namespaces: ping, traceroute and iperf3 cross it.
#   scripts/demo.sh [--ipv6] [--keep]
# Needs no special NIC and no hugepages. Everything it makes is gone at the end, or on Ctrl-C.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage='usage: scripts/demo.sh [--ipv6] [--keep]'
keep=false family=4
for option; do
  case $option in
    --keep) keep=true ;;
    --ipv6) family=6 ;;
    -h | --help) say "$usage   --ipv6: without IPv4; --keep leaves it running until Ctrl-C"; exit 0 ;;
    *) say "$usage" >&2; exit 2 ;;
  esac
done
need_root "network namespaces need it"

if ((family == 6)); then
  left_net=2001:db8:1:: right_net=2001:db8:2:: length=64 default=::/0
  target=2001:db8:99::1 target_net=2001:db8:99::/48 blackhole=2001:db8:bad::/48
else
  left_net=192.0.2. right_net=198.51.100. length=24 default=0.0.0.0/0
  target=203.0.113.1 target_net=203.0.113.0/24 blackhole=10.0.0.0/8
fi

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
millrace() { build/cli/millrace --socket "$socket" "$@"; }

# --- set-up and build: nothing to do the second time

heading "set-up and build"
scripts/setup.sh
scripts/build.sh release || fail "the build did not succeed"

# --- two hosts, and a namespace for Millrace's ends of the cables

heading "two hosts, Millrace between them"
say "
   ${bold}left${plain} ${left_net}2 ──── ${left_net}1 ${bold}millraced${plain} ${right_net}1 ──── ${right_net}2 ${bold}right${plain} (also $target)
"
add_namespace() {
  ip netns add "$1" || fail "cannot make a network namespace: is this a container without CAP_SYS_ADMIN?"
  namespaces+=("$1")
  # In the router's, the kernel has no part in it.
  [[ $family == 6 && $1 != "$router" ]] || on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
  ip -n "$1" link set lo up
}
add_namespace "$router"
own_address() {  # own_address NAMESPACE ADDRESS DEVICE
  local -a options=()
  ((family == 4)) || options=(nodad)
  ip -n "$1" address add "$2" dev "$3" "${options[@]}"
}
add_host() {  # add_host NAMESPACE PORT ADDRESS GATEWAY
  add_namespace "$1"
  ip -n "$router" link add "$2" type veth peer name eth0 netns "$1"
  ip -n "$router" link set "$2" up
  # Millrace takes frames off the wire as they are: checksums and segments have to be real.
  on "$1" ethtool -K eth0 tx off gso off tso off >/dev/null
  ip -n "$1" link set eth0 up
  own_address "$1" "$3" eth0
  ip -n "$1" route add "$default" via "$4"
}
add_host "$left" left "${left_net}2/$length" "${left_net}1"
add_host "$right" right "${right_net}2/$length" "${right_net}1"
own_address "$right" "$target/$((family == 6 ? 128 : 32))" lo

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
    addresses: ["${left_net}1/$length"]
  right:
    device: "net_af_packet,iface=right"
    addresses: ["${right_net}1/$length"]
routes:
  - { prefix: "$target_net", via: "${right_net}2" }
  - { prefix: "$blackhole", type: blackhole }
YAML
show cat millrace.yaml
sed 's/^/  /' "$directory/millrace.yaml"

ip netns exec "$router" build/controlplane/millraced -c "$directory/millrace.yaml" >"$directory/log" 2>&1 &
daemon=$!
for ((tries = 0; tries < 300; tries++)); do
  millrace status >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || fail "millraced ended"
  sleep 0.1
done
millrace status >/dev/null 2>&1 || fail "millraced does not answer on its socket"

# --- traffic: whatever is not right ends the demo with an error

run_on_left() { show "$*"; on "$left" "$@" 2>&1 | tee "$directory/output"; }

heading "ping: left to right"
# The first packets may wait for ARP, and for the second in which IPv6 addresses are tried.
for ((tries = 0; tries < 50; tries++)); do
  on "$left" ping -n -q -c 1 -W 1 "$target" >/dev/null 2>&1 && break
  sleep 0.2
done
run_on_left ping -n -q -c 20 -i 0.1 "$target" || fail "ping did not get through"
grep -q ' 0% packet loss' "$directory/output" || fail "ping lost packets"

heading "traceroute: Millrace is the hop"
run_on_left traceroute -n -q 1 -w 3 -m 5 "-$family" "$target" || fail "traceroute failed"
hops=$(awk '$1 ~ /^[0-9]+$/ {print $2}' "$directory/output" | xargs)
[[ $hops == "${left_net}1 $target" ]] || fail "the hops are '$hops', not Millrace (${left_net}1) and the destination"

heading "iperf3: TCP from left to right"
ip netns exec "$right" iperf3 -s -1 >/dev/null 2>&1 &
iperf=$!
for ((tries = 0; tries < 50; tries++)); do
  [[ -n $(on "$right" ss -Hltn 'sport = :5201') ]] && break
  sleep 0.1
done
run_on_left iperf3 -c "$target" -t 4 --connect-timeout 3000 || fail "iperf3 failed"
wait "$iperf" || true
iperf=''

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
  the router        build/cli/millrace --socket $socket status
  configuration     $directory/millrace.yaml   (edit, then: build/cli/millrace --socket $socket apply FILE)
  log               $directory/log"
  # A signal ends the wait at once.
  while kill -0 "$daemon" 2>/dev/null; do sleep 1 & wait $! || true; done
  fail "millraced ended"
fi
