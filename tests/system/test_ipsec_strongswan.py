"""IPsec with strongSwan: two charons negotiate, and the router has the keys of the near one.

    left --- router === far charon --- right
                |
           near charon, on the router's TAPs

The near one speaks IKE by the router's addresses. What is ESP, in UDP of the same port, is the router's own.
"""

import contextlib
import dataclasses
import itertools
import re

import pytest

import ipsec
import strongswan
import transfer
from basics import wait_for
from lab import Pinger
from sites import LEFT, OUTER, RIGHT

SUBNETS = ("10.1.0.0/24", "2001:db8:1::/64"), ("10.9.0.0/24", "2001:db8:9::/64")
ECHO_HEADERS = {4: 28, 6: 48}  # bytes of an echo request that `ping -s` does not count
SECONDS = 20  # until both ends have done something
HELD_BACK_MS = 2000  # time enough for `apply`
CREATE_CHILD_SA, INFORMATIONAL = 36, 37  # exchanges of IKEv2 (RFC 7296 3.1); a DELETE is informational


@dataclasses.dataclass(frozen=True)
class Kind:
    """Of a CHILD_SA."""
    algorithm: str
    esn: bool = False
    mode: str = "tunnel"

    @property
    def child(self):
        """Its name in strongSwan's configuration."""
        return f"{self.algorithm}{'-esn' if self.esn else ''}-{self.mode}"

    @property
    def settings(self):
        proposal = f"{strongswan.PROPOSALS[self.algorithm]}-{'esn' if self.esn else 'noesn'}"
        hosts = {"local_ts": "dynamic", "remote_ts": "dynamic"} if self.mode == "transport" else {}
        return {"esp_proposals": proposal, "mode": self.mode, **hosts}


TUNNELS = [Kind(algorithm) for algorithm in strongswan.PROPOSALS]
TRIED = [*TUNNELS, Kind("aes-128-gcm", esn=True), Kind("aes-128-cbc-hmac-sha256", esn=True), Kind("null-hmac-sha256", esn=True),
         Kind("aes-128-gcm", mode="transport")]
POSSIBLE = [kind for kind in TUNNELS if "gmac" not in kind.algorithm]  # with every strongSwan
GCM = Kind("aes-128-gcm")


class Sites:
    """A router with a charon on its TAPs, a kernel with a charon, and a host behind each."""

    def __init__(self, lab):
        self.left = lab.host("lan", f"{LEFT[0]}/24", "10.1.0.1", ipv6=f"{LEFT[1]}/64", gateway6="2001:db8:1::1")
        self.far = lab.host("wan", "10.2.0.2/24", ipv6="2001:db8:2::2/64").netns
        self.right = lab.host("right", f"{RIGHT[0]}/24", "10.9.0.1", ipv6=f"{RIGHT[1]}/64", gateway6="2001:db8:9::1",
                              router_side=self.far)
        for address in ("10.9.0.1/24", "2001:db8:9::1/64"):
            self.far.add_address("right", address)
        self.far.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.near = lab.namespace("daemons")
        self.near.enable_ipv6()
        # charon wants an address of what it protects: the near one has it by the TAP of the lan.
        self.plain = lab.config(
            {"lan": {"addresses": ["10.1.0.1/24", "2001:db8:1::1/64"], "host": True},
             "wan": {"addresses": ["10.2.0.1/24", "2001:db8:2::1/64"], "host": True}},
            [{"prefix": prefix, "via": via} for prefix, via in zip(SUBNETS[1], ("10.255.0.2", "2001:db8:255::2"))])
        self.plain["host"] = {"netns": self.near.name}
        self.router = lab.router({}, start=False)
        self.router.write(self.config(4, GCM))
        self.router.start()
        for _, far in OUTER.values():
            wait_for(lambda: self.near.run("ping", "-c1", "-W1", far, check=False).returncode == 0, SECONDS,
                     lambda: f"{far} answers by the TAP")

    def config(self, outer, kind, out=None, inbound=()):
        """With the tunnel, and its SAs if it has some."""
        own, far = OUTER[outer]
        sas = {"out": out, "in": list(inbound)} if out else {}
        config = ipsec.with_tunnels(
            self.plain, {"ipsec0": {"addresses": ["10.255.0.1/30", "2001:db8:255::1/64"],
                                    "ipsec": {"local": own, "remote": far, "algorithm": kind.algorithm, "esn": kind.esn,
                                              "udp": True, **sas}}}, self.router.directory / "ipsec.json")
        config["ipsec"]["allow"] = ipsec.to_allow(strongswan.PROPOSALS)
        return config

    def use(self, outer, kind, child):
        """The router is the other end of the CHILD_SA."""
        self.router.apply(self.config(outer, kind, child.out, [child.inbound]))
        for family in ("-4", "-6"):
            self.left.run("ip", family, "route", "flush", "cache")  # the path's MTU is another one
        self.left.warm(RIGHT[0])

    @contextlib.contextmanager
    def charons(self, **settings):
        """(near, far): the near one, with these settings of its own, offers; the far one takes all that is tried."""
        offered = {kind.child: kind.settings for kind in TRIED}
        taken = {mode: {**Kind(GCM.algorithm, mode=mode).settings,
                        "esp_proposals": ",".join(kind.settings["esp_proposals"] for kind in TRIED if kind.mode == mode)}
                 for mode in ("tunnel", "transport")}

        def connections(order, children):
            return {f"over-ipv{outer}": strongswan.connection(ends[::order], SUBNETS[::order], children)
                    for outer, ends in OUTER.items()}

        near = strongswan.Charon(self.near, connections(1, offered), **settings)
        far = strongswan.Charon(self.far, connections(-1, taken))
        with contextlib.closing(near), contextlib.closing(far):
            far.start()
            near.start()
            yield near, far

    def counted(self):
        """SPI -> what the router has counted."""
        return {sa["spi"]: sa for tunnel in self.router.get("/v1/ipsec")["tunnels"] for sa in tunnel["sas"]}


