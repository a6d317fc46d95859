#!/usr/bin/python3
"""Writes the seeds of the fuzz targets into the folders corpus/TARGET beside this file.

The formats are at the top of the targets. Run it again after a change of one of them, and commit what it writes. The
seeds of config_fuzz and table_fuzz are written by hand.
"""

import itertools
import logging
import pathlib

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot3, Ether, IPOption, IPv6, Raw, fragment  # noqa: E402

from esp_seeds import esp_seeds  # noqa: E402
from fpm_seeds import fpm_seeds  # noqa: E402
from netlink_seeds import netlink_seeds  # noqa: E402
from ipv6_seeds import nd_seeds, packet6_seeds, reassembly_seeds  # noqa: E402
from packet_steps import HOST, JUMBO, KEEP_CHECKSUM, KEEP_MAC, NO_ROOM, SMALL, WAN, daemon, frame, wait  # noqa: E402
from control_seeds import fragment_seeds, neighbor_seeds, route_line_seeds  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
def ip(destination, payload=64, source="192.0.2.2", layer=None, **fields):
    layer = UDP(sport=1000, dport=2000) if layer is None else layer
    return Ether(src=HOST, dst="02:00:00:00:00:01") / IP(src=source, dst=destination, **fields) / layer / Raw(b"x" * payload)


def arp(op, sender, target, mac=HOST, destination="ff:ff:ff:ff:ff:ff"):
    return Ether(src=mac, dst=destination) / ARP(op=op, hwsrc=mac, psrc=sender, pdst=target)


def with_total_length(packet, length):
    packet = packet.copy()
    packet[IP].len = length
    return packet


def daemon_seeds():
    hello = Ether(src=HOST, dst="01:00:5e:00:00:05") / IP(src="203.0.113.1", dst="224.0.0.5", ttl=1, proto=89) / Raw(b"o" * 44)
    for interface in ("wan0", "lan0", "qinq0"):
        yield f"daemon-hello-{interface}", daemon(hello, interface)
        yield f"daemon-routed-{interface}", daemon(ip("20.1.2.3", source="203.0.113.1"), interface, 0)
    yield "daemon-arp", daemon(arp(1, "203.0.113.1", "203.0.113.0")) + frame(arp(2, "203.0.113.0", "203.0.113.1"), WAN)
    yield "daemon-llc", daemon(Dot3(src=HOST, dst="01:80:c2:00:00:14", len=20) / Raw(b"\xfe\xfe\x03" + b"\x83" * 17))
    yield "daemon-protected", daemon(ip("192.168.2.200", source="192.168.2.1"), "qinq0")
    yield "daemon-discarded", daemon(ip("192.168.2.3", source="192.168.2.1", layer=TCP(dport=80)), "qinq0")
    yield "daemon-too-long", daemon(ip("203.0.113.0", source="203.0.113.1", payload=1500))
    yield "daemon-runt", daemon(b"\x02" * 13) + daemon(b"\x02" * 20, flags=0)
    yield "daemon-cut", daemon(bytes(ip("20.1.2.3", source="203.0.113.1"))[:40], flags=0)
    yield "daemon-ipv6", daemon(Ether(src=HOST, dst="33:33:00:00:00:05") / IPv6(src="fe80::1", dst="ff02::5", nh=89, hlim=1) /
                                Raw(b"o" * 36)) + daemon(Ether() / IPv6(src="2001:db8:c::1", dst="2001:db8:1000::1") / UDP(), flags=0)


