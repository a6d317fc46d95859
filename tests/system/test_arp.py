"""Neighbours as RFC 826 and 5227 want them: rules 21, 22 and 23 of docs/conformance.md."""

import json
import time

import pytest
from scapy.layers.l2 import ARP, Ether

from basics import wait_for
from packets import BROADCAST, arp, arp_reply_from, arp_request_for, from_to, icmp_error, ip_of, is_ipv4, udp

HERE, THERE = "10.1.0.2", "10.2.0.2"
MAC_A, MAC_B = "02:00:00:00:0a:0a", "02:00:00:00:0b:0b"


class Net:
    def __init__(self, lab):
        self.inside, self.outside = lab.wire("in"), lab.wire("out")
        self.router = lab.router(lab.config(
            interfaces={"in": ["10.1.0.1/24"], "out": ["10.2.0.1/24", "10.3.0.1/24"]},
            routes=[{"prefix": "10.20.0.0/16", "via": "10.2.0.50"}],
            neighbors=[{"address": HERE, "mac": self.inside.mac, "interface": "in"},
                       {"address": "10.2.0.9", "mac": MAC_A, "interface": "out"}]))

    def asked(self, address, seconds=3):
        return self.outside.expect(arp_request_for(address), seconds, f"ARP request for {address}")

    def answer(self, address, mac):
        self.outside.send(arp(self.outside, op=2, sender=address, sender_mac=mac, target="10.2.0.1",
                              target_mac=self.outside.router_mac))

    def neighbor(self, address):
        return self.router.neighbors().get(address)


@pytest.fixture
def net(lab):
    return Net(lab)


# Rule 21.
@pytest.mark.parametrize("address", ["10.2.0.1", "10.3.0.1"])
def test_answers_for_its_own_addresses(net, address):
    sender = address.rsplit(".", 1)[0] + ".7"
    net.outside.send(arp(net.outside, op=1, sender=sender, target=address))
    frame = net.outside.expect(arp_reply_from(address), what="ARP reply")
    reply = ARP(frame[14:42])
    assert (reply.hwsrc, reply.psrc) == (net.outside.router_mac, address)
    assert (reply.hwdst, reply.pdst) == (net.outside.mac, sender)
    assert (Ether(frame).dst, Ether(frame).src) == (net.outside.mac, net.outside.router_mac)


# Rule 21.
@pytest.mark.parametrize("target", ["10.2.0.77", "10.1.0.1", "10.2.0.255", "10.9.9.9"],
                         ids=["somebody else's", "on another interface", "broadcast", "nowhere"])
def test_does_not_answer_for_other_addresses(net, target):
    net.outside.send(arp(net.outside, op=1, sender="10.2.0.7", target=target))
    net.outside.expect_none(arp_reply_from(target), 0.7, "an ARP reply")


# Rule 21.
def test_answers_an_address_probe(net):
    # RFC 5227 2.1.1: the sender address of a probe is zero; nothing is learnt from it.
    net.outside.send(arp(net.outside, op=1, sender="0.0.0.0", target="10.2.0.1"))
    net.outside.expect(arp_reply_from("10.2.0.1"), what="ARP reply")
    assert "0.0.0.0" not in net.router.neighbors()


# Rule 21.
def test_learns_from_a_request_to_it(net):
    net.outside.send(arp(net.outside, op=1, sender=THERE, sender_mac=MAC_A, target="10.2.0.1"))
    wait_for(lambda: (net.neighbor(THERE) or {}).get("mac") == MAC_A, 2, "the neighbour is learnt")
    net.inside.send(udp(net.inside, HERE, THERE))
    assert Ether(net.outside.expect(from_to(HERE, THERE))).dst == MAC_A


# Rule 22.
def test_resolves_and_sends_what_waited(net):
    net.inside.send(udp(net.inside, HERE, THERE, b"first"))
    request = net.asked(THERE)
    asked = ARP(request[14:42])
    assert Ether(request).dst == BROADCAST and Ether(request).src == net.outside.router_mac
    assert (asked.hwsrc, asked.psrc) == (net.outside.router_mac, "10.2.0.1")
    net.answer(THERE, MAC_A)
    got = net.outside.expect(from_to(HERE, THERE), what="the packet that waited")
    assert Ether(got).dst == MAC_A and ip_of(got).ttl == 63 and b"first" in got
    assert net.neighbor(THERE)["state"] == "reachable"


# Rule 22.
def test_asks_with_the_address_of_the_neighbours_own_subnet(net):
    net.inside.send(udp(net.inside, HERE, "10.3.0.8"))
    assert ARP(net.asked("10.3.0.8")[14:42]).psrc == "10.3.0.1"


