"""Routes from a real zebra over its FPM: they come, change, go, are held and swept; what is no FPM harms nothing.

FRR runs in a namespace that has the router's subnets on veths of its own: its next hops are the router's, and it
reaches the router's FPM listener by a link between the two namespaces.
"""

import json
import socket
import struct
import threading
import time

import pytest

import table_check
from basics import wait_for
from feeds import SECONDS, FeedView
from frr import Frr
from lab import Pinger

ROUTER, DAEMONS = "10.255.0.1", "10.255.0.2"  # the link for FPM
PORT = 2620
HERE, THERE, OTHER = "10.1.0.2", "10.2.0.2", "10.2.0.3"


class Fed(FeedView):
    """A router between two hosts, and FRR that feeds it."""

    feed_name = "fpm"

    def __init__(self, lab, hold="60s", sweep="3s"):
        self.lab = lab
        self.left = lab.host("left", f"{HERE}/24", "10.1.0.1")
        self.right = lab.host("right", f"{THERE}/24", "10.2.0.1")
        self.right.netns.add_address("eth0", f"{OTHER}/24")
        for address in ("203.0.113.1/32", "198.18.0.1/32"):  # behind the right host
            self.right.netns.add_address("lo", address)
        self.frr_netns = lab.namespace("frr")
        self._connect_frr()
        self._settings = {"listen": f"{ROUTER}:{PORT}", "hold": hold, "sweep": sweep}
        self.router = lab.router(self.config())
        self.frr = Frr(self.frr_netns, fpm=(ROUTER, PORT))

    def config(self, distances=None, **settings):
        return self.lab.config(interfaces={"left": ["10.1.0.1/24"], "right": ["10.2.0.1/24", "2001:db8:2::1/64"]},
                               feeds={"fpm": {**self._settings, **settings}, "distances": distances or {}})

    def _connect_frr(self):
        frr = self.frr_netns
        self.lab.router_netns.ip("link", "add", "fpm", "type", "veth", "peer", "name", "fpm", "netns", frr.name)
        # Its interfaces have the router's subnets; the other ends lead nowhere.
        frr.enable_ipv6()
        frr.add_dead_end("left", "10.1.0.1/24")
        frr.add_dead_end("right", "10.2.0.1/24", "2001:db8:2::1/64")
        for netns, address in ((self.lab.router_netns, ROUTER), (frr, DAEMONS)):
            netns.add_address("fpm", f"{address}/24")
            netns.ip("link", "set", "fpm", "up")


@pytest.fixture
def fed(lab):
    made = []

    def make(**settings):
        made.append(Fed(lab, **settings))
        return made[-1]

    yield make
    for each in made:
        each.frr.close()


def test_routes_come_change_and_go(fed):
    bed = fed()
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [THERE]})
    bed.left.warm("203.0.113.1")
    route = bed.router.get("/v1/routes?source=fpm")["routes"][0]
    assert (route["owner"], route["distance"], route["best"]) == ("static", 1, True)

    bed.frr.configure(f"ip route 203.0.113.0/24 {OTHER}")
    bed.expect({"203.0.113.0/24": [THERE, OTHER]})
    bed.frr.configure(f"no ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [OTHER]})
    assert bed.left.ping("203.0.113.1").lost == 0

    bed.frr.configure(f"no ip route 203.0.113.0/24 {OTHER}", "ip route 198.18.0.0/15 blackhole",
                      "ip route 198.51.100.0/24 reject", "ipv6 route 2001:db8:9::/48 2001:db8:2::2")
    bed.expect({"198.18.0.0/15": "blackhole", "198.51.100.0/24": "unreachable", "2001:db8:9::/48": ["2001:db8:2::2"]})
    before = bed.router.drops()["route_blackhole"]
    lost = bed.left.ping("198.18.0.1", count=3, deadline=1).lost
    wait_for(lambda: bed.router.drops()["route_blackhole"] == before + lost > before, SECONDS, f"{lost} dropped")

    # FRR's own connected routes are not taken for ways out, nor are those that lead to its links.
    bed.frr.configure("ip route 192.0.2.0/24 right")
    bed.frr.configure("no ip route 198.18.0.0/15 blackhole", "no ip route 198.51.100.0/24 reject",
                      "no ipv6 route 2001:db8:9::/48 2001:db8:2::2")
    bed.expect({})
    assert bed.feed()["ignored"] > 0


# Rule 42.
def test_a_change_of_routes_loses_no_packet(fed):
    bed = fed()
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [THERE]})
    bed.left.warm("203.0.113.1")
    bed.frr.configure(f"ip route 203.0.113.0/24 {OTHER}")  # its MAC gets known
    bed.expect({"203.0.113.0/24": [THERE, OTHER]})
    wait_for(lambda: {THERE, OTHER} <= {address for address, row in bed.router.neighbors().items() if row["mac"]}, SECONDS,
             "both next hops are resolved")
    with Pinger(bed.left, "203.0.113.1", 0.002) as pinger:
        for _ in range(5):
            bed.frr.configure(f"no ip route 203.0.113.0/24 {THERE}")
            bed.expect({"203.0.113.0/24": [OTHER]})
            bed.frr.configure(f"ip route 203.0.113.0/24 {THERE}")
            bed.expect({"203.0.113.0/24": [THERE, OTHER]})
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent}"


