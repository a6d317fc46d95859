"""Routes of a real kernel's table: they come, change and go, by `ip` and by a real BIRD; links that go down; messages
that are lost.

The table is that of the router's own namespace, where the kernel forwards nothing. A link of its own there, `kin`, has
the subnet of the right host, so that the kernel takes next hops in it; no address of the router is the kernel's.
"""

import json
import signal

import pytest

from basics import wait_for
from bird import KEPT_IN_KERNEL, QUICK_SESSION, Bird
from feeds import SECONDS, FeedView
from lab import Pinger

HERE, THERE, OTHER = "10.1.0.2", "10.2.0.2", "10.2.0.3"
HERE6, THERE6 = "2001:db8:1::2", "2001:db8:2::2"
BEHIND, BEHIND6 = "203.0.113.1", "2001:db8:9::1"  # reached by routes of the table alone


class Mirror(FeedView):
    """A router between two hosts, with a feed from its kernel."""

    feed_name = "netlink"

    def __init__(self, lab, table="main", **feeds):
        self.lab, self.netns = lab, lab.router_netns
        self.left = lab.host("left", f"{HERE}/24", "10.1.0.1", ipv6=f"{HERE6}/64", gateway6="2001:db8:1::1")
        self.right = lab.host("right", f"{THERE}/24", "10.2.0.1", ipv6=f"{THERE6}/64", gateway6="2001:db8:2::1")
        self.right.netns.add_address("eth0", f"{OTHER}/24")
        for address in (f"{BEHIND}/32", "198.18.0.1/32", f"{BEHIND6}/128"):
            self.right.netns.add_address("lo", address)
        self.netns.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        self.netns.add_dead_end("kin", "10.2.0.9/24", "2001:db8:2::9/64")
        self.router = lab.router(lab.config(
            interfaces={"left": ["10.1.0.1/24", "2001:db8:1::1/64"], "right": ["10.2.0.1/24", "2001:db8:2::1/64"]},
            feeds={"netlink": {"table": table}, **feeds}))
        self.expect_state("up")

    def ip(self, line):
        return self.netns.ip(*line.split())


@pytest.fixture
def mirror(lab):
    return Mirror(lab)


def test_routes_come_change_and_go(mirror):
    mirror.ip(f"route add 203.0.113.0/24 via {THERE}")
    mirror.expect({"203.0.113.0/24": [THERE]})
    mirror.left.warm(BEHIND)
    route = mirror.router.get("/v1/routes?source=netlink")["routes"][0]
    assert (route["owner"], route["distance"], route["metric"], route["best"]) == ("boot", 1, 0, True)

    mirror.ip(f"route replace 203.0.113.0/24 nexthop via {THERE} weight 3 nexthop via {OTHER}")
    mirror.expect({"203.0.113.0/24": [THERE, OTHER]})
    route = mirror.router.get("/v1/routes?source=netlink")["routes"][0]
    assert {hop["address"]: hop["weight"] for hop in route["via"]} == {THERE: 3, OTHER: 1}
    assert mirror.left.ping(BEHIND).lost == 0

    mirror.ip("route del 203.0.113.0/24")
    for kind, prefix in (("blackhole", "198.18.0.0/15"), ("unreachable", "198.51.100.0/24"), ("prohibit", "192.0.2.0/24")):
        mirror.ip(f"route add {kind} {prefix}")
    mirror.ip(f"-6 route add 2001:db8:9::/48 via {THERE6}")
    mirror.expect({"198.18.0.0/15": "blackhole", "198.51.100.0/24": "unreachable", "192.0.2.0/24": "prohibit",
                   "2001:db8:9::/48": [THERE6]})
    mirror.left.warm(BEHIND6)
    before = mirror.router.drops()["route_blackhole"]
    lost = mirror.left.ping("198.18.0.1", count=3, deadline=1).lost
    wait_for(lambda: mirror.router.drops()["route_blackhole"] == before + lost > before, SECONDS, f"{lost} dropped")

    # The kernel's own connected routes, and those that lead to a link alone, are no ways out.
    mirror.ip("route add 192.0.2.128/25 dev kin")
    mirror.ip("route flush table main proto boot")
    mirror.ip("-6 route flush table main proto boot")
    mirror.expect({})
    feed = mirror.feed()
    assert feed["ignored"] > 0 and feed["failed"] == 0 and feed["last_error"] is None, feed


