"""How long traffic is lost when a link fails, and when it is back: the part `failover/link-outage` of perf/routes.py.

    sender ── in ── router ┬─ one ── upstream
                           └─ two ── upstream     (each in a namespace of its own)

Every prefix of the full table leads to a group of two next hops, one on each link, that are found by ARP. A stream goes to
many of the prefixes; a link's other end is taken down, and up again. Once through millraced, and once through the Linux
kernel, that has the same routes, in turn.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import pathlib
import random
import re
import socket
import statistics
import struct
import sys
import time

import forward_cases
import replay
import subjects
from basics import wait_for
from lab import Lab
from stream import Ended, Stream

PACKETS_A_SECOND = 100_000
FAILURES, QUICK_FAILURES, IN_TURN = 20, 5, 5
DESTINATIONS = 1_000
IN, UPSTREAMS = "10.254.0", {"one": "10.255.1", "two": "10.255.2"}
LIMIT_MS = 10
DOWN_SECONDS, BACK_SECONDS = 0.5, 1.0
UNDER_WAY_NS = 100_000_000  # what was sent so long before a link went may have been on its way to it, where others had the core
WARM_SECONDS = 1.5
STREAM_CORE, SWITCH_CORE = 0, 1  # the switch must not keep the sender waiting: nothing would be lost meanwhile
LATE = 0.02  # of the packets: above that the stream was none of this rate
CASES = ["failover/link-outage", "failover/link-outage-lost", "failover/link-back", "failover/link-back-lost"]

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_NLM_F_REQUEST, _NLM_F_CREATE, _RTM_NEWROUTE = 0x001, 0x400, 24
_RTA_DST, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 5, 9
_MESSAGES = 400  # of netlink, in one call


class Switch:
    """Takes the other end of a link down and up, by one system call."""

    def __init__(self, host):
        self._socket = host.netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._name = host.device.encode()

    def set(self, up):
        """Returns when it was asked for, in nanoseconds since the epoch."""
        request = struct.pack("16sh14x", self._name, 0)
        flags = struct.unpack("16xh14x", fcntl.ioctl(self._socket, _SIOCGIFFLAGS, request))[0]
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        at = time.time_ns()
        fcntl.ioctl(self._socket, _SIOCSIFFLAGS, struct.pack("16sh14x", self._name, flags))
        return at

    def close(self):
        self._socket.close()


class Bed:
    """A router, whichever, between a sender and two upstreams."""

    def __init__(self, lab, prefixes):
        self.lab, self.prefixes = lab, prefixes
        self.inside = lab.host("in", f"{IN}.2/24")
        self.upstreams = [lab.host(name, f"{net}.2/24") for name, net in UPSTREAMS.items()]
        self.interfaces = {"in": f"{IN}.1/24", **{name: f"{net}.1/24" for name, net in UPSTREAMS.items()}}
        self.hops = [upstream.address for upstream in self.upstreams]
        self.switches = [Switch(upstream) for upstream in self.upstreams]

    def start(self, work):
        """Has all routes, and knows both neighbours."""
        raise NotImplementedError

    def close(self):
        for switch in self.switches:
            switch.close()
        self.lab.close()


class Millrace(Bed):
    name = "millrace"
    RING = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core

    def start(self, work):
        config = self.lab.config(
            interfaces={name: {"device": f"net_af_packet,iface={name},{self.RING}", "addresses": [address]}
                        for name, address in self.interfaces.items()}, dataplane={"memory": "256M"})
        self.router = self.lab.router(config)
        replay.favour(self.router)
        file = work / "outage-routes"
        file.write_text("".join(f"{prefix} via {' '.join(self.hops)}\n" for prefix in self.prefixes))
        self.router.cli("load", file, timeout=replay.LIMIT_SECONDS)
        found = self.router.get("/v1/status")["rib"]["sources"]["api"]
        if found != len(self.prefixes):
            raise subjects.Failure(f"millrace has {found:,} routes, not {len(self.prefixes):,}")
        wait_for(lambda: all(self.router.neighbors().get(hop, {}).get("mac") for hop in self.hops), 10,
                 lambda: f"both neighbours are known; {self.router.neighbors()}")


class Kernel(Bed):
    """Linux, that looks at the carrier and at the neighbours of each path, as routers are set up."""

    name = "kernel"
    SETTINGS = ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.ignore_routes_with_linkdown=1",
                "net.ipv4.fib_multipath_use_neigh=1"]

    def start(self, work):
        netns = self.lab.router_netns
        netns.run("sysctl", "-qw", *self.SETTINGS)
        for name, address in self.interfaces.items():
            netns.add_address(name, address)
        own = self._routes()
        with netns.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
            messages = list(self._messages())
            for first in range(0, len(messages), _MESSAGES):
                kernel.send(b"".join(messages[first:first + _MESSAGES]))
        if (found := self._routes() - own) != len(self.prefixes):
            raise subjects.Failure(f"the kernel has {found:,} routes, not {len(self.prefixes):,}")
        for hop in self.hops:
            netns.run("ping", "-c", "1", "-W", "2", hop)

    def _routes(self):
        text = self.lab.router_netns.run("cat", "/proc/net/fib_triestat").stdout
        return int(re.search(r"Prefixes:\s+(\d+)", text).group(1))

    def _messages(self):
        """RTM_NEWROUTE of each prefix: `ip -batch` would take a minute for them."""
        links = {link["ifname"]: link["ifindex"] for link in json.loads(self.lab.router_netns.ip("-j", "link", "show").stdout)}
        paths = b"".join(struct.pack("=HBBiHH4s", 16, 0, 0, links[name], 8, _RTA_GATEWAY, socket.inet_aton(hop))
                         for name, hop in zip(UPSTREAMS, self.hops))
        paths = struct.pack("=HH", 4 + len(paths), _RTA_MULTIPATH) + paths
        for prefix in self.prefixes:
            network, length = prefix.split("/")
            route = struct.pack("=BBBBBBBBI", socket.AF_INET, int(length), 0, 0, 254, 4, 0, 1, 0)  # main, static, universe
            body = route + struct.pack("=HH4s", 8, _RTA_DST, socket.inet_aton(network)) + paths
            yield struct.pack("=IHHII", 16 + len(body), _RTM_NEWROUTE, _NLM_F_REQUEST | _NLM_F_CREATE, 0, 0) + body


class Outages:
    """What failures of one subject's links did."""

    def __init__(self, bed, destinations):
        self.bed, self.destinations = bed, destinations
        self.outage_ms, self.outage_lost, self.back_ms, self.back_lost, self.rates = [], [], [], [], []

    def stream(self):
        return Stream(self.bed.inside, self.bed.upstreams, *self.destinations, rate=PACKETS_A_SECOND, core=STREAM_CORE)

    def fail(self, count):
        """So often a link goes, and comes back, under one stream; the links take turns."""
        times = []
        with self.stream() as stream:
            for number in range(count):
                switch = self.bed.switches[number % 2]
                down = switch.set(False)
                time.sleep(DOWN_SECONDS)
                times.append((number % 2, down, switch.set(True)))
                time.sleep(BACK_SECONDS)
        found = stream.found
        if found["late"] > LATE * sum(found["sent"].values()):
            replay.step(f"{self.bed.name}: the stream was late with {found['late']:,} packets")
        self.rates.append(found["rate"])
        ends = [down for _, down, _ in times[1:]] + [sys.maxsize]
        for (which, down, up), end in zip(times, ends):
            self._take(found, which, down, up, end)
        if early := sum(when < times[0][1] - UNDER_WAY_NS for when in found["lost_ns"]):
            replay.step(f"{self.bed.name}: {early:,} lost before")

    def _take(self, found, which, down, up, end):
        """What one failure did: the link went, was back, and was left alone until the end."""
        name = self.bed.upstreams[which].name
        away = [when for when, before, _ in found["moves_ns"] if before == which and down < when < up]
        back = [when for when, _, after in found["moves_ns"] if after == which and up < when < end]
        if not away or not back:
            raise subjects.Failure(f"{self.bed.name}: no traffic {'came back to' if away else 'left'} {name}")
        lost_away = [when for when in found["lost_ns"] if down - UNDER_WAY_NS < when < up]
        lost_back = [when for when in found["lost_ns"] if up <= when < end - UNDER_WAY_NS]
        self.outage_ms.append((max(away[0], *lost_away, down) - down) / 1e6)
        self.outage_lost.append(len(lost_away))
        self.back_ms.append((back[0] - up) / 1e6)
        self.back_lost.append(len(lost_back))
        replay.step(f"{self.bed.name}: {name} down: {self.outage_ms[-1]:.2f} ms, {len(lost_away):,} lost; up: back after "
                    f"{self.back_ms[-1]:.1f} ms, {len(lost_back):,} lost")

    def rows(self, row):
        rate = statistics.median(self.rates)
        for case, unit, runs, digits in zip(CASES, ("ms", "packets", "ms", "packets"),
                                            (self.outage_ms, self.outage_lost, self.back_ms, self.back_lost), (2, 0, 1, 0)):
            made = row(case, self.bed.name, unit, runs, digits, spread_of(runs, digits))
            made.update(routes=len(self.bed.prefixes), packets_per_second=round(rate))
            if case == CASES[0]:
                made["notes"] += f"; {'' if max(runs) <= LIMIT_MS else 'MORE THAN '}{LIMIT_MS} ms are allowed"
            elif case == CASES[1]:
                made["notes"] += f"; of {rate:,.0f} a second"
            elif case == CASES[3] and self.bed.name == "millrace" and max(runs):
                made["notes"] += "; NONE SHOULD BE"
            yield made