# Rule 44.
def test_routes_are_held_while_zebra_is_gone_and_swept_when_it_is_back(fed):
    bed = fed()
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}\nip route 198.18.0.0/15 {THERE}")
    both = {"203.0.113.0/24": [THERE], "198.18.0.0/15": [THERE]}
    bed.expect(both)
    bed.expect_state("up")
    bed.left.warm("203.0.113.1", "198.18.0.1")
    with Pinger(bed.left, "203.0.113.1", 0.005) as pinger:
        bed.frr.kill("zebra")
        bed.expect_state("held")
        assert bed.routes() == both
        bed.frr.kill("staticd")
        # The new daemons know one of the routes, and another one.
        bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}\nip route 192.0.2.0/24 {THERE}")
        wait_for(lambda: "192.0.2.0/24" in bed.routes(), SECONDS, lambda: f"a new route; {bed.routes()} {bed.feed()}")
        bed.expect({"203.0.113.0/24": [THERE], "192.0.2.0/24": [THERE]})
        bed.expect_state("up")
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent}"
    feed = bed.feed()
    assert (feed["stale"], feed["parked"], feed["connections"]) == (0, 0, 2), feed


# Rule 44.
def test_routes_go_when_zebra_does_not_come_back(fed):
    bed = fed(hold="1s")
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [THERE]})
    bed.frr.kill("zebra")
    bed.expect({})
    bed.expect_state("idle")
    assert bed.feed()["last_error"]


def test_bgp_routes_go_by_groups_that_change(fed):
    """Two neighbours of bgpd, in namespaces of their own, announce one prefix: ECMP by a next-hop group."""
    bed = fed()
    right = bed.frr_netns
    peers = []
    for number, address in ((65001, THERE), (65002, OTHER)):
        netns = bed.lab.namespace(f"as{number}")
        right.ip("link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", netns.name)
        netns.ip("link", "set", "eth0", "up")
        peers.append((number, address, netns))
    right.ip("link", "del", "right")
    right.ip("link", "add", "right", "type", "bridge")
    right.ip("link", "set", "right", "up")
    right.add_address("right", "10.2.0.1/24")
    speakers = []
    try:
        for number, address, netns in peers:
            right.ip("link", "set", f"p{number}", "master", "right", "up")
            netns.add_address("eth0", f"{address}/24")
            speakers.append(Frr(netns).start("bgpd", config=f"""router bgp {number}
no bgp ebgp-requires-policy
no bgp network import-check
neighbor 10.2.0.1 remote-as 65000
neighbor 10.2.0.1 timers 1 3
neighbor 10.2.0.1 timers connect 1
address-family ipv4 unicast
network 203.0.113.0/24
network 198.18.{number - 65000}.0/24"""))
        bed.frr.start("bgpd", config=f"""router bgp 65000
no bgp ebgp-requires-policy
bgp bestpath as-path multipath-relax
neighbor {THERE} remote-as 65001
neighbor {OTHER} remote-as 65002
neighbor {THERE} timers connect 1
neighbor {OTHER} timers connect 1""")
        both = {"203.0.113.0/24": [THERE, OTHER], "198.18.1.0/24": [THERE], "198.18.2.0/24": [OTHER]}
        wait_for(lambda: bed.routes() == both, 60, lambda: f"{both}; there are {bed.routes()}; {bed.feed()}")
        assert {route["owner"] for route in bed.router.get("/v1/routes?source=fpm")["routes"]} == {"bgp"}
        assert bed.feed()["next_hops"] >= 3
        bed.left.warm("203.0.113.1")
        speakers[1].stop("bgpd")
        bed.expect({"203.0.113.0/24": [THERE], "198.18.1.0/24": [THERE]})
        assert bed.left.ping("203.0.113.1").lost == 0
        table_check.agree(table_check.of_zebra(bed.frr), table_check.of_router(bed.router, "fpm"))
    finally:
        for speaker in speakers:
            speaker.close()


