"""Interfaces as daemons see them: TAPs in a namespace, what goes to them and comes from them.

Real daemons on them: test_recipes.py."""

import json
import socket
import struct
import threading

import pytest
from scapy.all import ARP, ICMP, IP, LLC, TCP, UDP, Dot3, Ether, IPv6, Raw

from basics import wait_for
from frr import Frr

SECONDS = 20  # until a change has come all the way
HERE, PEER = "10.1.0.1", "10.1.0.2"


class Hosted:
    """A router whose interfaces have TAPs in a namespace of their own, and kernel hosts around it."""

    def __init__(self, lab, interfaces=None, start=True):
        self.lab = lab
        self.daemons = lab.namespace("daemons")
        self.daemons.enable_ipv6()
        self.config = lab.config(interfaces=interfaces or {
            "left": {"addresses": [f"{HERE}/24", "2001:db8:1::1/64"], "host": True},
            "right": {"addresses": ["10.2.0.1/24", "2001:db8:2::1/64"], "host": True}})
        self.config["host"] = {"netns": self.daemons.name}
        self.router = lab.router(self.config, start=start)

    def link(self, name):
        """What the kernel says of the TAP; None if there is none."""
        found = self.daemons.run("ip", "-j", "-d", "address", "show", "dev", name, check=False)
        return json.loads(found.stdout)[0] if found.returncode == 0 else None

    def addresses(self, name):
        return {f"{one['local']}/{one['prefixlen']}" for one in self.link(name)["addr_info"]}

    def ping(self, destination, *options):
        said = self.daemons.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", *options, destination, check=False).stdout
        return "3 received" in said


@pytest.fixture
def wired(lab):
    """A router with a bare wire on its left, a kernel host on its right, and both TAPs."""
    wire = lab.wire("left")
    lab.host("right", "10.2.0.2/24", "10.2.0.1", ipv6="2001:db8:2::2/64", gateway6="2001:db8:2::1")
    hosted = Hosted(lab)
    hosted.wire = wire
    return hosted


def listen(netns, device):
    """A raw socket on a TAP: what daemons hear."""
    sniffer = netns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind((device, 3))
    sniffer.settimeout(0.2)
    return sniffer


def heard(sniffer, wanted, tries=25):
    for _ in range(tries):
        try:
            frame, address = sniffer.recvfrom(65536)
        except TimeoutError:
            continue
        if address[2] != 4 and wanted(frame):  # not what the host sends itself
            return frame
    return None


def from_peer(wire):
    return Ether(src="02:00:00:00:01:02", dst=wire.router_mac)


def test_a_tap_looks_like_its_interface(wired):
    link = wired.link("left")
    assert link["address"] == wired.wire.router_mac
    assert link["mtu"] == 1500
    assert link["linkinfo"]["info_kind"] == "tun"
    assert {"UP", "LOWER_UP"} <= set(link["flags"])
    own = wired.wire.router_mac.split(":")
    own[0] = f"{int(own[0], 16) ^ 2:02x}"
    link_local = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(
        "fe80000000000000" + "".join(own[:3]) + "fffe" + "".join(own[3:])))
    assert wired.addresses("left") == {f"{HERE}/24", "2001:db8:1::1/64", f"{link_local}/64"}
    assert not any(one.get("tentative") for one in link["addr_info"])


def test_a_tap_follows_its_interface(wired):
    wired.wire.set_carrier(False)
    wait_for(lambda: "LOWER_UP" not in wired.link("left")["flags"], SECONDS, "no carrier")
    wired.wire.set_carrier(True)
    wait_for(lambda: "LOWER_UP" in wired.link("left")["flags"], SECONDS, "carrier again")

    wired.config["interfaces"]["left"]["addresses"] = ["10.1.0.1/24", "10.7.0.1/30"]
    wired.config["interfaces"]["left"]["mtu"] = 1400
    del wired.config["interfaces"]["right"]["host"]
    wired.router.apply(wired.config)
    assert {"10.1.0.1/24", "10.7.0.1/30"} == {one for one in wired.addresses("left") if ":" not in one}
    assert wired.link("left")["mtu"] == 1400
    assert wired.link("right") is None


