"""IPsec tunnels: two routers with the Internet between them, and scapy as the other end of one.

    left --- first === trunk === second --- right
"""

import itertools
import mmap
import re
import struct
import time

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import ipsec
import transfer
from basics import wait_for
from lab import Pinger
from sites import LEFT, OUTER, RIGHT, Sniffer, TwoSites, kind_of

TUNNELS = {
    "aes-128-gcm over IPv4": (4, {"algorithm": "aes-128-gcm"}),
    "aes-256-gcm over IPv6": (6, {"algorithm": "aes-256-gcm"}),
    "chacha20-poly1305 in UDP": (4, {"algorithm": "chacha20-poly1305", "udp": True}),
    "aes-128-cbc-hmac-sha256 in UDP over IPv6": (6, {"algorithm": "aes-128-cbc-hmac-sha256", "udp": True, "esn": False}),
    "aes-128-gmac": (4, {"algorithm": "aes-128-gmac"}),
}


class Sites(TwoSites):
    """Two routers with a tunnel between them."""

    def __init__(self, lab):
        super().__init__(lab)
        self.first, self.second = (lab.router({}, name=name, start=False) for name in ("first", "second"))

    def config(self, number, tunnel, out, inbound):
        """Of the first or the second router: `out` is an SPI, `inbound` some."""
        family, settings = tunnel
        near, far = OUTER[family] if number == 1 else OUTER[family][::-1]
        lan, here, there = ("left", 1, 9) if number == 1 else ("right", 9, 1)
        plain = self.lab.config(
            {lan: [f"10.{here}.0.1/24", f"2001:db8:{here}::1/64"],
             f"trunk{number}": [f"10.2.0.{number}/24", f"2001:db8:2::{number}/64"]},
            [{"prefix": f"10.{there}.0.0/24", "via": f"10.255.0.{3 - number}"},
             {"prefix": f"2001:db8:{there}::/64", "via": f"2001:db8:255::{3 - number}"}])
        algorithm = settings["algorithm"]
        sas = {"out": ipsec.sa(out, algorithm), "in": [ipsec.sa(spi, algorithm) for spi in inbound]}
        router = self.first if number == 1 else self.second
        return ipsec.with_tunnels(
            plain, {"ipsec0": {"addresses": [f"10.255.0.{number}/30", f"2001:db8:255::{number}/64"],
                               "ipsec": {"local": near, "remote": far, **settings, **sas}}}, router.directory / "ipsec.json")

    def configs(self, tunnel, spis=(0x1001, 0x2001), also=()):
        """With the SPIs of both directions; those of `also` are taken, too."""
        there, back = spis
        others = [also[0]] if also else [], [also[1]] if also else []
        return (self.config(1, tunnel, there, [back, *others[1]]), self.config(2, tunnel, back, [there, *others[0]]))

    def drops(self):
        return [(router.name, drop["reason"], drop["packets"]) for router in (self.first, self.second)
                for drop in router.get("/v1/drops")["drops"]]

    def use(self, tunnel):
        """From the start, as everything else is, too."""
        for router, config in zip((self.first, self.second), self.configs(tunnel)):
            if router.running:
                router.apply(config)
            else:
                router.write(config)
                router.start()
        for host in (self.left, self.right):
            host.run("ip", "route", "flush", "cache")
            host.run("ip", "-6", "route", "flush", "cache")
        self.left.warm(*RIGHT)
        self.right.warm(*LEFT)


