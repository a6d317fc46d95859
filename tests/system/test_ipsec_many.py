"""A thousand tunnels between two routers: their keys change under traffic, and what was recorded on the way is of no use.

    left --- first === trunk === second --- right
"""

import collections
import contextlib
import ipaddress
import json
import os
import random
import socket
import struct
import sys
import time

import pytest

import ipsec
from basics import ROOT, wait_for
from trunk import Trunk, tap_on

sys.path.insert(0, str(ROOT / "perf"))
from stream import Stream  # noqa: E402

TUNNELS = 1000
REKEYS = 3
RATE = 3_000  # packets a second, each way: three a second by each tunnel
WINDOW = 256  # more than that in a minute
BUSY, MORE = range(10), 2 * WINDOW  # tunnels that are given so many packets more
ROUNDS = 2  # that each recorded frame is injected
BURST = 250  # of them: the kernel's backlog holds 1000
SECONDS = 60  # on a busy machine
RING = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core
CORES = os.cpu_count() or 1
WORKERS = {"one worker": [CORES - 1], "two workers": sorted({max(CORES - 2, 0), CORES - 1})}
ALGORITHM = "aes-128-gcm"
REFUSED = ("runt", "replayed", "late", "forged", "malformed")
HOSTS = {"left": "10.1.0.2", "right": "10.9.0.2"}
BEHIND = {"left": "10.201.0.0", "right": "10.200.0.0"}  # of each tunnel an address from there on
ENDS = "10.100.0.0"  # of the tunnels: a /31 each
_PACKET_OUTGOING, _SOL_PACKET, _PACKET_QDISC_BYPASS = 4, 263, 20


def nth(base, number):
    return str(ipaddress.IPv4Address(base) + number)


DESTINATIONS = {side: [nth(base, 1 + tunnel) for tunnel in range(TUNNELS)] for side, base in BEHIND.items()}


def end_of(number, tunnel):
    """The address of a tunnel at the first or the second router."""
    return nth(ENDS, 2 * tunnel + number - 1)


def spi_of(sender, generation, tunnel):
    """Of what the first or the second router sends by its first keys, 0, or later ones."""
    return sender << 28 | generation << 16 | tunnel


def spis_of(sender, generation):
    return {spi_of(sender, generation, tunnel) for tunnel in range(TUNNELS)}


def has_esn(tunnel):
    return tunnel % 2 == 0


class Net:
    """Two routers with the tunnels between them, and a host behind each."""

    def __init__(self, lab, workers):
        self.lab, self.workers = lab, workers
        self.left, self.right = (lab.host(side, f"{address}/24", f"{address[:-1]}1") for side, address in HOSTS.items())
        self.trunk = Trunk(lab, ("trunk1", "trunk2"))
        self.first, self.second = self.routers = [lab.router({}, name=name, start=False) for name in ("first", "second")]
        self.apply_seconds = []
        for number, router in enumerate(self.routers, 1):
            router.write(self.text(number, 0, [0]))
            router.start()
        self.left.warm(HOSTS["right"])

    def text(self, number, sending, receiving):
        """The configuration of the first or the second router, with keys of these generations; in JSON, which is YAML."""
        near, far = ("left", "right") if number == 1 else ("right", "left")
        peer = 3 - number
        routes = [{"prefix": f"{address}/32", "via": end_of(peer, tunnel)} for tunnel, address in enumerate(DESTINATIONS[far])]
        routes += [{"prefix": f"{HOSTS[far]}/32", "via": end_of(peer, 0)}, {"prefix": f"{BEHIND[near]}/16", "via": HOSTS[near]}]
        ports = {near: f"{HOSTS[near][:-1]}1/24", f"trunk{number}": f"10.2.0.{number}/24"}
        config = self.lab.config({name: {"device": f"net_af_packet,iface={name},{RING}", "addresses": [address]}
                                  for name, address in ports.items()}, routes, dataplane={"workers": self.workers})
        tunnels = {f"ipsec{tunnel}": {"addresses": [f"{end_of(number, tunnel)}/31"],
                                      "ipsec": self.tunnel(number, tunnel, sending, receiving)} for tunnel in range(TUNNELS)}
        router = self.routers[number - 1]
        whole = ipsec.with_tunnels(config, tunnels, router.directory / "ipsec.json")
        return json.dumps({**whole, "control": {"core": 0, "api": router.socket}})

    @staticmethod
    def tunnel(number, tunnel, sending, receiving):
        peer = 3 - number
        return {"local": f"10.2.0.{number}", "remote": f"10.2.0.{peer}", "algorithm": ALGORITHM, "esn": has_esn(tunnel),
                "replay_window": WINDOW, "out": ipsec.sa(spi_of(number, sending, tunnel), ALGORITHM),
                "in": [ipsec.sa(spi_of(peer, generation, tunnel), ALGORITHM) for generation in receiving]}

    def apply(self, sending, receiving):
        """On both sites, one after the other."""
        for number, router in enumerate(self.routers, 1):
            text = self.text(number, sending, receiving)
            began = time.monotonic()
            router.apply(text)
            self.apply_seconds.append(time.monotonic() - began)

    def rekey(self, old, new):
        """Of all tunnels, as docs/ipsec.md says: new keys without loss."""
        self.apply(old, [old, new])
        self.apply(new, [old, new])
        self.expect_use(new)
        self.apply(new, [new])

    @staticmethod
    def sas(router, direction):
        """SPI -> what is counted of the SA."""
        return {sa["spi"]: sa for tunnel in router.get("/v1/ipsec")["tunnels"] for sa in tunnel["sas"]
                if sa["direction"] == direction}

    def expect_use(self, generation):
        """Every tunnel brought packets by its SA, both ways; by the one before none is on its way, as they come in order."""
        for sender, router in ((1, self.second), (2, self.first)):
            wanted = spis_of(sender, generation)

            def unused(router=router, wanted=wanted):
                return [hex(spi) for spi, sa in self.sas(router, "in").items() if spi in wanted and not sa["packets"]]

            wait_for(lambda unused=unused: not unused(), SECONDS, lambda unused=unused: f"packets of {unused()[:10]}")

    @contextlib.contextmanager
    def streams(self):
        """Packets by all tunnels in turns, both ways; at the end, what of them came."""
        found = []
        with Stream(self.left, [self.right], *DESTINATIONS["right"], rate=RATE) as there, \
                Stream(self.right, [self.left], *DESTINATIONS["left"], rate=RATE) as back:
            yield found
        found += there.found, back.found

    def record(self, generation):
        """A frame by each tunnel's SA on its way to the second router."""
        wanted, found = spis_of(1, generation), {}
        deadline = time.monotonic() + SECONDS
        with tap_on(self.trunk.netns, "trunk2") as tap:
            while len(found) < TUNNELS:
                assert time.monotonic() < deadline, f"frames of {len(found)} tunnels"
                with contextlib.suppress(TimeoutError):
                    frame, address = tap.recvfrom(2048)
                    if address[2] != _PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[23] == 50:
                        (spi,) = struct.unpack("!I", frame[34:38])
                        if spi in wanted:
                            found[spi] = frame
        return list(found.values())

    def send_more(self):
        """By busy tunnels, to the second router: what was recorded of them is behind their windows."""
        with self.left.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(MORE):
                for tunnel in BUSY:
                    sender.sendto(b"more", (DESTINATIONS["right"][tunnel], 9))
                time.sleep(0.001)
        busy = [spi_of(1, REKEYS, tunnel) for tunnel in BUSY]
        wait_for(lambda: all(self.sas(self.second, "in")[spi]["packets"] >= MORE for spi in busy), SECONDS, "they came")

    def refused(self):
        """Of ESP, at each router: reason -> packets."""
        total = [collections.Counter(), collections.Counter()]
        for router, counts in zip(self.routers, total):
            for row in router.get("/v1/drops")["drops"]:
                if row["reason"].startswith("esp_"):
                    counts[row["reason"]] += row["packets"]
        return total

    def inject(self, frames):
        """Towards the second router, which refuses each. Past the queue, from which the first would see them leave."""
        with self.trunk.netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
            sender.bind(("trunk1", 0))
            for at in range(0, len(frames), BURST):
                burst = frames[at:at + BURST]
                wanted = self.refused()[1].total() + len(burst)
                for frame in burst:
                    sender.send(frame)
                wait_for(lambda wanted=wanted: self.refused()[1].total() >= wanted, SECONDS,
                         lambda wanted=wanted: f"{wanted} are refused: {self.refused()}")


