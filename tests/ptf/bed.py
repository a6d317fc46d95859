"""The test bed: Millrace with six ports, their far ends in one namespace where ptf sends and receives.

    ptf 0 ── p0 ┐            ┌ p2 ── 2 ptf      every port has 10.0.N.1/24 and fc00:N::1/64; behind each the next
    ptf 1 ── p1 ┴─ millraced ┼ p3 ── 3 ptf      hops 10.0.N.2 and fc00:N::2 with the MAC of ptf's port N
                             ├ p4 ── 4 ptf
                             └ p5 ── 5 ptf      p0 and p1 also have the addresses that arptest.py knows

ptf resolves nothing and answers nothing, so that the next hops are static neighbours; those of arptest are learnt.
"""

import ipaddress
import json
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from lab import Lab, Port  # noqa: E402

PORTS = range(6)
UPLINKS = [2, 3, 4, 5]  # the default route's next hops
# 9100 is every SONiC port's; buffers for it take much memory, so that only the ports of mtu_test have it.
MTUS = [9100, 9100, 1500, 1500, 1500, 1500]
IPV4, IPV6 = FAMILIES = 4, 6

ROUTER_MAC = "02:00:00:00:5e:1c"  # one for all ports, as the tests expect

# arptest.py: 10.10.1.2 is ours, .3 and .4 are hosts beside it, .22 is none.
ARP_ADDRESSES = {0: "10.10.1.2/28", 1: "10.10.1.20/28"}


def own(family, port):
    return f"10.0.{port}.1" if family == IPV4 else f"fc00:{port}::1"


def peer(family, port):
    return f"10.0.{port}.2" if family == IPV4 else f"fc00:{port}::2"


def connected(family, port):
    return f"10.0.{port}.0/24" if family == IPV4 else f"fc00:{port}::/64"


# Prefixes that a test wants as they are: hash_test's destinations, a pair for few flows, those of tunnels, and one
# whose next hops come and go.
CHANGING = {IPV4: "100.50.25.0/24", IPV6: "20d2::/16"}
FIXED = {
    IPV4: {"0.0.0.0/0": UPLINKS, "9.0.0.0/8": UPLINKS, "11.0.0.0/8": [2, 3], "80.1.0.0/24": UPLINKS,
           CHANGING[IPV4]: UPLINKS},
    IPV6: {"::/0": UPLINKS, "20d0::/16": UPLINKS, "20d1::/16": [2, 3], "80::/64": UPLINKS, CHANGING[IPV6]: UPLINKS},
}
# A prefix of every length around one address, each by another way than the next.
CHAIN = {IPV4: "192.168.171.205", IPV6: "2001:db8:9a3c:71e5:c0de:5a17:33cc:f00d"}
# Where the random prefixes lie: global unicast, away from the above and from what fib.py leaves out.
RANDOM = {IPV4: ("16.0.0.0/4", (8, 32)), IPV6: ("2400::/6", (16, 128))}
RANDOM_PREFIXES = 30
FLOWS = 1000  # of fg_ecmp_test


def random_prefix(pick, family):
    within, lengths = RANDOM[family]
    space = ipaddress.ip_network(within)
    address = int(space.network_address) + pick.getrandbits(space.max_prefixlen - space.prefixlen)
    return str(ipaddress.ip_network((address, pick.randint(*lengths)), strict=False))


def make_routes(family, seed):
    """Prefix -> ports of its next hops: nested, overlapping, single and equal-cost."""
    pick = random.Random(f"{family} {seed}")
    routes = {}
    address = ipaddress.ip_address(CHAIN[family])
    for length in range(1, address.max_prefixlen + 1):
        routes[str(ipaddress.ip_network((int(address), length), strict=False))] = [length % len(PORTS)]
    while len(routes) < address.max_prefixlen + RANDOM_PREFIXES:
        routes[random_prefix(pick, family)] = sorted(pick.sample(PORTS, pick.choice([1, 1, 2, 3, 4])))
    return {**routes, **FIXED[family]}


class Bed:
    """A running router, and the files that say to ptf's tests what it is."""

    def __init__(self, directory, seed):
        self.directory = pathlib.Path(directory)
        self.routes = {family: make_routes(family, seed) for family in FAMILIES}
        self.down = set()
        self.lab = Lab()

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.lab.close()
            raise
        return self

    def __exit__(self, *_):
        self.lab.close()

    def _start(self):
        self.tester = self.lab.namespace("ptf")
        self.ports = [Port(self.lab, f"p{number}", MTUS[number], self.tester) for number in PORTS]
        for port in self.ports:
            port.set_router_mac(ROUTER_MAC)
        self.router = self.lab.router(self._config())

    # --- the router

    def _config(self):
        interfaces = {}
        for number, port in enumerate(self.ports):
            addresses = [f"{own(family, number)}/{connected(family, number).split('/')[1]}" for family in FAMILIES]
            if number in ARP_ADDRESSES:
                addresses.append(ARP_ADDRESSES[number])
            interfaces[port.name] = {"mtu": MTUS[number], "addresses": addresses}
        return self.lab.config(
            interfaces,
            routes=[{"prefix": prefix, "via": [peer(family, number) for number in ports]}
                    for family in FAMILIES for prefix, ports in self.routes[family].items()],
            neighbors=[{"address": peer(family, number), "mac": port.mac, "interface": port.name}
                       for family in FAMILIES for number, port in enumerate(self.ports)],
            dataplane={"memory": "1G"})

    def set_link(self, number, up):
        self.ports[number].set_carrier(up)
        (self.down.discard if up else self.down.add)(number)

    def set_next_hops(self, family, prefix, ports):
        self.routes[family][prefix] = ports
        self.router.apply(self._config())

    # --- files for the tests

    def ptf_interfaces(self):
        """ptf's -i options; a socket on an interface that is down is of no use to it."""
        return [word for number, port in enumerate(self.ports) if number not in self.down
                for word in ("-i", f"{number}@{port.device}")]

    def fib_file(self):
        """fib.py: a prefix and its next hops a line, each a list of ports; none where the router itself is."""
        lines = []
        for family in FAMILIES:
            lines += [f"{connected(family, number)} []" for number in PORTS]
            for prefix, ports in self.routes[family].items():
                lines.append(f"{prefix} " + (" ".join(f"[{n}]" for n in ports if n not in self.down) or "[]"))
        return self._write("fib_info.txt", "\n".join(lines) + "\n")

    def port_map_file(self):
        """Each port's router: which one it is, the MAC to send to and the MAC that its frames come from."""
        ports = {str(number): {"target_dut": [0], "target_dest_mac": ROUTER_MAC,
                               "target_src_mac": [ROUTER_MAC], "asic_idx": 0} for number in PORTS}
        return self._write("ptf_test_port_map.json", json.dumps(ports, indent=1))

    def group_file(self):
        """fg_ecmp_test.py: where its flows come from and go to; its banks are subsets of a group, of which we have one."""
        group = {"net_ports": [0, 1], "serv_ports": [n for n in UPLINKS if n not in self.down], "bank_0_port": UPLINKS,
                 "bank_1_port": [], "dut_mac": ROUTER_MAC, "num_flows": FLOWS, "inner_hashing": False, "vxlan_port": 0}
        return self._write("fg_ecmp.json", json.dumps(group, indent=1))

    def _write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)