@pytest.fixture(scope="module")
def sites(module_lab):
    return Sites(module_lab)


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_everything_crosses_and_the_way_sees_only_esp(sites, tunnel):
    family, settings = TUNNELS[tunnel]
    sites.use(TUNNELS[tunnel])
    mtu = sites.first.get("/v1/interfaces")["interfaces"]
    mtu = next(one["mtu"] for one in mtu if one["name"] == "ipsec0")
    with Sniffer(sites.trunk.netns, "trunk1") as one, Sniffer(sites.trunk.netns, "trunk2") as other:
        for which in (0, 1):
            for host, destination in ((sites.left, RIGHT[which]), (sites.right, LEFT[which])):
                traced = host.run("tracepath", f"-{'46'[which]}", "-n", destination).stdout
                assert f"Resume: pmtu {mtu} " in traced, traced  # and the host knows it now
            for host, destination in ((sites.left, RIGHT[which]), (sites.right, LEFT[which])):
                for size in (56, 4000):
                    host.ping(destination, "-s", size, count=1)  # who answers learns the path's MTU by it
                    ping = host.ping(destination, "-s", size, count=5)
                    assert ping.lost == 0, (sites.drops(), ping.text)
            assert transfer.tcp(sites.left, sites.right, RIGHT[which], 1_000_000) <= mtu - (40, 60)[which]
            transfer.tcp(sites.right, sites.left, LEFT[which], 1_000_000)
            transfer.udp_echo(sites.left, sites.right, RIGHT[which], [1, 1400, 9000])
    kinds = {kind_of(frame) for frame in one.frames + other.frames}
    assert kinds <= {"arp", "nd", "udp-esp" if settings.get("udp") else "esp"}, kinds
    for router in (sites.first, sites.second):
        shown = router.cli("show", "ipsec").stdout
        assert re.search(r"ipsec0 +out +0x0000[12]001 +active +[1-9]", shown), shown
        (seen,) = router.get("/v1/ipsec")["tunnels"]
        assert {of["direction"]: of["packets"] > 1000 for of in seen["sas"]} == {"out": True, "in": True}
        assert all(of.get("forged", 0) == of.get("replayed", 0) == 0 for of in seen["sas"])


def ivs_in(frames):
    """(SPI, the number that the IV is made of) of ESP in frames over IPv4."""
    return [struct.unpack("!I4xQ", frame[34:50]) for frame in frames if frame[12:14] == b"\x08\x00" and frame[23] == 50]


def test_no_iv_is_seen_twice_though_the_router_is_killed_and_started(sites):
    sites.use(TUNNELS["aes-128-gcm over IPv4"])
    with Sniffer(sites.trunk.netns, "trunk2") as seen:  # from the first router
        for _ in range(3):
            assert sites.left.ping(RIGHT[0], count=50, interval=0.002).received > 0
            sites.first.kill()
            sites.first.start()
            sites.left.warm(RIGHT[0])
        sites.first.stop()
        sites.first.start()
        sites.left.warm(RIGHT[0])
    ivs = ivs_in(seen.frames)
    assert len(ivs) > 150
    repeated = {iv for iv in ivs if ivs.count(iv) > 1}
    assert not repeated, repeated


def test_new_keys_come_under_traffic_and_nothing_is_lost(sites):
    tunnel = TUNNELS["aes-128-gcm over IPv4"]
    sites.use(tunnel)
    spis = (0x1001, 0x2001)
    with Pinger(sites.left, RIGHT[0], interval=0.002) as pinger:
        for round_ in range(1, 6):
            fresh = (0x1001 + round_, 0x2001 + round_)
            for also, current in ((fresh, spis), (spis, fresh), ((), fresh)):
                for router, config in zip((sites.first, sites.second), sites.configs(tunnel, current, also)):
                    router.apply(config)
                time.sleep(0.1)
            spis = fresh
        pinger.stop()
    assert pinger.sent > 500 and not pinger.lost, (pinger.sent, pinger.lost)
    for router in (sites.first, sites.second):
        (seen,) = router.get("/v1/ipsec")["tunnels"]
        assert sorted(of["spi"] for of in seen["sas"]) == sorted(spis)


