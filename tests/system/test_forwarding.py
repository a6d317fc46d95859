"""IPv4 forwarding between kernel hosts and over bare wires: RFC 1812, 1191, 791."""

import hashlib
import json
import random
import re
import socket
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import packets
from basics import wait_for
from packets import from_to, icmp_error, ip_of, udp, with_header

# left, right and narrow are kernel hosts; in and out are wires whose far ends have static neighbours.
LEFT, RIGHT, NARROW = "192.0.2.2", "198.51.100.2", "203.0.113.2"
IN, OUT, OUT2 = "10.1.0.2", "10.2.0.2", "10.2.0.3"
OUT2_MAC = "02:00:00:00:02:03"
NARROW_MTU = 1280


class Net:
    def __init__(self, lab):
        self.left = lab.host("left", f"{LEFT}/24", "192.0.2.1")
        self.right = lab.host("right", f"{RIGHT}/24", "198.51.100.1")
        self.narrow = lab.host("narrow", f"{NARROW}/24", "203.0.113.1", mtu=NARROW_MTU)
        self.inside = lab.wire("in")
        self.outside = lab.wire("out")
        self.router = lab.router(lab.config(
            interfaces={
                "left": ["192.0.2.1/24"],
                "right": ["198.51.100.1/24"],
                "narrow": {"mtu": NARROW_MTU, "addresses": ["203.0.113.1/24"]},
                "in": ["10.1.0.1/24"],
                "out": ["10.2.0.1/24"],
            },
            routes=[
                {"prefix": "10.20.0.0/16", "via": OUT},
                {"prefix": "10.20.5.0/24", "via": OUT2},
                {"prefix": "10.20.5.128/25", "via": OUT},
                {"prefix": "10.20.5.200/32", "via": OUT2},
                {"prefix": "10.30.0.0/16", "via": [OUT, OUT2]},
                {"prefix": "10.41.0.0/16", "type": "blackhole"},
                {"prefix": "10.42.0.0/16", "type": "prohibit"},
                {"prefix": "10.43.0.0/16", "type": "unreachable"},
                {"prefix": "10.50.0.0/16", "via": IN},
            ],
            neighbors=[
                {"address": IN, "mac": self.inside.mac, "interface": "in"},
                {"address": OUT, "mac": self.outside.mac, "interface": "out"},
                {"address": OUT2, "mac": OUT2_MAC, "interface": "out"},
            ]))
        self.left.warm(RIGHT, NARROW)


@pytest.fixture(scope="module")
def net(module_lab):
    return Net(module_lab)


@pytest.fixture(autouse=True)
def quiet_wires(net, settled):
    net.inside.drain()
    net.outside.drain()


# --- kernel hosts

def test_ping_both_ways_loses_nothing(net):
    for host, destination in ((net.left, RIGHT), (net.right, LEFT)):
        ping = host.ping(destination, count=50)
        assert ping.lost == 0, ping.text


# Rule 19.
@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "203.0.113.1"])
def test_the_router_answers_pings_to_any_of_its_addresses(net, address):
    ping = net.left.ping(address, count=20)
    assert ping.lost == 0, ping.text


# Rule 19.
def test_the_router_answers_a_ping_with_a_full_frame(net):
    ping = net.left.ping("192.0.2.1", "-s", "1472", "-M", "do", count=5)
    assert ping.lost == 0, ping.text


# Rule 3.
def test_ttl_in_the_answer_shows_one_hop(net):
    text = net.left.ping(RIGHT, count=1).text
    assert "ttl=63" in text, text


# Rules 3, 16.
def test_traceroute_shows_millrace_as_the_hop(net):
    text = net.left.run("traceroute", "-n", "-q", "1", "-w", "3", "-m", "5", RIGHT).stdout
    hops = re.findall(r"^\s*(\d+)\s+(\S+)", text, re.MULTILINE)
    assert hops == [("1", "192.0.2.1"), ("2", RIGHT)], text


