#!/usr/bin/python3
"""A steady stream of packets through a router, each of which is looked for at the other end.

    perf/packet_stream.py FROM-NETNS TO-NETNS[,TO-NETNS...] ROUTER-MAC PACKETS-A-SECOND DESTINATION...

`eth0` of each namespace is a wire to the router. Destinations take turns. Sends until its input has a line, then waits for
what is under way, and says as JSON what was sent and what was lost, by destination, when what was lost was sent, the
longest time without a packet, and when packets to a destination came by another wire than before. They came when the
kernel says so. A packet is out of order that comes after a later one to its destination.
"""

import argparse
import array
import bisect
import ctypes
import json
import mmap
import os
import select
import socket
import struct
import sys
import time

import frames

MAGIC = b"mrstream"
CLONE_NEWNET = 0x40000000
ETH_P_IP = 0x0800
NAP = 0.001  # at most; shorter where more than ten packets would be due after it
DRAIN_SECONDS = 2
NICE = -10
SOURCE = "10.254.0.2"
AT = 14 + frames.IPV4_BYTES + frames.UDP_BYTES + len(MAGIC)  # of the number of a packet
FRAME = AT + 8
BURST = 64  # frames of a system call

# linux/if_packet.h: a ring of received frames, each behind a header.
SOL_PACKET, PACKET_RX_RING, PACKET_VERSION, PACKET_QDISC_BYPASS, TPACKET_V2 = 263, 5, 10, 20, 1
SLOT, BLOCK, BLOCKS = 128, 1 << 16, 128
HEADER = struct.Struct("=IIIHHII")  # status, length, length here, where the frame is, its packet, seconds, nanoseconds


class Message(ctypes.Structure):
    """struct mmsghdr: struct msghdr, padded, and how much of it was sent"""

    _fields_ = [("name", ctypes.c_void_p), ("name_bytes", ctypes.c_uint32), ("parts", ctypes.c_void_p),
                ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_bytes", ctypes.c_size_t),
                ("flags", ctypes.c_int64), ("sent", ctypes.c_uint)]