# Rule 22.
def test_the_newest_few_packets_wait_and_the_rest_is_counted(net):
    before = net.router.drops()["neighbor_queue_full"]
    for number in range(100):
        net.inside.send(udp(net.inside, HERE, THERE, b"number %03d" % number))
    net.asked(THERE)
    wait_for(lambda: net.router.drops()["neighbor_queue_full"] > before, 2, "older packets are dropped as counted")
    net.answer(THERE, MAC_A)
    got = [frame for frame in net.outside.frames(1.0) if from_to(HERE, THERE)(frame)]
    assert 0 < len(got) < 100
    numbers = [int(frame[42 + 7:42 + 10]) for frame in got]
    assert numbers == list(range(100 - len(got), 100)), "the newest, in order"
    assert net.router.drops()["neighbor_queue_full"] - before == 100 - len(got)


# Rule 22.
def test_requests_are_repeated_at_a_limited_rate_and_then_given_up(net):
    deadline = time.monotonic() + 6
    net.inside.send(udp(net.inside, HERE, THERE))
    requests = [time.monotonic() for frame in net.outside.frames(5) if arp_request_for(THERE)(frame)]
    assert time.monotonic() < deadline + 1
    assert 2 <= len(requests) <= 6, f"{len(requests)} requests"
    net.inside.expect(icmp_error(3, 1), 4, "host unreachable")
    assert net.router.drops()["neighbor_failed"] == 1


# Rule 22.
def test_many_packets_do_not_mean_many_requests(net):
    net.inside.send(*[udp(net.inside, HERE, THERE)] * 500)
    requests = sum(1 for frame in net.outside.frames(0.8) if arp_request_for(THERE)(frame))
    assert 1 <= requests <= 2


# Rule 21.
def test_gratuitous_arp_updates_known_neighbours_alone(net):
    net.outside.send(arp(net.outside, op=1, sender=THERE, sender_mac=MAC_A, target="10.2.0.1"))
    wait_for(lambda: net.neighbor(THERE), 2, "the neighbour is learnt")
    for op in (1, 2):
        mac = MAC_B if op == 1 else MAC_A
        net.outside.send(arp(net.outside, op=op, sender=THERE, sender_mac=mac, target=THERE, frame_to=BROADCAST),
                         arp(net.outside, op=op, sender="10.2.0.66", sender_mac=mac, target="10.2.0.66",
                             frame_to=BROADCAST))
        wait_for(lambda: net.neighbor(THERE)["mac"] == mac, 2, f"the neighbour has {mac}")
    assert net.neighbor("10.2.0.66") is None


# Rule 21.
@pytest.mark.parametrize("sender, mac", [
    ("10.7.0.2", MAC_A), ("10.1.0.2", MAC_A), ("10.2.0.255", MAC_A), ("10.2.0.0", MAC_A), ("10.2.0.66", BROADCAST),
    ("10.2.0.66", "01:00:5e:00:00:01"), ("10.2.0.66", "00:00:00:00:00:00"), ("224.0.0.1", MAC_A)],
    ids=["wrong subnet", "another interface's subnet", "broadcast address", "network address", "broadcast MAC",
         "multicast MAC", "zero MAC", "multicast address"])
def test_ignores_senders_that_cannot_be_neighbours(net, sender, mac):
    before = net.router.neighbors()
    source = mac if not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00" else MAC_B
    request = bytes(Ether(src=source, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=sender, pdst="10.2.0.1"))
    net.outside.send(request)
    net.outside.expect_none(arp_reply_from("10.2.0.1"), 0.5, "an ARP reply")
    assert {a: n["mac"] for a, n in net.router.neighbors().items()} == {a: n["mac"] for a, n in before.items()}


# Rule 21.
def test_somebody_with_our_address_does_not_become_a_neighbour(net):
    net.outside.send(arp(net.outside, op=1, sender="10.2.0.1", sender_mac=MAC_A, target="10.2.0.1", frame_to=BROADCAST))
    time.sleep(0.3)
    assert net.neighbor("10.2.0.1") is None


# Rule 23.
def test_a_changed_mac_is_used_at_once(net):
    net.outside.send(arp(net.outside, op=1, sender=THERE, sender_mac=MAC_A, target="10.2.0.1"))
    wait_for(lambda: net.neighbor(THERE), 2, "the neighbour is learnt")
    net.outside.send(arp(net.outside, op=1, sender=THERE, sender_mac=MAC_B, target="10.2.0.1"))
    wait_for(lambda: net.neighbor(THERE)["mac"] == MAC_B, 2, "the neighbour's MAC changes")
    net.inside.send(udp(net.inside, HERE, THERE))
    assert Ether(net.outside.expect(from_to(HERE, THERE))).dst == MAC_B