@pytest.fixture(params=WORKERS)
def net(lab, request):
    return Net(lab, WORKERS[request.param])


def check_refusals_of_each_sa(net):
    """An old packet with ESN is taken for one of the next 2^32, which does not verify (RFC 4303 A2)."""
    for spi, sa in net.sas(net.second, "in").items():
        tunnel = spi & 0xFFFF
        kind = "replayed" if tunnel not in BUSY else "forged" if has_esn(tunnel) else "late"
        assert {name: sa[name] for name in REFUSED} == {name: ROUNDS * (name == kind) for name in REFUSED}, hex(spi)


# Rules 32, 34, 37.
def test_a_thousand_tunnels_get_new_keys_and_nothing_is_lost_or_taken_twice(net):
    recorded = []
    with net.streams() as found:
        for generation in range(REKEYS):
            net.expect_use(generation)
            recorded += net.record(generation)
            net.rekey(generation, generation + 1)
        recorded += net.record(REKEYS)
        net.send_more()
        for sender, router in enumerate(net.routers, 1):
            out, inbound = (net.sas(router, direction) for direction in ("out", "in"))
            assert (set(out), set(inbound)) == (spis_of(sender, REKEYS), spis_of(3 - sender, REKEYS))
            assert all(sa["packets"] for sa in [*out.values(), *inbound.values()])
            assert not any(sa[name] for sa in inbound.values() for name in REFUSED)
            assert not any(sa["exhausted"] for sa in out.values())
        assert net.refused() == [{}, {}]

        injected = recorded * ROUNDS
        random.Random(1).shuffle(injected)
        net.inject(injected)
    # Each of these is a packet of the stream: had it come out, the stream would have it twice.
    old, busy = ROUNDS * REKEYS * TUNNELS, ROUNDS * len(BUSY)
    assert net.refused() == [{}, {"esp_unknown_sa": old, "esp_replayed": ROUNDS * TUNNELS - busy,
                                  "esp_late": busy // 2, "esp_forged": busy // 2}]
    check_refusals_of_each_sa(net)
    took, gap = net.apply_seconds, max(way["longest_gap_ms"] for way in found)
    sent = sum(sum(way["sent"].values()) for way in found)
    print(f"{len(took)} applies with {TUNNELS:,} tunnels took {min(took):.3f} to {max(took):.3f} s each; {sent:,} packets "
          f"meanwhile, never more than {gap:.1f} ms without one; {len(injected):,} replayed")
    for way in found:
        assert sum(way["sent"].values()) > 5 * TUNNELS
        assert sum(way["lost"].values()) == way["refused"] == way["doubled"] == way["reordered"] == 0, way
