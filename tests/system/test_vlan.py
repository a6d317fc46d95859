"""Two routers with a trunk between them and a Linux router behind, between two dual-stack hosts.

    left --- first === trunk === second --- linux --- right
"""

import copy
import re

import pytest

import transfer
from lab import Port
from trunk import Trunk

IPV4, IPV6 = 0x0800, 0x86DD
LEFT, RIGHT = ("10.1.0.2", "2001:db8:1::2"), ("10.9.0.2", "2001:db8:9::2")
# MTUs from left to right: the frames of each link, and the narrowest that a packet of each size meets.
LEFT_MTU, TRUNK_MTU, LINUX_MTU, RIGHT_MTU = 2000, 1500, 1400, 1300
HOPS = [("10.1.0.1", "2001:db8:1::1"), ("10.2.0.2", "2001:db8:2::2"), ("10.3.0.2", "2001:db8:3::2"), RIGHT]

# What is added to an interface without device, and the tags that its frames have.
TRUNKS = {
    "untagged": ({}, ()),
    "vlan": ({"vlan": 100}, ((0x8100, 100),)),
    "vlan_of_a_provider": ({"vlan": 4094, "vlan_type": "dot1ad"}, ((0x88A8, 4094),)),
    "qinq": ({"vlan": 100, "inner_vlan": 7}, ((0x88A8, 100), (0x8100, 7))),
    "two_customer_tags": ({"vlan": 100, "inner_vlan": 4094, "vlan_type": "dot1q"}, ((0x8100, 100), (0x8100, 4094))),
}


class Net:
    def __init__(self, lab):
        self.lab = lab
        self.left = lab.host("left", f"{LEFT[0]}/24", HOPS[0][0], ipv6=f"{LEFT[1]}/64", gateway6=HOPS[0][1], mtu=LEFT_MTU)
        self.trunk = Trunk(lab, ("trunk1", "trunk2"), TRUNK_MTU)
        self.linux = self._linux_router(lab)
        self.right = lab.host("right", f"{RIGHT[0]}/24", "10.9.0.1", ipv6=f"{RIGHT[1]}/64", gateway6="2001:db8:9::1",
                              mtu=RIGHT_MTU, router_side=self.linux)
        for address in ("10.9.0.1/24", "2001:db8:9::1/64"):
            self.linux.add_address("right", address)
        self.first, self.second = (lab.router(config, name=name)
                                   for config, name in zip(self.configs("untagged"), ("first", "second")))

    @staticmethod
    def _linux_router(lab):
        linux = Port(lab, "linux", LINUX_MTU).netns
        linux.enable_ipv6(forwarding=1)
        linux.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for address, gateway in (("10.3.0.2/24", "10.3.0.1"), ("2001:db8:3::2/64", "2001:db8:3::1")):
            linux.add_address("eth0", address)
            linux.ip("route", "add", "default", "via", gateway)
        return linux

    def configs(self, kind):
        """Of the first and the second router, with this kind of trunk."""
        settings, tags = TRUNKS[kind]

        def interfaces(number, device, mtu, addresses):
            own = {"addresses": [f"10.2.0.{number}/24", f"2001:db8:2::{number}/64"]}
            trunk = {f"trunk{number}": own} if not tags else {
                f"trunk{number}": [], f"t{number}": {"device": None, "parent": f"trunk{number}", **settings, **own}}
            return {device: {"mtu": mtu, "addresses": addresses}, **trunk}

        first = self.lab.config(
            interfaces(1, "left", LEFT_MTU, ["10.1.0.1/24", "2001:db8:1::1/64"]),
            [{"prefix": "0.0.0.0/0", "via": "10.2.0.2"}, {"prefix": "::/0", "via": "2001:db8:2::2"}])
        second = self.lab.config(
            interfaces(2, "linux", LINUX_MTU, ["10.3.0.1/24", "2001:db8:3::1/64"]),
            [{"prefix": "10.1.0.0/24", "via": "10.2.0.1"}, {"prefix": "2001:db8:1::/64", "via": "2001:db8:2::1"},
             {"prefix": "10.9.0.0/24", "via": "10.3.0.2"}, {"prefix": "2001:db8:9::/64", "via": "2001:db8:3::2"}])
        return without_nothing(first), without_nothing(second)

    def use(self, kind):
        for router, config in zip((self.first, self.second), self.configs(kind)):
            router.apply(config)
        for host in (self.left, self.right):
            host.run("ip", "route", "flush", "cache")
            host.run("ip", "-6", "route", "flush", "cache")
        self.left.warm(*RIGHT)
        self.right.warm(*LEFT)


def without_nothing(config):
    """A configuration without the keys whose value is None: a VLAN has no device."""
    whole = copy.deepcopy(config)
    for interface in whole["interfaces"].values():
        for key in [key for key, value in interface.items() if value is None]:
            del interface[key]
    return whole


@pytest.fixture(scope="module")
def shared(module_lab):
    return Net(module_lab)


@pytest.fixture(params=list(TRUNKS))
def net(request, shared):
    shared.use(request.param)
    return shared, TRUNKS[request.param][1]


def test_everything_crosses_the_trunk_with_its_tags(net):
    net, tags = net
    with net.trunk.tags_seen() as seen:
        for family in (0, 1):
            hops = [hop[family] for hop in HOPS]
            traced = net.left.run("traceroute", f"-{'46'[family]}", "-n", "-q", "1", "-w", "3", RIGHT[family]).stdout
            assert re.findall(r"^ *\d+  (\S+)", traced, re.MULTILINE) == hops, traced
            traced = net.left.run("tracepath", f"-{'46'[family]}", "-n", RIGHT[family]).stdout
            # Its own count of hops has a router twice that says its MTU twice.
            assert f"Resume: pmtu {RIGHT_MTU} " in traced, traced
            # The hosts know the path's MTU now.
            for host, destination in ((net.left, RIGHT[family]), (net.right, LEFT[family])):
                for size in (56, 4000):  # more than any MTU: in fragments
                    ping = host.ping(destination, "-s", size, count=5)
                    assert ping.lost == 0, ping.text
            assert transfer.tcp(net.left, net.right, RIGHT[family], 1_000_000) <= RIGHT_MTU - (40, 60)[family]
            transfer.tcp(net.right, net.left, LEFT[family], 1_000_000)
            transfer.udp_echo(net.left, net.right, RIGHT[family], [1, 1252, 1472, 1990, 9000, 30000])
            transfer.udp_echo(net.right, net.left, LEFT[family], [1, 1252, 1472, 9000])
    print(sorted(seen))
    assert {(end, tags, kind) for end in net.trunk.names for kind in (IPV4, IPV6)} <= seen
    assert {of for _, of, _ in seen} == {tags}