def test_events_tell_what_sas_have_reached(sites):
    sites.use((4, {"algorithm": "aes-128-gcm", "lifetime": {"soft": {"packets": 1_000_000_000, "bytes": 3000}}}))
    last = sites.first.get("/v1/ipsec/events")["last"]
    assert sites.left.ping(RIGHT[0], "-s", 1000, count=5).lost == 0
    wait_for(lambda: sites.first.get("/v1/ipsec/events")["last"] == last + 2, 10, "both SAs are told")
    events = sites.first.get(f"/v1/ipsec/events?after={last}")["events"]
    assert [event["number"] for event in events] == [last + 1, last + 2]
    told = {(event["interface"], event["direction"], event["spi"], event["lifetime"], event["limit"]) for event in events}
    assert told == {("ipsec0", "out", 0x1001, "soft", "bytes"), ("ipsec0", "in", 0x2001, "soft", "bytes")}
    assert all(abs(time.time() - event["time"]) < 60 for event in events)
    assert sites.first.get(f"/v1/ipsec/events?after={last + 2}")["events"] == []


def memory_with(pid, wanted):
    """Which of `wanted` the mappings of a process hold: (which, where, whether a core dump has it)."""
    found = []
    with open(f"/proc/{pid}/smaps") as smaps, open(f"/proc/{pid}/mem", "rb") as memory:
        place = None
        for line in smaps:
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)", line):
                place = int(head[1], 16), int(head[2], 16), head[3]
            elif line.startswith("Rss:") and place and line.split()[1] == "0":
                place = None  # nothing was ever there, and there is much of it
            elif line.startswith("VmFlags:") and place:
                begin, end, name = place
                place = None
                try:
                    memory.seek(begin)
                    content = memory.read(end - begin)
                except (OSError, ValueError, OverflowError):
                    continue  # of a device
                found += [(one, name or hex(begin), " dd" not in line) for one in wanted if one in content]
    return found


