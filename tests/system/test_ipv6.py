"""Kernel hosts speak IPv6 through a router: alone, beside IPv4, and under it."""

import ipaddress
import json
import re

import pytest

import transfer
from basics import wait_for

LEFT, RIGHT = "2001:db8:1::2", "2001:db8:2::2"
HERE, THERE = "2001:db8:1::1", "2001:db8:2::1"
BEHIND = "2001:db8:99::1"  # on the right host, behind a route
NARROW_MTU = 1300


def link_local(mac):
    """The address that RFC 4291 makes of a MAC address."""
    bytes_ = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([bytes_[0] ^ 2]) + bytes_[1:3] + b"\xff\xfe" + bytes_[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


class Net:
    """Two kernel hosts with a router between them, with IPv6 alone or (dual) with IPv4 beside it."""

    def __init__(self, lab, kind):
        dual = kind == "dual"
        self.ports = f"left-{kind}", f"right-{kind}"
        ipv4 = [("192.0.2.2/24", "192.0.2.1"), ("198.51.100.2/24", "198.51.100.1")] if dual else [(), ()]
        self.left = lab.host(self.ports[0], *ipv4[0], ipv6=f"{LEFT}/64", gateway6=HERE)
        self.right = lab.host(self.ports[1], *ipv4[1], ipv6=f"{RIGHT}/64", gateway6=THERE)
        self.right.netns.add_address("lo", f"{BEHIND}/128")
        own = [["192.0.2.1/24"], ["198.51.100.1/24"]] if dual else [[], []]
        self.config = lab.config(
            interfaces={self.ports[0]: [*own[0], f"{HERE}/64"], self.ports[1]: [*own[1], f"{THERE}/64"]},
            routes=[{"prefix": "2001:db8:99::/48", "via": RIGHT}])
        self.router = lab.router(self.config, name=kind)
        self.left.warm(RIGHT)


@pytest.fixture(scope="module", params=["v6", "dual"])
def net(request, module_lab):
    return Net(module_lab, request.param)


def test_forwards_and_answers_echo_requests(net):
    for destination in (HERE, THERE, RIGHT, BEHIND):
        for size in (56, 1452, 4000, 20000):  # the last two come to the router in fragments
            ping = net.left.ping(destination, "-s", size, count=5)
            assert ping.lost == 0, f"{size} bytes to {destination}: {ping.text}"


def test_answers_on_its_link_local_address(net):
    of_router = link_local(net.left.router_mac)
    assert net.router.interface(net.ports[0])["link_local"] == of_router
    for size in (56, 4000):
        ping = net.left.ping(f"{of_router}%eth0", "-s", size, count=5)
        assert ping.lost == 0, ping.text


def test_both_sides_know_their_neighbours(net):
    net.left.ping(RIGHT, count=1)
    assert net.left.neighbor_mac(HERE) == net.left.router_mac
    assert net.right.neighbor_mac(THERE) == net.right.router_mac
    known = net.router.neighbors()
    assert known[LEFT]["mac"] == net.left.mac and known[LEFT]["interface"] == net.ports[0]
    assert known[RIGHT]["mac"] == net.right.mac and known[RIGHT]["interface"] == net.ports[1]


def test_is_a_hop_of_traceroute_and_tracepath(net):
    traced = net.left.run("traceroute", "-6", "-n", "-q", "1", "-w", "3", "-m", "5", BEHIND).stdout
    assert re.findall(r"^ *\d+  (\S+)", traced, re.MULTILINE) == [HERE, BEHIND], traced
    traced = net.left.run("tracepath", "-6", "-n", BEHIND).stdout
    assert re.search(rf"^ *1: +{HERE} ", traced, re.MULTILINE), traced
    assert "Resume: pmtu 1500 hops 2" in traced, traced


def test_carries_tcp_and_udp(net):
    for size in (1, 2_000_000):
        transfer.tcp(net.left, net.right, BEHIND, size)
        transfer.tcp(net.right, net.left, LEFT, size)
    transfer.udp_echo(net.left, net.right, BEHIND, [1, 1452, 1453, 9000, 60000])


def test_ipv4_goes_beside_ipv6_and_is_not_needed(net):
    if not net.left.address:
        own = [address for row in net.router.get("/v1/interfaces")["interfaces"] for address in row["addresses"]]
        assert own and all(":" in address for address in own)
        return
    ping = net.left.ping(net.right.address, "-s", 4000, count=5)
    assert ping.lost == 0, ping.text
    transfer.tcp(net.left, net.right, net.right.address, 1_000_000)


def test_routes_come_by_configuration_api_and_file(net, tmp_path):
    routes = {"2001:db8:a1::/48": "api", "2001:db8:a2::/48": "load"}
    addresses = [prefix.replace("::/48", "::1") for prefix in routes]
    for address in addresses:
        net.right.netns.add_address("lo", f"{address}/128")
        assert net.left.ping(address, count=1, deadline=2).received == 0
    net.router.cli("route", "add", "2001:db8:a1::/48", "via", link_local(net.right.mac), "dev", net.ports[1])
    listed = tmp_path / "routes"
    listed.write_text(f"2001:db8:a2::/48 via {RIGHT}\n2001:db8:a3::/48 blackhole\n")
    assert "added 2" in net.router.cli("load", listed).stdout
    for address in addresses:
        ping = net.left.ping(address, count=5)
        assert ping.lost == 0, ping.text
    by = {address: json.loads(net.router.cli("--json", "route", "lookup", address).stdout) for address in [BEHIND, *addresses]}
    assert by[BEHIND]["prefix"] == "2001:db8:99::/48" and by[BEHIND]["source"] == "static"
    assert all(by[address]["source"] == "api" for address in addresses)
    assert f"sent to {RIGHT} on {net.ports[1]}" in net.router.cli("route", "lookup", BEHIND).stdout
    for prefix in (*routes, "2001:db8:a3::/48"):
        net.router.cli("route", "del", prefix)
    assert net.left.ping(addresses[0], count=1, deadline=2).received == 0
    assert net.left.ping(BEHIND, count=1, deadline=5).received == 1


def test_the_path_mtu_is_told_and_learnt(lab):
    left = lab.host("left", ipv6=f"{LEFT}/64", gateway6=HERE)
    right = lab.host("right", ipv6=f"{RIGHT}/64", gateway6=THERE, mtu=NARROW_MTU)
    router = lab.router(lab.config(interfaces={
        "left": [f"{HERE}/64"], "right": {"mtu": NARROW_MTU, "addresses": [f"{THERE}/64"]}}))
    left.warm(RIGHT)
    left.ping(RIGHT, "-s", 1400, "-M", "want", count=1)
    learnt = json.loads(left.run("ip", "-6", "-j", "route", "get", RIGHT).stdout)[0]
    assert learnt["metrics"][0]["mtu"] == NARROW_MTU, learnt
    assert router.drops()["fragmentation_needed"] >= 1
    ping = left.ping(RIGHT, "-s", 1400, count=5)  # the host sends fragments now
    assert ping.lost == 0, ping.text
    assert transfer.tcp(left, right, RIGHT, 1_000_000) <= NARROW_MTU - 60
    assert "Resume: pmtu 1300" in left.run("tracepath", "-6", "-n", RIGHT).stdout


def test_ipv4_goes_over_an_ipv6_next_hop(lab):
    """RFC 8950: the link between the router and the right host has IPv6 alone."""
    left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
    right = lab.host("right", ipv6=f"{RIGHT}/64")
    right.netns.add_address("lo", "10.9.0.1/32")
    right.netns.ip("route", "add", "192.0.2.0/24", "via", "inet6", THERE, "dev", "eth0")
    router = lab.router(lab.config(interfaces={"left": ["192.0.2.1/24"], "right": [f"{THERE}/64"]},
                                   routes=[{"prefix": "10.9.0.0/16", "via": RIGHT}]))
    left.warm("10.9.0.1")
    ping = left.ping("10.9.0.1", "-s", 3000, count=10)
    assert ping.lost == 0, ping.text
    transfer.tcp(left, right, "10.9.0.1", 1_000_000)
    assert router.neighbors()[RIGHT]["mac"] == right.mac


def test_a_host_configures_itself_from_router_advertisements(lab):
    host = lab.host("left")
    router = lab.router(lab.config(interfaces={
        "left": {"addresses": [f"{HERE}/64"], "router_advertisements": True}}))
    host.netns.enable_ipv6(accept_ra=1)

    def gateways():
        return [route.get("gateway") for route in json.loads(host.run("ip", "-6", "-j", "route", "show", "default").stdout)]

    of_router = link_local(host.router_mac)
    # The answer to a solicitation comes within half a second; that which comes by itself, in 16 s or more.
    wait_for(lambda: of_router in gateways(), 6, lambda: f"default route by {of_router}: {gateways()}")
    own = link_local(host.mac).replace("fe80::", "2001:db8:1:0:")
    wait_for(lambda: f"{own}/64" in host.run("ip", "-6", "address", "show", "dev", "eth0").stdout, 3, f"address {own}")
    ping = host.ping(HERE, count=5)
    assert ping.lost == 0, ping.text
    assert router.neighbors()[str(ipaddress.IPv6Address(own))]["mac"] == host.mac


def test_an_address_that_a_host_has_is_shown_as_duplicate(lab):
    lab.host("left", ipv6=f"{HERE}/64")
    lab.host("right", ipv6=f"{RIGHT}/64")
    router = lab.router(lab.config(interfaces={"left": [f"{HERE}/64"], "right": [f"{THERE}/64"]}))
    wait_for(lambda: router.interface("left")["duplicate_addresses"] == [HERE], 5,
             lambda: f"{HERE} is a duplicate: {router.interface('left')}")
    assert router.interface("right")["duplicate_addresses"] == []
    assert HERE in router.cli("show", "interfaces").stdout
