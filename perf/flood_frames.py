"""Frames of floods: what a router does not forward but has to look at itself, and a file of them for DPDK's net_pcap."""

import dataclasses
import socket
import struct

import frames

FRAMES = 4096  # of a kind, all different, and few enough to stay in the cache
BYTES = 60
ROOM = BYTES - 14 - frames.IPV4_BYTES  # above IPv4
SENDER_MAC = bytes.fromhex("0200000000fe")


@dataclasses.dataclass
class Link:
    """Where a flood comes from. `senders` and `strangers` are the beginnings of a /16: nobody has an address of the latter."""

    mac: str  # the router's
    own: str  # its address
    beyond: str  # an address behind it
    senders: str
    strangers: str


def _ethernet(mac, kind, packet):
    return frames.ethernet(mac, SENDER_MAC, kind, packet).ljust(BYTES, b"\0")


def _ip(link, destination, protocol, above, ttl=64):
    return _ethernet(link.mac, 0x0800, frames.ipv4(f"{link.senders}.0.2", destination, protocol, above.ljust(ROOM, b"\0"), ttl))


def _udp(link, number, destination, ttl=64):
    """From one host and many ports."""
    return _ip(link, destination, 17, frames.udp(number, 4001, bytes(ROOM - frames.UDP_BYTES)), ttl)


def _bgp(link, number):
    """The first packet of a connection, with a wrong checksum: to whom routing daemons listen."""
    return _ip(link, link.own, 6, struct.pack("!HHIIBBHHH", number, 179, 1, 0, 0x50, 2, 1024, 0, 0))


def _host(network, number):
    return f"{network}.{number >> 8}.{number & 255}"


def _arp(link, number):
    """Each from a host of its own, for the router's address."""
    mac = SENDER_MAC[:4] + struct.pack("!H", number)
    request = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, socket.inet_aton(_host(link.senders, number)), bytes(6),
                          socket.inet_aton(link.own))
    return _ethernet("ff:ff:ff:ff:ff:ff", 0x0806, request)


KINDS = {
    "ttl": lambda link, number: _udp(link, number, link.beyond, ttl=1),
    "arp": _arp,
    "local": lambda link, number: _udp(link, number, link.own),
    "bgp": _bgp,
    "unresolved": lambda link, number: _udp(link, number, _host(link.strangers, number + 0x4000)),
}


def write(path, kind, link):
    """A pcap file of frames of a kind."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number in range(1024, 1024 + FRAMES):
            frame = KINDS[kind](link, number)
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
