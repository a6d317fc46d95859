#!/usr/bin/python3
"""A steady stream of packets through a router, each of which is looked for at the other end.

    perf/packet_stream.py FROM-NETNS TO-NETNS ROUTER-MAC PACKETS-A-SECOND DESTINATION...

`eth0` of both namespaces is a wire to the router. Destinations take turns. Sends until its input ends, then waits for what
is under way, and says as JSON what was sent and what was lost, by destination, and the longest time without a packet.
"""

import argparse
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

MAGIC = b"mrstream"
CLONE_NEWNET = 0x40000000
ETH_P_IP, SO_RCVBUFFORCE, PACKET_OUTGOING = 0x0800, 33, 4
NAP = 0.001
DRAIN_SECONDS = 2
NICE = -10
SOURCE = "10.254.0.2"
AT = 14 + 20 + 8 + len(MAGIC)  # of the number of a packet


def wire(netns):
    """A packet socket on the namespace's eth0; the process stays there."""
    with open(f"/run/netns/{netns}") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    made.bind(("eth0", ETH_P_IP))
    made.setblocking(False)
    return made


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def head_of(router_mac, own_mac, destination):
    """All of a frame before its number."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + 8 + len(MAGIC) + 8, 0, 0, 64, 17, 0, socket.inet_aton(SOURCE),
                     socket.inet_aton(destination))
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    udp = struct.pack("!HHHH", 9, 9, 8 + len(MAGIC) + 8, 0)
    return bytes.fromhex(router_mac.replace(":", "")) + own_mac + struct.pack("!H", ETH_P_IP) + ip + udp + MAGIC


class Stream:
    def __init__(self, sender, receiver, heads, rate):
        self.sender, self.receiver, self.heads, self.rate = sender, receiver, heads, rate
        self.came, self.sent, self.refused, self.doubled = bytearray(), 0, 0, 0
        self.last_came, self.longest_gap = None, 0.0

    def send(self, until):
        while self.sent < until:
            frame = self.heads[self.sent % len(self.heads)] + struct.pack("!Q", self.sent)
            try:
                self.sender.send(frame)
            except BlockingIOError:
                self.refused += 1  # by the sender's own kernel; counts as sent and lost
            self.sent += 1
            self.came.append(0)

    def take(self):
        while True:
            try:
                frame, address = self.receiver.recvfrom(256)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING or frame[AT - len(MAGIC):AT] != MAGIC:
                continue
            now, number = time.monotonic(), struct.unpack_from("!Q", frame, AT)[0]
            if self.last_came is not None:
                self.longest_gap = max(self.longest_gap, now - self.last_came)
            self.last_came = now
            self.doubled += self.came[number]
            self.came[number] = 1

    def run(self):
        begin = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0]:
            # What it was too late for is sent at once, but never more than 50 ms of it.
            due = int((time.monotonic() - begin) * self.rate)
            if due - self.sent > self.rate // 20:
                begin = time.monotonic() - (self.sent + self.rate // 20) / self.rate
                due = self.sent + self.rate // 20
            self.send(due)
            self.take()
            time.sleep(NAP)
        end = time.monotonic() + DRAIN_SECONDS
        while 0 in self.came and time.monotonic() < end:
            self.take()
            time.sleep(NAP)

    def said(self, destinations):
        count = len(destinations)
        sent = {to: len(self.came[n::count]) for n, to in enumerate(destinations)}
        lost = {to: self.came[n::count].count(0) for n, to in enumerate(destinations)}
        first_lost = self.came.find(b"\0")
        return {"sent": sent, "lost": lost, "refused": self.refused, "doubled": self.doubled,
                "longest_gap_ms": self.longest_gap * 1e3, "first_lost": first_lost,
                "last_lost": self.came.rfind(b"\0")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sender", "receiver", "router_mac"):
        parser.add_argument(name)
    parser.add_argument("rate", type=int)
    parser.add_argument("destinations", nargs="+")
    options = parser.parse_args()
    sender = wire(options.sender)
    own_mac = sender.getsockname()[4]
    stream = Stream(sender, wire(options.receiver), [head_of(options.router_mac, own_mac, to) for to in options.destinations],
                    options.rate)
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    print("sending", flush=True)
    stream.run()
    print(json.dumps(stream.said(options.destinations)), flush=True)


if __name__ == "__main__":
    main()
