"""Seeds of IPv6 and VLANs for packet_fuzz, and those of nd_fuzz and reassembly_fuzz; make_corpus.py writes them."""

from scapy.all import ICMP, IP, UDP, Dot1AD, Dot1Q, Ether, Raw
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect,
                                ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6,
                                IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, RouterAlert)
from packet_steps import HOST, JUMBO, KEEP_MAC, SMALL, WAN, frame, wait

OWN, PEER, FAR = "2001:db8:a::1", "2001:db8:a::2", "2001:db8:1000::1"
WAN_OWN, WAN_GROUP = "2001:db8:c::1", "ff02::1:ff00:1"


def ip6(destination, layer=None, source=PEER, payload=64, **fields):
    layer = UDP(sport=1000, dport=2000) if layer is None else layer
    return Ether(src=HOST, dst="02:00:00:00:00:01") / IPv6(src=source, dst=destination, **fields) / layer / Raw(b"x" * payload)


def tagged(packet, *tags):
    packet = Ether(bytes(packet))
    payload, kind = packet.payload, packet.type
    for tag in reversed(tags):
        tag = tag.copy()
        tag.type = kind
        payload, kind = tag / payload, 0x88A8 if isinstance(tag, Dot1AD) else 0x8100
    return Ether(src=packet.src, dst=packet.dst, type=kind) / payload


def nd(message, source, destination, option=None, **fields):
    packet = Ether(src=HOST, dst=fields.pop("to", "33:33:00:00:00:01")) / IPv6(src=source, dst=destination, hlim=255) / message
    return packet if option is None else packet / option


def probe(target, group):
    return frame(nd(ICMPv6ND_NS(tgt=target), "::", group, to="33:33:ff:00:00:01"), WAN, KEEP_MAC)


def neighbor_seeds6():
    source, target = ICMPv6NDOptSrcLLAddr(lladdr=HOST), ICMPv6NDOptDstLLAddr(lladdr=HOST)
    peer = "2001:db8:c::9"
    yield "nd-solicitation", frame(nd(ICMPv6ND_NS(tgt=WAN_OWN), peer, WAN_GROUP, source, to="33:33:ff:00:00:01"), WAN, KEEP_MAC) + wait(20)
    answer = nd(ICMPv6ND_NA(tgt=peer, R=0, S=1, O=1), peer, WAN_OWN, target)
    yield "nd-resolve", frame(ip6(peer)) * 6 + wait(5) + frame(answer, WAN) + wait(9)
    yield "nd-resolve-in-vain", frame(ip6(peer)) * 3 + wait(31)
    yield "nd-probe-of-ours", probe(WAN_OWN, WAN_GROUP)
    yield "nd-probe-while-tentative", wait(1, 3) + probe(WAN_OWN, WAN_GROUP) + wait(20) + frame(ip6(WAN_OWN, ICMPv6EchoRequest(), peer), WAN)
    claim = nd(ICMPv6ND_NA(tgt=WAN_OWN, R=0, S=0, O=1), WAN_OWN, "ff02::1", target)
    yield "nd-claim-while-tentative", wait(1, 3) + frame(claim, WAN, KEEP_MAC) + wait(20) + frame(ip6(WAN_OWN), WAN)
    asks = nd(ICMPv6ND_RS(), "fe80::9", "ff02::2", source, to="33:33:00:00:00:02")
    yield "nd-router-solicitation", wait(31) + frame(asks, WAN, KEEP_MAC) + wait(31) + frame(tagged(asks, Dot1Q(vlan=100)), JUMBO, KEEP_MAC) + wait(31)
    yield "nd-router-advertisement", frame(nd(ICMPv6ND_RA(), "fe80::9", "ff02::1", source), WAN, KEEP_MAC)
    yield "nd-redirect", frame(nd(ICMPv6ND_Redirect(tgt="fe80::9", dst="2001:db8::"), "fe80::9", WAN_OWN, target), WAN)
    yield "nd-over-a-router", frame(ip6(WAN_OWN, ICMPv6ND_NS(tgt=WAN_OWN), peer, 0, hlim=254), WAN)