class Part(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("at", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


_libc = ctypes.CDLL(None, use_errno=True)


def wire(netns):
    """A packet socket on the namespace's eth0; the process stays there."""
    with open(f"/run/netns/{netns}") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


class Sender:
    """Frames of one length, many in one system call."""

    def __init__(self, netns):
        self._socket = wire(netns)
        self._socket.bind(("eth0", 0))  # nothing is received
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._socket.setblocking(False)
        self.mac = self._socket.getsockname()[4]
        self.frames = bytearray(BURST * FRAME)
        memory = ctypes.addressof((ctypes.c_char * len(self.frames)).from_buffer(self.frames))
        self._parts = (Part * BURST)(*(Part(memory + FRAME * number, FRAME) for number in range(BURST)))
        self._messages = (Message * BURST)()
        for number, message in enumerate(self._messages):
            message.parts, message.part_count = ctypes.addressof(self._parts[number]), 1

    def send(self, count):
        """The first frames; returns how many were refused."""
        sent = _libc.sendmmsg(self._socket.fileno(), self._messages, count, 0)
        return count - max(sent, 0)


class Receiver:
    """A ring that the kernel puts frames into, each with the time it came."""

    def __init__(self, netns):
        self._socket = wire(netns)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self._count = BLOCK // SLOT * BLOCKS
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("IIII", BLOCK, BLOCKS, SLOT, self._count))
        self._ring = mmap.mmap(self._socket.fileno(), BLOCK * BLOCKS)
        self._socket.bind(("eth0", ETH_P_IP))
        self._next = 0

    def frames(self):
        """(number, when it came, in nanoseconds) of each that is there."""
        ring, at = self._ring, self._next * SLOT
        while True:
            status, _, length, offset, _, seconds, nanoseconds = HEADER.unpack_from(ring, at)
            if not status & 1:
                return
            frame = at + offset
            number = None
            if length >= FRAME and ring[frame + AT - len(MAGIC):frame + AT] == MAGIC:
                number = struct.unpack_from("!Q", ring, frame + AT)[0]
            struct.pack_into("=I", ring, at, 0)
            self._next = (self._next + 1) % self._count
            at = self._next * SLOT
            if number is not None:
                yield number, seconds * 1_000_000_000 + nanoseconds


def head_of(router_mac, own_mac, destination):
    """All of a frame before its number."""
    packet = frames.ipv4(SOURCE, destination, 17, frames.udp(9, 9, MAGIC + bytes(8)))
    return frames.ethernet(router_mac, own_mac, ETH_P_IP, packet)[:AT]


class Stream:
    def __init__(self, sender, receivers, heads, rate):
        self.sender, self.receivers, self.heads, self.rate = sender, receivers, heads, rate
        self.nap = min(NAP, 10 / rate)
        self.came = array.array("Q")  # of each packet, when; 0: not yet
        self.sent, self.refused, self.doubled, self.reordered, self.late = 0, 0, 0, 0, 0
        self.bursts = []  # (number of the first packet, when it was sent)
        self.last_came, self.longest_gap = None, 0
        self.by, self.moves = [0] * len(receivers), []
        self.ways = [None] * len(heads)  # the wire that each destination was reached by last
        self.newest = [-1] * len(heads)  # the number of the last packet to each

    def send(self, until):
        while self.sent < until:
            count = min(until - self.sent, BURST)
            for slot in range(count):
                at, number = slot * FRAME, self.sent + slot
                self.sender.frames[at:at + AT] = self.heads[number % len(self.heads)]
                struct.pack_into("!Q", self.sender.frames, at + AT, number)
            self.bursts.append((self.sent, time.time_ns()))
            self.refused += self.sender.send(count)  # by the sender's own kernel; counts as sent and lost
            self.sent += count
            self.came.frombytes(bytes(8 * count))

    def take(self):
        """What has come by all wires, in the order of time."""
        for when, number, wire_number in sorted((when, number, which) for which, receiver in enumerate(self.receivers)
                                                for number, when in receiver.frames()):
            if self.last_came is not None:
                self.longest_gap = max(self.longest_gap, when - self.last_came)
            self.last_came = when
            self.by[wire_number] += 1
            self.doubled += self.came[number] != 0
            self.came[number] = when
            destination = number % len(self.heads)
            self.reordered += number < self.newest[destination]
            self.newest[destination] = max(number, self.newest[destination])
            before, self.ways[destination] = self.ways[destination], wire_number
            if before not in (None, wire_number):
                self.moves.append((when, before, wire_number))

    def run(self):
        begin = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0]:
            # What it was too late for is sent at once, but never more than 50 ms of it.
            due = int((time.monotonic() - begin) * self.rate)
            if due - self.sent > self.rate // 20:
                self.late += due - self.sent - self.rate // 20
                begin = time.monotonic() - (self.sent + self.rate // 20) / self.rate
                due = self.sent + self.rate // 20
            self.send(due)
            self.take()
            time.sleep(self.nap)
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end and self.came.count(0):
            self.take()
            time.sleep(NAP)

    def sent_ns(self, number):
        return self.bursts[bisect.bisect_right(self.bursts, (number, sys.maxsize)) - 1][1]

    def said(self, destinations):
        count = len(destinations)
        sent = {to: len(self.came[n::count]) for n, to in enumerate(destinations)}
        lost = {to: self.came[n::count].count(0) for n, to in enumerate(destinations)}
        seconds = (self.bursts[-1][1] - self.bursts[0][1]) / 1e9
        return {"sent": sent, "lost": lost, "refused": self.refused, "doubled": self.doubled, "reordered": self.reordered,
                "late": self.late, "rate": round(self.sent / seconds) if seconds else 0,
                "longest_gap_ms": self.longest_gap / 1e6,
                "by_wire": self.by, "moves_ns": self.moves,
                "lost_ns": [self.sent_ns(number) for number, when in enumerate(self.came) if not when]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sender", "receivers", "router_mac"):
        parser.add_argument(name)
    parser.add_argument("rate", type=int)
    parser.add_argument("destinations", nargs="+")
    parser.add_argument("--core", type=int, help="to run on")
    options = parser.parse_args()
    sender = Sender(options.sender)
    stream = Stream(sender, [Receiver(netns) for netns in options.receivers.split(",")],
                    [head_of(options.router_mac, sender.mac, to) for to in options.destinations], options.rate)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    print("sending", flush=True)
    stream.run()
    print(json.dumps(stream.said(options.destinations)), flush=True)


if __name__ == "__main__":
    main()
