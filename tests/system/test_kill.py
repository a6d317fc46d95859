"""Daemons and the router are killed, and started again: packets go on by routes that are held, nothing flaps, and in the
end the router has exactly what the daemons have.

FRR and BIRD both run on the TAPs of one router, FRR over FPM and BIRD by way of the kernel, and have sessions with
neighbours on the right. Half of FRR's routes come from two of them, and have two next hops.
"""

import contextlib
import ipaddress
import itertools
import json
import pathlib
import socket
import sys
import threading
import time

import pytest

import fpm_messages
import oracle
import table_check
from basics import ROOT, wait_for
from bird import KEPT_IN_KERNEL, QUICK_SESSION, Bird
from frr import Frr

sys.path.insert(0, str(ROOT / "perf"))
import replay_bed  # noqa: E402
from stream import Stream  # noqa: E402
from subjects import Millrace  # noqa: E402

SECONDS = 120  # until daemons have agreed again, on a busy machine: bgpd asks for zebra every ten seconds
FULL_TABLE_SECONDS = 120  # on a busy machine
PACKETS_A_SECOND = 1_000
RING = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core
US, US6 = "10.2.0.1", "2001:db8:2::1"
TO_FRR, ALSO_TO_FRR, TO_BIRD = ("10.2.0.2", "10.2.0.3", "10.2.0.4")  # the neighbour's ends of the sessions
TO_FRR6, TO_BIRD6 = "2001:db8:2::2", "2001:db8:2::4"

BGPD = f"""router bgp 65000
no bgp ebgp-requires-policy
bgp graceful-restart
bgp graceful-restart preserve-fw-state
neighbor {TO_FRR} remote-as 65001
neighbor {TO_FRR} timers connect 1
neighbor {ALSO_TO_FRR} remote-as 65001
neighbor {ALSO_TO_FRR} timers connect 1
neighbor {TO_FRR6} remote-as 65001
neighbor {TO_FRR6} timers connect 1
address-family ipv6 unicast
neighbor {TO_FRR6} activate"""

SPEAKER = f"""
router id {US};
{KEPT_IN_KERNEL}protocol bgp peer {{
  local {US} port 1790 as 65000;
  neighbor {TO_BIRD} as 65001;
{QUICK_SESSION}  ipv4 {{ import all; export none; }};
}}
protocol bgp peer6 {{
  local {US6} port 1790 as 65000;
  neighbor {TO_BIRD6} as 65001;
{QUICK_SESSION}  ipv6 {{ import all; export none; }};
}}
"""


FRR_ROUTES, BIRD_ROUTES = 1600, 400  # of IPv4; an eighth of that of IPv6


def prefixes(of, count):
    return [f"{of}.{n // 256}.{n % 256}.0/24" for n in range(count)]


def prefixes6(of, count):
    return [f"2001:db8:{of + n:x}::/48" for n in range(count)]


