"""A driver with offloads (net_tap checks IPv4 headers and takes no VLAN tags off) does not change what becomes of packets."""

import select
import socket
import time

import pytest

import packets
from basics import wait_for

INTERFACES = {"mrtap1": "10.1.0", "mrtap2": "10.2.0"}
HOST_MAC = "02:00:00:00:00:{:02x}"
ETH_P_ALL, PACKET_OUTGOING = 3, 4


class Tap:
    """The kernel's side of a port: what is sent on it, the port receives."""

    def __init__(self, router, name, number):
        self.name, self.mac = name, HOST_MAC.format(number)
        netns = router.lab.router_netns
        self.router_mac = router.interface(name)["mac"]
        netns.ip("link", "set", name, "up")
        self._socket = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((name, ETH_P_ALL))

    def send(self, frame):
        self._socket.send(bytes(frame))

    def received(self, count, seconds=3.0):
        """UDP payloads from the port: `count` of them, or what came in time."""
        found, deadline = [], time.monotonic() + seconds
        while len(found) < count and select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            frame, address = self._socket.recvfrom(65536)
            if address[2] != PACKET_OUTGOING and packets.is_ipv4(frame) and frame[23] == 17:
                found.append(bytes(packets.ip_of(frame)["UDP"].payload))
        return found

    def close(self):
        self._socket.close()


@pytest.mark.parametrize("offloads", [True, False])
def test_a_wrong_checksum_is_dropped_by_whoever_finds_it(router, offloads):
    interfaces = {
        # As many receive queues as transmit queues, one of these for the control thread: the driver insists.
        name: {"device": f"net_tap,iface={name}", "queues": 2, "offloads": offloads, "addresses": [f"{subnet}.1/24"]}
        for name, subnet in INTERFACES.items()}
    neighbors = [{"address": f"{subnet}.2", "mac": HOST_MAC.format(number), "interface": name}
                 for number, (name, subnet) in enumerate(INTERFACES.items(), 1)]
    running = router(interfaces=interfaces, neighbors=neighbors)
    for name in INTERFACES:
        assert running.interface(name)["offloads"] == (["ipv4_checksum"] if offloads else [])
    shown = running.cli("show", "interfaces").stdout
    assert ("ipv4_checksum" in shown) == offloads, shown
    ends = [Tap(running, name, number) for number, name in enumerate(INTERFACES, 1)]
    try:
        wait_for(lambda: all(running.interface(name)["state"] == "up" for name in INTERFACES), 10, "links up")
        sent = []
        for number in range(200):
            wrong = number % 3 == 0
            frame = packets.udp(ends[0], "10.1.0.2", "10.2.0.2", b"frame %d" % number, sport=number + 1)
            if wrong:
                frame = packets.with_header(frame, checksum=frame[24] << 8 ^ 0x4000 | frame[25])
            else:
                sent.append(b"frame %d" % number)
            ends[0].send(frame)
        assert sorted(ends[1].received(len(sent))) == sorted(sent)
        assert running.drops().get("ip_bad_checksum") == 200 - len(sent)
    finally:
        for end in ends:
            end.close()
