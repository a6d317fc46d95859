"""Configurations applied to a running router: only what changed changes, and a bad file changes nothing."""

import copy
import json

import pytest
from scapy.layers.l2 import Ether

from basics import wait_for
from lab import Pinger
from packets import arp, arp_reply_from, from_to, udp

HERE, THERE = "10.1.0.2", "10.2.0.2"
APPLIES = 1000


class Net:
    """Two kernel hosts that ping each other all the time, two wires whose part of the configuration changes."""

    def __init__(self, lab):
        self.lab = lab
        self.left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
        self.right = lab.host("right", "198.51.100.2/24", "198.51.100.1")
        self.inside, self.outside = lab.wire("in"), lab.wire("out")
        self.config = lab.config(
            interfaces={"left": ["192.0.2.1/24"], "right": ["198.51.100.1/24"], "in": ["10.1.0.1/24"],
                        "out": ["10.2.0.1/24"]},
            routes=[{"prefix": "10.20.0.0/16", "via": THERE}],
            neighbors=[{"address": HERE, "mac": self.inside.mac, "interface": "in"},
                       {"address": THERE, "mac": self.outside.mac, "interface": "out"}])
        self.router = lab.router(self.config)
        self.left.warm("198.51.100.2")

    def changed(self):
        return copy.deepcopy(self.config)

    def forwards(self, destination):
        """Whether a packet to this destination leaves `out`."""
        self.outside.drain()
        self.inside.send(udp(self.inside, HERE, destination))
        return any(from_to(HERE, destination)(frame) for frame in self.outside.frames(0.3))


@pytest.fixture
def net(lab):
    return Net(lab)


@pytest.fixture
def unharmed(net):
    """What did not change loses no packet."""
    with Pinger(net.left, "198.51.100.2", 0.005) as pinger:
        yield pinger
    assert pinger.sent > 0
    assert pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent} pings"


def texts(answer):
    return [change["text"] for change in answer["changes"]]


# Rule 43.
def test_the_same_configuration_changes_nothing(net, unharmed):
    answer = net.router.apply(net.config)
    assert answer["changes"] == []


# Rules 12, 43.
def test_adds_and_removes_a_route(net, unharmed):
    assert not net.forwards("10.60.1.1")
    more = net.changed()
    more["routes"].append({"prefix": "10.60.0.0/16", "via": THERE})
    assert len(texts(net.router.apply(more))) == 1
    assert net.forwards("10.60.1.1") and net.forwards("10.20.1.1")
    assert len(texts(net.router.apply(net.config))) == 1
    assert not net.forwards("10.60.1.1") and net.forwards("10.20.1.1")


# Rules 12, 43.
def test_changes_a_route_to_a_blackhole_and_back(net, unharmed):
    other = net.changed()
    other["routes"][0] = {"prefix": "10.20.0.0/16", "type": "blackhole"}
    net.router.apply(other)
    with net.router.dropping(route_blackhole=1):
        assert not net.forwards("10.20.1.1")
    net.router.apply(net.config)
    assert net.forwards("10.20.1.1")


# Rules 21, 43.
def test_adds_and_removes_an_address(net, unharmed):
    more = net.changed()
    more["interfaces"]["out"]["addresses"].append("10.3.0.1/24")
    question = arp(net.outside, op=1, sender="10.3.0.7", target="10.3.0.1")
    net.outside.send(question)
    net.outside.expect_none(arp_reply_from("10.3.0.1"), 0.3)
    net.router.apply(more)
    net.outside.send(question)
    net.outside.expect(arp_reply_from("10.3.0.1"), what="ARP reply for the new address")
    assert net.router.get("/v1/fib/lookup?address=10.3.0.77")["source"] == "connected"
    net.router.apply(net.config)
    net.outside.send(question)
    net.outside.expect_none(arp_reply_from("10.3.0.1"), 0.3)
    assert net.router.get("/v1/fib/lookup?address=10.3.0.77")["matched"] is False