def header_seeds6():
    echo = ICMPv6EchoRequest(id=1, seq=1)
    yield "ipv6-echo", frame(ip6(OWN, echo)) + frame(ip6("ff02::1", echo)) + frame(ip6(OWN, echo), segments=(60, 7))
    yield "ipv6-hop-by-hop", frame(ip6(OWN, IPv6ExtHdrHopByHop(options=[RouterAlert()]) / echo)) + frame(ip6(FAR, IPv6ExtHdrHopByHop() / UDP()))
    yield "ipv6-option-refused", frame(ip6(OWN, Raw(b"\x11\x00\x9e\x04" + bytes(4)), nh=60))
    yield "ipv6-routing", frame(ip6(OWN, IPv6ExtHdrRouting(addresses=[FAR], segleft=1) / UDP())) + frame(ip6(FAR, IPv6ExtHdrRouting() / UDP()))
    yield "ipv6-many-headers", frame(ip6(OWN, Raw(b"\x3c\x00\x01\x04\x00\x00\x00\x00" * 9), nh=60))
    parts = [IPv6ExtHdrFragment(nh=58, id=7, m=1) / Raw(bytes(ICMPv6EchoRequest()) + b"x" * 40),
             IPv6ExtHdrFragment(nh=58, id=7, m=0, offset=6) / Raw(b"x" * 40)]
    yield "ipv6-fragments", b"".join(frame(ip6(OWN, part, payload=0)) for part in parts)
    yield "ipv6-first-fragment-incomplete", frame(ip6(OWN, IPv6ExtHdrFragment(nh=60, m=1) / Raw(b"\x11\x02" + bytes(6)), payload=0))
    yield "ipv6-fragment-atomic", frame(ip6(OWN, IPv6ExtHdrFragment(nh=17) / UDP()))


def forward_seeds6():
    yield "ipv6-forward", frame(ip6(FAR, source="2001:db8:c::9"), WAN) + frame(ip6("2001:db8:1100::1")) + frame(ip6("2001:db8:1300::1"))
    yield "ipv6-too-big", frame(ip6("2001:db8:1200::1", payload=1400)) + frame(ip6("2001:db8:1200::1", payload=1352))
    yield "ipv6-hop-limit", b"".join(frame(ip6(FAR, hlim=limit)) for limit in (0, 1, 2))
    for name, destination in (("blackhole", "2001:db8:1400::1"), ("unreachable", "2001:db8:1401::1"), ("prohibit", "2001:db8:1402::1"),
                              ("no-route", "2001:db9::1"), ("link-local", "fe80::9"), ("multicast", "ff05::9"), ("loopback", "::1")):
        yield f"ipv6-to-{name}", frame(ip6(destination))
    yield "ipv6-error-of-error", frame(ip6(FAR, ICMPv6DestUnreach() / IPv6(), hlim=1))
    yield "ipv6-lengths", b"".join(frame(ip6(FAR, plen=length)) for length in (0, 71, 73, 65535))
    yield "ipv6-where-it-is-not", frame(ip6(FAR), SMALL)
    yield "ipv4-by-ipv6", frame(Ether(src=HOST) / IP(src="192.0.2.2", dst="20.1.2.3") / UDP() / Raw(b"x" * 1400))


def vlan_seeds():
    four = Ether(src=HOST) / IP(src="192.168.1.9", dst="20.1.2.3") / UDP()
    six = ip6(FAR, source="2001:db8:d::9")
    customer = Dot1AD(vlan=200), Dot1Q(vlan=7)
    yield "vlan", frame(tagged(four, Dot1Q(vlan=100))) + frame(tagged(six, Dot1Q(vlan=100, prio=5)), segments=(14, 3))
    yield "vlan-urpf", frame(tagged(ip6(FAR), Dot1Q(vlan=100))) + frame(tagged(ip6(FAR, source="2001:db9::1"), Dot1Q(vlan=100)))
    yield "vlan-qinq", frame(tagged(ip6(FAR, source="2001:db8:e::2"), *customer), WAN) + frame(tagged(four, *customer), WAN)
    yield "vlan-echo", frame(tagged(ip6("2001:db8:d::1", ICMPv6EchoRequest(), "2001:db8:d::9"), Dot1Q(vlan=100))) + frame(
        tagged(Ether(src=HOST) / IP(src="192.168.2.9", dst="192.168.2.1") / ICMP(), *customer), WAN)
    yield "vlan-unknown", frame(tagged(six, Dot1Q(vlan=101))) + frame(tagged(six, Dot1Q(vlan=100), Dot1Q(vlan=1), Dot1Q(vlan=2)))
    yield "vlan-priority", frame(tagged(four, Dot1Q(vlan=0, prio=7))) + frame(tagged(ip6(FAR), Dot1Q(vlan=0)))
    yield "urpf-loose", frame(ip6(FAR, source="2001:db9::1"), WAN) + frame(ip6(FAR, source="2001:db8:1400::1"), WAN)


def packet6_seeds():
    for seeds in (neighbor_seeds6, header_seeds6, forward_seeds6, vlan_seeds):
        yield from seeds()


# --- nd_fuzz ---

RS, RA, NS, NA, REDIRECT, TIME, LINK, PACKET = range(8)
NOBODY, ROUTER, LINK_LOCAL, ALL, ROUTERS, GROUP = range(6)
HOST_A, HOST_B, WANTED, SELF = 11, 12, 13, 7
SOLICITED, OVERRIDE = 0x40, 0x20


def nd_step(what, host, port=1):
    return bytes([what | port << 3 | host << 4])


def link(kind, last=9):
    return bytes([kind, 1, 2, 0, 0, 0, 0, last])


