"""The examples of `examples/`, by their own files: routes come, packets follow them, and both move when a way goes."""

import json

import pytest

from basics import DAEMON, sh, wait_for
from lab import Port
from recipes import EXAMPLES, SECONDS, Recipe, part, read, without_fpm


@pytest.fixture
def recipe(lab):
    """Starts the router of an example; its daemons end with the test."""
    made = []

    def make(name, **settings):
        made.append(Recipe(lab, name, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


# BIRD as a neighbour: what it learns goes to its kernel, so that answers find back.
NEIGHBOR = """
router id {id};
protocol device {{ scan time 1; }}
protocol direct {{ disabled; ipv4; ipv6; }}
protocol kernel {{ ipv4 {{ export where source != RTS_STATIC; }}; }}
protocol kernel {{ ipv6 {{ export where source != RTS_STATIC; }}; }}
protocol static {{ ipv4; {routes} }}
protocol static {{ ipv6; {routes6} }}
template bgp quick {{
  connect retry time 1;
  connect delay time 1;
  error wait time 1, 1;
  hold time 3;
  ipv4 {{ import all; export where source = RTS_STATIC; }};
  ipv6 {{ import all; export where source = RTS_STATIC; }};
}}
"""


def neighbor(router_id, sessions, routes=(), routes6=()):
    """`sessions` are (own AS, the other's address, its AS)."""
    text = NEIGHBOR.format(id=router_id, routes="".join(f"route {one} blackhole; " for one in routes),
                           routes6="".join(f"route {one} blackhole; " for one in routes6))
    for own, address, other in sessions:
        text += f"protocol bgp from quick {{ local as {own}; neighbor {address} as {other}; }}\n"
    return text


def speaker(lab, name, address, ipv6=None, lo=()):
    """A host that speaks protocols: it has the addresses `lo`, and keeps all of them while its link is down."""
    host = lab.host(name, address, ipv6=ipv6)
    if ipv6:
        host.netns.enable_ipv6(keep_addr_on_down=1)
    for one in lo:
        host.netns.add_address("lo", one)
    return host


def switch(lab, name):
    """A link of the router that several namespaces share."""
    host = lab.host(name)
    host.netns.ip("link", "add", "switch", "type", "bridge")
    host.netns.ip("link", "set", "switch", "up")
    host.netns.ip("link", "set", "eth0", "master", "switch")
    return host.netns


def join(shared, netns, device, *addresses):
    """A port of a switch, with its other end in `netns`."""
    port = netns.name.rsplit("-", 1)[-1]
    shared.ip("link", "add", port, "type", "veth", "peer", "name", device, "netns", netns.name)
    shared.ip("link", "set", port, "master", "switch", "up")
    netns.ip("link", "set", device, "up")
    netns.run("ethtool", "-K", device, "tx", "off")
    netns.enable_ipv6(keep_addr_on_down=1)
    for address in addresses:
        netns.add_address(device, address)


def silence(host, silent):
    """Its frames go nowhere, and its link stays up."""
    words = ["replace", "dev", "eth0", "root", "pfifo", "limit", 0] if silent else ["del", "dev", "eth0", "root"]
    host.run("tc", "qdisc", *words)


def echoes(host):
    """How many echo requests it has had."""
    names, values = [line.split() for line in host.run("cat", "/proc/net/snmp").stdout.splitlines() if line.startswith("Icmp:")]
    return int(values[names.index("InEchos")])


@pytest.mark.parametrize("name", sorted(folder.name for folder in EXAMPLES.iterdir()))
def test_an_example_is_valid_as_it_is(name):
    assert sh(DAEMON, "--check", EXAMPLES / name / "millrace.yaml").stdout.strip().endswith(": valid")


def test_an_edge_takes_both_upstreams_and_goes_on_by_one(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1")
    everywhere = [f"198.18.0.{n}" for n in range(1, 25)]
    ups = [speaker(lab, name, address, ipv6, (*everywhere, "2001:db8:ffff::1"))
           for name, address, ipv6 in (("upa", "192.0.2.2/30", "2001:db8:a::2/64"), ("upb", "192.0.2.6/30", "2001:db8:b::2/64"))]
    edge = recipe("ebgp-edge")
    for up, number, gateway, gateway6, own in ((ups[0], 64501, "192.0.2.1", "2001:db8:a::1", "100.64.0.0/16"),
                                               (ups[1], 64502, "192.0.2.5", "2001:db8:b::1", "100.65.0.0/16")):
        edge.bird_at(up.netns, neighbor(up.address, ((number, gateway, 64500), (number, gateway6, 64500)),
                                        ("0.0.0.0/0", "198.18.0.0/15", "203.0.113.128/25", own), ("::/0",)))
    edge.frr(changes={"timers bgp 3 9": "timers bgp 1 3", "timers connect 5": "timers connect 1"})
    both = {"0.0.0.0/0": ("bgp", "upa", "upb"), "198.18.0.0/15": ("bgp", "upa", "upb"), "::/0": ("bgp", "upa", "upb"),
            "100.64.0.0/16": ("bgp", "upa"), "100.65.0.0/16": ("bgp", "upb")}
    edge.expect(both)
    inside.warm(*everywhere, "2001:db8:ffff::1")
    assert all(echoes(up) > 0 for up in ups), "flows take both"
    one = {"0.0.0.0/0": ("bgp", "upb"), "198.18.0.0/15": ("bgp", "upb"), "::/0": ("bgp", "upb"), "100.65.0.0/16": ("bgp", "upb")}
    ups[0].set_carrier(False)
    edge.expect(one)
    assert all(inside.ping(address, count=2).lost == 0 for address in everywhere)
    ups[0].set_carrier(True)
    edge.expect(both)
    inside.warm(*everywhere, "2001:db8:ffff::1")


RIP_OF_TWO = {"2001:db8:77::/64": "ripng", "198.18.0.0/24": "rip"}


@pytest.mark.parametrize("protocol, changes, owners", [
    ("OSPF", {"hello-interval 2": "hello-interval 1"}, {"198.18.0.0/24": "ospf", "2001:db8:77::/64": "ospf"}),
    ("IS-IS", {"hello-interval 2": "hello-interval 1"}, {"198.18.0.0/24": "isis", "2001:db8:77::/64": "isis"}),
    ("RIP", {}, RIP_OF_TWO),
    ("RIP", {"version 2": "version 1"}, RIP_OF_TWO),
    ("EIGRP", {}, {"198.18.0.0/24": "eigrp"})], ids=["ospf", "isis", "rip", "ripv1", "eigrp"])
def test_an_igp_leads_by_the_better_link(lab, recipe, protocol, changes, owners):
    """Both neighbours, plain FRR by the same example, have the network 198.18.0.0/24."""
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1")
    cores = [speaker(lab, "core0", "192.0.2.2/24", "2001:db8:a::2/64"),
             speaker(lab, "core1", "198.51.100.2/24", "2001:db8:b::2/64")]
    us = recipe("igp")
    for number, core in enumerate(cores, 2):
        core.netns.add_dead_end("net", "198.18.0.1/24", "2001:db8:77::1/64")
        plain = read("igp", "frr.conf", {
            "core0": "eth0", "lan\n": "net\n", "203.0.113.1\n": f"203.0.113.{number}\n", "3001.00": f"300{number}.00",
            "203.0.113.0/24": "198.18.0.0/24", **changes})
        us.frr_at(core.netns, part(without_fpm(plain), protocol))
    us.frr_at(us.daemons, part(read("igp", "frr.conf", changes), protocol))

    def by(*links):
        return {prefix: (owner, *links) for prefix, owner in owners.items()}

    def expect(*links):
        wait_for(lambda: by(*links).items() <= us.routes().items(), SECONDS, lambda: f"{by(*links)}; {us.routes()}\n{us.said()}")
        inside.warm("198.18.0.1", *(["2001:db8:77::1"] if len(owners) > 1 else []))

    best = ("core0", "core1") if protocol == "EIGRP" else ("core0",)
    expect(*best)
    cores[0].set_carrier(False)
    expect("core1")
    cores[0].set_carrier(True)
    expect(*best)


def test_a_floating_static_route_takes_over_without_the_link(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1")
    lo = ("198.18.0.1/32", "2001:db8:77::1/128")
    fiber = speaker(lab, "fiber", "192.0.2.2/30", "2001:db8:a::2/64", lo)
    radio = speaker(lab, "radio", "192.0.2.6/30", "2001:db8:b::2/64", lo)

    def connect(way, *gateways):
        way.set_carrier(True)
        for gateway in gateways:
            way.netns.ip("route", "replace", "default", "via", gateway)

    connect(fiber, "192.0.2.1", "2001:db8:a::1")
    connect(radio, "192.0.2.5", "2001:db8:b::1")
    office = recipe("static-backup")

    def expect(way):
        office.expect({"0.0.0.0/0": (None, way.name), "::/0": (None, way.name)})
        before = echoes(way)
        inside.warm("198.18.0.1", "2001:db8:77::1")
        assert echoes(way) > before

    expect(fiber)
    fiber.set_carrier(False)
    expect(radio)
    connect(fiber, "192.0.2.1", "2001:db8:a::1")
    expect(fiber)


OSPF_WITH_BFD = """
! ospfd=yes, bfdd=yes
interface eth0
 ip ospf area 0
 ip ospf network point-to-point
 ip ospf hello-interval 1
 ip ospf dead-interval 20
 ip ospf bfd
exit
router ospf
 ospf router-id 192.0.2.6
 default-information originate always
exit
"""


def test_bfd_moves_packets_long_before_a_hold_time_is_over(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1")
    wan = speaker(lab, "wan", "192.0.2.2/30", lo=["198.18.0.1/32"])
    core = speaker(lab, "core", "192.0.2.6/30", lo=["198.18.0.1/32"])
    edge = recipe("bfd")
    edge.frr(changes={"timers connect 5": "timers connect 1", "hello-interval 5": "hello-interval 1"})
    edge.frr_at(core.netns, OSPF_WITH_BFD)
    edge.bird_at(wan.netns, neighbor("192.0.2.2", [(64501, "192.0.2.1", 64500)], ["0.0.0.0/0"]).replace("hold time 3;", "bfd on;")
                 + 'protocol bfd { interface "eth0" { interval 300 ms; multiplier 3; }; }')
    frr = edge.made[0]

    def up():
        return sum(peer["status"] == "up" for peer in json.loads(frr.show("show bfd peers json")))

    wait_for(lambda: up() == 2, SECONDS, lambda: f"both sessions; {edge.said()}")
    wait_for(lambda: "0.0.0.0/0" in frr.show("show ip ospf route"), SECONDS, lambda: f"OSPF's default route; {edge.said()}")
    edge.expect({"0.0.0.0/0": ("bgp", "wan")})
    inside.warm("198.18.0.1")
    silence(wan, True)
    edge.expect({"0.0.0.0/0": ("ospf", "core")}, 8)  # a hold time is 90 s here
    inside.warm("198.18.0.1")
    silence(core, True)
    edge.expect({}, 8)
    silence(wan, False)
    edge.expect({"0.0.0.0/0": ("bgp", "wan")})
    inside.warm("198.18.0.1")


def test_bird_leads_packets_by_the_kernels_table(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1")
    core = speaker(lab, "core", "192.0.2.2/30", "2001:db8:a::2/64")
    core.netns.add_dead_end("net", "198.18.0.1/24", "2001:db8:77::1/64")
    us = recipe("bird")
    quick = {"hello 2; dead 8": "hello 1; dead 4", "scan time 10": "scan time 1"}
    us.bird_at(core.netns, read("bird", "bird.conf", {
        "203.0.113.1": "192.0.2.2", "core": "eth0", '"lan"': '"net"', **quick}))
    us.bird(changes=quick)
    wanted = {"198.18.0.0/24": ("bird", "core"), "2001:db8:77::/64": ("bird", "core")}
    us.expect(wanted)
    (hop,) = us.router.get("/v1/routes?source=netlink&prefix=2001:db8:77::/64")["routes"][0]["via"]
    assert hop["address"].startswith("fe80::")
    inside.warm("198.18.0.1", "2001:db8:77::1")
    core.set_carrier(False)
    us.expect({})
    core.set_carrier(True)
    us.expect(wanted)
    inside.warm("198.18.0.1", "2001:db8:77::1")


def test_three_routers_are_a_core_of_ospf_and_ibgp(lab, recipe):
    numbers = (1, 2, 3)
    hosts = {n: lab.host(f"lan{n}", f"10.1.{n}.7/24", f"10.1.{n}.1") for n in numbers}
    for n in numbers:
        ends = f"right{n}", f"left{n % 3 + 1}"
        lab.router_netns.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for end in ends:
            lab.router_netns.run("ethtool", "-K", end, "tx", "off")
            lab.router_netns.ip("link", "set", end, "up")
    routers = {}
    for n in numbers:
        before = (n - 2) % 3 + 1
        own = {"10.255.0.1": f"10.255.0.{n}", "10.0.1.1/30": f"10.0.{n}.1/30", "10.0.3.2/30": f"10.0.{before}.2/30",
               "10.1.1.": f"10.1.{n}."}
        one = routers[n] = recipe("ibgp-core", router=f"core{n}", changes=own,
                                  devices={name: f"{name}{n}" for name in ("right", "left", "lan")})
        one.daemons.add_address("lo", f"10.255.0.{n}/32")
        swapped = {"10.255.0.1": f"10.255.0.{n}", f"10.255.0.{n}": "10.255.0.1"}
        one.frr(changes={**swapped, "10.1.1.0": f"10.1.{n}.0", "hello-interval 2": "hello-interval 1", "connect 5": "connect 1"})

    def lans(n):
        return {prefix: route for prefix, route in routers[n].routes().items() if prefix.startswith("10.1.")}

    def expect(wanted):
        for n, routes in wanted.items():
            wait_for(lambda n=n, routes=routes: lans(n) == routes, SECONDS, lambda n=n: f"{lans(n)}\n{routers[n].said()}")
        for n in numbers:
            hosts[n].warm(*(f"10.1.{other}.7" for other in numbers if other != n))

    whole = {n: {f"10.1.{n % 3 + 1}.0/24": ("bgp", "right"), f"10.1.{(n - 2) % 3 + 1}.0/24": ("bgp", "left")} for n in numbers}
    expect(whole)
    lab.router_netns.ip("link", "set", "right1", "down")
    expect({1: {"10.1.2.0/24": ("bgp", "left"), "10.1.3.0/24": ("bgp", "left")},
            2: {"10.1.1.0/24": ("bgp", "right"), "10.1.3.0/24": ("bgp", "right")}, 3: whole[3]})
    lab.router_netns.ip("link", "set", "right1", "up")
    expect(whole)


def test_gobgp_and_exabgp_announce_a_service_from_two_hosts(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1")
    services = [f"198.18.0.{n}" for n in range(1, 25)]
    of_exabgp = speaker(lab, "srva", "192.0.2.2/30", lo=[*services, "198.51.100.1"])
    of_gobgp = speaker(lab, "srvb", "192.0.2.6/30", lo=[*services, "198.51.100.2"])
    for host, gateway in ((of_exabgp, "192.0.2.1"), (of_gobgp, "192.0.2.5")):
        host.netns.ip("route", "add", "default", "via", gateway)
    us = recipe("gobgp-exabgp")
    us.frr(changes={"timers bgp 3 9": "timers bgp 1 3", "timers connect 5": "timers connect 1"})
    exabgp = us.exabgp_at(of_exabgp.netns)
    us.gobgp_at(of_gobgp.netns)
    both = {"198.18.0.0/24": ("bgp", "srva", "srvb"), "198.51.100.1/32": ("bgp", "srva"), "198.51.100.2/32": ("bgp", "srvb")}
    us.expect(both)
    inside.warm(*services, "198.51.100.1", "198.51.100.2")
    assert echoes(of_exabgp) > 0 and echoes(of_gobgp) > 0, "flows take both"
    exabgp.stop()
    us.expect({"198.18.0.0/24": ("bgp", "srvb"), "198.51.100.2/32": ("bgp", "srvb")})
    inside.warm(*services)
    us.exabgp_at(of_exabgp.netns)
    us.expect(both)
    of_gobgp.set_carrier(False)
    us.expect({"198.18.0.0/24": ("bgp", "srva"), "198.51.100.1/32": ("bgp", "srva")})
    inside.warm(*services)


MEMBER_WITH_FRR = """
! bgpd=yes
router bgp 64503
 bgp router-id 192.0.2.3
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
 neighbor 192.0.2.250 remote-as 64555
 neighbor 192.0.2.250 timers connect 1
 neighbor 2001:db8:ff::250 remote-as 64555
 neighbor 2001:db8:ff::250 timers connect 1
 address-family ipv4 unicast
  network 198.18.3.0/24
  network 198.18.3.128/25
  no neighbor 2001:db8:ff::250 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:77::/48
  neighbor 2001:db8:ff::250 activate
 exit-address-family
exit
"""
TO_ROUTE_SERVER = """
protocol bgp from quick {
  local as 64502;
  neighbor 192.0.2.250 as 64555;
  ipv4 { import all; export where net = 198.18.2.0/24; };
}
"""


def test_a_member_of_an_exchange_peers_in_private_too(lab, recipe):
    inside = lab.host("lan", "203.0.113.7/24", "203.0.113.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1")
    exchange = switch(lab, "ix")
    exchange.enable_ipv6(keep_addr_on_down=1)
    for address in ("192.0.2.250/24", "2001:db8:ff::250/64"):
        exchange.add_address("switch", address)
    private = speaker(lab, "private", "198.51.100.2/30", lo=["198.18.2.1/32"])
    join(exchange, private.netns, "ix", "192.0.2.2/24")
    third = lab.namespace("third")
    join(exchange, third, "ix", "192.0.2.3/24", "2001:db8:ff::3/64")
    third.add_dead_end("net", "198.18.3.1/24", "2001:db8:77::1/48")

    us = recipe("internet-exchange")
    frr = us.frr(changes={"timers bgp 3 9": "timers bgp 1 3", "timers connect 5": "timers connect 1"})
    quick = {"connect retry time 5;": "connect retry time 1; connect delay time 1; error wait time 1, 1;"}
    server = us.bird_at(exchange, read("internet-exchange", "route-server.conf", quick))
    us.frr_at(third, MEMBER_WITH_FRR)

    def announce(*more):
        """Of the second member: what is announced in private, more than to the route server."""
        return neighbor("192.0.2.2", [(64502, "198.51.100.1", 64500)], ["198.18.2.0/24", *more]) + TO_ROUTE_SERVER

    refused = ("0.0.0.0/0", "203.0.113.128/25", "198.18.2.128/25")
    second = us.bird_at(private.netns, announce(*refused))
    own = {"2001:db8:1::/48": ("static",)}
    of_third = {"198.18.3.0/24": ("bgp", "ix"), "2001:db8:77::/48": ("bgp", "ix")}
    whole = {"198.18.2.0/24": ("bgp", "private"), **of_third, **own}
    us.expect(whole)
    inside.warm("198.18.2.1", "198.18.3.1", "2001:db8:77::1")

    # More prefixes than agreed end the private peering; the exchange leads to the member as well.
    second.configure(announce(*(f"198.19.{n}.0/24" for n in range(11))))
    us.expect({"198.18.2.0/24": ("bgp", "ix"), **of_third, **own})
    inside.warm("198.18.2.1")
    second.configure(announce(*refused))
    frr.show("clear bgp 198.51.100.2")
    us.expect(whole)
    server.stop()
    us.expect({"198.18.2.0/24": ("bgp", "private"), **own})
    inside.warm("198.18.2.1")


NODE_WITH_FRR = """
! bgpd=yes
router bgp 64512
 bgp router-id 192.0.2.12
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 1 3
 neighbor 192.0.2.1 remote-as 64500
 neighbor 192.0.2.1 timers connect 1
 address-family ipv4 unicast
  network 10.244.2.0/24
  network 198.51.100.10/32
 exit-address-family
exit
"""


def test_nodes_of_a_cluster_share_a_service_and_one_dies(lab, recipe):
    inside = lab.host("lan", "203.0.113.2/24", "203.0.113.1")
    clients = [f"203.0.113.{n}" for n in range(2, 26)]
    for client in clients[1:]:
        inside.netns.add_address("eth0", f"{client}/24")
    shared = switch(lab, "nodes")
    nodes = [lab.namespace("node1"), lab.namespace("node2")]
    for number, node in enumerate(nodes, 1):
        join(shared, node, "eth0", f"192.0.2.{10 + number}/24")
        node.add_dead_end("pods", f"10.244.{number}.1/24")
        node.add_address("lo", "198.51.100.10/32")
    rack = recipe("kubernetes")
    rack.frr(changes={"timers bgp 3 9": "timers bgp 1 3"})
    quick = {"connect retry time 5;": "connect retry time 1; connect delay time 1;"}
    rack.bird_at(nodes[0], read("kubernetes", "bird.conf", quick))
    rack.frr_at(nodes[1], NODE_WITH_FRR)

    def served():
        """Which nodes answer for the service; every client has an answer."""
        before = [echoes(node) for node in nodes]
        for client in clients:
            wait_for(lambda client=client: inside.ping("198.51.100.10", "-I", client, count=1, deadline=2).received, 10,
                     f"an answer for {client}")
        return [echoes(node) > had for node, had in zip(nodes, before)]

    def routes():
        return {prefix: sorted(hop["address"] for route in rack.router.get(f"/v1/routes?source=fpm&prefix={prefix}")["routes"]
                               for hop in route["via"]) for prefix in rack.routes()}

    def expect(wanted):
        wait_for(lambda: routes() == wanted, SECONDS, lambda: f"{wanted}; there are {routes()}\n{rack.said()}")

    both = {"10.244.1.0/24": ["192.0.2.11"], "10.244.2.0/24": ["192.0.2.12"], "198.51.100.10/32": ["192.0.2.11", "192.0.2.12"]}
    expect(both)
    inside.warm("10.244.1.1", "10.244.2.1")
    assert served() == [True, True]
    silence(nodes[0], True)
    expect({"10.244.2.0/24": ["192.0.2.12"], "198.51.100.10/32": ["192.0.2.12"]})
    assert served() == [False, True]
    silence(nodes[0], False)
    expect(both)
    assert served() == [True, True]


def test_a_pair_by_vrrp_goes_on_when_one_dies(lab, recipe):
    middle = lab.namespace("middle")
    for side in ("lan", "wan"):
        middle.ip("link", "add", side, "type", "bridge")
        middle.ip("link", "set", side, "up")
    inside = lab.host("inside", "10.1.0.7/24", "10.1.0.1", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::1", router_side=middle)
    lab.host("outside", "10.2.0.7/24", "10.2.0.1", ipv6="2001:db8:2::7/64", gateway6="2001:db8:2::1", router_side=middle)
    middle.ip("link", "set", "inside", "master", "lan")
    middle.ip("link", "set", "outside", "master", "wan")
    pair = {}
    for name, address, priority in (("a", "2", "200"), ("b", "3", "100")):
        for side in ("lan", "wan"):
            Port(lab, f"{side}{name}", 1500, netns=middle)
            middle.ip("link", "set", f"{side}{name}", "master", side)
        pair[name] = one = recipe("vrrp", router=name, changes={f"{net}2/": f"{net}{address}/" for net in ("10.1.0.", "10.2.0.", "2001:db8:1::",
                                                                                                      "2001:db8:2::")},
                                  devices={f"{side}0": f"{side}{name}" for side in ("lan", "wan")})
        one.keepalived(changes={"priority 200": f"priority {priority}"})

    def is_master(name):
        interfaces = pair[name].router.get("/v1/interfaces")["interfaces"]
        lent = {(one["name"], each["address"]): each["mac"] for one in interfaces for each in one["host"]["lent"]}
        return lent == {("lan0", "10.1.0.1"): "00:00:5e:00:01:33", ("wan0", "10.2.0.1"): "00:00:5e:00:01:34",
                        ("lan0", "2001:db8:1::1"): "00:00:5e:00:02:33", ("wan0", "2001:db8:2::1"): "00:00:5e:00:02:34",
                        ("lan0", "fe80::51"): "00:00:5e:00:02:33", ("wan0", "fe80::52"): "00:00:5e:00:02:34"}

    wait_for(lambda: is_master("a") and not is_master("b"), SECONDS, pair["a"].said)
    inside.warm("10.1.0.1", "10.2.0.7", "2001:db8:1::1", "2001:db8:2::7")
    assert inside.neighbor_mac("10.1.0.1") == "00:00:5e:00:01:33"
    assert inside.neighbor_mac("2001:db8:1::1") == "00:00:5e:00:02:33"
    # Without its router the first one's TAPs have no carrier, and its keepalived gives up.
    pair["a"].router.kill()
    wait_for(lambda: is_master("b"), SECONDS, pair["b"].said)
    inside.warm("10.2.0.7", "2001:db8:2::7")
    pair["a"].router.start()
    wait_for(lambda: is_master("a") and not is_master("b"), SECONDS, pair["a"].said)
    inside.warm("10.2.0.7", "2001:db8:2::7")
    assert inside.neighbor_mac("10.1.0.1") == "00:00:5e:00:01:33"