# Rule 7.
def test_tracepath_finds_the_path_mtu(net):
    text = net.left.run("tracepath", "-n", "-m", "5", NARROW).stdout
    assert f"pmtu {NARROW_MTU}" in text and "192.0.2.1" in text, text
    assert re.search(rf"Resume: pmtu {NARROW_MTU} hops 2", text), text


# Rule 7.
def test_too_long_with_df_is_answered_with_the_next_hop_mtu(net):
    # RFC 1191 4: the low 16 bits of the second word carry the MTU of the next hop.
    net.left.run("ip", "route", "flush", "cache")
    text = net.left.ping(NARROW, "-M", "do", "-s", "1400", count=1, deadline=3).text
    assert re.search(rf"From 192\.0\.2\.1 .*mtu = {NARROW_MTU}", text), text
    at_limit = net.left.ping(NARROW, "-M", "do", "-s", str(NARROW_MTU - 28), count=3)
    assert at_limit.lost == 0, at_limit.text


# Rule 7.
@pytest.mark.parametrize("size", [1253, 1472, 4000, 20000])
def test_long_pings_without_df_are_fragmented_and_come_back_whole(net, size):
    # ping compares the bytes of every answer with what it sent, and says "wrong data byte" otherwise.
    ping = net.left.ping(NARROW, "-M", "dont", "-s", size, "-p", "4d696c6c72616365", count=5, interval=0.1)
    assert ping.lost == 0 and "wrong data" not in ping.text, ping.text


# Rule 7.
@pytest.mark.parametrize("size", [1253, 1400, 1472, 8000, 30000])
def test_fragmented_datagrams_carry_the_same_bytes(net, size):
    sender = net.left.netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver = net.narrow.netns.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.bind((NARROW, 5001))
        receiver.settimeout(3)
        sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER = IP_PMTUDISC_DONT: DF=0
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for number in range(10):
            payload = random.Random(number).randbytes(size)
            sender.sendto(payload, (NARROW, 5001))
            got = receiver.recv(65536)
            assert hashlib.sha256(got).digest() == hashlib.sha256(payload).digest()