def check_core(path, keys):
    """The core dump of a router holds none of the keys, neither as bytes nor as text."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as core:
            assert core.size() > 1 << 20 and core.find(b"ipsec0") != -1, "it is one of that process"
            assert not [of for of in keys if core.find(of) != -1 or core.find(of.hex().encode()) != -1]
    finally:
        path.unlink()


def test_memory_holds_keys_only_where_no_core_dump_looks_and_only_while_they_are_used(sites):
    sites.use(TUNNELS["aes-128-gcm over IPv4"])
    router = sites.first
    with_keys, without = sites.configs(TUNNELS["aes-128-gcm over IPv4"], (0x3001, 0x3002))[0], None
    without = {**with_keys, "interfaces": {name: of for name, of in with_keys["interfaces"].items() if name != "ipsec0"},
               "routes": []}
    keys = [ipsec.key("aes-128-gcm", str(spi))[:16] for spi in (0x3001, 0x3002)]
    assert not memory_with(router.pid, keys)
    router.apply(with_keys)
    found = memory_with(router.pid, [*keys, *(of.hex().encode() for of in keys)])
    assert {one for one, _, _ in found} == set(keys), "they are found where they are; the text that they came in is gone"
    assert not [place for place in found if place[2]], found
    check_core(router.dump_core(), keys)
    router.start()
    router.apply(without)
    wait_for(lambda: not memory_with(router.pid, keys), 10, lambda: memory_with(router.pid, keys))


def test_no_key_is_shown(sites):
    sites.use(TUNNELS["aes-128-gcm over IPv4"])
    for router in (sites.first, sites.second):
        keys = [ipsec.key("aes-128-gcm", str(spi)) for spi in (0x1001, 0x2001)]
        shown = [router.log, router.cli("show", "ipsec", "--json").stdout, router.cli("diff", str(router.file)).stdout,
                 (router.directory / "ipsec.json").read_text()]
        shown += [router.api("GET", path)[2].decode() for path in ("/v1/ipsec", "/v1/config", "/v1/interfaces", "/metrics")]
        for of in keys:
            assert not any(of.hex() in text for text in shown)
    state = sites.first.directory / "ipsec.json"
    assert state.stat().st_mode & 0o077 == 0


class Cell:
    """One of the matrix: what the router and scapy exchange."""

    def __init__(self, algorithm, outer, inner, udp, esn):
        self.algorithm, self.outer, self.inner, self.udp, self.esn = algorithm, outer, inner, udp, esn

    @property
    def impossible(self):
        _, _, cipher, integrity = ipsec.ALGORITHMS[self.algorithm]
        if cipher is None:
            return "scapy has no AES-GMAC"
        if self.esn and integrity is not None:
            return "scapy's HMACs have no ESN"
        return None

    def __str__(self):
        return (f"{self.algorithm:<24} IPv{self.inner} in IPv{self.outer}  {'UDP' if self.udp else '-':<3}  "
                f"{'ESN' if self.esn else '-':<3}")


CELLS = [Cell(*of) for of in itertools.product(ipsec.ALGORITHMS, (4, 6), (4, 6), (False, True), (False, True))]


def inner_packet(family, source, destination, marker):
    if family == 4:
        return IP(src=source[0], dst=destination[0], ttl=9) / UDP(sport=7, dport=9) / Raw(marker)
    return IPv6(src=source[1], dst=destination[1], hlim=9) / UDP(sport=7, dport=9) / Raw(marker)


def test_scapy_takes_what_the_router_sends_and_the_other_way_round(lab):
    """The matrix: each cell passed, or it is impossible with scapy."""
    wan, lan = lab.wire("wan"), lab.wire("lan")
    host_mac = "02:00:00:00:00:99"
    plain = lab.config({"wan": ["10.2.0.1/24", "2001:db8:2::1/64"], "lan": ["10.1.0.1/24", "2001:db8:1::1/64"]},
                       [{"prefix": "10.9.0.0/24", "via": "10.255.0.2"}, {"prefix": "2001:db8:9::/64", "via": "2001:db8:255::2"}],
                       [{"address": address, "mac": host_mac, "interface": name} for name, address in (
                           ("wan", "10.2.0.2"), ("wan", "2001:db8:2::2"), ("lan", LEFT[0]), ("lan", LEFT[1]))])
    router = lab.router(plain, start=False)

    def config(cell, number):
        own, far = OUTER[cell.outer]
        return ipsec.with_tunnels(
            plain, {"ipsec0": {"addresses": ["10.255.0.1/30", "2001:db8:255::1/64"],
                               "ipsec": {"local": own, "remote": far, "algorithm": cell.algorithm, "esn": cell.esn,
                                         "udp": cell.udp, "out": ipsec.sa(0x1000 + number, cell.algorithm),
                                         "in": ipsec.sa(0x2000 + number, cell.algorithm)}}}, router.directory / "ipsec.json")

    passed = 0
    for number, cell in enumerate(CELLS):
        if cell.impossible:
            print(f"{cell}  impossible: {cell.impossible}")
            continue
        if router.running:
            router.apply(config(cell, number))
        else:
            router.write(config(cell, number))
            router.start()
        peer = ipsec.Peer(ipsec.Ends(*reversed(OUTER[cell.outer])), cell.algorithm, 0x2000 + number, 0x1000 + number,
                          cell.esn, cell.udp)
        marker = f"cell {number}".encode() * 5
        # 1. From the router: scapy verifies and decrypts it.
        sent = inner_packet(cell.inner, LEFT, RIGHT, marker)
        lan.send(Ether(dst=lan.router_mac, src=host_mac) / sent)
        frame = wan.expect(lambda one: kind_of(one) == ("udp-esp" if cell.udp else "esp"), what=f"{cell}: ESP")
        outer = Ether(frame)[IP if cell.outer == 4 else IPv6]
        got = peer.open(outer)
        assert bytes(got[UDP]) == bytes((IP if cell.inner == 4 else IPv6)(bytes(sent))[UDP]), cell
        assert (got.ttl if cell.inner == 4 else got.hlim) == 8, cell
        # 2. From scapy: the router does.
        back = inner_packet(cell.inner, RIGHT, LEFT, marker)
        wan.send(Ether(dst=wan.router_mac, src=host_mac) / peer.seal(back))
        frame = lan.expect(lambda one: marker in one, what=f"{cell}: the packet inside")
        assert bytes(Ether(frame)[UDP]) == bytes((IP if cell.inner == 4 else IPv6)(bytes(back))[UDP]), cell
        print(f"{cell}  passed")
        passed += 1
    assert passed == sum(not cell.impossible for cell in CELLS) == 12 * 8 + 4 * 8
