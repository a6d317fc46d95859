#!/usr/bin/python3
"""What is on the way between the two sites of scripts/demo.sh --ipsec, seen by a router there.

    scripts/demo_sniffer.py DEVICE...

Reads along on the devices until SIGTERM. Then it shows the first packets that came, and counts them all; the exit status
is 1 if there was anything but ESP and what neighbours on a link say (ARP and neighbour discovery). The kernel's filters
tell them apart and the kernel counts, so that none is missed however fast they come.
"""

import ctypes
import signal
import socket
import struct
import sys

SHOWN = 2  # packets of a kind, from each device
ETH_P_ALL = 3
SO_ATTACH_FILTER, SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 26, 263, 6, 23
ARP, IPV4, IPV6, ESP, ICMPV6, ND = 0x0806, 0x0800, 0x86DD, 50, 58, range(133, 138)
TYPE_AT, IPV4_PROTOCOL_AT, IPV6_NEXT_AT, ICMPV6_TYPE_AT = 12, 23, 20, 54
KINDS = ("esp", "neighbours", "others")
WHOLE, NOTHING = 0xFFFF, 0
LOAD_HALF, LOAD_BYTE, IF_EQUAL, IF_GREATER, IF_NOT_LESS, RETURN = 0x28, 0x30, 0x15, 0x25, 0x35, 0x06  # of the classic BPF


def program(esp, neighbours, others):
    """Keeps so many bytes of each kind of frame. Jumps are over so many instructions: where it holds, where it does not."""
    return [(LOAD_HALF, 0, 0, TYPE_AT),
            (IF_EQUAL, 10, 0, ARP),
            (IF_EQUAL, 3, 0, IPV6),
            (IF_EQUAL, 0, 7, IPV4),
            (LOAD_BYTE, 0, 0, IPV4_PROTOCOL_AT),
            (IF_EQUAL, 7, 5, ESP),
            (LOAD_BYTE, 0, 0, IPV6_NEXT_AT),
            (IF_EQUAL, 0, 3, ICMPV6),
            (LOAD_BYTE, 0, 0, ICMPV6_TYPE_AT),
            (IF_NOT_LESS, 0, 1, ND.start),
            (IF_GREATER, 0, 1, ND.stop - 1),
            (RETURN, 0, 0, others),
            (RETURN, 0, 0, neighbours),
            (RETURN, 0, 0, esp)]


class Tap:
    """The frames of a kind that come by a device: the first are held, all are counted."""

    def __init__(self, device, kind):
        instructions = program(**{each: WHOLE if each == kind else NOTHING for each in KINDS})
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in instructions))
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # nothing comes yet
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                                struct.pack("HP", len(instructions), ctypes.addressof(code)))
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((device, ETH_P_ALL))
        self._socket.setblocking(False)

    def count(self):
        """Once."""
        return struct.unpack("=II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[0]

    def first(self):
        frames = []
        try:
            while len(frames) < SHOWN:
                frames.append(self._socket.recv(2048))
        except BlockingIOError:
            pass
        return frames


def line_of(frame):
    """In words; of ESP, all that can be read."""
    kind = int.from_bytes(frame[TYPE_AT:TYPE_AT + 2], "big")
    if kind != IPV4:
        return f"frame of type 0x{kind:04x}, {len(frame)} bytes: {frame[14:].hex(' ', 4)[:100]}"
    ip = frame[14:]
    ends = f"{socket.inet_ntoa(ip[12:16])} > {socket.inet_ntoa(ip[16:20])}"
    if ip[9] != ESP:
        return f"{ends}  protocol {ip[9]}, {len(ip)} bytes: {ip[20:].hex(' ', 4)[:100]}"
    spi, sequence = struct.unpack("!II", ip[20:28])
    return f"{ends}  ESP  spi 0x{spi:08x}  sequence {sequence}  {ip[28:44].hex(' ', 4)} ... {len(ip)} bytes"


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    taps = {kind: [Tap(device, kind) for device in sys.argv[1:]] for kind in KINDS}
    print("listening on", *sys.argv[1:], flush=True)
    signal.sigwait({signal.SIGTERM})
    counts = {kind: sum(tap.count() for tap in each) for kind, each in taps.items()}
    for tap in taps["esp"] + taps["others"]:
        for frame in tap.first():
            print(line_of(frame))
    print("seen on the way: {esp:,} ESP packets, {neighbours:,} of ARP and ND, {others:,} others".format(**counts))
    sys.exit(1 if counts["others"] else 0)


if __name__ == "__main__":
    main()
