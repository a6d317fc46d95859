"""Any bytes on the wire: no crash, no lost mbuf, every packet accounted for (rule 40 of docs/conformance.md)."""

import os
import random
import time

import pytest

from mutate import HERE, THERE, Mutator, seeds, templates
from packets import from_to, udp, with_header

SECONDS = float(os.environ.get("MILLRACE_HOSTILE_SECONDS", "10"))
NARROW_MTU = 600


class Net:
    def __init__(self, lab):
        self.left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
        self.inside, self.outside = lab.wire("in"), lab.wire("out")
        self.router = lab.router(lab.config(
            interfaces={"left": ["192.0.2.1/24"], "in": ["10.1.0.1/24"],
                        "out": {"mtu": NARROW_MTU, "addresses": ["10.2.0.1/24"]}},
            routes=[{"prefix": "10.20.0.0/16", "via": THERE},
                    {"prefix": "10.21.0.0/16", "via": ["10.2.0.3", "10.2.0.4"]},
                    {"prefix": "10.22.0.0/16", "type": "prohibit"}],
            neighbors=[{"address": HERE, "mac": self.inside.mac, "interface": "in"},
                       {"address": THERE, "mac": self.outside.mac, "interface": "out"}]))


@pytest.fixture
def net(lab):
    return Net(lab)


# Rule 40.
def test_random_and_mutated_frames(net):
    seed = int(os.environ.get("MILLRACE_SEED", "0")) or random.randrange(1 << 32)
    print(f"MILLRACE_SEED={seed}, {SECONDS:.0f} s")
    mutator = Mutator(seed, templates(net.inside) + seeds())
    sent, deadline = 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        net.inside.send(*[mutator.frame() for _ in range(64)])
        sent += 64
        if sent % 6400 == 0:
            net.outside.drain()
            net.inside.drain()
            assert net.router.alive, net.router.log[-6000:]
    print(f"{sent:,} frames sent; {net.router.accounting()}")
    net.router.check_settled()
    assert net.router.accounting()["received"] > sent // 2
    ping = net.left.ping("192.0.2.1", count=5)
    assert ping.lost == 0, ping.text


# Rules 2, 7, 40.
@pytest.mark.parametrize("flags", [0, 0x2000, 0x4000, 0x1FFF])
@pytest.mark.parametrize("total_length", [20, 21, 27, 28, 600, 601, 1499, 1500, 1501, 4000, 65535])
def test_a_total_length_that_lies_to_the_fragmenter(net, total_length, flags):
    """A 1,514-byte frame that says it is 20 bytes long, or longer than it is, on its way to a smaller MTU."""
    frame = with_header(udp(net.inside, HERE, "10.20.1.1", b"c" * 1472), total_length=total_length, flags_fragment=flags)
    assert len(frame) == 1514
    before = net.router.drops()
    net.inside.send(*[frame] * 40)
    got = [f for f in net.outside.frames(0.4) if from_to(HERE)(f)]
    sizes = [int.from_bytes(f[16:18], "big") for f in got]
    assert all(size <= NARROW_MTU and len(f) == 14 + size for f, size in zip(got, sizes))
    if total_length > 1500:
        assert got == [] and net.router.drops()["ip_total_length_long"] - before["ip_total_length_long"] == 40
    elif flags == 0x4000 and total_length > NARROW_MTU:
        assert got == [] and net.router.drops()["fragmentation_needed"] - before["fragmentation_needed"] == 40
    elif flags == 0x1FFF and total_length > NARROW_MTU:
        pass  # its fragments would lie beyond 65,535 bytes: any counted fate will do
    else:
        payload = -(-(total_length - 20) // ((NARROW_MTU - 20) // 8 * 8)) if total_length > NARROW_MTU else 1
        assert len(got) == 40 * payload
        assert sum(size - 20 for size in sizes) == 40 * (total_length - 20)


# Rules 1, 40.
def test_runts_and_giants(net):
    """Every length a veth carries, once with nothing sensible inside and once with a valid header."""
    valid = udp(net.inside, HERE, "10.20.1.1", b"r" * 1472)
    for length in range(14, 1515):
        net.inside.send(random.Random(length).randbytes(length), valid[:length],
                        with_header(valid[:length], total_length=length - 14) if length >= 34 else valid[:length])
    net.router.check_settled()


# Rule 18.
def test_a_flood_of_errors_is_limited_and_counted(net):
    expired = udp(net.inside, HERE, "10.20.1.1", ttl=1)
    for _ in range(100):
        net.inside.send(*[expired] * 100)
    time.sleep(0.5)
    errors = sum(1 for frame in net.inside.frames(0.5) if frame[23:24] == b"\x01")
    assert 0 < errors < 10_000
    ping = net.left.ping("192.0.2.1", count=10)
    assert ping.lost == 0, ping.text


# Rules 22, 40.
def test_a_sweep_over_unresolved_neighbours_is_bounded(net):
    """Every address of a /24 that nobody answers for, again and again: forwarding goes on, buffers come back."""
    for _ in range(20):
        net.inside.send(*[udp(net.inside, HERE, f"10.2.0.{host}") for host in range(3, 255)])
    net.outside.drain()
    net.inside.send(udp(net.inside, HERE, "10.20.1.1", b"straight"))
    got = net.outside.expect(from_to(HERE, "10.20.1.1"), what="a packet with a resolved next hop")
    assert b"straight" in got
