"""Mutated frames: valid ones that reach every part of a router, with lies in them.

The router has 10.1.0.1/24 where they come in and 10.2.0.1/24 elsewhere; 10.20.0.0/16, 10.21.0.0/16 and 10.22.0.0/16
are routed.
"""

import random

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, fragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from basics import ROOT
from lab import internet_checksum

HERE, THERE = "10.1.0.2", "10.2.0.2"  # a host where the frames come from, and a next hop behind the router


def templates(wire):
    """Frames that reach every part of the router, to be mutated."""
    ether = Ether(src=wire.mac, dst=wire.router_mac)
    over = Raw(bytes(range(256)) * 5)
    frames = [ether / IP(src=HERE, dst=dst, ttl=ttl) / UDP(sport=1, dport=2) / Raw(b"x" * size)
              for dst in ("10.20.1.1", "10.21.1.1", "10.22.1.1", "10.1.0.1", "10.2.0.77", "10.99.0.1", "224.0.0.1")
              for ttl in (64, 1) for size in (0, 18, 600, 1400)]
    frames += [ether / IP(src=HERE, dst="10.20.1.1", flags="DF") / UDP() / over,
               ether / IP(src=HERE, dst="10.20.1.1", options=[IPOption(b"\x94\x04\x00\x00")]) / UDP() / over,
               ether / IP(src=HERE, dst="10.20.1.1", options=[IPOption(b"\x83\x07\x04\x0a\x02\x00\x02\x00")]) / UDP(),
               ether / IP(src=HERE, dst="10.20.1.1", options=[IPOption(b"\x9e\x28" + b"o" * 38)]) / UDP() / over,
               ether / IP(src=HERE, dst="10.1.0.1") / ICMP(type=8) / over,
               ether / IP(src=HERE, dst="10.1.0.1") / ICMP(type=3, code=4) / IP(src=HERE, dst="10.20.1.1") / UDP(),
               ether / IP(src=HERE, dst="10.1.0.1") / TCP(dport=179, flags="S"),
               ether / IP(src=HERE, dst="10.20.1.1") / TCP(dport=179, flags="S") / over,
               ether / Dot1Q(vlan=5) / IP(src=HERE, dst="10.20.1.1") / UDP(),
               ether / ARP(op=1, psrc="10.1.0.7", pdst="10.1.0.1"),
               ether / ARP(op=2, psrc="10.1.0.7", pdst="10.1.0.1"),
               ether / Raw(b"")]
    frames += [ether / part for part in fragment(IP(src=HERE, dst="10.20.1.1") / UDP() / Raw(b"f" * 4000), 1400)]
    return [bytes(frame) for frame in frames]


def seeds():
    """The fuzz corpus of the packet step, where it is: each file is one frame, or says how to make some."""
    folder = ROOT / "tests/fuzz/corpus"
    files = sorted(path for path in folder.glob("*packet*/*") if path.is_file()) if folder.is_dir() else []
    return [data for path in files if 14 <= len(data := path.read_bytes()[:1514])]


class Mutator:
    def __init__(self, seed, frames):
        self.rng, self.frames = random.Random(seed), frames

    def frame(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.05:
            return rng.randbytes(rng.randint(14, 1514))
        changed = bytearray(rng.choice(self.frames))
        if kind < 0.25:  # a lie about the length, true otherwise
            if len(changed) >= 34:
                changed[16:18] = rng.choice([20, 21, 0, 19, 65535, len(changed) - 14, len(changed) - 13,
                                             rng.randrange(65536)]).to_bytes(2, "big")
        elif kind < 0.9:
            # Mostly in the headers, where it hurts.
            limit = len(changed) if rng.random() < 0.2 else min(len(changed), 54)
            start = 0 if rng.random() < 0.1 else min(12, limit - 1)
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(start, limit)] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        if rng.random() < 0.2:
            del changed[rng.randint(14, len(changed)):]
        elif rng.random() < 0.1:
            changed += bytes(rng.randint(0, 1514 - len(changed))) if len(changed) < 1514 else b""
        if rng.random() < 0.7 and len(changed) >= 34:  # so that it gets past the checksum
            length = (changed[14] & 15) * 4
            if 20 <= length <= len(changed) - 14:
                changed[24:26] = b"\0\0"
                changed[24:26] = internet_checksum(bytes(changed[14:14 + length])).to_bytes(2, "big")
        return bytes(changed[:1514])
