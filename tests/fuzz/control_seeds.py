"""Seeds of fragment_fuzz, neighbor_fuzz and route_lines_fuzz; make_corpus.py writes them."""

import gzip


def cut(mtu, length, *, options=b"", flags_offset=0, segments=(0, 0), payload=b""):
    return (mtu.to_bytes(2, "big") + bytes(segments) + length.to_bytes(2, "big") + bytes([len(options)]) + options +
            flags_offset.to_bytes(2, "big") + payload)


def fragment_seeds():
    router_alert, not_copied = b"\x94\x04\x00\x00", b"\x44\x04\x05\x00"
    yield "two", cut(576, 1000)
    yield "fits", cut(1500, 1480)
    yield "one-byte-more", cut(576, 557)
    yield "no-payload", cut(576, 0)
    yield "least-mtu", cut(28, 65)
    yield "no-room", cut(27, 65)
    yield "mtu-below-header", cut(19, 65)
    yield "most", cut(576, 65515)
    yield "too-many", cut(68, 65515)
    yield "a-fragment", cut(100, 400, flags_offset=0x2000 | 50)
    yield "a-last-fragment", cut(100, 400, flags_offset=50)
    yield "reserved-flag", cut(100, 400, flags_offset=0x8000)
    yield "far-offset", cut(100, 400, flags_offset=0x1fff)
    yield "segments", cut(100, 400, segments=(3, 200), payload=b"abc")
    yield "options", cut(100, 400, options=router_alert + not_copied + b"\x01\x00\x00\x00")
    yield "options-most", cut(200, 900, options=b"\x9e\x28" + b"o" * 38)
    yield "options-malformed", cut(100, 400, options=b"\x94\x01\x94\x00\x94\x09\x94\x94")


HOST, ROUTER, TIME, LINK, CONFIG, TAKE = 3, 1, 4, 5, 6, 7


def on(what, port=0, host=HOST):
    return bytes([what | port << 3 | host << 4])


def arp(reply=False, port=0, host=HOST, mac=0, target=ROUTER):
    return on(0, port, host) + bytes([reply | mac << 1 | target << 4])


def to_host(port=0, host=HOST, words=2):
    return on(1, port, host) + bytes([words << 1])


def route(which, port=0, host=HOST, other=None):
    return on(2, port, host) + bytes([which | (0 if other is None else 0x80 | other << 3)])


def neighbor_seeds():
    passes = on(TIME, host=15)
    yield "asked", arp()
    yield "learned", to_host() + arp(reply=True) + on(TAKE)
    yield "in-vain", to_host() + passes + to_host() + passes
    yield "queue", to_host() * 4 + arp(reply=True)
    yield "many", b"".join(to_host(host=h) for h in range(16)) + passes
    yield "route", route(0) + arp(reply=True) + to_host(host=0, words=0x42) + on(3) + b"\x00"
    yield "group", route(1, other=4) + arp(reply=True) + arp(True, 1, 4) + passes + to_host(host=1, words=0x42)
    yield "link", route(0) + arp(reply=True) + on(LINK) + to_host() + on(LINK, host=HOST - 1) + on(LINK) + passes
    yield "static", on(CONFIG, host=1) + to_host(host=5) + on(CONFIG, host=2) + to_host(host=5) + on(CONFIG, host=0)
    yield "addresses", arp(reply=True, host=9) + to_host(host=9) + on(CONFIG, host=3) + to_host(host=9) + on(CONFIG, host=0)
    yield "moves", to_host() + arp(reply=True) + arp(mac=1) + passes + arp(True, mac=2)
    yield "bad-macs", b"".join(arp(reply=True, mac=mac) for mac in (5, 6, 7))
    yield "conflict", arp(host=ROUTER, mac=1) + passes + arp(True, host=ROUTER, mac=2)
    yield "cut-up", to_host(port=1, words=100) + arp(True, 1)


def route_line_seeds():
    plain = (b"# a table\n10.0.0.0/8 via 192.0.2.1\n10.1.0.0/16 via 192.0.2.1 weight 3 192.0.2.2\r\n\n"
             b"10.2.0.0/16 blackhole\n10.3.0.0/16 unreachable\n10.4.0.0/16 prohibit\ndel 10.2.0.0/16\n0.0.0.0/0 via 192.0.2.9")
    yield "plain", plain
    yield "gzip", gzip.compress(plain, mtime=0)
    yield "gzip-cut-off", gzip.compress(plain, mtime=0)[:-20]
    yield "gzip-and-more", gzip.compress(plain, mtime=0) + b"10.0.0.0/8 blackhole"
    yield "json", (b'{"prefix":"10.0.0.0/8","via":"192.0.2.1"}\n'
                   b'{"prefix":"10.0.0.0/8","via":[{"address":"192.0.2.1","weight":2},"192.0.2.2"],"distance":5,"metric":7,"owner":"me"}\n'
                   b'{"prefix":"10.0.0.0/8","type":"prohibit"}\n{"action":"del","prefix":"10.0.0.0/8"}\n')
    yield "json-bad", b'[]\n{}\n{"prefix":5}\n{"prefix":"10.0.0.0/8","via":[]}\n{"prefix":"10.0.0.0/8","metric":-1}\n'
    yield "bad", (b"10.0.0.1/8 via 192.0.2.1\n10.0.0.0/33 blackhole\n10.0.0.0/8\n10.0.0.0/8 via\n10.0.0.0/8 via x\ndel\n"
                  b"10.0.0.0/8 via 192.0.2.1 weight 0\n10.0.0.0/8 via 192.0.2.1 weight 1 192.0.2.1 weight 2\n10.0.0.0/8 blackhole x\n")
    yield "spaces", b" \t10.0.0.0/8\t via  192.0.2.1 \r\r\n \t\r\n#\n"
    yield "long-line", b"x" * 4200 + b"\n10.0.0.0/8 blackhole\n"