def test_distances_change_under_traffic(fed):
    """zebra says everything again, and its routes are forwarded by meanwhile."""
    bed = fed()
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [THERE]})
    bed.left.warm("203.0.113.1")
    with Pinger(bed.left, "203.0.113.1", 0.005) as pinger:
        bed.router.apply(bed.config(distances={"static": 30}))
        wait_for(lambda: bed.router.get("/v1/routes?source=fpm")["routes"][0]["distance"] == 30, SECONDS,
                 lambda: f"the new distance; {bed.feed()}")
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent}"
    assert bed.feed()["connections"] == 2, bed.feed()
    # Below it a route of the API wins, above it not.
    for distance, wins in ((31, False), (29, True)):
        bed.router.cli("route", "add", "203.0.113.0/24", "via", OTHER, "--distance", distance)
        best = [route["source"] for route in bed.router.get("/v1/routes?prefix=203.0.113.0/24")["routes"] if route["best"]]
        assert best == (["api"] if wins else ["fpm"]), distance


def frame(payload, version=1, kind=1, length=None):
    return struct.pack("!BBH", version, kind, len(payload) + 4 if length is None else length) + payload


def netlink(kind, payload):
    return struct.pack("=IHHII", 16 + len(payload), kind, 0x501, 0, 0) + payload


def blackhole(prefix, length):
    return netlink(24, struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 186, 0, 6, 0) +
                   struct.pack("=HH", 8, 1) + socket.inet_aton(prefix))


GOOD = frame(blackhole("10.99.0.0", 16))
MALFORMED = {
    "another version": (frame(b"", version=2), "FPM version 2"),
    "protobuf": (frame(b"", kind=2), "protobuf"),
    "a length below the header's": (frame(b"", length=3), "says that it has 3 bytes"),
    "no netlink": (frame(b"\xff" * 64), "no whole netlink message"),
    "a message that is cut off": (frame(blackhole("10.98.0.0", 16)[:-2]), "no whole netlink message"),
    "a short destination": (frame(netlink(24, struct.pack("=BBBBBBBBI", 2, 8, 0, 0, 254, 186, 0, 1, 0) +
                                          struct.pack("=HHI", 6, 1, 0))), "RTA_DST has 2 bytes, not 4"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "FPM version 71"),
}


def test_a_malformed_frame_closes_the_connection_and_says_why(fed):
    bed = fed()
    for what, (bytes_, says) in MALFORMED.items():
        with connection(bed) as peer:
            peer.sendall(GOOD + bytes_)
            assert peer.recv(1) == b"", what
        wait_for(lambda: says in bed.router.log, SECONDS, lambda: f"{what}: the log says '{says}'\n{bed.router.log}")
        assert says in bed.feed()["last_error"], what
        assert bed.routes() == {"10.99.0.0/16": "blackhole"}, f"{what}: what was right before stays"
    assert bed.feed()["connections"] == len(MALFORMED)


