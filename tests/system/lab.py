"""Network namespaces, kernel hosts, raw wires and running routers for the system tests.

A `Lab` has one namespace for the router's ends of the veth pairs and one for each host. A `Host` is a kernel stack
with an address; a `Wire` is the bare other end of a router port, where a test writes and reads whole frames. A
`Router` is a running millraced. Everything is made in namespaces of the lab's own and goes with it.
"""

import contextlib
import ctypes
import dataclasses
import errno
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from basics import sh, wait_for
from daemon import Router

PREFIX = "mr-test-"
MAX_NAMESPACES = 12  # of one lab

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_CLONE_NEWNET = 0x40000000
_SO_RCVBUFFORCE = 33
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace of our own, without IPv6 so that only tests put packets on its wires."""

    def __init__(self, name):
        self.name = name
        self._processes = []
        sh("ip", "netns", "add", name)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        # Requests are by the link's own address, also for packets from one on `lo`: others are ignored (rule 21).
        self.run("sysctl", "-qw", "net.ipv4.conf.all.arp_announce=2")
        self.ip("link", "set", "lo", "up")

    def enable_ipv6(self, **settings):
        """IPv6 on what is here, at once: no duplicate address detection, no solicitation, unless `settings` say so."""
        chosen = {"accept_dad": 0, "accept_ra": 0, "router_solicitation_delay": 0, **settings, "disable_ipv6": 0}
        devices = ["default", *(link["ifname"] for link in json.loads(self.ip("-j", "link", "show").stdout))]
        for name, value in chosen.items():
            self.run("sysctl", "-qw", *(f"net.ipv6.conf.{device}.{name}={value}" for device in devices))
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")

    def add_address(self, device, address):
        self.ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))

    def add_dead_end(self, name, *addresses):
        """A link of the kernel alone, `name`, that is up: its other end leads nowhere."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-end")
        self.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=0", f"net.ipv6.conf.{name}.accept_dad=0")
        for end in (f"{name}-end", name):
            self.ip("link", "set", end, "up")
        for address in addresses:
            self.add_address(name, address)

    def ip(self, *words):
        return sh("ip", "-n", self.name, *words)

    def run(self, *command, **options):
        return sh("ip", "netns", "exec", self.name, *command, **options)

    def popen(self, *command, **options):
        """Started inside; `ip netns exec` becomes the program, so that the process id is the program's."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *map(str, command)], **options)
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def entered(self):
        """This thread inside the namespace: a socket opened here stays here."""
        with open("/proc/thread-self/ns/net") as back, open(f"/run/netns/{self.name}") as there:
            if _libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
            try:
                yield
            finally:
                if _libc.setns(back.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns back")

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)

    def close(self):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        sh("ip", "netns", "del", self.name, check=False)


class Port:
    """The other end of one router port; `name` is the router's interface.

    It is `eth0` of a namespace of its own or, where several ends share the namespace `netns`, called `name` there.
    """

    def __init__(self, lab, name, mtu, netns=None, router_side=None):
        self.lab, self.name = lab, name
        self.device = name if netns else "eth0"
        self.netns = netns or lab.namespace(name)
        router_side = router_side or lab.router_netns
        sh("ip", "-n", router_side.name, "link", "add", name, "mtu", mtu, "type", "veth", "peer", "name", self.device,
           "netns", self.netns.name)
        self.netns.ip("link", "set", self.device, "mtu", mtu)
        # Checksums and segments have to be real on the wire.
        self.netns.run("ethtool", "-K", self.device, "tx", "off", "gso", "off", "tso", "off", "gro", "off")
        router_side.ip("link", "set", name, "up")
        self.netns.ip("link", "set", self.device, "up")
        self.mac = self._mac(self.netns, self.device)
        self.router_mac = self._mac(router_side, name)

    @staticmethod
    def _mac(netns, device):
        return json.loads(netns.run("ip", "-j", "link", "show", "dev", device).stdout)[0]["address"]

    def set_router_mac(self, mac):
        """Before the router starts."""
        self.lab.router_netns.ip("link", "set", self.name, "address", mac)
        self.router_mac = mac

    def set_carrier(self, up):
        self.netns.ip("link", "set", self.device, "up" if up else "down")


class Host(Port):
    """A kernel host with at most one address of a family, and a router as its default gateway.

    The router is Millrace, or the kernel of the namespace `router_side`.
    """

    def __init__(self, lab, name, address=None, gateway=None, mtu=1500, ipv6=None, gateway6=None, router_side=None):
        super().__init__(lab, name, mtu, router_side=router_side)
        self.address = address and address.split("/")[0]
        self.ipv6 = ipv6 and ipv6.split("/")[0]
        if ipv6:
            self.netns.enable_ipv6()
        for own, via in ((address, gateway), (ipv6, gateway6)):
            if own:
                self.netns.add_address("eth0", own)
            if via:
                self.netns.ip("route", "add", "default", "via", via, "dev", "eth0")

    def run(self, *command, **options):
        return self.netns.run(*command, **options)

    def ping(self, destination, *options, count=10, interval=0.02, deadline=30):
        """The summary of ping: Ping(sent, received, text)."""
        result = self.run("ping", "-n", "-c", count, "-i", interval, "-W", 2, "-w", deadline, *options, destination,
                          check=False, timeout=deadline + 10)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", result.stdout)
        assert found, result.stdout
        return Ping(int(found.group(1)), int(found.group(2)), result.stdout)

    def warm(self, *destinations):
        """Neighbours on the way get resolved, so that what follows measures forwarding alone."""
        for destination in destinations:
            wait_for(lambda: self.ping(destination, count=1, deadline=2).received == 1, 10,
                     f"first answer from {destination} to {self.name}")

    def neighbor_mac(self, address):
        entries = json.loads(self.run("ip", "-j", "neigh", "show", "to", address, "dev", "eth0").stdout or "[]")
        return entries[0].get("lladdr") if entries else None


@dataclasses.dataclass
class Ping:
    sent: int
    received: int
    text: str

    @property
    def lost(self):
        return self.sent - self.received


class Wire(Port):
    """The bare end of a router port: whole frames in and out, no kernel stack that answers."""

    def __init__(self, lab, name, mtu):
        super().__init__(lab, name, mtu)
        self._socket = self.netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind(("eth0", _ETH_P_ALL))

    def send(self, *frames):
        for frame in frames:
            self._socket.send(bytes(frame))

    def drain(self):
        """Forgets what has come so far."""
        for _ in self.frames(0):
            pass

    def frames(self, seconds):
        """Frames from the router as bytes, until `seconds` from now (0: only those already here)."""
        deadline = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return
            try:
                frame, address = self._socket.recvfrom(65536)
            except OSError as error:  # said once after the link was down
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            if address[2] != _PACKET_OUTGOING:
                yield frame

    def expect(self, wanted, seconds=3.0, what="a frame"):
        """The first frame for which `wanted(frame)` holds."""
        seen = []
        for frame in self.frames(seconds):
            if wanted(frame):
                return frame
            seen.append(frame.hex())
        raise AssertionError(f"{what} did not come to {self.name} within {seconds} s; frames seen: {seen[-8:]}")

    def expect_none(self, wanted, seconds=0.5, what="a frame"):
        for frame in self.frames(seconds):
            assert not wanted(frame), f"{what} came to {self.name}: {frame.hex()}"

    def close(self):
        self._socket.close()


class Pinger:
    """Steady echo requests from a host; knows exactly which ones were lost.

    Unlike ping(8) stopped by a signal, it waits for the answers to its last requests.
    """

    def __init__(self, host, destination, interval=0.01):
        self._socket = host.netns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        self._socket.connect((destination, 0))
        self._interval = interval
        self._identifier = (id(self) >> 4) & 0xFFFF
        self._sent, self._answered, self._stop = 0, set(), threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._send, self._receive)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def _send(self):
        following = time.monotonic()
        while not self._stop.is_set():
            header = struct.pack("!BBHHH", 8, 0, 0, self._identifier, self._sent & 0xFFFF) + struct.pack("!Q", self._sent)
            self._socket.send(header[:2] + struct.pack("!H", internet_checksum(header)) + header[4:])
            self._sent += 1
            following = max(following + self._interval, time.monotonic() - 0.1)
            time.sleep(max(0.0, following - time.monotonic()))

    def _receive(self):
        self._socket.settimeout(0.1)
        quiet_since = None
        while True:
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                packet = b""
            message = packet[(packet[0] & 15) * 4:] if packet else b""
            if len(message) >= 16 and message[0] == 0 and struct.unpack("!H", message[4:6])[0] == self._identifier:
                self._answered.add(struct.unpack("!Q", message[8:16])[0])
            if self._stop.is_set():
                quiet_since = quiet_since or time.monotonic()
                if len(self._answered) == self._sent or time.monotonic() - quiet_since > 1.5:
                    return

    def stop(self):
        if not self._stop.is_set():
            self._stop.set()
            for thread in self._threads:
                thread.join()
            self._socket.close()

    @property
    def sent(self):
        return self._sent

    @property
    def lost(self):
        """The sequence numbers without an answer; only meaningful once stopped."""
        return self.unanswered(0, self._sent)

    def unanswered(self, first, end):
        return [number for number in range(first, end) if number not in self._answered]


def internet_checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Lab:
    _count = 0

    def __init__(self):
        remove_stale_namespaces()
        Lab._count += 1
        self.name = f"{PREFIX}{os.getpid()}-{Lab._count}"
        self._namespaces, self._ports, self.routers = [], [], []
        self.router_netns = self.namespace("router")

    def namespace(self, name):
        assert len(self._namespaces) < MAX_NAMESPACES, "a lab is small"
        netns = Namespace(f"{self.name}-{name}")
        self._namespaces.append(netns)
        return netns

    def host(self, name, address=None, gateway=None, **settings):
        self._ports.append(Host(self, name, address, gateway, **settings))
        return self._ports[-1]

    def wire(self, name, mtu=1500):
        self._ports.append(Wire(self, name, mtu))
        return self._ports[-1]

    @staticmethod
    def config(interfaces, routes=(), neighbors=(), dataplane=None, control=None, feeds=None):
        """A configuration: interfaces are NAME -> [addresses], or NAME -> mapping to set more than addresses."""
        whole = {"dataplane": {"workers": [(os.cpu_count() or 1) - 1], "hugepages": "none", "memory": "512M",
                               "idle": "adaptive", **(dataplane or {})},
                 "control": dict(control or {}),
                 "interfaces": {}}
        for name, settings in interfaces.items():
            settings = settings if isinstance(settings, dict) else {"addresses": list(settings)}
            whole["interfaces"][name] = {"device": f"net_af_packet,iface={name}", **settings}
        if routes:
            whole["routes"] = list(routes)
        if neighbors:
            whole["neighbors"] = list(neighbors)
        if feeds:
            whole["feeds"] = dict(feeds)
        return whole

    def router(self, config, name="router", start=True):
        router = Router(self, config, name)
        self.routers.append(router)
        return router.start() if start else router

    def check_settled(self):
        for router in self.routers:
            if router.running:
                router.check_settled()

    def close(self):
        """Stops every router in an orderly way, then takes everything down, also where that failed."""
        try:
            for router in self.routers:
                router.stop()
        finally:
            for router in self.routers:
                router.close()
            for port in self._ports:
                if isinstance(port, Wire):
                    port.close()
            for netns in self._namespaces:
                netns.close()


def remove_stale_namespaces():
    """Those of test runs that were killed: the process id in their name is gone. What still runs inside ends first."""
    for line in sh("ip", "netns", "list").stdout.splitlines():
        name = line.split()[0] if line else ""
        found = re.fullmatch(re.escape(PREFIX) + r"(\d+)-.*", name)
        if found and not pathlib.Path(f"/proc/{found.group(1)}").exists():
            for pid in sh("ip", "netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            sh("ip", "netns", "del", name, check=False)
