"""Two sites with a trunk between their routers, and who reads along on it.

    left --- first === trunk === second --- right
"""

import threading

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from trunk import Trunk, tap_on

LEFT, RIGHT = ("10.1.0.2", "2001:db8:1::2"), ("10.9.0.2", "2001:db8:9::2")
OUTER = {4: ("10.2.0.1", "10.2.0.2"), 6: ("2001:db8:2::1", "2001:db8:2::2")}


class TwoSites:
    """The hosts and the trunk; the routers are the test's."""

    def __init__(self, lab):
        self.lab = lab
        self.left = lab.host("left", f"{LEFT[0]}/24", "10.1.0.1", ipv6=f"{LEFT[1]}/64", gateway6="2001:db8:1::1")
        self.right = lab.host("right", f"{RIGHT[0]}/24", "10.9.0.1", ipv6=f"{RIGHT[1]}/64", gateway6="2001:db8:9::1")
        self.trunk = Trunk(lab, ("trunk1", "trunk2"))


class Sniffer(threading.Thread):
    """All frames that come to a device while it runs."""

    def __init__(self, netns, device):
        super().__init__(daemon=True)
        self._tap, self._done, self.frames = tap_on(netns, device), threading.Event(), []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.join()
        self._tap.close()

    def run(self):
        while not self._done.is_set():
            try:
                self.frames.append(self._tap.recv(65535))
            except TimeoutError:
                continue


def kind_of(frame):
    """What a frame on the trunk is: "esp", "udp-esp", "arp", "nd", or what it should not be."""
    packet = Ether(frame)
    if packet.type == 0x0806:
        return "arp"
    ip = packet[IP] if IP in packet else packet[IPv6]
    protocol = ip.proto if IP in packet else ip.nh
    if protocol == 17 and UDP in packet and packet[UDP].dport == 4500:
        return "udp-esp"
    if protocol == 58 and 133 <= bytes(ip.payload)[0] <= 137:
        return "nd"
    return {50: "esp"}.get(protocol, f"protocol {protocol}")
