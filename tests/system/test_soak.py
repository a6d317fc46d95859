"""A short soak passes, and a soak fails, with the invariant named, when something does break."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from basics import ROOT, wait_for

sys.path.insert(0, str(ROOT / "tests/soak"))

from invariants import Broken, Flat, Watch, check_bulk, check_pings, check_probes, check_routes  # noqa: E402
from oracle import FULL_TABLE, read_table  # noqa: E402
from routes import Routes, addresses  # noqa: E402

SOAK = [sys.executable, "-u", str(ROOT / "tests/soak/soak.py")]


def test_half_a_minute():
    done = subprocess.run([*SOAK, "--minutes", "0.5", "--routes", "50000", "--quiet", "7"], capture_output=True, text=True,
                          timeout=180)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    summary = re.search(r"([\d,]+) route changes, (\d+) reloads, (\d+) flaps, ([\d,]+) mutated frames", done.stdout)
    assert summary and all(int(count.replace(",", "")) > 0 for count in summary.groups()), done.stdout


def daemon_of(soak):
    """The process id of the millraced that a soak started."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == soak.pid and os.readlink(process / "exe").endswith("/millraced"):
                return int(process.name)
        except OSError:  # gone meanwhile
            continue
    return None


def test_a_daemon_that_ends_breaks_it():
    with subprocess.Popen([*SOAK, "--minutes", "5", "--routes", "1000"], stdout=subprocess.PIPE, text=True) as soak:
        try:
            while " packets in" not in soak.stdout.readline():
                assert soak.poll() is None
            daemon = wait_for(lambda: daemon_of(soak), 10, "the soak's millraced")
            os.kill(daemon, signal.SIGKILL)
            output = soak.stdout.read()
            assert soak.wait(60) == 1 and "BROKEN: millraced is alive" in output, output
        finally:
            soak.terminate()


# --- each invariant notices what it is there for

class FakeRouter:
    alive, log = True, ""

    def __init__(self, difference=0, **answers):
        self.answers = {"/v1/status": {"accounting": {"difference": difference}}, **answers}

    def get(self, path):
        return self.answers[path.split("?")[0]]


def test_packets_that_vanish_are_noticed():
    Watch(FakeRouter(difference=1000), []).look()
    for difference in (1025, -1025):
        with pytest.raises(Broken, match="accounting adds up"):
            Watch(FakeRouter(difference), []).look()


def test_an_api_that_does_not_answer_is_noticed():
    class Silent(FakeRouter):
        def get(self, path):
            raise TimeoutError

    with pytest.raises(Broken, match="the API answers"):
        Watch(Silent(), []).look()


def test_a_disturbance_that_failed_is_noticed():
    class Failed:
        name, error = "churn", "507"

    with pytest.raises(Broken, match="churn goes on"):
        Watch(FakeRouter(), [Failed()]).look()


def test_growth_is_noticed():
    memory = Flat("resident memory", 10, " KiB")
    for value in (100, 90, 110):
        memory.see(value)
    with pytest.raises(Broken, match="resident memory stays flat"):
        memory.see(111)


@pytest.mark.parametrize("outstanding, wrong, said", [({7: "02:00:00:00:00:01"}, [], "no forwarded packet is lost"),
                                                      ({}, ["probe 7 came twice"], "packets go to their next hop")])
def test_probes_that_are_lost_or_go_astray_are_noticed(monkeypatch, outstanding, wrong, said):
    class Probes:
        sent = 8

    monkeypatch.setattr("invariants.PROBE_SECONDS", 0)
    Probes.outstanding, Probes.wrong = outstanding, wrong
    with pytest.raises(Broken, match=said):
        check_probes(Probes)


def test_tcp_that_does_not_arrive_is_noticed():
    class Bulk:
        SECONDS, sent, received, is_whole = 0, 2, 1, False

    with pytest.raises(Broken, match="TCP arrives whole: 2 bytes sent, 1 received"):
        check_bulk(Bulk)


def test_a_ping_without_an_answer_is_noticed(monkeypatch):
    class OneLost:
        @staticmethod
        def unanswered(first, end):
            return [number for number in range(first, end) if number == 7]

    monkeypatch.setattr("invariants.PROBE_SECONDS", 0)
    check_pings(OneLost, 0, 7)
    check_pings(OneLost, 8, 20)
    with pytest.raises(Broken, match="1 of 8 pings, the first 7"):
        check_pings(OneLost, 0, 8)


def test_a_table_that_differs_is_noticed():
    routes = Routes(read_table(FULL_TABLE, 1000), seed=1)
    for line in routes.change(300):
        assert re.fullmatch(r"del [\d./]+|[\d./]+ via [\d. weight]+", line), line
    with pytest.raises(Broken, match="999 routes instead of"):
        check_routes(FakeRouter(**{"/v1/routes": {"total": 999}}), routes, 0, 1)
    right = {"/v1/routes": {"total": len(routes) + 5}}
    with pytest.raises(Broken, match="the table is what it was told"):
        check_routes(FakeRouter(**right, **{"/v1/fib/lookup": {"prefix": "0.0.0.0/0"}}), routes, 5, 1)
    assert addresses("10.128.0.10 weight 3 10.128.0.11 weight 200") == {"10.128.0.10", "10.128.0.11"}
