"""Seeds of netlink_fuzz: what Linux says of its routes, next hops and links, live and in dumps."""

import struct

from fpm_seeds import (DELETE, DELETE_NEXT_HOP, address, attribute, by_id, gateway, group, message, next_hop, paths, raw, route,
                       via)

LOSE, CHANGE = b"\x05", b"\x06"
FIRST, BEFORE, BEHIND, INSTEAD, DUMPED = 0x600, 0x400, 0xC00, 0x100, 0x2
BIRD = 12


def said(*messages, flags=None):
    """A step of the fuzz target: messages as the socket says them, with these flags."""
    data = b""
    for each in messages:
        data += each if flags is None else each[:6] + struct.pack("=H", flags) + each[8:]
    return raw(data)


def done(how=0):
    return b"\x04" + bytes([how])


def passes(tenths):
    return b"\x07" + bytes([tenths])


def link(index, name, flags=0x11043, kind=16):
    return message(kind, struct.pack("=BBHiII", 0, 0, 1, index, flags, 0) + attribute(3, name.encode() + b"\0"))


def metric(prefix, number, hops, **settings):
    """With a second RTA_PRIORITY: the last one counts."""
    return route(prefix, attribute(6, struct.pack("=I", number)), hops, protocol=BIRD, **settings)


def dump(*messages):
    """A whole resync in which the messages come with the IPv4 routes."""
    return done() + said(link(3, "wan0"), link(4, "tap1"), flags=DUMPED) + done() + said(*messages, flags=DUMPED) + done() + done()


def netlink_seeds():
    table = [metric(f"10.{i}.0.0/16", 32, via("192.0.2.2")) for i in range(8)]
    six = [metric(f"2001:db8:{i}::/48", 1024, via("2001:db8:0:1::2")) for i in range(4)]
    yield "first", dump(*table) + said(*six, flags=FIRST)
    yield "metrics", (dump() + said(*(metric("10.0.0.0/8", n, via(f"192.0.2.{n}")) for n in (30, 10, 20)), flags=FIRST) +
                      said(metric("10.0.0.0/8", 10, via("192.0.2.10"), kind=DELETE)))
    yield "order", (said(metric("10.0.0.0/8", 0, via("192.0.2.2")), flags=FIRST) + said(metric("10.0.0.0/8", 0, via("192.0.2.3")), flags=BEHIND) +
                    said(metric("10.0.0.0/8", 0, via("192.0.2.4")), flags=BEFORE) + said(metric("10.0.0.0/8", 0, via("192.0.2.5")), flags=INSTEAD) +
                    said(metric("10.0.0.0/8", 0, via("192.0.2.2"), kind=DELETE), flags=0) + dump(metric("10.0.0.0/8", 0, via("192.0.2.3"))))
    hops = attribute(9, b"".join(struct.pack("=HBBI", 28, 0, 0, 3) + attribute(5, address(a)) for a in ("2001:db8:0:1::2", "2001:db8:0:1::3")))
    yield "paths", (said(metric("2001:db8:9::/48", 1024, hops), flags=BEHIND) +
                    said(metric("2001:db8:9::/48", 1024, via("2001:db8:0:1::2"), kind=DELETE), flags=0) +
                    said(metric("2001:db8:9::/48", 1024, b"", route_type=6), flags=INSTEAD))
    yield "replaced", dump(*table) + said(metric("10.0.0.0/16", 32, via("192.0.2.2"), kind=DELETE), metric("10.0.0.0/16", 32, via("192.0.2.3")), flags=0)
    yield "objects", (dump(*table) + said(gateway(1, "192.0.2.2"), gateway(2, "198.51.100.2"), group(3, 1, 2)) +
                      said(route("10.9.0.0/16", by_id(3)), route("10.8.0.0/16", by_id(1)), flags=FIRST) +
                      said(next_hop(1, kind=DELETE_NEXT_HOP)) + said(next_hop(2, kind=DELETE_NEXT_HOP)))
    yield "group-of-itself", said(group(3, 3, 4), group(4, 3)) + said(route("10.0.0.0/8", by_id(3))) + said(next_hop(3, kind=DELETE_NEXT_HOP))
    yield "link-down", (dump(*table) + said(gateway(1, "192.0.2.2"), route("10.9.0.0/16", by_id(1))) + said(link(3, "wan0", 0x1003)) +
                        passes(1) + dump(*table[:3]) + said(link(3, "wan0", kind=17)) + passes(20))
    yield "lost", dump(*table) + LOSE + dump(*table[:4]) + LOSE + done() + LOSE + done() + dump(*table[4:])
    yield "inconsistent", dump(*table) + LOSE + done(4) * 8 + passes(20) + dump(*table[:1])
    yield "refused", dump(*table) + LOSE + done(3) + passes(20) + dump(*table)
    yield "live-before-dump", (done() + done() + said(metric("10.0.0.0/16", 32, via("192.0.2.2"), kind=DELETE), flags=0) +
                               said(*table, flags=DUMPED) + done() + done())
    yield "interfaces", dump(route("2001:db8:9::/48", via("fe80::2"))) + CHANGE + dump(route("2001:db8:9::/48", via("fe80::2")))
    yield "multipath", dump(route("11.0.0.0/8", paths("192.0.2.2", "198.51.100.2", "192.0.2.3"), protocol=BIRD))
    yield "cut", raw(b"".join(table)[3:-2]) + raw(b"".join(table)[:-3]) + raw(b"\xff" * 40) + raw(bytes(40))