def packet_seeds():
    options = {"router-alert": IPOption(b"\x94\x04\x00\x00"), "record-route": IPOption(b"\x07\x07\x04\x00\x00\x00\x00\x00"),
               "past-end": IPOption(b"\x44\x28\x05\x00"), "zero-length": IPOption(b"\x83\x00\x00\x00"),
               "copied": IPOption(b"\x82\x04\x00\x00\x01\x01\x01\x00")}
    yield "forward", frame(ip("20.1.2.3")) + frame(ip("10.0.0.1"), WAN) + frame(ip("20.1.2.3", source="203.0.113.0"), WAN)
    yield "ecmp", b"".join(frame(ip("10.1.0.1", layer=UDP(sport=p, dport=53))) for p in range(8))
    for name, destination in (("blackhole", "10.3.0.1"), ("unreachable", "10.3.1.1"), ("prohibit", "10.3.2.1"),
                              ("next-hop-lost", "10.3.3.129"), ("no-route", "99.0.0.1"), ("subnet-broadcast", "198.51.100.255"),
                              ("broadcast", "255.255.255.255"), ("multicast", "224.0.0.5"), ("reserved", "240.0.0.1"),
                              ("loopback", "127.0.0.1"), ("link-local", "169.254.1.1")):
        yield f"to-{name}", frame(ip(destination))
    for name, source in (("own", "198.51.100.1"), ("broadcast", "192.0.2.255"), ("zero", "0.0.0.0"), ("multicast", "224.1.1.1"),
                         ("class-e", "250.0.0.1"), ("link-local", "169.254.3.4")):
        yield f"from-{name}", frame(ip("20.1.2.3", source=source))
    yield "ttl", b"".join(frame(ip("20.1.2.3", ttl=ttl)) for ttl in (0, 1, 2))
    yield "resolve", frame(ip("10.2.0.1")) * 6 + wait(5) + frame(arp(2, "198.51.100.99", "198.51.100.1"), SMALL) + wait(9)
    yield "resolve-in-vain", frame(ip("10.2.0.1")) * 3 + frame(ip("192.0.2.77", source="198.51.100.2"), SMALL) + wait(31)
    yield "resolve-on-link", frame(ip("203.0.113.0")) + frame(arp(2, "203.0.113.0", "203.0.113.1"), WAN) + frame(ip("203.0.113.0"))
    yield "arp-request", frame(arp(1, "192.0.2.9", "192.0.2.1")) + wait(20)
    yield "arp-probe", frame(arp(1, "0.0.0.0", "192.0.2.1"))
    yield "arp-conflict", frame(arp(1, "192.0.2.1", "192.0.2.1", mac="02:00:00:00:00:77")) * 3 + wait(6)
    yield "arp-gratuitous", frame(arp(1, "192.0.2.9", "192.0.2.1")) + frame(arp(1, "192.0.2.9", "192.0.2.9", mac="02:00:00:00:00:88"))
    yield "arp-of-group-mac", frame(arp(2, "192.0.2.9", "192.0.2.1", mac="03:00:00:00:00:01"))
    yield "arp-short", frame(bytes(arp(1, "192.0.2.9", "192.0.2.1"))[:30])
    yield "arp-segments", frame(arp(1, "192.0.2.9", "192.0.2.1"), segments=(14, 10))
    echo = ip("192.0.2.1", layer=ICMP(type=8, id=1, seq=1))
    yield "echo", frame(echo) + frame(ip("198.51.100.1", layer=ICMP(type=8)), segments=(20, 30))
    yield "echo-large", frame(ip("192.0.2.1", 8900, layer=ICMP(type=8))) + frame(ip("192.0.2.1", 3000, "198.51.100.2", ICMP(type=8)), SMALL)
    yield "echo-bad-checksum", frame(ip("192.0.2.1", layer=ICMP(type=8, chksum=1)))
    yield "local-udp", frame(ip("192.0.2.1")) + frame(ip("192.0.2.1", layer=TCP(dport=22))) + frame(ip("192.0.2.1", proto=89, layer=Raw(b"ospf")))
    yield "icmp-error-of-error", frame(ip("20.1.2.3", ttl=1, layer=ICMP(type=3, code=1) / IP(src="1.1.1.1") / UDP()))
    yield "local-fragment", b"".join(frame(f) for f in fragment(echo, 40))
    yield "cut-up", frame(ip("10.0.0.1", 1400)) + frame(ip("10.0.0.1", 8900)) + frame(ip("10.0.0.1", 5000), segments=(60, 255))
    yield "cut-up-df", frame(ip("10.0.0.1", 1400, flags="DF"))
    yield "cut-up-edges", b"".join(frame(ip("10.0.0.1", n - 28)) for n in (575, 576, 577, 584, 1132))
    yield "cut-up-fragment", frame(ip("10.0.0.1", 1400, flags="MF", frag=185)) + frame(ip("10.0.0.1", 1400, frag=8000))
    yield "cut-up-options", frame(ip("10.0.0.1", 1400, options=[options["copied"], options["router-alert"]]))
    yield "cut-up-total-length-20", frame(with_total_length(ip("10.0.0.1", 1472), 20))
    yield "options", b"".join(frame(ip("20.1.2.3", options=[option])) for option in options.values())
    yield "header-60", frame(ip("20.1.2.3", options=[IPOption(b"\x01" * 40)])) + frame(
        ip("20.1.2.3", options=[IPOption(b"\x01" * 40)]), segments=(34, 5))
    yield "total-length", b"".join(frame(with_total_length(ip("20.1.2.3"), n)) for n in (0, 19, 20, 21, 1000, 65535))
    whole = bytes(ip("20.1.2.3"))
    yield "version-and-ihl", b"".join(frame(whole[:14] + bytes([first]) + whole[15:]) for first in (0x65, 0x05, 0x44, 0x4F))
    yield "short-frames", b"".join(frame(whole[:n]) for n in (1, 13, 14, 15, 33, 34, 41))
    yield "padded", frame(whole + bytes(100)) + frame(bytes(ip("20.1.2.3", 0)) + bytes(18), segments=(42, 9))
    yield "segments", b"".join(frame(ip("20.1.2.3"), segments=s) for s in ((0, 0), (1, 1), (13, 1), (14, 20), (33, 1), (255, 0)))
    yield "segments-no-room", b"".join(frame(ip("20.1.2.3"), flags=NO_ROOM, segments=s) for s in ((13, 1), (20, 20), (34, 0)))
    yield "not-our-mac", frame(whole, flags=KEEP_MAC)
    yield "group-macs", frame(b"\xff" * 6 + whole[6:], flags=KEEP_MAC) + frame(b"\x01\x00\x5e\x00\x00\x05" + whole[6:], flags=KEEP_MAC)
    yield "bad-checksum", frame(with_total_length(ip("20.1.2.3", chksum=0x1234), 92), flags=KEEP_CHECKSUM)
    yield "other-types", b"".join(frame(whole[:12] + t + whole[14:]) for t in (b"\x81\x00", b"\x88\xa8", b"\x86\xdd", b"\x00\x40"))
    yield "burst", b"".join(frame(ip("20.1.2.3", 0)) for _ in range(70))