@pytest.fixture(scope="module")
def sites(module_lab):
    return Sites(module_lab)


def check_answers(sites, host, destination, size, *options, count=3):
    """Echo requests, each of which is answered: `ping` sends more than `count` where answers are slow."""
    ping = host.ping(destination, "-A", "-s", size, *options, count=count)
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ", ping.text)}
    assert answered >= set(range(1, count + 1)), (size, ping.text, sites.router.drops())


def exchange(sites, inner):
    """Echo requests of many sizes and TCP, both ways, by IP version `inner`."""
    left, right = LEFT[inner == 6], RIGHT[inner == 6]
    for host, destination, sizes in ((sites.left, right, (0, 4000)), (sites.right, left, (1000, 4000))):
        # Who sends and who answers learn the path's MTU by the first.
        wait_for(lambda: host.ping(destination, "-s", 4000, count=1, deadline=1).received, SECONDS, "a long echo request")
        for size in sizes:
            check_answers(sites, host, destination, size)
    # What just fits into the tunnel's MTU, with DF inside and so outside.
    check_answers(sites, sites.left, right, sites.router.interface("ipsec0")["mtu"] - ECHO_HEADERS[inner], "-M", "do")
    transfer.tcp(sites.left, sites.right, right, 100_000)
    transfer.tcp(sites.right, sites.left, left, 100_000)


def check_counters(sites, child, near, far):
    """The router and the far charon have counted the same packets, and neither found anything wrong."""
    def both():
        ours, theirs = sites.counted(), far.child_sas()[child.out["spi"]]
        return [(ours[child.out["spi"]]["packets"], theirs["packets-in"]),
                (ours[child.inbound["spi"]]["packets"], theirs["packets-out"])]

    wait_for(lambda: all(ours == theirs > 100 for ours, theirs in both()), SECONDS, both)
    inbound = sites.counted()[child.inbound["spi"]]
    assert not any(inbound[fault] for fault in ("runt", "replayed", "late", "forged", "malformed")), inbound
    beside = near.child_sas()[child.inbound["spi"]]
    assert beside["packets-in"] == beside["packets-out"] == 0, "ESP is the router's, not that of the charon beside it"


def refusal(log):
    """Why charon made no CHILD_SA: what its ESP says, or else whatever speaks first."""
    said = re.findall(r"\[ESP\] +(.*)", log) or re.findall(r"\[(?:IKE|CFG|KNL)\] (.*)", log)
    assert said, log
    return said[0]


def outcome_of(sites, near, far, kind, outer):
    """Both IP versions inside: "passed", or why it is impossible."""
    mark = len(far.log)
    try:
        child = near.initiate(f"over-ipv{outer}", kind.child)
    except strongswan.Refused:
        return f"impossible: {refusal(far.log[mark:])}"
    assert kind.mode == "tunnel", "transport mode in UDP, which Millrace has not"
    assert far.child_sas()[child.out["spi"]]["encap"] == "yes", "the tunnel is in UDP"
    sites.use(outer, kind, child)
    for inner in (4, 6):
        exchange(sites, inner)
    check_counters(sites, child, near, far)
    near.terminate(f"over-ipv{outer}", kind.child)
    return "passed"


