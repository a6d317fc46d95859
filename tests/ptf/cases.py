"""Which of SONiC's tests run, with the parameters that sonic-mgmt's own pytest files give them.

Parameters that differ from theirs say why. What their pytest files look at afterwards is looked at here, too.
"""

import contextlib
import dataclasses
import functools
import pathlib
import re
from typing import Callable

from bed import CHANGING, FLOWS, IPV4, IPV6, ROUTER_MAC, UPLINKS, own, peer
from basics import wait_for


def nothing(*_):
    """No preparation, or nothing to look at afterwards."""


@dataclasses.dataclass
class Case:
    test: str  # module.Class
    what: str
    family: int
    parameters: Callable  # of the bed
    around: Callable = contextlib.nullcontext  # of the bed: what has to be so while the test runs
    after: Callable = nothing  # of the bed: an AssertionError fails the case
    differs: str = ""  # why it fails, and is meant to
    needs: str = ""  # the name of a case that has to come first

    @property
    def name(self):
        return f"{self.test} {self.what}".strip()


# --- arptest: tests/arp/test_arpall.py

def _arp(test, port, after, needs=""):
    # Padding is the link's affair: a veth carries frames of 42 bytes.
    return Case(f"arptest.{test}", "", IPV4,
                lambda bed: {"acs_mac": ROUTER_MAC, "port": port, "no_padding": True}, after=after,
                needs=needs)


def _knows(mac):
    def check(bed):
        wait_for(lambda: bed.router.neighbors().get("10.10.1.3", {}).get("mac") == mac, 2,
                 lambda: f"10.10.1.3 is at {mac}: {bed.router.neighbors().get('10.10.1.3')}")
        assert bed.router.neighbors()["10.10.1.3"]["interface"] == bed.ports[0].name

    return check


def _knows_not(address):
    def check(bed):
        assert address not in bed.router.neighbors(), f"{address} has become a neighbour"

    return check


ARP = [
    _arp("VerifyUnicastARPReply", 0, _knows("00:06:07:08:09:00")),
    _arp("ExpectReply", 0, _knows("00:06:07:08:09:0a")),
    _arp("WrongIntNoReply", 1, _knows_not("10.10.1.4")),
    _arp("SrcOutRangeNoReply", 0, _knows_not("10.10.1.22")),
    _arp("GarpNoUpdate", 0, _knows_not("10.10.1.7")),
    _arp("GarpUpdate", 0, _knows("00:00:07:08:09:0a"), needs="arptest.ExpectReply"),
]


# --- mtu_test: tests/ipfwd/test_mtu.py

def _mtu(family, length):
    suffix = "" if family == IPV4 else "v6"

    def parameters(bed):
        return {"testbed_type": "t1", "testbed_mtu": length, "router_mac": ROUTER_MAC,
                f"src_host_ip{suffix}": peer(family, 0), f"src_router_ip{suffix}": own(family, 0),
                f"dst_host_ip{suffix}": peer(family, 1), "src_ptf_port_list": [0], "dst_ptf_port_list": [1]}

    return Case("mtu_test.MtuTest", f"IPv{family}, frames of {length} bytes", family, parameters)


# --- fib_test: test_basic_fib and test_ecmp_group_member_flap of tests/fib/test_fib.py

def _files(bed):
    # "vpp": a software router, which leaves 240.0.0.0/4 alone (RFC 1812 5.3.7).
    return {"fib_info_files": [bed.fib_file()], "ptf_test_port_map": bed.port_map_file(), "asic_type": "vpp",
            "switch_type": "voq", "single_fib_for_duts": "multiple-fib", "topo_type": "t1", "ignore_ttl": False}


@contextlib.contextmanager
def _without_uplink(bed):
    lost = UPLINKS[0]
    bed.set_link(lost, False)
    try:
        wait_for(lambda: bed.router.interface(bed.ports[lost].name)["state"] == "down", 5, "the router sees the link go")
        yield
    finally:
        bed.set_link(lost, True)
        wait_for(lambda: bed.router.interface(bed.ports[lost].name)["state"] == "up", 5, "the router sees the link come")


def _fib(family, what, around=contextlib.nullcontext):
    def parameters(bed):
        return {**_files(bed), "ipv4": family == IPV4, "ipv6": family == IPV6, "testbed_mtu": 1514,
                "test_balancing": True, "skip_src_ports": sorted(bed.down)}

    return Case("fib_test.FibTest", f"IPv{family}, {what}", family, parameters, around)


# --- hash_test: test_hash and test_vxlan_hash of tests/fib/test_fib.py

