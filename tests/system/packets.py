"""Frames that the tests send over wires, and how they recognise what comes back."""

import struct

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from lab import internet_checksum

BROADCAST = "ff:ff:ff:ff:ff:ff"


def is_ipv4(frame):
    return frame[12:14] == b"\x08\x00"


def ip_of(frame):
    """The IPv4 packet in a frame, parsed again from bytes."""
    return IP(frame[14:])


def from_to(source=None, destination=None):
    """Matches frames with these IPv4 addresses."""
    def wanted(frame):
        if not is_ipv4(frame):
            return False
        packet = ip_of(frame)
        return (source is None or packet.src == source) and (destination is None or packet.dst == destination)

    return wanted


def icmp_error(kind, code):
    def wanted(frame):
        return is_ipv4(frame) and frame[23] == 1 and frame[34] == kind and frame[35] == code

    return wanted


def arp_request_for(address):
    def wanted(frame):
        if frame[12:14] != b"\x08\x06":
            return False
        arp = ARP(frame[14:42])
        return arp.op == 1 and arp.pdst == address

    return wanted


def arp_reply_from(address):
    def wanted(frame):
        return frame[12:14] == b"\x08\x06" and ARP(frame[14:42]).op == 2 and ARP(frame[14:42]).psrc == address

    return wanted


def udp(wire, source, destination, payload=b"millrace", *, ttl=64, sport=4000, dport=4001, source_mac=None,
        destination_mac=None, **ip_fields):
    """A whole frame from the wire's end to the router, checksums filled in."""
    packet = (Ether(src=source_mac or wire.mac, dst=destination_mac or wire.router_mac) /
              IP(src=source, dst=destination, ttl=ttl, **ip_fields) / UDP(sport=sport, dport=dport) / Raw(payload))
    return bytes(packet)


def echo(wire, source, destination, payload=b"millrace", *, identifier=1, sequence=1, ttl=64, **ip_fields):
    return bytes(Ether(src=wire.mac, dst=wire.router_mac) / IP(src=source, dst=destination, ttl=ttl, **ip_fields) /
                 ICMP(type=8, id=identifier, seq=sequence) / Raw(payload))


def with_header(frame, **fields):
    """The frame with bytes of its IPv4 header set, and the header checksum made right again unless it is given.

    Fields: version_ihl, tos, total_length, identification, flags_fragment, ttl, protocol, checksum.
    """
    offsets = {"version_ihl": (0, "!B"), "tos": (1, "!B"), "total_length": (2, "!H"), "identification": (4, "!H"),
               "flags_fragment": (6, "!H"), "ttl": (8, "!B"), "protocol": (9, "!B"), "checksum": (10, "!H")}
    changed = bytearray(frame)
    for name, value in fields.items():
        offset, layout = offsets[name]
        struct.pack_into(layout, changed, 14 + offset, value)
    if "checksum" not in fields:
        length = max(20, (changed[14] & 15) * 4)
        changed[24:26] = b"\0\0"
        changed[24:26] = struct.pack("!H", internet_checksum(bytes(changed[14:14 + length])))
    return bytes(changed)


def header_is_sound(frame):
    return internet_checksum(frame[14:14 + (frame[14] & 15) * 4]) == 0


def arp(wire, *, op, sender, target, sender_mac=None, target_mac="00:00:00:00:00:00", frame_to=None):
    """An ARP packet from the wire: op 1 asks, 2 answers."""
    mac = sender_mac or wire.mac
    return bytes(Ether(src=mac, dst=frame_to or (BROADCAST if op == 1 else wire.router_mac)) /
                 ARP(op=op, hwsrc=mac, psrc=sender, hwdst=target_mac, pdst=target))