# Rule 42.
def test_a_change_of_routes_loses_no_packet(mirror):
    mirror.ip(f"route add 203.0.113.0/24 nexthop via {THERE} nexthop via {OTHER}")
    mirror.left.warm(BEHIND)
    wait_for(lambda: {THERE, OTHER} <= {address for address, row in mirror.router.neighbors().items() if row["mac"]}, SECONDS,
             "both next hops are resolved")
    with Pinger(mirror.left, BEHIND, 0.002) as pinger:
        for _ in range(10):
            for gateway in (THERE, OTHER):
                mirror.ip(f"route replace 203.0.113.0/24 via {gateway}")
                mirror.expect({"203.0.113.0/24": [gateway]})
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent}"


def test_the_lowest_metric_wins_and_the_next_one_comes_back(mirror):
    for metric, gateway in ((20, "10.2.0.20"), (10, "10.2.0.10"), (30, "10.2.0.30")):
        mirror.ip(f"route add 203.0.113.0/24 via {gateway} metric {metric}")
        mirror.ip(f"-6 route add 2001:db8:9::/48 via 2001:db8:2::{metric} metric {metric}")
    mirror.expect({"203.0.113.0/24": ["10.2.0.10"], "2001:db8:9::/48": ["2001:db8:2::10"]})
    assert mirror.feed()["shadowed"] == 4
    for metric in (30, 10):
        mirror.ip(f"route del 203.0.113.0/24 metric {metric}")
        mirror.ip(f"-6 route del 2001:db8:9::/48 metric {metric}")
    mirror.expect({"203.0.113.0/24": ["10.2.0.20"], "2001:db8:9::/48": ["2001:db8:2::20"]})
    # Of one metric: the first one of IPv4, all paths of IPv6.
    mirror.ip("route append 203.0.113.0/24 via 10.2.0.21 metric 20")
    mirror.ip("-6 route append 2001:db8:9::/48 via 2001:db8:2::21 metric 20")
    mirror.expect({"203.0.113.0/24": ["10.2.0.20"], "2001:db8:9::/48": ["2001:db8:2::20", "2001:db8:2::21"]})
    mirror.ip("route del 203.0.113.0/24 via 10.2.0.20 metric 20")
    mirror.ip("-6 route del 2001:db8:9::/48 via 2001:db8:2::20 metric 20")
    mirror.expect({"203.0.113.0/24": ["10.2.0.21"], "2001:db8:9::/48": ["2001:db8:2::21"]})
    assert mirror.feed()["shadowed"] == 0 and mirror.feed()["resyncs"] == 0


def test_next_hop_objects_serve_their_routes_and_take_them_along(mirror):
    mirror.ip(f"nexthop add id 1 via {THERE} dev kin")
    mirror.ip(f"nexthop add id 2 via {OTHER} dev kin")
    mirror.ip("nexthop add id 3 group 1/2,2")
    mirror.ip(f"nexthop add id 6 via {THERE6} dev kin")
    mirror.ip("nexthop add id 7 blackhole")
    mirror.ip("route add 203.0.113.0/24 nhid 3")
    mirror.ip("route add 198.18.0.0/15 nhid 1")
    mirror.ip("route add 192.0.2.0/24 nhid 7")
    mirror.ip("route add 198.51.100.0/24 nhid 6")  # RFC 8950
    mirror.ip("-6 route add 2001:db8:9::/48 nhid 6")
    mirror.expect({"203.0.113.0/24": [THERE, OTHER], "198.18.0.0/15": [THERE], "192.0.2.0/24": "blackhole",
                   "198.51.100.0/24": [THERE6], "2001:db8:9::/48": [THERE6]})
    mirror.left.warm(BEHIND, BEHIND6)
    assert mirror.feed()["next_hops"] == 5
    mirror.ip(f"nexthop replace id 1 via {OTHER} dev kin")
    mirror.expect({"203.0.113.0/24": [OTHER], "198.18.0.0/15": [OTHER], "192.0.2.0/24": "blackhole",
                   "198.51.100.0/24": [THERE6], "2001:db8:9::/48": [THERE6]})
    for number in (1, 6, 7):
        mirror.ip(f"nexthop del id {number}")
    mirror.expect({"203.0.113.0/24": [OTHER]})
    mirror.ip("nexthop del id 2")
    mirror.expect({})
    assert mirror.feed()["next_hops"] == 0