# Rule 43.
def test_adds_changes_and_removes_a_static_neighbour(net, unharmed):
    for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"):
        more = net.changed()
        more["neighbors"].append({"address": "10.2.0.66", "mac": mac, "interface": "out"})
        net.router.apply(more)
        net.outside.drain()
        net.inside.send(udp(net.inside, HERE, "10.2.0.66"))
        assert Ether(net.outside.expect(from_to(HERE, "10.2.0.66"))).dst == mac
    net.router.apply(net.config)
    assert net.router.neighbors().get("10.2.0.66", {}).get("state") != "static"


# Rules 7, 43.
def test_changes_an_mtu(net, unharmed):
    smaller = net.changed()
    smaller["interfaces"]["out"]["mtu"] = 1000
    answer = net.router.apply(smaller)
    assert len(answer["changes"]) == 1 and "mtu" in answer["changes"][0]["what"]
    net.outside.drain()
    net.inside.send(udp(net.inside, HERE, "10.20.1.1", b"m" * 1200))
    sizes = [len(frame) - 14 for frame in net.outside.frames(0.5) if from_to(HERE)(frame)]
    assert len(sizes) == 2 and max(sizes) <= 1000
    net.router.apply(net.config)
    net.inside.send(udp(net.inside, HERE, "10.20.1.1", b"m" * 1200))
    assert len(net.outside.expect(from_to(HERE))) == 14 + 28 + 1200


# Rule 43.
def test_adds_and_removes_an_interface(net, unharmed):
    guest = net.lab.host("guest", "10.80.0.2/24", "10.80.0.1")
    more = net.changed()
    more["interfaces"]["guest"] = {"device": "net_af_packet,iface=guest", "addresses": ["10.80.0.1/24"]}
    for _ in range(3):
        net.router.apply(more)
        guest.warm("10.80.0.1", "192.0.2.2")
        ping = guest.ping("192.0.2.2", count=20)
        assert ping.lost == 0, ping.text
        net.router.apply(net.config)
        assert [row["name"] for row in net.router.get("/v1/interfaces")["interfaces"]] == ["in", "left", "out", "right"]
        assert guest.ping("10.80.0.1", count=1, deadline=1).received == 0


# Rule 43.
def test_removes_an_interface_that_routes_and_packets_use(net, unharmed):
    less = net.changed()
    del less["interfaces"]["out"]
    less["routes"], less["neighbors"] = [], less["neighbors"][:1]
    for _ in range(3):
        for number in range(200):
            net.inside.send(udp(net.inside, HERE, "10.20.1.1", b"%d" % number))
        net.router.apply(less)
        net.router.apply(net.config)
        wait_for(lambda: net.forwards("10.20.1.1"), 5, "packets leave `out` again")


# Rule 43.
@pytest.mark.parametrize("spoil", [
    lambda text: text.replace("routes:", "rotues:"),
    lambda text: text.replace("10.20.0.0/16", "10.20.0.1/16"),
    lambda text: text.replace("10.20.0.0/16", "10.20.0.0/33"),
    lambda text: text + "\nsurprise: 1\n",
    lambda text: text.replace("interface: out", "interface: nowhere"),
    lambda text: "interfaces: [",
], ids=["unknown key", "host bits", "prefix length", "unknown section", "unknown interface", "not YAML"])
def test_a_bad_file_changes_nothing(net, unharmed, spoil):
    before = net.router.get("/v1/config")
    routes = net.router.get("/v1/routes")
    good = net.router.text({**net.changed(), "routes": net.config["routes"] + [{"prefix": "10.61.0.0/16", "via": THERE}]})
    status, headers, body = net.router.api("POST", "/v1/config:apply?file=bad.yaml", spoil(good))
    problem = json.loads(body)
    assert status == 422 and headers["Content-Type"].startswith("application/problem+json"), (status, body)
    assert problem["problems"], problem
    for entry in problem["problems"]:
        assert entry["file"] == "bad.yaml" and entry["line"] >= 1 and entry["column"] >= 1 and entry["message"], entry
    assert net.router.get("/v1/config") == before
    assert net.router.get("/v1/routes") == routes
    assert net.forwards("10.20.1.1") and not net.forwards("10.61.1.1")


