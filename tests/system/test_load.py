"""A million routes through `millrace load`: taken whole, forwarded by, and the control thread stays answering."""

import gzip
import ipaddress
import pathlib
import random
import threading
import time

import pytest
from scapy.layers.l2 import ARP, Ether

from lab import Pinger
from oracle import FULL_TABLE, PrefixOracle, is_forwarded, prefix_text, read_table
from packets import arp, ip_of, is_ipv4, udp

ROUTES = 1_000_000
HERE = "10.1.0.2"
LOAD_SECONDS = 300  # a hang ends here; how long it takes is printed, never judged


def next_hop(index):
    """The table's next-hop index as an address of the connected 10.128.0.0/16."""
    return f"10.128.{1 + index // 250}.{1 + index % 250}"


def mac_of(address):
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))


class Table(PrefixOracle):
    """ROUTES distinct prefixes with their next-hop indices."""

    def __init__(self):
        super().__init__()
        for network, length, index in read_table(FULL_TABLE):
            self.by_length[length][network] = index
        # The rest: /24s inside the table's /22s, as one sees them when somebody deaggregates.
        missing = ROUTES - len(self)
        for start, index in list(self.by_length[22].items()):
            for network in range(start, start + 1024, 256):
                if missing > 0 and network not in self.by_length[24]:
                    self.by_length[24][network] = index % 1000 + 1
                    missing -= 1
        assert len(self) == ROUTES

    def write(self, path):
        with gzip.open(path, "wt", compresslevel=1) as out:
            out.write("# a million routes\n")
            for network, length, index in self:
                out.write(f"{prefix_text(network, length)} via {next_hop(index)}\n")

    def lookup(self, address):
        """(prefix, next hop) of the longest match."""
        network, length, index = self.match(address)
        return prefix_text(network, length), next_hop(index)

    def destinations(self, seed, count):
        """Addresses inside the table's prefixes that a router forwards, all lengths alike."""
        rng = random.Random(seed)
        pools = [list(prefixes) for prefixes in self.by_length]
        lengths = [length for length in range(1, 33) if pools[length]]
        chosen = []
        while len(chosen) < count:
            length = rng.choice(lengths)
            address = rng.choice(pools[length]) | rng.randrange(1 << (32 - length))
            if is_forwarded(address):
                chosen.append(address)
        return chosen


class Neighborhood(threading.Thread):
    """Answers ARP for every next hop behind a wire, and keeps the IPv4 frames that come."""

    def __init__(self, wire):
        super().__init__(daemon=True)
        self.wire, self.frames, self._ended = wire, [], threading.Event()

    def run(self):
        while not self._ended.is_set():
            for frame in self.wire.frames(0.05):
                if is_ipv4(frame):
                    self.frames.append(frame)
                    continue
                question = ARP(frame[14:42])
                if question.op == 1 and question.pdst.startswith("10.128."):
                    self.wire.send(arp(self.wire, op=2, sender=question.pdst, sender_mac=mac_of(question.pdst),
                                       target=question.psrc, target_mac=question.hwsrc))

    def stop(self):
        self._ended.set()
        self.join()


@pytest.fixture(scope="module")
def table():
    return Table()


# Rule 12.
def test_a_million_routes(lab, router, table, tmp_path):
    left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
    inside, outside = lab.wire("in"), lab.wire("out")
    running = router(
        interfaces={"left": ["192.0.2.1/24"], "in": ["10.1.0.1/24"], "out": ["10.128.0.1/16"]},
        neighbors=[{"address": HERE, "mac": inside.mac, "interface": "in"}],
        dataplane={"memory": "1G"})
    file = pathlib.Path(tmp_path) / "million.txt.gz"
    table.write(file)
    left.warm("192.0.2.1")

    with Pinger(left, "192.0.2.1", 0.005) as pinger:
        started = time.monotonic()
        said = running.cli("load", file, timeout=LOAD_SECONDS)
        took = time.monotonic() - started
    loop = running.get("/v1/status")["control_loop"]
    print(f"{ROUTES:,} routes in {took:.2f} s; control loop lag p50 {loop['lag_p50_seconds'] * 1e3:.2f} ms, "
          f"p99 {loop['lag_p99_seconds'] * 1e3:.2f} ms, max {loop['lag_max_seconds'] * 1e3:.2f} ms; "
          f"{pinger.sent} pings meanwhile")
    print(said.stdout)
    assert pinger.sent > 0 and pinger.lost == [], f"lost {len(pinger.lost)} of {pinger.sent} pings"

    rib = running.get("/v1/status")["rib"]
    assert rib["sources"]["api"] == ROUTES
    assert running.get("/v1/routes?source=api&limit=1")["total"] == ROUTES

    # What the router says ...
    for address in table.destinations(seed=1, count=300):
        text = str(ipaddress.IPv4Address(address))
        answer = running.get(f"/v1/fib/lookup?address={text}")
        prefix, via = table.lookup(address)
        assert answer["matched"] and answer["prefix"] == prefix, (text, answer, prefix)
        assert [member["address"] for member in answer["adjacencies"]] == [via], (text, answer, via)
    explained = running.cli("route", "lookup", "1.0.4.1").stdout
    prefix, via = table.lookup(int(ipaddress.IPv4Address("1.0.4.1")))
    assert prefix in explained and via in explained and "out" in explained, explained

    # ... and what it does: the packet goes to the MAC of the next hop that the oracle names.
    answering = Neighborhood(outside)
    answering.start()
    try:
        wanted = {}
        for address in table.destinations(seed=2, count=400):
            text = str(ipaddress.IPv4Address(address))
            wanted[text] = mac_of(table.lookup(address)[1])
            inside.send(udp(inside, HERE, text))
            time.sleep(0.002)
        # A next hop that did not answer while nobody was there is asked again by traffic, at most once a second:
        # until then its packets are refused, so that they are sent again.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            missing = set(wanted) - {ip_of(frame).dst for frame in answering.frames}
            if not missing:
                break
            for text in missing:
                inside.send(udp(inside, HERE, text))
            time.sleep(0.5)
    finally:
        answering.stop()
    got = {ip_of(frame).dst: Ether(frame).dst for frame in answering.frames}
    assert got == wanted

    # An address outside the table has no route; the routes of the file can go again.
    status, _, _ = running.api("POST", "/v1/routes:replace?owner=nobody", "", {"Content-Type": "text/plain"})
    assert status == 200
    assert running.get("/v1/status")["rib"]["sources"]["api"] == ROUTES


def test_load_says_which_lines_are_wrong(lab, router, tmp_path):
    outside = lab.wire("out")
    assert outside.mac
    running = router(interfaces={"out": ["10.128.0.1/16"]})
    file = pathlib.Path(tmp_path) / "routes.txt"
    file.write_text("# comment\n\n192.168.1.0/24 via 10.128.0.2\n192.168.1.1/24 via 10.128.0.2\nnonsense\n"
                    "192.168.2.0/24 blackhole\n")
    result = running.cli("load", file, check=False)
    assert result.returncode == 1
    assert "4" in result.stderr and "5" in result.stderr, result
    missing = running.cli("load", tmp_path / "absent.txt", check=False)
    assert missing.returncode == 1 and "absent.txt" in missing.stderr
