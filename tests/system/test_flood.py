"""A flood of what a router has to look at itself: packets of others arrive all the same, and sessions stay."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from basics import ROOT, wait_for
from flood import KINDS, FloodPort
from frr import Frr

STREAM = ROOT / "perf/packet_stream.py"
SOURCE = "10.254.0.2"  # of the stream
BEYOND = "198.18.0.1"  # where it goes: behind the neighbour, by a route of BGP
RATE = 4_000  # packets a second
FLOOD_SECONDS = float(os.environ.get("MILLRACE_FLOOD_SECONDS", "4"))  # BGP's hold time is 3 s, BFD's 0.9 s
LOSS = 0.001
MANY = 200_000  # frames of a flood, as many as the control thread is given in that time or more
NICE = -10
SECONDS = 40  # until protocols have agreed
RING = "framesz=2048,blocksz=65536,framecnt=8192"  # holds what comes while others have the core

FRR = """
bfd
 profile quick
  detect-multiplier 3
  receive-interval 300
  transmit-interval 300
 exit
exit
router bgp {own}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
 neighbor {neighbor} remote-as {other}
 neighbor {neighbor} timers connect 1
 neighbor {neighbor} bfd profile quick
 address-family ipv4 unicast
  network {network}
 exit-address-family
exit
"""


def hurry(pid):
    """What has to be in time comes before all else on this machine."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(task.name), NICE)


class Net:
    """FRR on the router's TAP has sessions with that of `peer`; a stream goes from `left` to what `peer` announces."""

    def __init__(self, lab):
        self.left = lab.host("left", f"{SOURCE}/24", "10.254.0.1")
        self.peer = lab.host("peer", "192.0.2.2/24")
        daemons = lab.namespace("daemons")
        daemons.enable_ipv6()
        config = lab.config(
            interfaces={"left": {"device": f"net_af_packet,iface=left,{RING}", "addresses": ["10.254.0.1/24"]},
                        "peer": {"device": f"net_af_packet,iface=peer,{RING}", "addresses": ["192.0.2.1/24"], "host": True}},
            dataplane={"memory": "256M"}, feeds={"fpm": {}})
        config["host"] = {"netns": daemons.name}
        self.flood, self._hosts = FloodPort(config), 0
        self.router = lab.router(config)
        hurry(self.router.pid)
        self.ours, self.theirs = Frr(daemons, fpm=("127.0.0.1", 2620)), Frr(self.peer.netns)

    def touch(self, file):
        """All buffers are used once: new memory takes the control thread as long as BFD waits."""
        with self.flood.flooding(self.router, file, "local", BEYOND):
            time.sleep(0.5)

    def connect(self):
        """Until the sessions are there, and packets take the route."""
        self.peer.netns.add_address("lo", f"{BEYOND}/32")
        self.ours.start("bgpd", "bfdd", config=FRR.format(
            own=64500, other=64501, neighbor="192.0.2.2", network="10.254.0.0/24"))
        self.theirs.start("bgpd", "bfdd", config=FRR.format(
            own=64501, other=64500, neighbor="192.0.2.1", network="198.18.0.0/24"))
        wait_for(lambda: all(state == ("Established", "up") for state, _ in self.sessions()), SECONDS,
                 lambda: f"BGP and BFD; {self.sessions()}\n{self.ours.summary()}")
        self.left.warm(BEYOND)
        for frr in (self.ours, self.theirs):
            for name in ("bgpd", "bfdd"):
                hurry(frr.pid(name))

    def move(self):
        """A host that nobody spoke to: the router has to ask for it, and to answer it."""
        self._hosts += 1
        address = f"192.0.2.{100 + self._hosts}"
        self.peer.netns.add_address("eth0", f"{address}/24")
        self.peer.netns.ip("neigh", "flush", "dev", "eth0")
        assert self.left.ping(address, count=5, interval=0.3).received > 0, address

    def sessions(self):
        """Of both sides: the state of BGP and of BFD, and how often each went down."""
        return [self._session(self.ours, "192.0.2.2"), self._session(self.theirs, "192.0.2.1")]

    @staticmethod
    def _session(frr, neighbor):
        bgp = frr.show_json(f"show bgp neighbors {neighbor}")[neighbor]
        states = [peer["status"] for peer in frr.show_json("show bfd peers")]
        downs = [peer["session-down"] for peer in frr.show_json("show bfd peers counters")]
        return (bgp["bgpState"], *states), (bgp["connectionsDropped"], *downs)

    def stream(self):
        """Packets of a steady rate until its input ends; then it says what was lost."""
        return subprocess.Popen([sys.executable, STREAM, self.left.netns.name, self.peer.netns.name, self.left.router_mac,
                                 str(RATE), BEYOND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def policed(self):
        return sum(row["policed"] for row in self.router.get("/v1/counters")["punt"])

    def close(self):
        for frr in (self.ours, self.theirs):
            frr.close()


@pytest.fixture(scope="module")
def net(module_lab, tmp_path_factory):
    made = Net(module_lab)
    try:
        made.touch(tmp_path_factory.mktemp("flood") / "flood.pcap")
        made.connect()
        yield made
    finally:
        made.close()


# Rule 41.
@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_starves_neither_packets_nor_sessions(net, kind, tmp_path):
    """From another port, as fast as the one worker of both asks for more."""
    before, policed = net.sessions(), net.policed()
    with net.stream() as stream:
        assert stream.stdout.readline() == "sending\n"
        with net.flood.flooding(net.router, tmp_path / "flood.pcap", kind, BEYOND):
            time.sleep(FLOOD_SECONDS)
            wait_for(lambda: net.policed() - policed > MANY, SECONDS, "more comes than is looked at")
            net.move()
        said = json.loads(stream.communicate()[0])
    sent, lost = sum(said["sent"].values()), sum(said["lost"].values())
    print(f"{net.policed() - policed:,} frames of a flood were policed; of {sent:,} others {lost} were lost")
    assert net.sessions() == before
    assert sent > RATE * FLOOD_SECONDS / 2
    assert lost <= LOSS * sent, f"{said}\n{net.router.drops()}"