def spread_of(runs, digits):
    """The distribution, in words."""
    ordered = sorted(runs)
    ninth = ordered[-(-9 * len(ordered) // 10) - 1]
    return (f"{len(runs)} failures: min {ordered[0]:.{digits}f}, median {statistics.median(ordered):.{digits}f}, "
            f"p90 {ninth:.{digits}f}, max {ordered[-1]:.{digits}f}")


def addresses_in(prefixes):
    """One address in each of some prefixes."""
    some = random.Random(4).sample(prefixes, min(DESTINATIONS, len(prefixes)))
    return [str(next(iter(ipaddress.ip_network(prefix, False).hosts()))) for prefix in some]


def parts(options, work, row):
    """Rows, where any is wanted."""
    if not any(options.cases.search(case) for case in CASES):
        return
    try:
        yield list(_rows(options, work, row))
    except (AssertionError, Ended) as error:
        raise subjects.Failure(error) from error


def _rows(options, work, row):
    prefixes = [prefix for prefix, _ in forward_cases.read_table(options.table4)]
    destinations = addresses_in(prefixes)
    with contextlib.ExitStack() as stack:
        outages = []
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        for kind in (Millrace, Kernel):
            bed = kind(Lab(), prefixes)
            stack.callback(bed.close)
            begin = time.monotonic()
            bed.start(pathlib.Path(work))
            replay.step(f"{bed.name} has {len(prefixes):,} routes after {time.monotonic() - begin:.1f} s")
            outages.append(Outages(bed, destinations))
            with outages[-1].stream():  # memory is touched for the first time
                time.sleep(WARM_SECONDS)
        os.sched_setaffinity(0, {SWITCH_CORE})
        for done in range(0, options.failures, IN_TURN):
            for each in outages:
                each.fail(min(IN_TURN, options.failures - done))
        for each in outages:
            yield from each.rows(row)