SOURCES = {IPV4: "8.0.0.0,8.255.255.255", IPV6: "20D0:A800:0:00::,20D0:FFFF:0:00::FFFF"}
DESTINATIONS = {IPV4: "9.0.0.0,9.255.255.255", IPV6: "20D0:A800:0:01::,20D0:FFFF:0:01::FFFF"}
# 253 protocols are few flows: over four members a fair hash misses the 25 % now and then, over two it does not.
FEW_DESTINATIONS = {IPV4: "11.0.0.0,11.255.255.255", IPV6: "20D1:A800:0:01::,20D1:FFFF:0:01::FFFF"}


def _hash_parameters(family, keys, destinations):
    return lambda bed: {**_files(bed), "hash_keys": keys, "src_ip_range": SOURCES[family],
                        "dst_ip_range": destinations[family], "vlan_ids": [], "ipver": f"ipv{family}", "topo_name": "t1"}


def _hash(family):
    return [Case("hash_test.HashTest", f"IPv{family}, {key}", family, _hash_parameters(family, [key], destinations))
            for key, destinations in [("src-ip", DESTINATIONS), ("dst-ip", DESTINATIONS), ("src-port", DESTINATIONS),
                                      ("dst-port", DESTINATIONS), ("ingress-port", DESTINATIONS),
                                      ("ip-proto", FEW_DESTINATIONS)]]


def _vxlan(family, inner):
    def parameters(bed):
        return {**_hash_parameters(inner, ["outer-src-port"], DESTINATIONS)(bed), "vxlan_dest_port": 4789,
                "ipver": f"ipv{family}-ipv{inner}"}

    return Case("hash_test.VxlanHashTest", f"IPv{inner} in IPv{family}", family, parameters)


def _ipinip_length(family):
    """What the flow hash must not look at: here the length of the inner packet."""
    def parameters(bed):
        return {**_hash_parameters(family, ["inner_length"], DESTINATIONS)(bed), "is_v6_topo": family == IPV6}

    return Case("hash_test.IPinIPHashTest", f"IPv{family}, inner length is no key", family, parameters)


# --- fg_ecmp_test: the parts of tests/ecmp/test_fgnhg.py that do not want a group in banks. They follow each other: the
# first writes down where each flow goes, the others compare.

LOST = UPLINKS[0]
FLOWS_FILE = pathlib.Path("/tmp/fg_ecmp_persist_map.json")  # the test's own choice


@contextlib.contextmanager
def _without_next_hop(bed, family):
    bed.set_next_hops(family, CHANGING[family], [port for port in UPLINKS if port != LOST])
    try:
        yield
    finally:
        bed.set_next_hops(family, CHANGING[family], UPLINKS)


@contextlib.contextmanager
def _from_scratch(_):
    FLOWS_FILE.unlink(missing_ok=True)
    yield


def _group(family, what, test_case, around=contextlib.nullcontext, differs="", **more):
    def parameters(bed):
        return {"test_case": test_case, "config_file": bed.group_file(), "dst_ip": CHANGING[family].split("/")[0],
                "exp_flow_count": {port: FLOWS / len(UPLINKS) for port in UPLINKS}, **more}

    first = f"fg_ecmp_test.FgEcmpTest IPv{family}, flows are spread"
    return Case("fg_ecmp_test.FgEcmpTest", f"IPv{family}, {what}", family, parameters, around, differs=differs,
                needs="" if test_case == "create_flows" else first)


def _groups(family):
    return [_group(family, "flows are spread", "create_flows", _from_scratch),
            _group(family, "a flow stays", "initial_hash_check"),
            _group(family, "only the flows of a lost link move", "withdraw_nh", _without_uplink, withdraw_nh_port=LOST),
            _group(family, "only flows to the link that is back move", "add_nh", add_nh_port=LOST),
            _group(family, "only the flows of a removed next hop move", "withdraw_nh",
                   functools.partial(_without_next_hop, family=family), withdraw_nh_port=LOST,
                   differs="flows follow from the route's next hops alone, so that 1 to 3 % of the others move, too"),
            _group(family, "as before with the next hop back in the route", "initial_hash_check")]


def _of(family):
    return [_mtu(family, 1514), _mtu(family, 9114), _fib(family, "all links up"),
            _fib(family, "an ECMP member down", _without_uplink), _fib(family, "the member up again"), *_hash(family),
            *_groups(family), _vxlan(family, IPV4), _vxlan(family, IPV6), _ipinip_length(family)]


CASES = [*ARP, *_of(IPV4), *_of(IPV6)]


def select(pattern):
    """The cases in whose name it is found, and those that they need."""
    chosen = [case for case in CASES if re.search(pattern, case.name)]
    names = {name for case in chosen for name in (case.name, case.needs)}
    return [case for case in CASES if case.name in names]
