"""IPsec by policy: two routers whose links say what is protected, and daemons' traffic between them in transport mode.

    left --- first === trunk === second --- right
"""

import types

import pytest

import ipsec
import transfer
from basics import wait_for
from sites import LEFT, OUTER, RIGHT, Sniffer, TwoSites, kind_of

SECONDS = 20
LANS = {1: ("10.1.0.0/24", "2001:db8:1::/64"), 2: ("10.9.0.0/24", "2001:db8:9::/64")}


class Sites(TwoSites):
    def __init__(self, lab):
        super().__init__(lab)
        self.daemons, self.routers = {}, {}
        for number, name in ((1, "first"), (2, "second")):
            self.daemons[number] = lab.namespace(f"daemons{number}")
            self.daemons[number].enable_ipv6()
            self.routers[number] = lab.router({}, name=name, start=False)
            self.routers[number].write(self.config(number))
            self.routers[number].start()

    def config(self, number, only=None):
        """Of a router: routes lead by the trunk, past all tunnels. `only` is a list of policies instead of these."""
        here, there = number, 3 - number
        lan = ("left", "right")[number - 1]
        policies = [{"action": "protect", "tunnel": "lan", "local": local, "remote": remote}
                    for local, remote in zip(LANS[here], LANS[there])]
        policies += [{"action": "protect", "tunnel": f"host{family}", "remote": f"{OUTER[family][there - 1]}/{length}"}
                     for family, length in ((4, 32), (6, 128))]
        plain = self.lab.config(
            {lan: [f"10.{(1, 9)[number - 1]}.0.1/24", f"2001:db8:{(1, 9)[number - 1]}::1/64"],
             f"trunk{number}": {"addresses": [f"10.2.0.{number}/24", f"2001:db8:2::{number}/64"], "host": True,
                                "policies": policies if only is None else only}},
            [{"prefix": prefix, "via": via} for prefix, via in zip(LANS[there], (OUTER[4][there - 1], OUTER[6][there - 1]))])
        plain["host"] = {"netns": self.daemons[number].name}

        def tunnel(spi, family, **settings):
            ends = OUTER[family] if number == 1 else OUTER[family][::-1]
            sas = {"out": ipsec.sa(spi + number, "aes-128-gcm"), "in": ipsec.sa(spi + there, "aes-128-gcm")}
            return {"ipsec": {"local": ends[0], "remote": ends[1], **settings, **sas}}

        return ipsec.with_tunnels(plain, {"lan": tunnel(0x1000, 4), "host4": tunnel(0x2000, 4, mode="transport"),
                                          "host6": tunnel(0x3000, 6, mode="transport")},
                                  self.routers[number].directory / "ipsec.json")

    def packets(self, number):
        return {(tunnel["interface"], sa["direction"]): sa["packets"]
                for tunnel in self.routers[number].get("/v1/ipsec")["tunnels"] for sa in tunnel["sas"]}


@pytest.fixture(scope="module")
def sites(module_lab):
    return Sites(module_lab)


def test_what_policies_have_protected_crosses_and_the_way_sees_only_esp(sites):
    sites.left.warm(*RIGHT)
    with Sniffer(sites.trunk.netns, "trunk1") as one, Sniffer(sites.trunk.netns, "trunk2") as other:
        for destination in RIGHT:
            assert sites.left.ping(destination, count=5).lost == 0
            transfer.tcp(sites.left, sites.right, destination, 200_000)
        for destination in LEFT:
            transfer.tcp(sites.right, sites.left, destination, 200_000)
    kinds = {kind_of(frame) for frame in one.frames + other.frames}
    assert "esp" in kinds and kinds <= {"arp", "nd", "esp"}, kinds
    assert all(sites.packets(number)[("lan", way)] > 100 for number in (1, 2) for way in ("in", "out"))


def test_daemons_of_both_routers_speak_in_transport_mode(sites):
    first, second = (types.SimpleNamespace(netns=sites.daemons[number]) for number in (1, 2))
    for far in (OUTER[4][1], OUTER[6][1]):
        wait_for(lambda to=far: first.netns.run("ping", "-c1", "-W1", to, check=False).returncode == 0, SECONDS,
                 lambda to=far: (to, sites.routers[2].get("/v1/drops")))
    before = sites.packets(2)
    with Sniffer(sites.trunk.netns, "trunk1") as one, Sniffer(sites.trunk.netns, "trunk2") as other:
        # Segments are as long as the link takes: around them ESP is cut up, and put together at the other end.
        transfer.tcp(first, second, OUTER[4][1], 100_000)
        transfer.udp_echo(first, second, OUTER[6][1], [1, 1200])
    kinds = {kind_of(frame) for frame in one.frames + other.frames}
    assert "esp" in kinds and kinds <= {"arp", "nd", "esp"}, kinds
    after = sites.packets(2)
    assert all(after[key] > before[key] for key in after if key[0].startswith("host")), (before, after)


def test_nothing_passes_by_other_policies_than_the_ones_there_are(sites):
    number = 2  # answers leave by it
    sites.routers[number].apply(sites.config(number, only=[{"action": "discard"}]))
    with Sniffer(sites.trunk.netns, "trunk2") as seen:
        for netns, destination in ((sites.left.netns, RIGHT[0]), (sites.daemons[1], OUTER[4][1])):
            assert netns.run("ping", "-c2", "-i0.2", "-W1", destination, check=False).returncode != 0
    answers = [frame for frame in seen.frames if kind_of(frame) == "esp" and frame[26:30] == bytes([10, 2, 0, number])]
    assert not answers
    reasons = {drop["reason"] for drop in sites.routers[number].get("/v1/drops")["drops"]}
    assert "policy_discard" in reasons, reasons
    sites.routers[number].apply(sites.config(number))
    sites.left.warm(RIGHT[0])
    assert sites.left.ping(RIGHT[0], count=3).lost == 0