def test_a_tap_outlives_the_router_and_is_taken_up_again(wired):
    before = wired.link("left")
    with wired.daemons.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((HERE, 179))
        listener.listen()
        wired.router.stop()
        assert wired.link("left")["ifindex"] == before["ifindex"]
        wired.router.start()
        wait_for(lambda: "LOWER_UP" in wired.link("left")["flags"], SECONDS, "carrier again")
        assert wired.link("left")["ifindex"] == before["ifindex"]
        assert wired.addresses("left") == {f"{HERE}/24", *(one for one in wired.addresses("left") if ":" in one)}


def test_daemons_hear_what_is_for_them_and_nothing_else(wired):
    sniffer = listen(wired.daemons, "left")
    peer = from_peer(wired.wire)
    to_all = {"src": "02:00:00:00:01:02"}
    ospf = Ether(dst="01:00:5e:00:00:05", **to_all) / IP(src=PEER, dst="224.0.0.5", ttl=1, proto=89) / Raw(b"hello ospf")
    rip = Ether(dst="ff:ff:ff:ff:ff:ff", **to_all) / IP(src=PEER, dst="10.1.0.255", ttl=1) / UDP(sport=520, dport=520) / b"rip1"
    everybody = Ether(dst="ff:ff:ff:ff:ff:ff", **to_all) / IP(src=PEER, dst="255.255.255.255", ttl=1) / UDP(dport=67) / b"boot"
    isis = Dot3(dst="01:80:c2:00:00:14", **to_all) / LLC(dsap=0xFE, ssap=0xFE, ctrl=3) / Raw(b"\x83hello isis" + bytes(40))
    lldp = Ether(dst="01:80:c2:00:00:0e", type=0x88CC, **to_all) / Raw(b"\x02\x07\x04" + bytes(50))
    ospf3 = Ether(dst="33:33:00:00:00:05", **to_all) / IPv6(src="fe80::2", dst="ff02::5", hlim=1, nh=89) / Raw(b"hello ospf3")
    bgp = peer / IP(src=PEER, dst=HERE) / TCP(sport=40000, dport=179, flags="S")
    bfd = peer / IP(src=PEER, dst=HERE, ttl=255) / UDP(sport=49152, dport=3784) / b"bfd control"
    answer = peer / ARP(op=2, hwsrc="02:00:00:00:01:02", psrc=PEER, hwdst=wired.wire.router_mac, pdst=HERE)
    for what, frame, part in (("OSPF", ospf, b"hello ospf"), ("RIPv1", rip, b"rip1"), ("DHCP", everybody, b"boot"),
                              ("IS-IS", isis, b"hello isis"), ("LLDP", lldp, b"\x02\x07\x04"),
                              ("OSPFv3", ospf3, b"hello ospf3"), ("BFD", bfd, b"bfd control"),
                              ("BGP", bgp, struct.pack("!HH", 40000, 179)), ("an ARP reply", answer, b"\x08\x06\x00\x01")):
        wired.wire.send(frame)
        assert heard(sniffer, lambda got, part=part: part in got), f"{what} came to the daemons"

    # Not theirs: requests that Millrace answers alone, other groups, others' subnets, and what passes through.
    request = Ether(dst="ff:ff:ff:ff:ff:ff", **to_all) / ARP(op=1, hwsrc="02:00:00:00:01:02", psrc=PEER, pdst=HERE)
    echo = peer / IP(src=PEER, dst=HERE) / ICMP(id=7) / b"echo please"
    wide = Ether(dst="01:00:5e:01:01:01", **to_all) / IP(src=PEER, dst="239.1.1.1", ttl=9) / UDP(dport=5000) / b"wide group"
    elsewhere = Ether(dst="ff:ff:ff:ff:ff:ff", **to_all) / IP(src=PEER, dst="10.2.0.255", ttl=9) / UDP(dport=520) / b"other subnet"
    through = peer / IP(src=PEER, dst="10.2.0.2") / UDP(dport=5000) / b"passing"
    wired.wire.send(request, echo, wide, elsewhere, through)
    parts = (b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", b"echo please", b"wide group", b"other subnet", b"passing")
    got = heard(sniffer, lambda frame: any(part in frame for part in parts), tries=5)
    assert got is None, got


def test_requests_have_exactly_one_answer(wired):
    peer = from_peer(wired.wire)
    mac = "02:00:00:00:01:02"
    is_answer = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02"
    wired.wire.send(peer / ARP(op=1, hwsrc=mac, psrc=PEER, pdst=HERE))
    wired.wire.expect(lambda frame: is_answer in frame)
    for what, frame, part in (
            ("ARP", Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=PEER, pdst=HERE),
             is_answer),
            ("echo", peer / IP(src=PEER, dst=HERE) / ICMP(id=9) / b"one answer", b"one answer")):
        wired.wire.drain()
        wired.wire.send(frame)
        answers = [got for got in wired.wire.frames(1.0) if part in got]
        assert len(answers) == 1, (what, answers)