def iperf(server, client, address, *options):
    """The JSON of an iperf3 run from client to server."""
    daemon = server.netns.popen("iperf3", "-s", "-1", "-B", address, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    wait_for(lambda: server.run("ss", "-Hltn", "sport = :5201").stdout.strip(), 5, "iperf3 listens")
    result = client.run("iperf3", "-c", address, "--json", "--connect-timeout", "3000", *options, check=False)
    daemon.wait(20)
    report = json.loads(result.stdout)
    assert "error" not in report, report["error"]
    return report["end"]


@pytest.mark.parametrize("options", [[], ["-R"], ["-P", "4"]], ids=["forward", "reverse", "parallel"])
def test_tcp_crosses(net, options):
    end = iperf(net.right, net.left, RIGHT, "-t", "2", *options)
    mbits = end["sum_received"]["bits_per_second"] / 1e6
    print(f"TCP: {mbits:.0f} Mbit/s")
    assert end["sum_received"]["bytes"] > 1_000_000


def test_tcp_crosses_into_a_smaller_mtu(net):
    end = iperf(net.narrow, net.left, NARROW, "-t", "2")
    assert end["sum_received"]["bytes"] > 1_000_000


def test_udp_crosses(net):
    end = iperf(net.right, net.left, RIGHT, "-u", "-b", "20M", "-l", "1400", "-t", "2")
    print(f"UDP: {end['sum']['packets']} packets, {end['sum']['lost_packets']} lost")
    assert end["sum"]["packets"] > 1000
    assert end["sum"]["lost_percent"] < 1, end["sum"]


# --- errors seen by a host

# Rule 12.
def test_no_route_is_answered_with_net_unreachable(net):
    text = net.left.ping("10.99.0.1", count=1, deadline=3).text
    assert "From 192.0.2.1" in text and "Destination Net Unreachable" in text, text


# Rule 12.
def test_a_prohibit_route_is_answered_with_prohibited(net):
    text = net.left.ping("10.42.0.1", count=1, deadline=3).text
    assert "From 192.0.2.1" in text and "Packet filtered" in text, text


# Rule 12.
def test_an_unreachable_route_is_answered_with_host_unreachable(net):
    text = net.left.ping("10.43.0.1", count=1, deadline=3).text
    assert "From 192.0.2.1" in text and "Destination Host Unreachable" in text, text


# Rule 12.
def test_a_blackhole_route_is_silent(net):
    with net.router.dropping(route_blackhole=1):
        net.inside.send(udp(net.inside, IN, "10.41.0.1"))
        net.inside.expect_none(packets.is_ipv4, 1.0, "an answer to a packet into a blackhole")


# Rule 22.
def test_a_next_hop_that_does_not_answer_gives_host_unreachable(net):
    text = net.left.ping("198.51.100.77", count=1, deadline=8).text
    assert "From 192.0.2.1" in text and "Destination Host Unreachable" in text, text


# --- frames over bare wires

def cross(net, frame):
    """Sends into `in`; returns what leaves `out`, its header checksum right."""
    net.inside.send(frame)
    sent = ip_of(frame)
    got = net.outside.expect(from_to(sent.src, sent.dst), what=f"{sent.src} > {sent.dst}")
    assert packets.header_is_sound(got)
    return got


# Rules 3, 5.
def test_forwarding_changes_ttl_checksum_and_macs_alone(net):
    frame = udp(net.inside, IN, "10.20.1.1", bytes(range(256)), tos=0xB9, id=0x1234)
    got = cross(net, frame)
    assert Ether(got).dst == net.outside.mac and Ether(got).src == net.outside.router_mac
    assert got[14:] == with_header(frame, ttl=63)[14:]


# Rule 3.
@pytest.mark.parametrize("ttl", [255, 128, 64, 3, 2])
def test_ttl_is_decremented(net, ttl):
    got = cross(net, udp(net.inside, IN, "10.20.1.1", ttl=ttl))
    assert ip_of(got).ttl == ttl - 1


# Rules 3, 16.
@pytest.mark.parametrize("ttl", [1, 0])
def test_ttl_that_expires_in_transit_is_answered_with_time_exceeded(net, ttl):
    # RFC 1812 5.3.1, 4.3.2.3: the quote is the packet as it came.
    frame = udp(net.inside, IN, "10.20.1.1", b"x" * 100, ttl=ttl)
    with net.router.dropping(ttl_expired=1):
        net.inside.send(frame)
        error = net.inside.expect(icmp_error(11, 0), what="time exceeded")
    assert ip_of(error).src == "10.1.0.1" and ip_of(error).dst == IN
    assert error[42:] == frame[14:]
    assert packets.header_is_sound(error)
    net.outside.expect_none(from_to(IN), 0.1)


# Rule 4.
@pytest.mark.parametrize("ttl", [0, 1, 2])
def test_low_ttl_to_a_local_address_is_accepted(net, ttl):
    # RFC 1812 4.2.2.9
    net.inside.send(packets.echo(net.inside, IN, "10.1.0.1", ttl=ttl))
    answer = net.inside.expect(icmp_error(0, 0), what="echo reply")
    assert ip_of(answer).ttl > 0


# Rule 16.
def test_an_error_quotes_at_most_576_bytes_in_all(net):
    # RFC 1812 4.3.2.3
    frame = udp(net.inside, IN, "10.99.0.1", b"y" * 1200)
    net.inside.send(frame)
    error = net.inside.expect(icmp_error(3, 0), what="net unreachable")
    assert ip_of(error).len == 576
    assert error[42:14 + 576] == frame[14:14 + 576 - 28]


# Rule 2.
def test_padding_is_cut(net):
    # RFC 1812 5.2.2: what follows the total length is not part of the packet.
    frame = udp(net.inside, IN, "10.20.1.1", b"abc") + b"\xee" * 40
    got = cross(net, frame)
    assert b"\xee" not in got[14 + 31:]  # veth does not pad, so nothing else can follow
    assert got[14:14 + 31] == with_header(frame, ttl=63)[14:14 + 31]


# Rule 5.
@pytest.mark.parametrize("flags", [0x8000, 0xC000])
def test_the_reserved_flag_is_kept(net, flags):
    # RFC 1812 4.2.2.6 leaves the reserved bit alone.
    got = cross(net, with_header(udp(net.inside, IN, "10.20.1.1"), flags_fragment=flags))
    assert int.from_bytes(got[20:22], "big") == flags


# Rule 12.
@pytest.mark.parametrize("destination, mac", [
    ("10.20.1.1", "wire"), ("10.20.5.1", OUT2_MAC), ("10.20.5.129", "wire"), ("10.20.5.200", OUT2_MAC),
    ("10.20.5.201", "wire"), ("10.20.4.255", "wire"), ("10.20.6.0", "wire")])
def test_the_longest_prefix_wins(net, destination, mac):
    got = cross(net, udp(net.inside, IN, destination))
    assert Ether(got).dst == (net.outside.mac if mac == "wire" else mac)


# Rule 15.
def test_a_packet_leaves_where_it_came_from_when_the_route_says_so(net):
    net.inside.send(udp(net.inside, IN, "10.50.0.9"))
    got = net.inside.expect(from_to(IN, "10.50.0.9"))
    assert ip_of(got).ttl == 63


# Rule 13.
def test_equal_paths_share_the_flows_and_keep_each_flow_on_one(net):
    ways = {}
    for port in range(1000, 1064):
        for _ in range(3):
            got = cross(net, udp(net.inside, IN, "10.30.0.1", sport=port))
            ways.setdefault(port, set()).add(Ether(got).dst)
    assert all(len(macs) == 1 for macs in ways.values())
    assert set.union(*ways.values()) == {net.outside.mac, OUT2_MAC}


# Rule 13.
def test_fragments_of_one_datagram_take_one_path(net):
    for identification in range(32):
        macs = set()
        for offset, more in ((0, 0x2000), (64, 0x2000), (128, 0)):
            frame = with_header(udp(net.inside, IN, "10.30.0.1", b"z" * 504, sport=2000 + identification),
                                identification=identification, flags_fragment=more | offset)
            macs.add(Ether(cross(net, frame)).dst)
        assert len(macs) == 1


# Rules 1, 2, 8.
@pytest.mark.parametrize("reason, change", [
    ("ip_bad_checksum", lambda f: with_header(f, checksum=int.from_bytes(f[24:26], "big") ^ 1)),
    ("ip_bad_version", lambda f: with_header(f, version_ihl=0x65)),
    ("ip_header_length", lambda f: with_header(f, version_ihl=0x44)),
    ("ip_total_length_short", lambda f: with_header(f, total_length=19)),
    ("ip_header_past_end", lambda f: with_header(f, version_ihl=0x46, total_length=20)),
    ("ip_total_length_long", lambda f: with_header(f, total_length=len(f) - 14 + 1)),
    ("ip_truncated", lambda f: f[:14 + 19]),
    ("not_our_mac", lambda f: b"\x02\x00\x00\x00\x99\x99" + f[6:]),
    ("l2_broadcast", lambda f: b"\xff" * 6 + f[6:]),
    ("l2_broadcast", lambda f: b"\x01\x00\x5e\x00\x00\x05" + f[6:]),
    ("unknown_ethertype", lambda f: f[:12] + b"\x88\xb5" + f[14:]),
], ids=["bad checksum", "version 6", "IHL 4", "total length 19", "header past end", "total length beyond the frame",
        "19 bytes", "another MAC", "broadcast frame", "multicast frame", "unknown ethertype"])
def test_invalid_frames_are_dropped_and_counted(net, reason, change):
    # RFC 1812 5.2.2, 5.3.4
    with net.router.dropping(**{reason: 1}):
        net.inside.send(change(udp(net.inside, IN, "10.20.1.1")))
        net.outside.expect_none(packets.is_ipv4, 0.3)
    net.inside.expect_none(packets.is_ipv4, 0.1, "an answer to an invalid frame")


# Rules 9, 10.
@pytest.mark.parametrize("reason, source, destination", [
    ("source_reserved", "0.1.2.3", "10.20.1.1"),
    ("source_reserved", "127.0.0.1", "10.20.1.1"),
    ("source_reserved", "240.0.0.1", "10.20.1.1"),
    ("source_multicast", "224.0.0.5", "10.20.1.1"),
    ("source_is_own", "10.2.0.1", "10.20.1.1"),
    ("source_broadcast", "10.1.0.255", "10.20.1.1"),
    ("destination_reserved", IN, "127.0.0.1"),
    ("destination_reserved", IN, "0.0.0.1"),
    ("destination_reserved", IN, "240.0.0.1"),
    ("destination_multicast", IN, "224.0.0.5"),
    ("subnet_broadcast", IN, "10.2.0.255"),
    ("subnet_broadcast", IN, "10.2.0.0"),
    ("link_local", "169.254.1.1", "10.20.1.1"),
    ("link_local", IN, "169.254.1.1"),
])
def test_addresses_that_are_not_forwarded(net, reason, source, destination):
    # RFC 1812 5.3.5, 5.3.7; RFC 3927 7. Unicast frames throughout: the addresses decide.
    with net.router.dropping(**{reason: 1}):
        net.inside.send(udp(net.inside, source, destination))
        net.outside.expect_none(packets.is_ipv4, 0.3)
    net.inside.expect_none(packets.is_ipv4, 0.1, "an answer")


# Rule 9.
def test_limited_broadcast_is_not_forwarded(net):
    with net.router.dropping(destination_broadcast=1):
        net.inside.send(udp(net.inside, IN, "255.255.255.255", destination_mac=packets.BROADCAST))
        net.outside.expect_none(packets.is_ipv4, 0.3)


# Rule 6.
@pytest.mark.parametrize("option, reason", [
    (b"\x83\x07\x04\x0a\x02\x00\x02\x00", "ip_option_refused"),  # loose source route
    (b"\x89\x07\x04\x0a\x02\x00\x02\x00", "ip_option_refused"),  # strict source route
    (b"\x07\x07\x04\x00\x00\x00\x00\x00", "ip_option_refused"),  # record route
    (b"\x44\x08\x05\x00\x00\x00\x00\x00", "ip_option_refused"),  # timestamp
    (b"\x9e\x20\x04\x00\x00\x00\x00\x00", "ip_option_malformed"),  # runs past the header
    (b"\x94\x04\x00\x00\x00\x00\x00\x00", None),  # router alert: ignored in transit
    (b"\x9e\x04\x00\x00\x00\x00\x00\x00", None),  # unknown: ignored
], ids=["LSRR", "SSRR", "record route", "timestamp", "malformed", "router alert", "unknown"])
def test_ip_options(net, option, reason):
    # RFC 1812 4.2.2.6, RFC 7126
    frame = bytes(Ether(src=net.inside.mac, dst=net.inside.router_mac) /
                  IP(src=IN, dst="10.20.1.1", options=[IPOption(option)]) / UDP(sport=1, dport=2) / Raw(b"options"))
    assert frame[14] & 15 > 5
    if reason:
        with net.router.dropping(**{reason: 1}):
            net.inside.send(frame)
            net.outside.expect_none(packets.is_ipv4, 0.3)
    else:
        got = cross(net, frame)
        length = (frame[14] & 15) * 4
        assert got[34:14 + length] == frame[34:14 + length]


# Rule 17.
@pytest.mark.parametrize("offending", ["ICMP error", "non-first fragment", "multicast frame"])
def test_no_error_about_what_must_not_have_one(net, offending):
    # RFC 1812 4.3.2.7
    frame = udp(net.inside, IN, "10.99.0.1", b"q" * 64)
    if offending == "ICMP error":
        frame = bytes(Ether(src=net.inside.mac, dst=net.inside.router_mac) / IP(src=IN, dst="10.99.0.1") /
                      ICMP(type=3, code=1) / Raw(frame[14:42]))
    elif offending == "non-first fragment":
        frame = with_header(frame, flags_fragment=0x0001)
    else:
        frame = b"\x01\x00\x5e\x00\x00\x05" + frame[6:]
    net.inside.send(frame)
    net.inside.expect_none(packets.is_ipv4, 0.7, "an ICMP error")


# Rule 19.
def test_echo_to_us_keeps_identifier_sequence_and_data(net):
    data = bytes(range(256)) * 4
    net.inside.send(packets.echo(net.inside, IN, "10.2.0.1", data, identifier=0xBEEF, sequence=0x1234))
    answer = net.inside.expect(icmp_error(0, 0), what="echo reply")
    got = ip_of(answer)
    assert (got.src, got.dst) == ("10.2.0.1", IN)
    assert (got[ICMP].id, got[ICMP].seq, bytes(got[Raw])) == (0xBEEF, 0x1234, data)


# Rules 9, 19.
@pytest.mark.parametrize("source, destination", [("0.0.0.0", "10.1.0.1"), (IN, "10.1.0.255"), (IN, "10.1.0.0")])
def test_no_echo_reply_to_nobody_and_to_broadcast(net, source, destination):
    net.inside.send(packets.echo(net.inside, source, destination))
    net.inside.expect_none(packets.is_ipv4, 0.5, "an echo reply")


# Rule 16.
def test_udp_to_a_closed_port_of_ours_is_answered_with_port_unreachable(net):
    net.inside.send(udp(net.inside, IN, "10.1.0.1"))
    error = net.inside.expect(icmp_error(3, 3), what="port unreachable")
    assert ip_of(error).src == "10.1.0.1"


# Rule 7.
def test_fragments_are_cut_where_rfc_791_says(net):
    """DF=0 over the MTU: sizes, offsets and flags; a fragment is fragmented again rightly."""
    payload = random.Random(7).randbytes(1400)
    receiver = net.narrow.netns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with receiver:
        receiver.bind(("eth0", 0x0800))
        receiver.settimeout(3)
        frame = with_header(udp(net.inside, IN, NARROW, payload), identification=77, flags_fragment=0x2000 | 100)
        net.inside.send(frame)
        parts = []
        while len(parts) < 2:
            got = receiver.recv(65536)
            if ip_of(got).src == IN:
                parts.append(got)
    first, second = (ip_of(part) for part in parts)
    assert first.len <= NARROW_MTU and first.len > NARROW_MTU - 8 and (first.len - 20) % 8 == 0
    assert int(first.flags) & 1 and int(second.flags) & 1  # the last of these is still not the datagram's last
    assert first.frag == 100 and second.frag == 100 + (first.len - 20) // 8
    assert first.id == second.id == 77
    joined = bytes(first.payload)[:first.len - 20] + bytes(second.payload)[:second.len - 20]
    assert joined == frame[34:]


# Rule 7.
def test_jumbo_frames_cross_whole(lab, router):
    left = lab.host("left", f"{LEFT}/24", "192.0.2.1", mtu=9000)
    lab.host("right", f"{RIGHT}/24", "198.51.100.1", mtu=9000)
    running = router(interfaces={"left": {"mtu": 9000, "addresses": ["192.0.2.1/24"]},
                                 "right": {"mtu": 9000, "addresses": ["198.51.100.1/24"]}})
    left.warm(RIGHT)
    for target in (RIGHT, "192.0.2.1"):
        ping = left.ping(target, "-M", "do", "-s", 9000 - 28, count=5, interval=0.1)
        assert ping.lost == 0, ping.text
    assert running.accounting()["fragments_added"] == 0
    ping = left.ping(RIGHT, "-M", "dont", "-s", 30000, "-p", "4d696c6c", count=5, interval=0.1)
    assert ping.lost == 0 and "wrong data" not in ping.text, ping.text