def test_what_the_kernel_takes_in_silence_when_a_link_goes_down_goes_here_too(mirror):
    mirror.netns.add_dead_end("side", "10.9.0.1/24", "2001:db8:90::1/64")
    lines = ["route add 203.0.113.0/24 nexthop via 10.2.0.2 nexthop via 10.2.0.4 dev side onlink",
             "route add 198.18.0.0/15 via 10.2.0.4 dev side onlink",
             "-6 route add 2001:db8:9::/48 nexthop via 2001:db8:2::2 nexthop via 2001:db8:90::4",
             "nexthop add id 1 via 10.2.0.4 dev side onlink", "nexthop add id 2 via 10.2.0.2 dev kin",
             "nexthop add id 3 group 1/2", "route add 192.0.2.0/24 nhid 3", "route add 198.51.100.0/24 nhid 1"]
    for line in lines:
        mirror.ip(line)
    whole = {"203.0.113.0/24": ["10.2.0.2", "10.2.0.4"], "198.18.0.0/15": ["10.2.0.4"],
             "2001:db8:9::/48": ["2001:db8:2::2", "2001:db8:90::4"], "192.0.2.0/24": ["10.2.0.2", "10.2.0.4"],
             "198.51.100.0/24": ["10.2.0.4"]}
    mirror.expect(whole)
    # Without a carrier next-hop objects go, and the routes that are by them alone.
    mirror.ip("link set side-end down")
    mirror.expect({"203.0.113.0/24": whole["203.0.113.0/24"], "198.18.0.0/15": ["10.2.0.4"],
                   "2001:db8:9::/48": whole["2001:db8:9::/48"], "192.0.2.0/24": ["10.2.0.2"]})
    agree(mirror)
    # Taken down, the link takes routes with it, and paths of others as long as it is down.
    mirror.ip("link set side down")
    mirror.expect({"203.0.113.0/24": ["10.2.0.2"], "2001:db8:9::/48": ["2001:db8:2::2"], "192.0.2.0/24": ["10.2.0.2"]})
    agree(mirror)
    mirror.ip("link set side-end up")
    mirror.ip("link set side up")
    mirror.expect({"203.0.113.0/24": whole["203.0.113.0/24"], "2001:db8:9::/48": whole["2001:db8:9::/48"],
                   "192.0.2.0/24": ["10.2.0.2"]})
    agree(mirror)
    # So do the routes and paths of IPv4 when its last address goes.
    mirror.ip("route add 198.18.0.0/15 via 10.2.0.4 dev side onlink")
    mirror.expect({"203.0.113.0/24": whole["203.0.113.0/24"], "2001:db8:9::/48": whole["2001:db8:9::/48"],
                   "192.0.2.0/24": ["10.2.0.2"], "198.18.0.0/15": ["10.2.0.4"]})
    mirror.ip("address del 10.9.0.1/24 dev side")
    mirror.expect({"203.0.113.0/24": ["10.2.0.2"], "2001:db8:9::/48": whole["2001:db8:9::/48"], "192.0.2.0/24": ["10.2.0.2"]})
    agree(mirror)
    mirror.ip("link del side")
    mirror.expect({"2001:db8:9::/48": ["2001:db8:2::2"], "192.0.2.0/24": ["10.2.0.2"]})
    agree(mirror)
    assert mirror.feed()["resyncs"] > 0


def agree(mirror):
    """What the kernel says that its table has is what the router has of it."""
    def of_kernel():
        found = {}
        for family in ("-4", "-6"):
            for route in json.loads(mirror.ip(f"-j {family} route show table main").stdout or "[]"):
                hops = [hop for hop in route.get("nexthops", [route]) if "dead" not in hop.get("flags", [])]
                gateways = sorted(hop["gateway"] for hop in hops if "gateway" in hop)
                if gateways or route.get("type", "unicast") != "unicast":
                    found[route["dst"]] = gateways or route["type"]
        return found

    wait_for(lambda: mirror.routes() == of_kernel(), SECONDS, lambda: f"{of_kernel()}; there are {mirror.routes()}")