def message(kind, host, target=ROUTER, destination=ROUTER, flags=0, mac=0, options=b"", hops=0):
    return nd_step(kind, host) + bytes([destination << 4 | target, flags | mac, hops, len(options)]) + options


def nd_seeds():
    asks = message(NS, HOST_A, ROUTER, GROUP, options=link(1))
    tells = message(NA, HOST_A, HOST_A, flags=SOLICITED | OVERRIDE, options=link(2))
    probes = message(NS, NOBODY, ROUTER, GROUP)
    down, up, second = nd_step(LINK, 0), nd_step(LINK, 1), nd_step(TIME, 9)
    yield "asked", asks + second
    yield "asked-alone", message(NS, 8, LINK_LOCAL, LINK_LOCAL, options=link(1))
    yield "answered", nd_step(PACKET, HOST_A) * 4 + tells + nd_step(PACKET, HOST_A) + second
    yield "in-vain", nd_step(PACKET, HOST_B) * 3 + second
    yield "moves", nd_step(PACKET, HOST_A) + tells + message(NA, HOST_A, HOST_A, ALL, OVERRIDE, options=link(2, 8)) + message(
        NA, HOST_A, HOST_A, ROUTER, SOLICITED, options=link(2, 7))
    yield "wanted", message(NA, WANTED, WANTED, flags=SOLICITED | OVERRIDE, options=link(2)) + nd_step(PACKET, 0) + second * 2
    yield "many", b"".join(message(NS, h, ROUTER, GROUP, options=link(1, h)) for h in range(16)) + second
    yield "probe-of-ours", probes
    yield "probe-while-tentative", down + up + probes + second * 2 + asks
    yield "claim-while-tentative", down + up + message(NA, ROUTER, ROUTER, ALL, OVERRIDE, options=link(2)) + second * 2 + asks
    yield "own-probe-comes-back", down + up + message(NS, NOBODY, ROUTER, GROUP, mac=SELF) + second * 2 + asks
    yield "link-flaps", nd_step(PACKET, HOST_A) + tells + down + nd_step(PACKET, HOST_A) + up + nd_step(PACKET, HOST_A)
    yield "routers", message(RS, 8, 0, ROUTERS, options=link(1)) + nd_step(TIME, 15) + message(RA, 8, 0, ALL) + message(
        REDIRECT, 8, HOST_B, ROUTER, options=link(2))
    yield "malformed", b"".join(message(NS, HOST_A, ROUTER, GROUP, options=o) for o in (b"\x01", b"\x01\0" + bytes(6), b"\x01\2" + bytes(6))) + message(
        NS, HOST_A, ROUTER, GROUP, hops=1) + message(NS, HOST_A, ALL, GROUP) + message(NA, HOST_A, HOST_A, ALL, SOLICITED)


# --- reassembly_fuzz ---


def part(offset, length, more=True, *, family=6, number=0, segments=(), before=False, unit=0):
    first = (4 if family == 6 else 0) | number << 3 | (0x20 if more else 0) | (0x40 if segments else 0) | (0x80 if before else 0)
    return bytes([first]) + bytes(segments) + (unit << 13 | offset // 8).to_bytes(2, "big") + bytes([length])


def later(tenths):
    return bytes([3 | tenths << 2])


def reassembly_seeds():
    for family in (4, 6):
        def p(*arguments, **more):
            return part(*arguments, family=family, **more)  # noqa: B023
        name = f"ipv{family}-"
        yield name + "two", p(0, 48) + p(48, 20, False)
        yield name + "backwards", p(48, 20, False) + p(16, 32) + p(0, 16, before=True)
        yield name + "segments", p(0, 48, segments=(3, 9)) + p(48, 20, False, segments=(0, 0))
        yield name + "mixed", p(0, 8, number=1) + p(0, 8, number=2) + p(8, 8, False, number=2) + p(8, 8, False, number=1)
        yield name + "repeated", p(0, 8) + p(0, 8) + p(8, 1, False)
        yield name + "overlap", p(0, 16) + p(8, 16) + p(0, 16) + later(63) + p(0, 16) + p(16, 1, False)
        yield name + "two-ends", p(16, 8, False) + p(24, 8, False)
        yield name + "timeout", p(0, 8) + later(29) + p(8, 8) + later(1) + later(31) + p(16, 8, False)
        yield name + "too-many-parts", b"".join(p(8 * i, 8) for i in range(9))
        yield name + "too-many-datagrams", b"".join(part(0, 8, family=f, number=n) for f in (4, family) for n in range(4))
        yield name + "too-many-buffers", b"".join(p(0, 200, number=n, segments=(1, 1), unit=2) for n in range(4))
        yield name + "longest", p(0, 255, unit=2) + p(65280, 255, False) + p(65280, 200, False, number=1) + p(0, 255, number=1, unit=2)
        yield name + "ragged", p(0, 9) + p(0, 0) + p(8, 0, False)
