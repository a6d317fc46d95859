"""A cable between two routers of a lab, and who reads along: frames with their VLAN tags as they are on the wire."""

import contextlib
import socket
import struct
import threading

from basics import sh

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_OUTGOING = 263, 8, 4
_AUXDATA = struct.Struct("=IIIHHHH")  # status, length, captured, mac, network, tci, tpid
_TCI_IS_VALID = 0x10
_TAG_TYPES = (0x8100, 0x88A8)


def tap_on(netns, device):
    """A packet socket that tells the outer tag of each frame, and waits for one no longer than 0.1 s."""
    tap = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    tap.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    tap.bind((device, _ETH_P_ALL))
    tap.settimeout(0.1)
    return tap


class Trunk:
    """The two ends `names` are devices of the router namespace; two tags more than the MTU fit."""

    def __init__(self, lab, names, mtu=1500):
        self.netns, self.names = lab.router_netns, names
        self.netns.ip("link", "add", names[0], "mtu", mtu + 8, "type", "veth", "peer", "name", names[1], "mtu", mtu + 8)
        for name in names:
            self.netns.run("ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
            self.netns.ip("link", "set", name, "up")

    def close(self):
        sh("ip", "-n", self.netns.name, "link", "del", self.names[0], check=False)

    @contextlib.contextmanager
    def tags_seen(self):
        """A set that fills with (end, tags, ethertype), tags being ((type, id), ...), of what comes to either end."""
        seen, done = set(), threading.Event()
        with contextlib.ExitStack() as stack:
            readers = []
            for name in self.names:
                tap = stack.enter_context(tap_on(self.netns, name))
                readers.append(threading.Thread(target=self._read, args=(tap, name, seen, done), daemon=True))
            for reader in readers:
                reader.start()
            try:
                yield seen
            finally:
                done.set()
                for reader in readers:
                    reader.join()

    @staticmethod
    def _read(tap, name, seen, done):
        while not done.is_set():
            try:
                frame, auxiliary, _, address = tap.recvmsg(64, 256)
            except TimeoutError:
                continue
            if address[2] != _PACKET_OUTGOING:
                seen.add((name, *tags_of(frame, auxiliary)))


def tags_of(frame, auxiliary):
    """(tags, ethertype): the kernel hands the outer tag over beside the frame."""
    tags = []
    for level, kind, data in auxiliary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tci, tpid = _AUXDATA.unpack(data[:_AUXDATA.size])
            if status & _TCI_IS_VALID:
                tags.append((tpid, tci & 0xFFF))
    at = 12
    while (ethertype := int.from_bytes(frame[at:at + 2], "big")) in _TAG_TYPES:
        tags.append((ethertype, int.from_bytes(frame[at + 2:at + 4], "big") & 0xFFF))
        at += 4
    return tuple(tags), ethertype
