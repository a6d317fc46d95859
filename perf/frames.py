"""Ethernet frames by their bytes, for who makes many of them."""

import socket
import struct

IPV4_BYTES, UDP_BYTES = 20, 8


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(to, sender, kind, packet):
    """`to` as text, `sender` as bytes."""
    return bytes.fromhex(to.replace(":", "")) + sender + struct.pack("!H", kind) + packet


def ipv4(source, destination, protocol, above, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, IPV4_BYTES + len(above), 0, 0, ttl, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + above


def udp(source_port, port, payload):
    """Without a checksum."""
    return struct.pack("!HHHH", source_port, port, UDP_BYTES + len(payload), 0) + payload