# Rule 43.
def test_what_needs_a_restart_is_refused_whole(net, unharmed):
    other = net.changed()
    other["dataplane"]["memory"] = "768M"
    other["routes"].append({"prefix": "10.62.0.0/16", "via": THERE})
    status, _, body = net.router.api("POST", "/v1/config:apply", net.router.text(other))
    assert status == 409 and b"restart" in body, (status, body)
    assert not net.forwards("10.62.1.1")


def test_a_generation_that_is_not_ours_is_refused(net, unharmed):
    _, headers, _ = net.router.api("GET", "/v1/config")
    tag = headers["ETag"]
    more = net.changed()
    more["routes"].append({"prefix": "10.63.0.0/16", "via": THERE})
    status, _, _ = net.router.api("POST", "/v1/config:apply", net.router.text(more), {"If-Match": tag})
    assert status == 200
    status, _, _ = net.router.api("POST", "/v1/config:apply", net.router.text(net.config), {"If-Match": tag})
    assert status == 412
    assert net.forwards("10.63.1.1")


def test_diff_shows_what_apply_would_change(net, unharmed):
    other = net.changed()
    other["routes"].append({"prefix": "10.64.0.0/16", "via": THERE})
    other["interfaces"]["out"]["addresses"].append("10.3.0.1/24")
    del other["neighbors"][1]
    status, _, body = net.router.api("POST", "/v1/config:diff", net.router.text(other))
    assert status == 200
    shown = json.loads(body)["changes"]
    assert sorted(change["action"] for change in shown) == ["add", "add", "remove"]
    assert any(change["text"].startswith("+ routes 10.64.0.0/16") for change in shown), shown
    assert not net.forwards("10.64.1.1")
    assert net.router.apply(other)["changes"] == shown


def test_the_command_line_diffs_checks_and_applies(net, unharmed):
    more = net.changed()
    more["routes"].append({"prefix": "10.65.0.0/16", "via": THERE})
    file = net.router.write(more, net.router.directory / "next.yaml")
    assert net.router.cli("check", file).returncode == 0
    assert "+ routes 10.65.0.0/16" in net.router.cli("diff", file).stdout
    assert "10.65.0.0/16" in net.router.cli("apply", file).stdout
    assert net.forwards("10.65.1.1")
    bad = net.router.directory / "bad.yaml"
    bad.write_text(file.read_text().replace("10.65.0.0/16", "10.65.0.0/99"))
    refused = net.router.cli("apply", bad, check=False)
    assert refused.returncode == 1 and f"{bad}:" in refused.stderr, refused
    assert net.forwards("10.65.1.1")


def test_routes_of_the_api_survive_apply(net, unharmed):
    status, _, _ = net.router.api("POST", "/v1/routes", {"prefix": "10.66.0.0/16", "via": THERE})
    assert status == 200
    more = net.changed()
    more["routes"].append({"prefix": "10.67.0.0/16", "via": THERE})
    net.router.apply(more)
    assert net.router.apply(net.config)["changes"] != []
    assert net.forwards("10.66.1.1") and not net.forwards("10.67.1.1")
    status, _, _ = net.router.api("DELETE", "/v1/routes?prefix=10.66.0.0/16")
    assert status == 200 and not net.forwards("10.66.1.1")


# Rule 43.
def test_a_thousand_applies_under_traffic(net, unharmed):
    one, two = net.router.text(net.config), net.changed()
    two["routes"] = [{"prefix": f"10.{70 + n}.0.0/16", "via": THERE} for n in range(20)]
    two["interfaces"]["out"]["addresses"].append("10.3.0.1/24")
    two["neighbors"].append({"address": "10.3.0.9", "mac": "02:00:00:00:03:09", "interface": "out"})
    two = net.router.text(two)
    generation = net.router.get("/v1/config")["generation"]
    for number in range(APPLIES):
        status, _, body = net.router.api("POST", "/v1/config:apply", one if number % 2 else two)
        assert status == 200, body
        answer = json.loads(body)
        assert len(answer["changes"]) == 23, answer["changes"]
        assert answer["generation"] == (generation := generation + 1)
        if number % 100 == 0:
            net.inside.send(udp(net.inside, HERE, "10.75.1.1"), udp(net.inside, HERE, "10.20.1.1"))
    assert net.forwards("10.20.1.1") and not net.forwards("10.75.1.1")
