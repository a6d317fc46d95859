"""A whole table as zebra says it over FPM: next hops first, then routes by their numbers, each in a frame of its own."""

import socket
import struct

NEW_ROUTE, NEW_NEXT_HOP = 24, 104  # of rtnetlink
BGP, MAIN_TABLE, UNICAST = 186, 254, 1


def frame(kind, payload):
    netlink = struct.pack("=IHHII", 16 + len(payload), kind, 0x501, 0, 0) + payload
    return struct.pack("!BBH", 1, 1, 4 + len(netlink)) + netlink


def next_hop(number, address):
    """An IPv4 gateway on a link that Millrace does not know."""
    return frame(NEW_NEXT_HOP, struct.pack("=BBBBI", socket.AF_INET, 0, 11, 0, 0) + struct.pack("=HHI", 8, 1, number) +
                 struct.pack("=HH4s", 8, 6, socket.inet_aton(address)))


def table(routes, next_hops):
    """`routes` are (network, length, index of the next hop)."""
    said = [next_hop(number, address) for number, address in enumerate(next_hops, 1)]
    # A frame up to the length of the prefix, from there to the prefix, and from the prefix on.
    whole = frame(NEW_ROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, MAIN_TABLE, BGP, 0, UNICAST, 0) +
                  struct.pack("=HHI", 8, 1, 0) + struct.pack("=HHI", 8, 6, 20) + struct.pack("=HHI", 8, 30, 0))
    at = 4 + 16 + 1
    before, between, after = whole[:at], whole[at + 1:at + 15], whole[at + 19:-4]
    made = struct.Struct(f"!{len(before)}sB{len(between)}sI{len(after)}s4s").pack
    numbers = [struct.pack("=I", number) for number in range(1, len(next_hops) + 1)]
    said += [made(before, length, between, network, after, numbers[index]) for network, length, index in routes]
    return b"".join(said)