def test_what_daemons_send_leaves_as_it_is_or_is_routed(wired):
    with wired.daemons.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("left", 0))
        own = bytes.fromhex(wired.wire.router_mac.replace(":", ""))
        hello = bytes.fromhex("0180c2000014") + own + struct.pack("!H", 60) + b"\xfe\xfe\x03" + b"from isisd" + bytes(47)
        sender.send(hello)
        assert wired.wire.expect(lambda frame: b"from isisd" in frame)[:len(hello)] == hello
        # To the interface's own MAC: by the FIB, to the host on the right.
        packet = IP(src=HERE, dst="10.2.0.2", ttl=64) / UDP(sport=5, dport=6) / b"route me"
        sniffer = listen(wired.lab._ports[1].netns, "eth0")
        sender.send(own + own + b"\x08\x00" + bytes(packet))
        got = heard(sniffer, lambda frame: b"route me" in frame)
        assert got is not None and IP(got[14:]).ttl == 64
        # Nothing that is longer than the MTU, shorter than a frame, or no packet, goes anywhere or does harm.
        wired.wire.drain()
        for bad in (own + own + b"\x08\x00" + b"\x45\x00", own + own + b"\x86\xdd" + bytes(60), own + own + b"\x12\x34" + bytes(60)):
            sender.send(bad)
        wired.wire.expect_none(lambda frame: frame[6:12] == own and frame[12:14] in (b"\x12\x34",))


def test_the_kernels_stack_speaks_through_a_tap(lab):
    left = lab.host("left", f"{PEER}/24", HERE, ipv6="2001:db8:1::2/64", gateway6="2001:db8:1::1")
    lab.host("right", "10.2.0.2/24", "10.2.0.1")
    hosted = Hosted(lab)
    assert hosted.ping(PEER)
    wait_for(lambda: hosted.ping("2001:db8:1::2", "-6"), SECONDS, "answers, once nobody else has the address")
    with hosted.daemons.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HERE, 179))
        listener.listen()
        with left.netns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect((HERE, 179))
            accepted, _ = listener.accept()
            payload = bytes(range(256)) * 4096
            accepted.settimeout(20)
            client.setblocking(True)
            sender = threading.Thread(target=client.sendall, args=(payload,))
            sender.start()
            got = bytearray()
            while len(got) < len(payload):
                part = accepted.recv(65536)
                assert part
                got += part
            sender.join()
            assert bytes(got) == payload
            accepted.close()


def test_vrrpd_of_frr_lends_and_takes_back_its_virtual_addresses(lab):
    """As its documentation has the macvlans: it makes those of the master run, and no others."""
    host = lab.host("left", "10.1.0.7/24", "10.1.0.254", ipv6="2001:db8:1::7/64", gateway6="2001:db8:1::254")
    lab.host("right", "10.2.0.2/24", "10.2.0.1", ipv6="2001:db8:2::2/64", gateway6="2001:db8:2::1")
    hosted = Hosted(lab)
    macs = {"10.1.0.254": "00:00:5e:00:01:05", "2001:db8:1::254": "00:00:5e:00:02:05"}
    for name, (address, mac) in zip(("vrrp4-5", "vrrp6-5"), macs.items()):
        hosted.daemons.ip("link", "add", name, "link", "left", "type", "macvlan", "mode", "bridge")
        hosted.daemons.ip("link", "set", name, "address", mac, "addrgenmode", "random", "up")
        hosted.daemons.add_address(name, f"{address}/{128 if ':' in address else 32}")

    def lent():
        interfaces = hosted.router.get("/v1/interfaces")["interfaces"]
        return {one["address"]: one["mac"] for interface in interfaces for one in interface["host"]["lent"]
                if not one["address"].startswith("fe80:")}

    frr = Frr(hosted.daemons)
    try:
        frr.start("vrrpd", config="""interface left
vrrp 5 version 3
vrrp 5 priority 200
vrrp 5 advertisement-interval 200
vrrp 5 ip 10.1.0.254
vrrp 5 ipv6 2001:db8:1::254""")
        wait_for(lambda: lent() == macs, SECONDS, lambda: f"{lent()}\n{frr.show('show vrrp')}")
        host.warm(*macs, "10.2.0.2", "2001:db8:2::2")
        assert {address: host.neighbor_mac(address) for address in macs} == macs
        frr.configure("interface left", "vrrp 5 shutdown")
        wait_for(lambda: lent() == {}, SECONDS, lambda: f"{lent()}\n{frr.show('show vrrp')}")
        assert host.ping("10.1.0.254", count=1, deadline=1).received == 0
        frr.configure("interface left", "no vrrp 5 shutdown")
        host.warm(*macs)
    finally:
        frr.close()