# Rule 23.
def test_a_static_entry_needs_no_arp_and_is_not_changed_by_arp(net):
    assert net.neighbor("10.2.0.9")["state"] == "static"
    net.outside.send(arp(net.outside, op=1, sender="10.2.0.9", sender_mac=MAC_B, target="10.2.0.1"))
    net.outside.expect(arp_reply_from("10.2.0.1"), what="ARP reply")
    net.inside.send(udp(net.inside, HERE, "10.2.0.9"))
    assert Ether(net.outside.expect(from_to(HERE, "10.2.0.9"))).dst == MAC_A
    assert net.neighbor("10.2.0.9")["mac"] == MAC_A
    net.outside.expect_none(arp_request_for("10.2.0.9"), 0.3)


# Rule 22.
def test_a_route_waits_for_its_next_hop(net):
    net.inside.send(udp(net.inside, HERE, "10.20.1.1"))
    net.asked("10.2.0.50")
    net.answer("10.2.0.50", MAC_B)
    assert Ether(net.outside.expect(from_to(HERE, "10.20.1.1"))).dst == MAC_B


# Rule 21.
@pytest.mark.parametrize("change", [
    lambda f: f[:14] + b"\x00\x06" + f[16:],  # hardware type
    lambda f: f[:16] + b"\x86\xdd" + f[18:],  # protocol type
    lambda f: f[:18] + b"\x08" + f[19:],  # hardware length
    lambda f: f[:19] + b"\x10" + f[20:],  # protocol length
    lambda f: f[:30],  # cut
    lambda f: f[:20] + b"\x00\x09" + f[22:],  # operation
], ids=["hardware type", "protocol type", "hardware length", "protocol length", "cut", "operation"])
def test_malformed_arp_is_dropped_and_counted(net, change):
    before = net.router.drops()
    net.outside.send(change(arp(net.outside, op=1, sender="10.2.0.7", target="10.2.0.1")))
    wait_for(lambda: net.router.drops()["arp_invalid"] + net.router.drops()["arp_ignored"] ==
             before["arp_invalid"] + before["arp_ignored"] + 1, 2, "counted as invalid or ignored")
    net.outside.expect_none(arp_reply_from("10.2.0.1"), 0.2, "an ARP reply")
    assert net.neighbor("10.2.0.7") is None


def test_a_flood_of_arp_does_not_starve_forwarding(net):
    flood = arp(net.outside, op=1, sender="10.2.0.7", target="10.2.0.77")
    for number in range(200):
        net.outside.send(*[flood] * 50)
        net.inside.send(udp(net.inside, HERE, "10.2.0.9", b"number %03d" % number))
    got = [f for f in net.outside.frames(1.0) if is_ipv4(f)]
    assert len(got) == 200


def test_a_kernel_host_sees_the_router_as_a_neighbour(lab, router):
    host = lab.host("host", "192.0.2.2/24", "192.0.2.1")
    running = router(interfaces={"host": ["192.0.2.1/24"]})
    host.warm("192.0.2.1")
    assert host.neighbor_mac("192.0.2.1") == host.router_mac
    shown = json.loads(running.cli("show", "neighbors", "--json").stdout)
    assert any(row["address"] == "192.0.2.2" and row["mac"] == host.mac for row in shown["neighbors"])


# Rule 23.
def test_link_down_forgets_learnt_neighbours_and_keeps_static_ones(net):
    net.outside.send(arp(net.outside, op=1, sender=THERE, sender_mac=MAC_A, target="10.2.0.1"))
    wait_for(lambda: net.neighbor(THERE), 2, "the neighbour is learnt")
    net.outside.set_carrier(False)
    wait_for(lambda: net.router.interface("out")["state"] == "down", 5, "the interface is down")
    wait_for(lambda: net.neighbor(THERE) is None, 2, "the learnt neighbour is gone")
    assert net.neighbor("10.2.0.9")["state"] == "static"
    net.outside.set_carrier(True)
    wait_for(lambda: net.router.interface("out")["state"] == "up", 5, "the interface is up again")
    net.inside.send(udp(net.inside, HERE, "10.2.0.9"))
    assert Ether(net.outside.expect(from_to(HERE, "10.2.0.9"))).dst == MAC_A
