"""The tester is tested: perf/rfc2544's generator and searches on a wire that loses frames, and all of it on a router."""

import argparse
import contextlib
import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import pytest

from basics import BUILD, ROOT

sys.path.insert(0, str(ROOT / "perf"))
from rfc2544 import device as devices  # noqa: E402
from rfc2544 import procedures  # noqa: E402
from rfc2544.bed import Bed  # noqa: E402
from rfc2544.builtin import Builtin  # noqa: E402
from rfc2544.search import binary_search  # noqa: E402
from rfc2544.settings import QUICK  # noqa: E402
from rfc2544.trial import Phase, Traffic, TrialResult, network_of  # noqa: E402

ONE_WAY, BOTH_WAYS = ((0, 1),), ((0, 1), (1, 0))
DRAIN = 0.2


def options(ipv6=False):
    hosts = [network_of(port, 0, ipv6)[1] for port in (0, 1)]
    return argparse.Namespace(generator_core=0, rx_queues=1, no_huge=True, addresses=hosts,
                              gateways=[host.removesuffix("2") + "1" for host in hosts],
                              gateway_macs=["02:00:00:25:44:10", "02:00:00:25:44:11"])


@contextlib.contextmanager
def generator_on_a_wire(folder, *harm, ipv6=False):
    links = devices.Memif(folder)
    engine = Builtin(BUILD / "perf/generator/generator", links.generator_ports(), options(ipv6), folder / "generator.log")
    wire = devices.Wire(folder, links, BUILD / "perf/generator/wire", 1, harm, no_huge=True)
    try:
        wire.start()
        engine.learn(20)
        yield engine
        wire.check_alive()
    finally:
        engine.close()
        wire.close()


@pytest.fixture
def folder(tmp_path_factory):
    return pathlib.Path(tmp_path_factory.mktemp("w"))


def traffic(*sizes, ways=ONE_WAY, flows=1, ipv6=False):
    return Traffic("test", sizes, ways, flows=flows, ipv6=ipv6)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_each_frame_that_a_wire_drops_swaps_or_passes_is_counted(folder, ipv6):
    """30,000 frames each way, of which it drops each 10,000th and lets each 7,001st be overtaken."""
    sizes = (78, 594, 1518) if ipv6 else (64, 594, 1518)
    with generator_on_a_wire(folder, "--drop-one-in", "10000", "--swap-one-in", "7001", ipv6=ipv6) as engine:
        ways = engine.trial(traffic(*sizes, ways=BOTH_WAYS, ipv6=ipv6), [Phase(15_000, frames=30_000)], DRAIN)
    for way in ways:
        assert (way.sent, way.lost, way.received) == (30_000, 3, 29_997)
        assert (way.reordered, way.duplicates, way.wrong, way.refused) == (4, 0, 0, 0)
        assert 0 < way.latency.minimum <= way.latency.mean <= way.latency.maximum
        assert sum(count for _, count in way.latency.histogram) == way.received
        # The last frame of all is dropped, too: at 15,000 a second not before 1.9 s.
        assert way.last_lost_sent_at > 1.9


def test_a_rate_is_what_it_was_asked_to_be_or_said_to_be_late(folder):
    with generator_on_a_wire(folder) as engine:
        for rate in (1_000, 37_000):
            result = TrialResult(rate, 1.0, engine.trial(traffic(64), [Phase(rate, 1.0)], DRAIN))
            assert result.lost == 0
            assert result.intended == pytest.approx(rate, abs=2)
            assert result.offered * (1 + result.late_ratio) == pytest.approx(rate, rel=0.02 + 2 * result.late_ratio)


def test_a_device_that_drops_1_in_10000_is_caught(folder):
    """A clean wire passes the rate; the lossy one has no throughput in whose trial there were 20,000 frames."""
    seconds, high = 1.0, 60_000  # what a busy machine's wire carries, too
    with generator_on_a_wire(folder) as engine:
        clean = TrialResult(high, seconds, engine.trial(traffic(64), [Phase(high, seconds)], DRAIN), 1.0)
    assert clean.loss_ratio == 0, f"the bed itself lost {clean.lost} of {clean.sent}"
    lossy_folder = folder / "lossy"
    lossy_folder.mkdir()
    with generator_on_a_wire(lossy_folder, "--drop-one-in", "10000") as engine:
        def measure(rate):
            return TrialResult(rate, seconds, engine.trial(traffic(64), [Phase(rate, seconds)], DRAIN), 1.0)

        full = TrialResult(high, 0, engine.trial(traffic(64), [Phase(high, frames=80_000)], DRAIN), 1.0)
        bounds = binary_search(measure, 1000, high, 0.3)
    assert full.lost == 8 and full.loss_ratio == pytest.approx(1e-4)
    assert bounds.upper is not None, "the loss was not seen"
    assert bounds.throughput * seconds < 20_000


def test_flows_are_told_apart(folder):
    """A swap of frames of different flows is no reordering."""
    with generator_on_a_wire(folder, "--swap-one-in", "10") as engine:
        one = engine.trial(traffic(64), [Phase(20_000, frames=2_001)], DRAIN)[0]
        many = engine.trial(traffic(64, flows=16), [Phase(20_000, frames=2_001)], DRAIN)[0]
    assert one.lost == many.lost == 0
    assert one.reordered > 190 and many.reordered == 0


def test_a_reset_is_as_long_as_no_frame_came(folder):
    links = devices.AfPacket()
    engine = Builtin(BUILD / "perf/generator/generator", links.generator_ports(), options(), folder / "generator.log",
                     links.generator_prefix)
    wire = devices.Wire(folder, links, BUILD / "perf/generator/wire", 1, no_huge=True)
    try:
        wire.start()
        settings = dataclasses.replace(QUICK, reset=5.0, learn_seconds=20)
        found = procedures.reset(Bed(engine, wire, settings, print), traffic(64), 2_000, "hardware")
    finally:
        engine.close()
        wire.close()
        links.close()
    assert found["seconds"] is not None, "no frame came after it"
    # What was sent meanwhile is lost, but for what waits in the links: all that comes between the opening of the new
    # wire's ports and its first look at them, which is most of its start on some machines.
    assert 0.01 < found["seconds"] < 4 and found["lost"] > 0
    assert 0.1 * found["seconds"] < found["lost_s"] < 1.1 * found["seconds"] + 0.1


@pytest.mark.parametrize("family", [[], ["--ipv6"]], ids=["IPv4", "IPv6"])
def test_a_report_of_a_router_is_complete_and_stands_alone(folder, family):
    report = folder / "report.json"
    command = [sys.executable, "-m", "rfc2544", "--quick", "--tests", "throughput,latency", "--sizes", "IMIX", "--link",
               "af_packet", "--no-huge", "--nice", "0", "--build", str(BUILD), "--line-rate", "0.01", "--trial", "0.2",
               "--precision", "0.2", "--bidirectional", "--networks", "3", "--flows", "12", "--json", str(report), *family]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "perf", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    found = json.loads(report.read_text())
    values = {row["case"]: row["value"] for row in found["rows"]}
    assert values["throughput/IMIX"] > 0, done.stdout
    assert 0 < values["latency/IMIX/100%/typical"] <= values["latency/IMIX/100%/worst_case"]
    assert found["report"]["warnings"] or found["machine"]["isolated_cores"]
    page = report.with_suffix(".html").read_text()
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert page.count("<svg") == 2 and page.count("<h2>") == 2
    markdown = report.with_suffix(".md").read_text()
    assert all(f"## {title}" in markdown for title in ("Throughput", "Latency"))