def request(line, body="", content_type="application/json", if_match=""):
    return f"{line}\n{content_type}\n{if_match}\n{body}".encode()


def api_seeds():
    text = "text/plain"
    config = (HERE / "corpus/config/good-minimal").read_text()
    base = ("interfaces:\n  wan0: { device: net_null, addresses: [192.0.2.1/24] }\n"
            "  new0: { device: net_null, mtu: 9000, addresses: [203.0.113.1/24] }\n"
            "routes:\n  - { prefix: 11.0.0.0/8, via: [192.0.2.7, 203.0.113.9] }\n")
    for path in ("/v1/status", "/v1/interfaces", "/v1/routes", "/v1/fib", "/v1/next-hops", "/v1/neighbors", "/v1/workers",
                 "/v1/counters", "/v1/drops?all=1", "/v1/config", "/metrics", "/v1/nothing", "/v1/routes:batch"):
        name = path.strip("/").replace("/", "-").replace(":", "-").split("?")[0]
        yield f"get-{name}", [request(f"GET {path}")]
    yield "lookup", [request(f"GET /v1/fib/lookup?address={a}") for a in ("8.8.8.8", "10.1.1.1", "192.0.2.1", "192%2E0.2.254", "x", "")]
    yield "route", [request("POST /v1/routes", '{"prefix":"20.0.0.0/8","via":["192.0.2.7","198.51.100.7"],"distance":5,"metric":7,"owner":"me"}'),
                    request("POST /v1/routes", '{"prefix":"20.0.0.0/8","type":"blackhole"}'), request("GET /v1/routes?source=api"),
                    request("DELETE /v1/routes?prefix=20.0.0.0%2f8"), request("DELETE /v1/routes?prefix=20.0.0.0/8")]
    yield "weights", [request("POST /v1/routes", '{"prefix":"20.0.0.0/8","via":[{"address":"192.0.2.7","weight":3},"198.51.100.7"]}'),
                      request("POST /v1/routes", '{"prefix":"20.0.0.0/8","via":{"address":"192.0.2.7","weight":0}}'),
                      request("POST /v1/routes:batch", "20.0.0.0/8 via 192.0.2.7 weight 255 198.51.100.7 weight\n", text),
                      request("POST /v1/routes:batch", "20.0.0.0/8 via 192.0.2.7 weight 255 198.51.100.7\n", text),
                      request("GET /v1/next-hops"), request("GET /v1/fib")]
    yield "route-bad", [request("POST /v1/routes", body) for body in
                        ("", "[]", '{"prefix":"1.2.3.4/5"}', '{"prefix":"20.0.0.0/8","type":"local"}', '{"x":1}', "[[[[[[")]
    lines = "# routes\n20.0.0.0/8 via 192.0.2.7\n21.0.0.0/8 blackhole\r\n22.0.0.0/25 prohibit\nbad\n\ndel 21.0.0.0/8\n"
    yield "batch-text", [request("POST /v1/routes:batch", lines, text), request("GET /v1/routes?limit=1&after=20.0.0.0/8")]
    yield "batch-json", [request("POST /v1/routes:batch",
                                 '{"routes":[{"prefix":"20.0.0.0/8","via":"192.0.2.7"},{"action":"del","prefix":"20.0.0.0/8"},null,5]}')]
    yield "batch-full", [request("POST /v1/routes:batch", "".join(f"20.0.{i}.0/25 blackhole\n" for i in range(70)), text)]
    yield "replace", [request("POST /v1/routes:replace?owner=a", lines, text),
                      request("POST /v1/routes:replace?owner=b", "30.0.0.0/8 blackhole\n", text),
                      request("POST /v1/routes:replace?owner=a", "20.0.0.0/8 blackhole\n", text),
                      request("POST /v1/routes:replace?owner=%ff%00", "40.0.0.0/8 blackhole\n", text), request("GET /v1/routes")]
    yield "pages", [request("POST /v1/routes:batch", "".join(f"20.{i}.0.0/16 via 192.0.2.7\n" for i in range(30)), text),
                    request("GET /v1/routes?limit=3"), request("GET /v1/routes?prefix=20.0.0.0/8&orlonger=1&limit=7&after=20.9.0.0/16"),
                    request("GET /v1/fib?limit=1"), request("GET /v1/fib?prefix=0.0.0.0/0&orlonger=1&source=api")]
    yield "parameters-bad", [request(f"GET /v1/routes?{q}") for q in ("limit=0", "after=x", "source=x", "prefix=%zz", "x=y", "&&=&limit")]
    yield "config-check", [request("POST /v1/config:check?file=a.yaml", config), request("POST /v1/config:check", "interfaces: 5")]
    yield "config-diff", [request("POST /v1/config:diff", base)]
    yield "config-apply", [request("POST /v1/config:apply", base, if_match='"1"'), request("GET /v1/interfaces"),
                           request("POST /v1/config:apply", base, if_match='"x"'), request("GET /v1/next-hops")]
    yield "config-apply-nothing", [request("POST /v1/routes:batch", lines, text), request("POST /v1/config:apply", "{}"),
                                   request("GET /v1/fib/lookup?address=20.0.0.1"), request("POST /v1/config:apply", base, if_match="*")]
    yield "methods", [request(f"{m} /v1/routes") for m in ("PUT", "HEAD", "", "get")]


def write(folder, seeds):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in seeds:
        (folder / name).write_bytes(data)
    print(f"{folder.name}: {len(list(folder.iterdir()))} seeds")


def main():
    write(HERE / "corpus/packet", itertools.chain(packet_seeds(), packet6_seeds(), daemon_seeds()))
    write(HERE / "corpus/api", ((name, b"\x1e".join(requests)) for name, requests in api_seeds()))
    write(HERE / "corpus/esp", esp_seeds())
    write(HERE / "corpus/fpm", fpm_seeds())
    write(HERE / "corpus/fragment", fragment_seeds())
    write(HERE / "corpus/neighbor", neighbor_seeds())
    write(HERE / "corpus/netlink", netlink_seeds())
    write(HERE / "corpus/nd", nd_seeds())
    write(HERE / "corpus/reassembly", reassembly_seeds())
    write(HERE / "corpus/route_lines", route_line_seeds())


if __name__ == "__main__":
    main()