def test_lost_messages_lead_to_a_resync(mirror, tmp_path):
    """Stopped, the router reads nothing: the socket has room for fewer changes than come."""
    mirror.ip(f"route add 203.0.113.0/24 via {THERE}")
    mirror.expect({"203.0.113.0/24": [THERE]})
    mirror.left.warm(BEHIND)
    prefixes = [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24" for n in range(150_000)]
    (tmp_path / "add").write_text("".join(f"route add blackhole {prefix}\n" for prefix in prefixes))
    (tmp_path / "del").write_text("".join(f"route del blackhole {prefix}\n" for prefix in prefixes[1000:]))
    mirror.router.send_signal(signal.SIGSTOP)
    try:
        for step in ("add", "del"):
            mirror.netns.run("ip", "-batch", tmp_path / step, timeout=120)
    finally:
        mirror.router.send_signal(signal.SIGCONT)
    wait_for(lambda: mirror.feed()["resyncs"] >= 1 and mirror.feed()["state"] == "up", 60, lambda: f"a resync; {mirror.feed()}")
    wait_for(lambda: mirror.feed()["routes"] == 1001, SECONDS, lambda: f"1,001 routes; {mirror.feed()}")
    feed = mirror.feed()
    assert "ENOBUFS" in feed["last_error"] and feed["stale"] == 0 and feed["lag_max_seconds"] > 0, feed
    assert set(mirror.routes()) == {"203.0.113.0/24", *prefixes[:1000]}
    assert mirror.left.ping(BEHIND).lost == 0


def test_routes_are_there_again_after_a_restart(mirror):
    mirror.ip(f"route add 203.0.113.0/24 via {THERE}")
    mirror.ip(f"nexthop add id 1 via {THERE6} dev kin")
    mirror.ip("-6 route add 2001:db8:9::/48 nhid 1")
    wanted = {"203.0.113.0/24": [THERE], "2001:db8:9::/48": [THERE6]}
    mirror.expect(wanted)
    mirror.router.kill()
    mirror.router.start()
    mirror.expect(wanted)
    mirror.left.warm(BEHIND, BEHIND6)


def test_only_the_chosen_table_is_mirrored(lab):
    mirror = Mirror(lab, table=1000)
    mirror.ip(f"route add 198.18.0.0/15 via {THERE}")
    mirror.ip(f"route add 203.0.113.0/24 via {THERE} dev kin table 1000")
    mirror.expect({"203.0.113.0/24": [THERE]})
    text = mirror.router.cli("show", "feeds").stdout
    assert "table 1000" in text and "netlink" in text, text
    mirror.router.kill()
    mirror.router.start()
    mirror.expect({"203.0.113.0/24": [THERE]})


def test_beside_fpm_routes_of_zebra_are_ignored(lab):
    mirror = Mirror(lab, fpm={})
    mirror.ip(f"route add 203.0.113.0/24 via {THERE} proto bgp metric 20")
    mirror.ip(f"route add 203.0.113.0/24 via {OTHER} proto bird metric 32")
    mirror.expect({"203.0.113.0/24": [OTHER]})
    assert [feed["name"] for feed in mirror.router.get("/v1/feeds")["feeds"]] == ["fpm", "netlink"]


def test_a_link_of_the_name_of_an_interface_is_that_interface(mirror):
    """Link-local next hops are on the interface that the kernel's link has its name of."""
    # The kernel speaks no IPv6 on the router's port: it has no address there.
    mirror.netns.run("sysctl", "-qw", "net.ipv6.conf.right.addr_gen_mode=1", "net.ipv6.conf.right.accept_ra=0",
                     "net.ipv6.conf.right.disable_ipv6=0")
    gateway = next(address["local"] for address in json.loads(mirror.right.run("ip", "-j", "-6", "address", "show", "dev", "eth0")
                                                              .stdout)[0]["addr_info"] if address["scope"] == "link")
    mirror.ip(f"-6 route add 2001:db8:9::/48 via {gateway} dev right")
    mirror.ip(f"-6 route add 2001:db8:8::/48 via {gateway} dev kin")
    mirror.expect({"2001:db8:9::/48": [gateway]})
    mirror.left.warm(BEHIND6)
    route = mirror.router.get("/v1/routes?source=netlink")["routes"][0]
    assert route["via"][0]["interface"] == "right"


# --- BIRD

SESSION_HERE, SESSION_THERE = "10.255.0.1", "10.255.0.2"  # of BGP, on a link beside the router

SPEAKER = f"""
router id {SESSION_HERE};
{KEPT_IN_KERNEL}protocol static {{ ipv4; route 198.18.0.0/15 via {THERE} via {OTHER}; }}
protocol bgp peer {{
  local {SESSION_HERE} as 65000;
  neighbor {SESSION_THERE} as 65001;
{QUICK_SESSION}  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""


def peer(ipv4, ipv6):
    """The other AS, which announces these prefixes with next hops on the right."""
    return f"""
router id {SESSION_THERE};
protocol device {{ }}
protocol static {{ ipv4; {"".join(f"route {prefix} blackhole; " for prefix in ipv4)} }}
protocol static {{ ipv6; {"".join(f"route {prefix} blackhole; " for prefix in ipv6)} }}
protocol bgp peer {{
  local {SESSION_THERE} as 65001;
  neighbor {SESSION_HERE} as 65000;
{QUICK_SESSION}  ipv4 {{ import none; export all; next hop address {THERE}; }};
  ipv6 {{ import none; export all; next hop address {THERE6}; }};
}}
"""


@pytest.fixture
def birds(lab, mirror):
    """BIRD on the router's table, and a second one that it speaks BGP to."""
    other = lab.namespace("as65001")
    mirror.netns.ip("link", "add", "bgp", "type", "veth", "peer", "name", "bgp", "netns", other.name)
    for netns, address in ((mirror.netns, SESSION_HERE), (other, SESSION_THERE)):
        netns.add_address("bgp", f"{address}/24")
        netns.ip("link", "set", "bgp", "up")
    both = Bird(mirror.netns), Bird(other)
    yield both
    for bird in both:
        bird.close()


def test_bird_feeds_the_router_by_way_of_the_kernel(mirror, birds):
    speaker, other = birds
    other.start(peer(["203.0.113.0/24", "192.0.2.0/24"], ["2001:db8:9::/48"]))
    speaker.start(SPEAKER)
    mirror.expect({"203.0.113.0/24": [THERE], "192.0.2.0/24": [THERE], "2001:db8:9::/48": [THERE6], "198.18.0.0/15": [THERE, OTHER]})
    assert mirror.routes() == speaker.routes()
    mirror.left.warm(BEHIND, BEHIND6, "198.18.0.1")
    route = mirror.router.get("/v1/routes?source=netlink&prefix=203.0.113.0/24")["routes"][0]
    assert (route["owner"], route["distance"], route["metric"]) == ("bird", 150, 32)
    other.configure(peer(["203.0.113.0/24"], ["2001:db8:9::/48", "2001:db8:a::/48"]))
    mirror.expect({"203.0.113.0/24": [THERE], "2001:db8:9::/48": [THERE6], "2001:db8:a::/48": [THERE6], "198.18.0.0/15": [THERE, OTHER]})
    speaker.stop()
    mirror.expect({})
    assert mirror.feed()["failed"] == 0


# Rule 44.
def test_routes_stay_while_bird_is_killed_and_started_again(mirror, birds):
    speaker, other = birds
    other.start(peer(["203.0.113.0/24", "192.0.2.0/24"], ["2001:db8:9::/48"]))
    speaker.start(SPEAKER)
    wanted = {"203.0.113.0/24": [THERE], "192.0.2.0/24": [THERE], "2001:db8:9::/48": [THERE6], "198.18.0.0/15": [THERE, OTHER]}
    mirror.expect(wanted)
    mirror.left.warm(BEHIND, BEHIND6)
    with Pinger(mirror.left, BEHIND, 0.005) as pinger:
        speaker.kill()
        assert mirror.routes() == wanted, "the kernel has them"
        other.configure(peer(["203.0.113.0/24"], ["2001:db8:9::/48"]))
        speaker.start(SPEAKER, graceful=True)
        del wanted["192.0.2.0/24"]
        wait_for(lambda: mirror.routes() == wanted, 60, lambda: f"{wanted}; {mirror.routes()}\n{speaker.show('protocols')}")
        assert mirror.routes() == speaker.routes()
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent}"
