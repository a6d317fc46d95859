"""A thousand VLANs on a port: what they cost, and that each forwards."""

import contextlib
import pathlib
import re
import time

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from lab import Pinger
from packets import from_to, udp
from trunk import tags_of, tap_on

VLANS = range(1, 1001)
BYTES_EACH = 16 << 10
HERE, HERE6 = "10.1.0.2", "2001:db8:1::2"
LOOKED_AT = (1, 2, 255, 256, 500, 999, 1000)


def resident(router):
    status = pathlib.Path(f"/proc/{router.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE).group(1)) << 10


def has_ipv6(vlan):
    return vlan % 2 == 0


class Net:
    def __init__(self, lab):
        self.lab = lab
        self.left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
        self.inside, self.trunk = lab.wire("in"), lab.wire("trunk")
        self.router = lab.router(self.config([]))
        self.left.warm("192.0.2.1")

    def config(self, vlans):
        whole = self.lab.config(interfaces={"left": ["192.0.2.1/24"], "in": ["10.1.0.1/24", "2001:db8:1::1/64"], "trunk": []})
        neighbors = [{"address": HERE, "mac": self.inside.mac, "interface": "in"},
                     {"address": HERE6, "mac": self.inside.mac, "interface": "in"}]
        for vlan in vlans:
            name = f"v{vlan}"
            addresses = [f"10.{100 + vlan // 250}.{vlan % 250}.1/24", *([f"2001:db8:2:{vlan}::1/64"] if has_ipv6(vlan) else [])]
            whole["interfaces"][name] = {"parent": "trunk", "vlan": vlan, "addresses": addresses}
            if vlan in LOOKED_AT:
                for address in addresses:
                    host = re.sub(r"1/\d+$", "2", address)
                    neighbors.append({"address": host, "mac": self.trunk.mac, "interface": name})
        whole["neighbors"] = neighbors
        return whole

    def apply(self, what, vlans):
        """By the tool, from a file; prints how long that took."""
        file = self.router.write(self.config(vlans), self.router.directory / "next.yaml")
        began = time.monotonic()
        self.router.cli("apply", file)
        print(f"{what}: {time.monotonic() - began:.2f} s")


def tagged(wire, vlan, packet):
    return bytes(Ether(src=wire.mac, dst=wire.router_mac) / Dot1Q(vlan=vlan) / packet)


def arrives_from(net, vlan):
    """IPv4 and, where the VLAN has it, IPv6 from a host in the VLAN comes to the other port."""
    source = f"10.{100 + vlan // 250}.{vlan % 250}.2"
    net.inside.drain()
    net.trunk.send(tagged(net.trunk, vlan, IP(src=source, dst=HERE) / UDP(sport=vlan) / b"from"))
    net.inside.expect(from_to(source, HERE), what=f"IPv4 from VLAN {vlan}")
    if has_ipv6(vlan):
        source6 = f"2001:db8:2:{vlan}::2"
        net.trunk.send(tagged(net.trunk, vlan, IPv6(src=source6, dst=HERE6) / UDP(sport=vlan) / b"from"))
        net.inside.expect(lambda f: f[12:14] == b"\x86\xdd" and IPv6(f[14:]).src == source6, what=f"IPv6 from VLAN {vlan}")


def leaves_to(net, vlan):
    """A packet to a host in the VLAN has its tag on the trunk."""
    destination = f"10.{100 + vlan // 250}.{vlan % 250}.2"
    with tap_on(net.trunk.netns, "eth0") as tap:
        net.inside.send(udp(net.inside, HERE, destination))
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                frame, auxiliary, *_ = tap.recvmsg(2048, 256)
                if from_to(HERE, destination)(frame):
                    assert tags_of(frame, auxiliary) == (((0x8100, vlan),), 0x0800)
                    return
    raise AssertionError(f"nothing to {destination} on the trunk")


def test_a_thousand_vlans(lab):
    net = Net(lab)
    before = resident(net.router)
    with Pinger(net.left, "192.0.2.1", 0.01) as pinger:
        net.apply("1,000 VLANs made", VLANS)
    each = (resident(net.router) - before) / len(VLANS)
    print(f"{each / 1024:.1f} KiB resident each; {len(pinger.lost)} of {pinger.sent} pings lost meanwhile")
    assert each <= BYTES_EACH
    assert pinger.lost == []
    assert net.router.get("/v1/counters")["control"]["frames_lost"] == 0  # announcements of all these addresses
    assert len(net.router.get("/v1/interfaces")["interfaces"]) == 3 + len(VLANS)
    for vlan in LOOKED_AT:
        arrives_from(net, vlan)
    for vlan in LOOKED_AT:
        leaves_to(net, vlan)

    net.apply("1,000 VLANs removed", [])
    assert len(net.router.get("/v1/interfaces")["interfaces"]) == 3
    with net.router.dropping(unknown_vlan=1):
        net.trunk.send(tagged(net.trunk, 500, IP(src="10.102.0.2", dst=HERE) / UDP() / b"from"))
