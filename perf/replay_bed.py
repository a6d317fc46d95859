"""A bed for routes that come from real daemons: a speaker of BGP, FRR's bgpd and zebra, and a millraced that FPM feeds.

    speaker ── BGP ──▶ bgpd ──▶ zebra ── FPM ──▶ millraced      (each in a namespace of its own)
                                            in ──▶   │   ──▶ out

The namespaces, FRR and the router are those of the system tests (tests/system); millraced's ports are veths, so that
packets may go through it meanwhile. Next hops are static neighbours on `out`.
"""

import pathlib
import re
import socket

import bgp_replay
import subjects
import table_check
from basics import wait_for
from frr import Frr

ROUTER, DAEMONS = "10.254.1.1", "10.254.1.2"  # the link for FPM
BGPD, SPEAKER = "10.254.2.1", "10.254.2.2"
PORT, READER_PORT = 2620, 2621
OWN_AS, PEER_AS = 4_200_000_999, 64512  # the former is in no recorded path: it would be a loop
INSIDE = "10.254.0.1/24"
OUT4, OUT6 = subjects.Millrace.OUT, "2001:db8:ff:1::1/64"
STEADY, OF_FEED = "198.18.0.0/24", "198.18.1.0/24"  # the router's own static route; a route of the feed that stays

# Of zebra, for the kernel and FPM; 200 otherwise, and both are then seconds behind bgpd with a full table.
WAITING_UPDATES = "zebra dplane limit 10000"

# Next hops of recorded UPDATEs are those of somebody else's network.
TO_OURS = f"""route-map to-ours permit 10
set ip next-hop {subjects.Millrace.next_hop(0)}
set ipv6 next-hop global {subjects.Millrace.next_hop(0, 6)}
set ipv6 next-hop prefer-global"""


class Bed:
    """All of it, but the session. `next_hops` neighbours of each family are on `out`."""

    def __init__(self, lab, next_hops=1, memory="128M", hold="600s", sweep="3s"):
        self.lab = lab
        self.inside, self.outside = lab.wire("in"), lab.wire("out")
        self.netns, self.speaker_netns = lab.namespace("frr"), lab.namespace("speaker")
        self._connect()
        neighbors = [{"address": subjects.Millrace.next_hop(number, ipv), "mac": self.outside.mac, "interface": "out"}
                     for number in range(next_hops) for ipv in (4, 6)]
        ring = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core
        config = lab.config(
            interfaces={"in": {"device": f"net_af_packet,iface=in,{ring}", "addresses": [INSIDE]},
                        "out": {"device": f"net_af_packet,iface=out,{ring}", "addresses": [OUT4, OUT6]}},
            routes=[{"prefix": STEADY, "via": subjects.Millrace.next_hop(0)}], neighbors=neighbors,
            dataplane={"memory": memory}, feeds={"fpm": {"listen": f"{ROUTER}:{PORT}", "hold": hold, "sweep": sweep}})
        self.router = lab.router(config, start=False)
        self.frr = Frr(self.netns, fpm=(ROUTER, PORT))

    def _connect(self):
        """Links between the namespaces, and one in FRR's that has the subnets of the router's `out`."""
        for name, other, netns, here, there in (("fpm", self.netns, self.lab.router_netns, ROUTER, DAEMONS),
                                                ("bgp", self.speaker_netns, self.netns, BGPD, SPEAKER)):
            netns.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", other.name)
            for end, address in ((netns, here), (other, there)):
                end.add_address(name, f"{address}/24")
                end.ip("link", "set", name, "up")
        self.netns.enable_ipv6()
        self.netns.run("sysctl", "-qw", "net.ipv6.route.max_size=16777216", check=False)
        self.netns.add_dead_end("out", OUT4, OUT6)

    def start_bgpd(self, recorded, fpm=True):
        """bgpd, that waits for the speaker; with `recorded`, its routes go by our next hop."""
        policy = f"neighbor {SPEAKER} route-map to-ours in\n" if recorded else ""
        self.frr.start("bgpd", config=f"""{WAITING_UPDATES}
{TO_OURS}
exit
router bgp {OWN_AS}
no bgp ebgp-requires-policy
neighbor {SPEAKER} remote-as {PEER_AS}
neighbor {SPEAKER} passive
address-family ipv4 unicast
{policy}exit-address-family
address-family ipv6 unicast
neighbor {SPEAKER} activate
{policy}exit-address-family""")
        if not fpm:
            self.frr.configure("no fpm address")

    def speaker(self, as4=True):
        def connect():
            connection = self.speaker_netns.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.settimeout(30)
            connection.connect((BGPD, 179))
            return connection

        return bgp_replay.Speaker(connect, PEER_AS, SPEAKER, as4)

    def feed(self):
        return self.router.get("/v1/feeds")["feeds"][0]

    def has_taken(self, routes):
        """Whether the feed has so many routes, each of them in the FIB, and nothing left to do."""
        feed = self.feed()
        return feed["routes"] == routes and not (feed["parked"] or feed["queued_bytes"] or feed["stale"])

    def of_bgpd(self):
        """How many prefixes bgpd has of the speaker, of both families."""
        families = self.frr.show_json("show bgp summary")
        return sum(family["peers"].get(SPEAKER, {}).get("pfxRcd", 0) for family in families.values() if "peers" in family)

    def fib_of_zebra(self):
        """How many routes of BGP zebra forwards by."""
        families = [self.frr.show_json(f"show {family} route summary")["routes"] for family in ("ip", "ipv6")]
        return sum(kind["fib"] for kinds in families for kind in kinds if kind["type"] in ("ebgp", "bgp"))

    def of_kernel(self):
        """How many IPv4 prefixes the kernel of FRR's namespace has, its own included: main and local share a trie."""
        text = pathlib.Path(f"/proc/{self.frr.pid('zebra')}/net/fib_triestat").read_text()
        return int(re.search(r"Prefixes:\s+(\d+)", text).group(1))

    def say_fpm_to(self, port):
        """zebra connects there anew, and says everything."""
        self.frr.configure(f"fpm address {ROUTER} port {port}")

    def expect_routes(self, routes, seconds):
        wait_for(lambda: self.has_taken(routes), seconds, lambda: f"{routes:,} routes are taken; {self.feed()}")

    def routes(self):
        """Prefix -> where it leads, of the feed's routes."""
        found, after = {}, ""
        while after is not None:
            page = self.router.get(f"/v1/routes?source=fpm&limit=10000{after}")
            for route in page["routes"]:
                found[route["prefix"]] = sorted(hop["address"] for hop in route["via"]) or route["type"]
            after = page.get("next") and f"&after={page['next']}"
        return found

    def of_zebra(self):
        """The same of what zebra forwards by, of BGP."""
        return {prefix: [address for address, _ in hops] for prefix, hops in table_check.of_zebra(self.frr, "bgp").items()}

    def close(self):
        self.frr.close()