def test_strongswan_takes_what_the_router_sends_and_the_other_way_round(sites):
    """The matrix: each cell passed, or it is impossible with strongSwan."""
    passed = set()
    with sites.charons() as (near, far):
        for kind, outer in itertools.product(TRIED, OUTER):
            outcome = outcome_of(sites, near, far, kind, outer)
            for inner in (4, 6):
                print(f"{kind.algorithm:<24} {kind.mode:<9}  {'ESN' if kind.esn else '-':<3}  IPv{inner} in UDP over IPv{outer}"
                      f"  {outcome}")
            if outcome == "passed":
                passed.add((kind, outer))
    print("ESP without UDP  impossible: no connection asks for UDP, and kernel-libipsec has it all the same (5.9.11: raw_esp)")
    assert len(POSSIBLE) == 20 and passed >= set(itertools.product(POSSIBLE, OUTER))


def fragments_made(netns, outer):
    """How many the kernel of a namespace has cut packets into."""
    if outer == 6:
        return int(re.search(r"Ip6FragCreates\s+(\d+)", netns.run("cat", "/proc/net/snmp6").stdout)[1])
    names, values = (line.split() for line in netns.run("grep", "^Ip:", "/proc/net/snmp").stdout.splitlines())
    return int(values[names.index("FragCreates")])


def test_esp_that_comes_in_fragments_is_put_together(sites):
    with sites.charons() as (near, far):
        for outer, (router, _) in OUTER.items():
            child = near.initiate(f"over-ipv{outer}", GCM.child)
            sites.use(outer, GCM, child)
            sites.far.ip("route", "add", router, "dev", "eth0", "mtu", 1300)  # charon's own tunnel has 1400
            before = fragments_made(sites.far, outer)
            for inner in (4, 6):
                check_answers(sites, sites.right, LEFT[inner == 6], 1400 - ECHO_HEADERS[inner], "-M", "do", count=10)
                transfer.tcp(sites.right, sites.left, LEFT[inner == 6], 100_000)
            assert fragments_made(sites.far, outer) - before >= 2 * 2 * (10 + 100_000 // 1400)
            check_counters(sites, child, near, far)
            sites.far.ip("route", "del", router, "dev", "eth0", "mtu", 1300)
            near.terminate(f"over-ipv{outer}", GCM.child)


@pytest.mark.parametrize("initiator", ["near", "far"])
def test_strongswan_rekeys_under_traffic_and_nothing_is_lost(sites, initiator):
    # The far end sends by new keys when the near one, which asked for them, deletes the old; or when that answers, where it
    # asked itself. This message the near charon holds back: it is the router that has to take new keys before.
    exchange_type, which = (INFORMATIONAL, "request") if initiator == "near" else (CREATE_CHILD_SA, "response")
    held_back = {"send_delay": HELD_BACK_MS, "send_delay_type": exchange_type, "send_delay_request": "no",
                 "send_delay_response": "no", f"send_delay_{which}": "yes"}
    with sites.charons(**held_back) as (near, far):
        old = near.initiate("over-ipv4", GCM.child)
        sites.use(4, GCM, old)

        def apply(out, *inbound):
            sites.router.apply(sites.config(4, GCM, out, inbound))

        with Pinger(sites.left, RIGHT[0], interval=0.002) as pinger:
            mark = len(near.log)
            who, name = (near, GCM.child) if initiator == "near" else (far, "tunnel")
            who.swanctl("--rekey", "--ike", "over-ipv4", "--child", name)
            new = wait_for(lambda: strongswan.child_sa_in(near.log[mark:], initiator == "near"), SECONDS, "new keys")
            apply(old.out, old.inbound, new.inbound)
            assert sites.counted()[new.inbound["spi"]]["packets"] == 0, "new keys are taken before they are used"
            wait_for(lambda: sites.counted()[new.inbound["spi"]]["packets"] > 100, SECONDS, "the far end sends by new keys")
            apply(new.out, old.inbound, new.inbound)
            wait_for(lambda: far.child_sas()[new.out["spi"]]["packets-in"] > 100, SECONDS, "it takes what has new keys")
            apply(new.out, new.inbound)
            sent = pinger.sent
            wait_for(lambda: pinger.sent > sent + 100, SECONDS, "more by new keys alone")
            pinger.stop()
        assert not pinger.lost, (pinger.sent, pinger.lost, sites.router.drops())
        assert len({sa["key"] for child in (old, new) for sa in (child.out, child.inbound)}) == 4
        assert set(sites.counted()) == {new.out["spi"], new.inbound["spi"]}
