"""Floods from inside the router: a port of DPDK's net_pcap gives the frames of a file over and over, as fast as its worker asks."""

import contextlib
import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from packets import BROADCAST, with_header

OWN, SENDER = "198.51.100.1", "198.51.0.2"  # the router's address on the flood's link, a /16; a host there
SENDER_MAC = "02:00:00:00:00:fe"
FRAMES = 4096  # all different, and few enough to stay in the cache: the source itself takes little
SILENT = "net_null,no-rx=1"
_SOURCE_PORT, _DESTINATION = 34, 32  # where two bytes of a frame are: of the port, and of the host's part of the address
_ARP_SENDER_MAC, _ARP_SENDER = 26, 30


def _packet(destination, ttl=64):
    return (Ether(src=SENDER_MAC) / IP(src=SENDER, dst=destination, ttl=ttl) / UDP(sport=0, dport=4001, chksum=0) /
            Raw(b"of a flood"))


def _request():
    return Ether(src=SENDER_MAC, dst=BROADCAST) / ARP(op=1, hwsrc=SENDER_MAC, psrc=SENDER, pdst=OWN)


# Kind -> a frame, of which `beyond` is an address behind the router, and where its frames differ.
KINDS = {
    "ttl": (lambda beyond: _packet(beyond, ttl=1), [_SOURCE_PORT]),
    "arp": (lambda _: _request(), [_ARP_SENDER_MAC, _ARP_SENDER]),
    "local": (lambda _: _packet(OWN), [_SOURCE_PORT]),
    "unresolved": (lambda _: _packet(SENDER), [_DESTINATION]),
}


def frames(kind, mac, beyond):
    make, places = KINDS[kind]
    packet = make(beyond)
    if packet.dst != BROADCAST:
        packet.dst = mac
    frame = bytearray(bytes(packet).ljust(60, b"\0"))
    for number in range(1024, 1024 + FRAMES):
        for place in places:
            struct.pack_into("!H", frame, place, number)
        yield with_header(frame) if places == [_DESTINATION] else bytes(frame)


def _write(path, all_frames):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for frame in all_frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


class FloodPort:
    """The interface `flood` of a router: silent, but for the time of a flood.

    It keeps its buffers, so that the router makes none when a flood begins.
    """

    def __init__(self, config):
        """Puts it into a configuration."""
        self._config, self._floods = config, 0
        self._set(SILENT)

    def _set(self, device):
        self._config["interfaces"]["flood"] = {"device": device, "queues": 1, "addresses": [f"{OWN}/16"]}

    @contextlib.contextmanager
    def flooding(self, router, file, kind, beyond):
        mac = f"02:70:63:61:70:{self._floods:02x}"  # net_pcap numbers the ports that it made
        self._floods += 1
        _write(file, frames(kind, mac, beyond))
        self._set(f"net_pcap,rx_pcap={file},infinite_rx=1")
        router.apply(self._config)
        try:
            assert router.interface("flood")["mac"] == mac
            yield
        finally:
            self._set(SILENT)
            router.apply(self._config)