def test_jumbo_frames_pass_between_hosts_and_daemons(lab):
    """9,000 bytes are the MTU of the links and of the TAP: from end to end as they are, and not a byte more."""
    mtu = 9000
    host = lab.host("left", "10.1.0.2/24", HERE, mtu=mtu)
    lab.host("right", "10.2.0.2/24", "10.2.0.1", mtu=mtu)
    hosted = Hosted(lab, {name: {"addresses": [f"{address}/24"], "mtu": mtu, "host": True}
                          for name, address in (("left", HERE), ("right", "10.2.0.1"))})
    assert hosted.link("left")["mtu"] == mtu
    host.warm("10.2.0.2")
    whole, more = ["-M", "do", "-s", str(mtu - 28)], ["-M", "do", "-s", str(mtu - 27)]
    assert hosted.ping(PEER, *whole)
    assert not hosted.ping(PEER, *more)
    said = host.netns.run("ping", "-n", "-c", "3", "-i", "0.05", *whole, "10.2.0.2").stdout
    assert "3 received" in said, said
    # Through the TAP to a daemon, and back.
    with hosted.daemons.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon, \
            host.netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        daemon.bind((HERE, 5000))
        daemon.settimeout(SECONDS)
        client.settimeout(SECONDS)
        sent = bytes(number % 251 for number in range(mtu - 28))
        client.sendto(sent, (HERE, 5000))
        received, sender = daemon.recvfrom(65536)
        assert received == sent
        daemon.sendto(received[::-1], sender)
        assert client.recv(65536) == sent[::-1]
    counters = hosted.router.interface("left")["host"]
    assert counters["from_host_bad"] == 0, counters


def test_addresses_that_daemons_put_on_a_tap_are_the_routers(wired):
    """As keepalived does, with a MAC of its own (a macvlan) and without."""
    mac, virtual = "02:00:00:00:01:02", "00:00:5e:00:01:07"

    def answer(address):
        wired.wire.drain()
        wired.wire.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=PEER, pdst=address))
        replies = [Ether(frame) for frame in wired.wire.frames(0.5) if b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02" in frame]
        return [(reply.src, reply[ARP].hwsrc) for reply in replies if reply[ARP].psrc == address]

    own = wired.wire.router_mac
    wired.daemons.add_address("left", "10.1.0.50/32")
    wait_for(lambda: answer("10.1.0.50") == [(own, own)], SECONDS, "an answer")
    wired.daemons.ip("link", "add", "vrrp7", "link", "left", "address", virtual, "type", "macvlan", "mode", "bridge")
    wired.daemons.ip("link", "set", "vrrp7", "up")
    wired.daemons.add_address("vrrp7", "10.1.0.51/32")
    wait_for(lambda: answer("10.1.0.51") == [(virtual, virtual)], SECONDS, "an answer with the virtual MAC")
    lent = next(one for one in wired.router.get("/v1/interfaces")["interfaces"] if one["name"] == "left")["host"]["lent"]
    assert sorted((one["address"], one["mac"]) for one in lent) == [("10.1.0.50", own), ("10.1.0.51", virtual)]
    wired.daemons.ip("link", "set", "vrrp7", "down")
    wired.daemons.ip("address", "del", "10.1.0.50/32", "dev", "left")
    wait_for(lambda: answer("10.1.0.50") == answer("10.1.0.51") == [], SECONDS, "no answer")
    # They are not taken for addresses of its own by a router that starts anew.
    wired.daemons.add_address("left", "10.1.0.50/32")
    wired.router.kill()
    wired.router.start()
    wait_for(lambda: answer("10.1.0.50") == [(own, own)], SECONDS, "an answer")
    wired.config["interfaces"]["left"]["addresses"] = ["10.1.0.9/24"]
    wired.router.apply(wired.config)
    assert {one for one in wired.addresses("left") if ":" not in one} == {"10.1.0.9/24", "10.1.0.50/32"}
