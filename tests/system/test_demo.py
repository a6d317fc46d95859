"""The demo of the README: what it shows is right, and nothing of it is left behind."""

import os
import re
import signal
import subprocess
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_RS, IPv6
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import ARP, Ether

from basics import BUILD, ROOT

DEMO = ROOT / "scripts/demo.sh"
SNIFFER = ROOT / "scripts/demo_sniffer.py"


def run_demo(*options):
    environment = {**os.environ, "MILLRACE_BUILD": str(BUILD)}
    return subprocess.run([DEMO, *options], env=environment, capture_output=True, text=True, timeout=180)


def namespaces():
    return {line.split()[0] for line in subprocess.check_output(["ip", "netns", "list"], text=True).splitlines()}


def test_dual_stack_demo_crosses_the_router_by_both_families_and_cleans_up():
    before = namespaces()
    demo = run_demo("--dual-stack")
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-3000:]
    assert demo.stdout.count("20 packets transmitted, 20 received, 0% packet loss") == 2
    for hop in ("192.0.2.1", "2001:db8:1::1"):
        assert re.search(rf"^ 1  {re.escape(hop)}  ", demo.stdout, re.MULTILINE), f"{hop} is not the first hop"
    assert re.search(r"^received [1-9][\d,]* .* transmitted [1-9][\d,]* ", demo.stdout, re.MULTILINE)
    assert namespaces() <= before


def test_ipsec_demo_crosses_both_sites_and_the_way_sees_only_esp():
    before = namespaces()
    demo = run_demo("--ipsec")
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-3000:]
    assert "20 packets transmitted, 20 received, 0% packet loss" in demo.stdout
    for number, hop in enumerate(("10.1.0.1", "10.255.0.2", "10.2.99.1"), 1):
        assert re.search(rf"^ {number}  {re.escape(hop)}  ", demo.stdout, re.MULTILINE), f"{hop} is not hop {number}"
    seen = re.search(r"^seen on the way: ([\d,]+) ESP packets, \d+ of ARP and ND, 0 others$", demo.stdout, re.MULTILINE)
    assert int(seen[1].replace(",", "")) > 1000
    assert len(re.findall(r"^ipsec0 +(?:out|in) +0x0000[12]001 +active +[1-9]", demo.stdout, re.MULTILINE)) == 4
    assert len(re.findall(r"^received [1-9][\d,]* .* transmitted [1-9][\d,]* ", demo.stdout, re.MULTILINE)) == 2
    assert not re.search(r"[0-9a-f]{40}", demo.stdout), "a key is shown"
    assert namespaces() <= before


def sniffed(wire, frames):
    """What the sniffer at the other end says of frames, and its exit status."""
    with wire.lab.router_netns.popen(SNIFFER, wire.name, stdout=subprocess.PIPE, text=True) as sniffer:
        assert sniffer.stdout.readline() == f"listening on {wire.name}\n"
        wire.send(*frames)
        time.sleep(0.3)  # the kernel may deliver them later
        sniffer.send_signal(signal.SIGTERM)
        return sniffer.communicate(timeout=30)[0].splitlines(), sniffer.returncode


def test_the_sniffer_of_the_demo_tells_esp_from_all_else(lab):
    wire = lab.wire("way")
    ether, ip, ip6 = Ether(dst=wire.router_mac), IP(src="192.0.2.1", dst="198.51.100.1"), IPv6(src="fe80::1", dst="fe80::2")
    esp, neighbours = ether / ip / ESP(spi=0x1001, seq=7, data=bytes(range(100))), [
        ether / ARP(), ether / ip6 / ICMPv6ND_NA(), ether / ip6 / ICMPv6ND_RS()]
    said, status = sniffed(wire, [*[esp] * 1001, *neighbours])
    assert status == 0 and said[-1] == "seen on the way: 1,001 ESP packets, 3 of ARP and ND, 0 others"
    assert said[0].startswith("192.0.2.1 > 198.51.100.1  ESP  spi 0x00001001  sequence 7  00010203 ")
    for inner in (ip / ICMP(), ip / UDP(), ip6 / ICMPv6EchoRequest(), ip6 / UDP(), IPv6(nh=50) / bytes(40)):
        said, status = sniffed(wire, [esp, ether / inner])
        assert status == 1 and said[-1] == "seen on the way: 1 ESP packets, 0 of ARP and ND, 1 others", (said, inner)


@pytest.mark.parametrize("options", [["--ipv5"], ["extra"]])
def test_demo_refuses_what_it_does_not_know(options):
    demo = run_demo(*options)
    assert demo.returncode == 2 and "usage: scripts/demo.sh" in demo.stderr
