"""Two upstreams for one route under a steady stream of packets: a link goes, and comes back. perf/outage.py measures it."""

import contextlib
import json
import subprocess
import sys
import time

import pytest

from basics import ROOT, wait_for
from packets import arp, arp_request_for

RATE = 2_000
RING = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core
DESTINATIONS = [f"198.18.{number}.1" for number in range(50)]
HOPS = {"one": "10.255.1.2", "two": "10.255.2.2"}
SECONDS = 10  # for anything to come about on a busy machine
UNDER_WAY_NS = 500_000_000  # what was sent so long before may have been on its way


class Net:
    """A router between a sender and two bare wires, whose ends answer for their next hops when the test says so."""

    def __init__(self, lab):
        self.inside = lab.wire("in")
        self.upstreams = {name: lab.wire(name) for name in HOPS}
        self.router = lab.router(lab.config(
            interfaces={"in": {"device": f"net_af_packet,iface=in,{RING}", "addresses": ["10.254.0.1/24"]},
                        "one": ["10.255.1.1/24"], "two": ["10.255.2.1/24"]},
            routes=[{"prefix": "198.18.0.0/15", "via": list(HOPS.values())}]))

    def answer(self, name, within=SECONDS):
        """The next hop answers the next request for it."""
        wire = self.upstreams[name]
        wire.expect(arp_request_for(HOPS[name]), within, f"a request for {HOPS[name]}")
        wire.send(arp(wire, op=2, sender=HOPS[name], target=HOPS[name][:-1] + "1", target_mac=wire.router_mac))
        self.expect_known(name)

    def expect_known(self, name):
        wait_for(lambda: self.router.neighbors().get(HOPS[name], {}).get("mac"), SECONDS, f"{HOPS[name]} is known")

    def expect_link(self, name, state):
        wait_for(lambda: self.router.interface(name)["state"] == state, SECONDS, f"{name} is {state}")

    @contextlib.contextmanager
    def stream(self):
        """Packets to all destinations; at the end, what the receivers found."""
        found = {}
        receivers = ",".join(wire.netns.name for wire in self.upstreams.values())
        words = [sys.executable, ROOT / "perf/packet_stream.py", self.inside.netns.name, receivers, self.inside.router_mac, RATE]
        with subprocess.Popen([*map(str, words), *DESTINATIONS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            try:
                assert process.stdout.readline() == "sending\n"
                time.sleep(0.5)
                yield found
                time.sleep(0.5)
                found.update(json.loads(process.communicate("\n", timeout=60)[0]))
            finally:
                process.kill()


@pytest.fixture
def net(lab):
    made = Net(lab)
    for name in HOPS:
        made.answer(name)
    return made


def moved(found, source, target, since, until=sys.maxsize):
    """How often packets to a destination came by one wire, and then by the other."""
    way = [list(HOPS).index(source), list(HOPS).index(target)]
    return sum(since < when < until and [before, after] == way for when, before, after in found["moves_ns"])


def lost(found, since, until=sys.maxsize):
    return sum(since < when < until for when in found["lost_ns"])


# Rule 14.
@pytest.mark.parametrize("late", [0, 0.7], ids=["the neighbour answers at once", "the neighbour answers late"])
def test_a_lost_link_leaves_its_packets_to_the_other_and_none_is_lost_when_it_is_back(net, late):
    one = net.upstreams["one"]
    with net.stream() as found:
        down = time.time_ns()
        one.set_carrier(False)
        net.expect_link("one", "down")
        time.sleep(0.5)
        one.drain()
        up = time.time_ns()
        one.set_carrier(True)
        net.expect_link("one", "up")
        time.sleep(late)
        net.answer("one")
        time.sleep(1)
    shares = len(DESTINATIONS) // 10  # far less than the half that each link has
    assert moved(found, "one", "two", down, up) > shares
    assert moved(found, "two", "one", up) > shares, "it has its share again"
    assert lost(found, 0, down - UNDER_WAY_NS) == 0
    assert lost(found, down - UNDER_WAY_NS, up) <= RATE, "two seconds of what goes to one link"
    assert lost(found, up) == 0, "none on the way back"
