"""Seeds of fpm_fuzz: frames as FRR 8.4's zebra sends them, and some that nobody should send.

`zebra-*` of the corpus are recorded: a connection of zebra with staticd, its start, changes, a link that flaps.
"""

import pathlib
import socket
import struct

CLOSE, CONNECT, PASS = b"\x05", b"\x06", b"\x07"
NEW, DELETE, NEW_NEXT_HOP, DELETE_NEXT_HOP = 24, 25, 104, 105


def sent(*messages, version=1, kind=1):
    """A step of the fuzz target: one frame of these messages."""
    payload = b"".join(messages)
    frame = struct.pack("!BBH", version, kind, len(payload) + 4) + payload
    return raw(frame)


def raw(data):
    return b"\x00" + struct.pack("!H", len(data)) + data


def passes(seconds):
    return PASS + bytes([seconds])


def attribute(kind, data):
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def message(kind, payload):
    return struct.pack("=IHHII", 16 + len(payload), kind, 0x501, 0, 0) + payload


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def route(prefix, *attributes, kind=NEW, protocol=186, route_type=1, table=254):
    network, length = prefix.split("/")
    destination = address(network)
    family = socket.AF_INET6 if len(destination) == 16 else socket.AF_INET
    header = struct.pack("=BBBBBBBBI", family, int(length), 0, 0, table, protocol, 0, route_type, 0)
    return message(kind, header + attribute(1, destination) + attribute(6, struct.pack("=I", 20)) + b"".join(attributes))


def via(gateway):
    return attribute(5, address(gateway)) + attribute(4, struct.pack("=I", 3))


def by_id(number):
    return attribute(30, struct.pack("=I", number))


def paths(*gateways):
    data = b""
    for weight, gateway in enumerate(gateways):
        hop = attribute(5, address(gateway))
        data += struct.pack("=HBBI", 8 + len(hop), 0, weight, 3) + hop
    return attribute(9, data)


def next_hop(number, *attributes, kind=NEW_NEXT_HOP, family=socket.AF_INET):
    return message(kind, struct.pack("=BBBBI", family, 0, 11, 0, 0) + attribute(1, struct.pack("=I", number)) + b"".join(attributes))


def gateway(number, text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return next_hop(number, attribute(6, address(text)), attribute(5, struct.pack("=I", 3)), family=family)


def group(number, *members):
    return next_hop(number, attribute(2, b"".join(struct.pack("=IBBH", member, 0, 0, 0) for member in members)), family=0)


def fpm_seeds():
    table = [route(f"10.{i}.0.0/16", via("192.0.2.2")) for i in range(8)]
    yield "inline", sent(*table) + sent(route("11.0.0.0/8", paths("192.0.2.2", "198.51.100.2", "192.0.2.3")))
    yield "replace", sent(*table[:1]) + sent(route("10.0.0.0/16", kind=DELETE), route("10.0.0.0/16", via("192.0.2.3")))
    yield "kinds", sent(*(route(f"10.{kind}.0.0/16", route_type=kind) for kind in range(12)))
    yield "ipv6", sent(route("2001:db8:9::/48", via("2001:db8:0:1::2")), route("::/0", via("fe80::2")), route("fe80::/64", via("fe80::2")))
    yield "rfc8950", sent(route("10.0.0.0/8", attribute(18, struct.pack("=H", socket.AF_INET6) + address("2001:db8:0:1::2"))))
    yield "groups", (sent(gateway(1, "192.0.2.2")) + sent(gateway(2, "198.51.100.2")) + sent(group(3, 1, 2)) +
                     sent(route("10.0.0.0/8", by_id(3)), route("11.0.0.0/8", by_id(1))) + sent(group(3, 2)) + sent(gateway(2, "192.0.2.9")) +
                     sent(next_hop(1, kind=DELETE_NEXT_HOP)) + sent(route("10.0.0.0/8", kind=DELETE)))
    yield "parked", (sent(route("10.0.0.0/8", by_id(3)), route("11.0.0.0/8", by_id(3))) + sent(group(3, 1, 2)) + sent(gateway(1, "192.0.2.2")) +
                     sent(route("11.0.0.0/8", kind=DELETE)) + sent(gateway(2, "2001:db8:0:2::2")))
    yield "group-of-itself", sent(group(3, 3, 4), group(4, 3)) + sent(route("10.0.0.0/8", by_id(3))) + sent(next_hop(3, kind=DELETE_NEXT_HOP))
    yield "blackhole-object", sent(next_hop(1, attribute(4, b"")), route("10.0.0.0/8", by_id(1))) + sent(gateway(1, "192.0.2.2"))
    yield "again", (sent(*table) + passes(5) + CLOSE + CONNECT + sent(gateway(1, "192.0.2.3"), route("10.1.0.0/16", by_id(1))) + passes(5))
    yield "held", sent(*table) + CLOSE + passes(59) + CONNECT + passes(1) + sent(*table[:2])
    yield "torn", sent(*table)[:-3] + CLOSE + CONNECT + sent(*table)
    yield "cut-messages", raw(sent(*table)[3:-2] + b"\xff" * 8)
    yield "other-version", sent(*table, version=2)
    yield "protobuf", sent(*table, kind=2)
    yield "others", sent(message(28, b"\x00" * 12), message(3, b""), message(2, b"\x00" * 20))
    recorded = pathlib.Path(__file__).resolve().parent / "recorded"
    for file in sorted(recorded.glob("zebra-*.fpm")):
        data = file.read_bytes()
        yield file.stem, b"".join(raw(data[at:at + 1400]) for at in range(0, len(data), 1400)) + passes(5) + CLOSE + CONNECT + passes(60)