def connection(bed, receive_bytes=None):
    peer = bed.frr_netns.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_bytes:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    peer.settimeout(SECONDS)
    peer.connect((ROUTER, PORT))
    return peer


def test_a_daemon_that_comes_again_takes_the_place_of_its_old_connection(fed):
    bed = fed()
    with connection(bed) as old:
        old.sendall(GOOD)
        bed.expect({"10.99.0.0/16": "blackhole"})
        with connection(bed) as new:
            assert old.recv(1) == b""
            new.sendall(frame(blackhole("10.97.0.0", 16)))
            bed.expect({"10.97.0.0/16": "blackhole"})
            assert bed.feed()["peer"] == f"{DAEMONS}:{new.getsockname()[1]}"


def test_a_daemon_is_told_what_became_of_its_routes(fed):
    """As zebra of FRR 8.5 and up takes it; that of 8.4 does not look at it."""
    bed = fed()
    bed.router.apply(bed.config(offload_feedback=True))
    bed.frr.start("staticd", config=f"ip route 203.0.113.0/24 {THERE}")
    bed.expect({"203.0.113.0/24": [THERE]})
    bed.frr.configure(f"ip route 203.0.113.0/24 {OTHER}")
    bed.expect({"203.0.113.0/24": [THERE, OTHER]})
    assert bed.feed()["connections"] == 1
    bed.frr.kill("zebra")
    # One that does not listen for a while has to wait; nothing is lost.
    with connection(bed, receive_bytes=4096) as peer:
        routes = 200_000
        prefixes = [f"{10 + number // 65536}.{number // 256 % 256}.{number % 256}.0" for number in range(routes)]
        said = b"".join(frame(blackhole(prefix, 24)) for prefix in prefixes)
        sender = threading.Thread(target=peer.sendall, args=(said,))
        sender.start()
        taken = []

        def stands():
            taken.append(bed.feed()["routes"])
            time.sleep(0.2)
            return len(taken) > 5 and taken[-1] == taken[-5]

        wait_for(stands, SECONDS, lambda: f"no more is taken; {bed.feed()}")
        assert 0 < taken[-1] < routes, bed.feed()
        told = {}
        with peer.makefile("rb") as answers:
            while len(told) < routes:
                version, kind, length = struct.unpack("!BBH", answers.read(4))
                message = answers.read(length - 4)
                size, of_kind, flags, _, _, family, bits, _, _, table, protocol, _, _, offload = struct.unpack_from("=IHHIIBBBBBBBBI",
                                                                                                                   message)
                assert (version, kind, size, of_kind, flags) == (1, 1, length - 4, 24, 1)
                assert (family, bits, table, protocol) == (socket.AF_INET, 24, 254, 186)
                told[socket.inet_ntoa(message[32:36])] = offload
        sender.join()
        assert told == dict.fromkeys(prefixes, 0x4000)  # RTM_F_OFFLOAD
        assert bed.feed()["routes"] == routes + 1, "with the one that is held"


def test_a_flood_of_changes_comes_through_in_order(fed):
    """As fast as the socket takes them, a byte of each frame at the edge of a write: the last word counts."""
    bed = fed()
    changes = b""
    for turn in range(40):
        for number in range(256):
            changes += frame(blackhole(f"10.{number}.0.0", 16) if (turn + number) % 2 else
                             netlink(25, blackhole(f"10.{number}.0.0", 16)[16:]))
    with connection(bed) as peer:
        for at in range(0, len(changes), 997):
            peer.sendall(changes[at:at + 997])
        bed.expect({f"10.{number}.0.0/16": "blackhole" for number in range(0, 256, 2)})
        wait_for(lambda: bed.feed()["messages"] == 40 * 256, SECONDS, lambda: f"every message; {bed.feed()}")
        assert bed.feed()["queued_bytes"] == 0
    text = bed.router.cli("show", "feeds").stdout
    assert "fpm" in text and "10,240" in text, text
    assert json.loads(bed.router.cli("show", "feeds", "--json").stdout)["feeds"][0]["messages"] == 10240