FOR_FRR, FOR_FRR6 = prefixes(20, FRR_ROUTES), prefixes6(0x1000, FRR_ROUTES // 8)
FOR_BIRD, FOR_BIRD6 = prefixes(60, BIRD_ROUTES), prefixes6(0x8000, BIRD_ROUTES // 8)


OF_FRR, OF_BIRD = ("20.0.1.9", "20.2.200.9", "20.6.5.9"), "60.1.2.9"  # the first two by two next hops


def neighbor(*sessions):
    """A BIRD with these sessions: (own address, port of the other, its routes), one family each."""
    lines = [f"""
router id {sessions[0][0]};
protocol device {{ }}
template bgp session {{
{QUICK_SESSION}  strict bind on;
}}"""]
    for number, (own, port, routes) in enumerate(sessions):
        us, family = (US6, "ipv6") if ":" in own else (US, "ipv4")
        lines += [f"{family} table t{number};", f"protocol static {{ {family} {{ table t{number}; }};",
                  *(f"route {prefix} blackhole;" for prefix in routes), "}",
                  f"protocol bgp from session {{ local {own} as 65001; neighbor {us} port {port} as 65000;",
                  f"{family} {{ table t{number}; import none; export all; next hop self; }}; }}"]
    return "\n".join(lines)


class Bed:
    def __init__(self, lab):
        self.inside = lab.wire("left")
        self.outside = lab.host("right", f"{TO_FRR}/24", US, ipv6=f"{TO_FRR6}/64", gateway6=US6)
        for address in (f"{ALSO_TO_FRR}/24", f"{TO_BIRD}/24", f"{TO_BIRD6}/64"):
            self.outside.netns.add_address("eth0", address)
        self.daemons = lab.namespace("daemons")
        self.daemons.enable_ipv6()
        config = lab.config(
            interfaces={"left": {"device": f"net_af_packet,iface=left,{RING}", "addresses": ["10.1.0.1/24"], "host": True},
                        "right": {"device": f"net_af_packet,iface=right,{RING}", "addresses": [f"{US}/24", f"{US6}/64"],
                                  "host": True}},
            feeds={"fpm": {"hold": "600s", "sweep": "300s"}, "netlink": {}})  # longer than any test
        config["host"] = {"netns": self.daemons.name}
        self.router = lab.router(config)
        self.frr, self.bird = Frr(self.daemons, ("127.0.0.1", 2620)), Bird(self.daemons)
        self.neighbor, self.second = Bird(self.outside.netns), Bird(self.outside.netns)
        self._daemons = self.frr, self.bird, self.neighbor, self.second

    def start_neighbors(self, routes=FOR_FRR):
        self.neighbor.start(neighbor((TO_FRR, 179, routes), (TO_FRR6, 179, FOR_FRR6), (TO_BIRD, 1790, FOR_BIRD),
                                     (TO_BIRD6, 1790, FOR_BIRD6)))
        self.second.start(neighbor((ALSO_TO_FRR, 179, routes[:FRR_ROUTES // 2])))

    def start(self, name):
        if name == "bird":
            self.bird.start(SPEAKER, graceful=True)
        elif name == "bgpd":
            self.frr.start_alone("bgpd", BGPD)
        else:
            self.frr.start()

    def kill(self, name):
        if name == "bird":
            self.bird.kill()
        else:
            self.frr.kill(name)

    def daemons_run(self):
        return all(pathlib.Path(f"/proc/{pid}").exists() for pid in
                   (self.frr.pid("zebra"), self.frr.pid("bgpd"), self.bird.pid))

    def stream(self, *destinations):
        return Stream(self.inside, [self.outside], *destinations, rate=PACKETS_A_SECOND)

    def feed(self, name):
        return next(feed for feed in self.router.get("/v1/feeds")["feeds"] if feed["name"] == name)

    def is_whole(self):
        """Whether both feeds have all routes, each said again since its daemon is back."""
        fpm, netlink = self.feed("fpm"), self.feed("netlink")
        return (fpm["state"] in ("syncing", "up") and (fpm["routes"], fpm["stale"]) == (len(FOR_FRR + FOR_FRR6), 0)
                and netlink["routes"] == len(FOR_BIRD + FOR_BIRD6))

    def sessions_are_up(self):
        """Without that zebra may still have what it keeps for a bgpd that is back."""
        families = self.frr.show_json("show bgp summary").values()
        states = [peer["state"] for family in families for peer in family.get("peers", {}).values()]
        return {*states} == {"Established"} and self.bird.show("protocols").count("Established") == 2

    def differences(self):
        return [*table_check.differences(table_check.of_zebra(self.frr), table_check.of_router(self.router, "fpm")),
                *table_check.differences(table_check.of_bird(self.bird), table_check.of_router(self.router, "netlink"))]

    def agree(self):
        wait_for(self.sessions_are_up, SECONDS, self.said)
        wait_for(self.is_whole, SECONDS, lambda: f"all routes; {self.feed('fpm')} {self.feed('netlink')}\n{self.said()}")
        wait_for(lambda: not self.differences(), SECONDS, lambda: table_check.told(self.differences()))

    def said(self):
        return self.frr.show("show bgp summary") + self.bird.show("protocols")

    def close(self):
        for daemon in self._daemons:
            daemon.close()


@pytest.fixture(scope="module")
def bed(module_lab):
    made = Bed(module_lab)
    try:
        made.start_neighbors()
        for name in ("zebra", "bgpd", "bird"):
            made.start(name)
        made.agree()
        yield made
    finally:
        made.close()


ZEBRA_SAYS = {"ip": """
K>* 192.0.2.0/24 [0/32] via 10.2.0.4, right, 00:00:05
C>* 10.2.0.0/24 is directly connected, right, 00:00:05
B   203.0.113.0/24 [200/0] via 10.2.0.9, right, weight 1, 00:00:05
S>* 203.0.113.0/24 [1/0] via 10.2.0.2, right, weight 1, 00:00:05
  *                      via 10.2.0.3, right, weight 1, 00:00:05
S>* 198.18.0.0/15 [1/0] unreachable (blackhole), weight 1, 00:00:05
S>* 198.51.100.0/24 [1/0] unreachable (ICMP unreachable), weight 1, 00:00:05
""", "ipv6": """
B>r 2001:db8:8::/48 [20/0] via fe80::1, right, weight 1, 00:00:05
B>* 2001:db8:9::/48 [20/0] via fe80::1, right, weight 1, 00:00:05
"""}


class Saying:
    """An FRR that says this."""

    @staticmethod
    def show(command, _seconds):
        return ZEBRA_SAYS[command.split()[1]]


def test_the_checker_names_what_differs():
    theirs = table_check.of_zebra(Saying)
    both = [("10.2.0.2", "right"), ("10.2.0.3", "right")]
    assert theirs == {"203.0.113.0/24": both, "198.18.0.0/15": "blackhole", "198.51.100.0/24": "unreachable",
                      "2001:db8:9::/48": [("fe80::1", "right")]}
    table_check.agree(theirs, dict(theirs))
    ours = {**theirs, "203.0.113.0/24": both[:1], "192.0.2.0/24": both}
    del ours["198.18.0.0/15"]
    with pytest.raises(AssertionError) as failure:
        table_check.agree(theirs, ours)
    assert str(failure.value).splitlines()[:4] == [
        "3 routes differ",
        "192.0.2.0/24: the daemon has no route, the router 10.2.0.2 on right, 10.2.0.3 on right",
        "198.18.0.0/15: the daemon has blackhole, the router no route",
        "203.0.113.0/24: the daemon has 10.2.0.2 on right, 10.2.0.3 on right, the router 10.2.0.2 on right"]


def nothing_lost(stream):
    found = stream.found
    assert min(found["sent"].values()) > 0 and not any(found["lost"].values()), found


# Rule 44.
def orders():
    """Of those of all three, one for each day."""
    yield from (("bird",), ("zebra",), ("zebra", "bgpd", "bird"))
    for order in list(itertools.permutations(("zebra", "bgpd", "bird")))[1:]:
        yield pytest.param(order, marks=pytest.mark.long)


@pytest.mark.parametrize("order", orders(), ids="-".join)
def test_packets_go_on_while_daemons_are_killed_and_started_again(bed, order):
    """Killed in this order, and started again in it."""
    with bed.stream(*OF_FRR, OF_BIRD) as stream:
        for name in order:
            bed.kill(name)
        assert bed.feed("fpm")["routes"] == len(FOR_FRR + FOR_FRR6)
        for name in order:
            bed.start(name)
        if order != ("zebra",):
            bed.agree()
    nothing_lost(stream)
    if order == ("zebra",):
        # Sessions are cleared, and may be lost once more when both ends have made them anew: a route that only one of
        # them has goes with it.
        with bed.stream(*OF_FRR[:2], OF_BIRD) as stream:
            say_again(bed)
            bed.agree()
        nothing_lost(stream)


def say_again(bed):
    """bgpd of FRR 8.4 does not repeat its routes to a new zebra by itself, and asks for that every ten seconds."""
    wait_for(lambda: "bgp" in bed.frr.show("show zebra client summary"), SECONDS, "bgpd is connected to zebra")
    bed.frr.show("clear bgp *")


# Rule 44.
def test_packets_go_on_while_bgpd_alone_is_gone(bed):
    """By graceful restart zebra has its routes meanwhile. When bgpd is back, zebra of FRR 8.4 itself removes and adds them."""
    with bed.stream(*OF_FRR, OF_BIRD) as stream:
        bed.kill("bgpd")
        time.sleep(1)
    nothing_lost(stream)
    with bed.stream(OF_BIRD) as stream:
        bed.start("bgpd")
        bed.agree()
    nothing_lost(stream)


def test_taps_and_daemons_outlive_a_router_that_is_killed(bed, record_property):
    """Daemons see links without a carrier meanwhile: sessions end, and come back with the router."""
    def outliving():
        links = {link["ifname"]: link["ifindex"] for link in json.loads(bed.daemons.ip("-j", "link", "show").stdout)}
        return links, {name: bed.frr.pid(name) for name in ("zebra", "bgpd")}, bed.bird.pid

    before = outliving()
    bed.router.kill()
    assert outliving() == before
    begin = time.monotonic()
    bed.router.start()
    bed.agree()
    record(record_property, "until all routes of the daemons are back", begin)
    assert outliving() == before and bed.daemons_run()
    with bed.stream(*OF_FRR, OF_BIRD) as stream:
        pass
    nothing_lost(stream)


def record(record_property, what, begin):
    seconds = round(time.monotonic() - begin, 2)
    record_property(what, seconds)
    print(f"{what}: {seconds} s")


def left_over():
    """Files of a DPDK process of this name: its run directory, and those that hugepages are in."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines() if " hugetlbfs " in line]
    return sorted(str(file) for folder, files in (("/run/dpdk/rte", "*"), *((mount, "rtemap_*") for mount in mounts))
                  for file in pathlib.Path(folder).glob(files))


def test_what_a_killed_router_leaves_is_no_obstacle(lab, hugepages, tmp_path):
    """Its sockets, of the API and of a memif port, are there and dead; of hugepages and of DPDK's files nothing is."""
    host, memif = lab.host("host", "10.1.0.2/24", "10.1.0.1"), tmp_path / "memif.sock"
    ports = {f"memif{number}": {"device": f"net_memif,role=server,id={number},socket={memif},socket-abstract=no",
                                "addresses": [f"10.9.{number}.1/24"]} for number in (0, 1)}
    before = left_over()
    router = lab.router(lab.config(interfaces={"host": ["10.1.0.1/24"], **ports},
                                   dataplane={"hugepages": "2M", "memory": "256M"}))
    host.warm("10.1.0.1")
    for _ in range(2):
        router.kill()
        assert memif.is_socket() and pathlib.Path(router.socket).is_socket(), "they are stale"
        router.start()
        host.warm("10.1.0.1")
    assert left_over() == before
    router.stop()
    assert not memif.exists() and not pathlib.Path(router.socket).exists() and left_over() == before


NEXT_HOPS = 16
SAMPLED = 5_000  # of the full table a route in so many is looked at


class Zebra:
    """What zebra does at its FPM: it connects, again after three seconds, and says everything each time."""

    def __init__(self, netns, routes, next_hops):
        self._netns, self._closed = netns, threading.Event()
        self._said = fpm_messages.table(routes, next_hops)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._closed.is_set():
            with self._netns.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
                try:
                    connection.connect((replay_bed.ROUTER, replay_bed.PORT))
                    connection.sendall(self._said)
                    connection.settimeout(0.2)
                    while not self._closed.is_set():
                        with contextlib.suppress(TimeoutError):
                            if not connection.recv(1):
                                break
                except OSError:
                    pass  # the router is gone, or not there yet
            self._closed.wait(3)

    def close(self):
        self._closed.set()
        self._thread.join()


@pytest.mark.long
def test_a_full_table_is_back_after_a_kill(lab, record_property):
    made = replay_bed.Bed(lab, NEXT_HOPS, memory="512M")
    hops = [Millrace.next_hop(number) for number in range(NEXT_HOPS)]
    table = [(network, length, index % NEXT_HOPS) for network, length, index in oracle.read_table(oracle.FULL_TABLE)]
    destinations = [str(ipaddress.IPv4Address(network + 1)) for network, length, _ in table[::50_000] if length < 32]
    zebra = Zebra(made.netns, table, hops)
    try:
        made.router.start()
        made.expect_routes(len(table), FULL_TABLE_SECONDS)
        with Stream(made.inside, [made.outside], *destinations, rate=PACKETS_A_SECOND) as stream:
            pass
        nothing_lost(stream)
        made.router.kill()
        begin = time.monotonic()
        made.router.start()
        record(record_property, "until the API answers", begin)
        made.expect_routes(len(table), FULL_TABLE_SECONDS)
        record(record_property, f"until {len(table):,} routes are forwarded by", begin)
        with Stream(made.inside, [made.outside], *destinations, rate=PACKETS_A_SECOND) as stream:
            pass
        nothing_lost(stream)
        wanted = {oracle.prefix_text(network, length): [(hops[index], "out")] for network, length, index in table[::SAMPLED]}
        found = {prefix: made.router.get(f"/v1/routes?source=fpm&prefix={prefix}")["routes"] for prefix in wanted}
        table_check.agree(wanted, table_check.of_routes(itertools.chain(*found.values())))
    finally:
        zebra.close()
        made.close()
