"""perf/forward.py's cases are those that its contract names, and it reckons rates and scaling as it says."""

import os
import re
import struct
import types

import pytest

import flood_frames
import forward
import forward_cases
from forward_cases import MAC, Table

NAMES = [row[0] for row in forward_cases.CASES]


def measured(workers, *turns):
    """(packets sent, seconds that all workers together had their cores) of each turn of a second."""
    result = forward.Measured(workers)
    for packets, busy in turns:
        result.add({"tx": 5, "rx": 5, "seconds": 1.0}, {"tx": 5 + packets, "rx": 5 + packets, "seconds": 1.0 + busy}, 1.0, 2e9)
    return result


def test_every_table_is_there_with_every_size_in_both_families():
    for family, least in (("v4", "64B"), ("v6", "78B")):
        for routes in ("1route", "10k-random", "full-prefix", "full-zipf"):
            for size in (least, "IMIX", "1518B"):
                assert f"{family}/{routes}/{size}" in NAMES
    assert len(NAMES) == len(set(NAMES)) and set(forward_cases.QUICK) <= set(NAMES)


def test_a_rate_is_what_workers_reach_with_their_cores_to_themselves():
    one, two = measured(1, (10e6, 0.5)), measured(2, (30e6, 1.5))
    assert one.mpps == [20.0] and one.share == [0.5] and one.cycles == [100.0]
    assert two.mpps == [40.0] and two.share == [0.75] and two.cycles == [100.0]


def test_scaling_is_by_turn():
    """Turns in which both were slow say as much as the others."""
    results = {("millrace", 1): measured(1, (10e6, 1.0), (5e6, 1.0), (10e6, 1.0)),
               ("millrace", 2): measured(2, (19e6, 2.0), (9e6, 2.0), (10e6, 2.0))}
    assert forward.scaling(results, "millrace") == pytest.approx(1.8)


@pytest.mark.parametrize("cores, shares", [(2, True), (4, False)])
def test_the_verdict_on_scaling_is_beside_testpmd_and_says_whether_cores_were_shared(monkeypatch, cores, shares):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    rows = [{"subject": "millrace"}, {"subject": "millrace", "scaling": 1.8}, {"subject": MAC, "scaling": 2.0}]
    text = forward.scaling_verdict(rows)
    assert "0.900 times" in text and ("shares core 0" in text) == shares
    assert forward.scaling_verdict(rows[:2]) == ""


def test_rows_of_two_cores_are_told_from_those_of_one(tmp_path):
    row = next(row for row in forward_cases.CASES if row[0] == "v4/1route/64B/2cores")
    tables = forward_cases.make_tables({}, 4, tmp_path, {(4, "one")})
    case = forward_cases.Case(row, tables, tmp_path, "stamp")
    assert case.workers == (1, 2)
    assert [case.row_name(workers) for workers in case.workers] == ["v4/1route/64B/1core", "v4/1route/64B/2cores"]


def test_a_flood_is_compared_with_forwarded_packets_of_its_turns():
    results = {("flooded", 1): measured(1, (10e6, 1.0), (4e6, 1.0), (10e6, 1.0)),
               ("millrace", 1): measured(1, (18e6, 1.0), (8e6, 1.0), (30e6, 1.0))}
    assert forward.over_forwarded(results) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", flood_frames.KINDS)
def test_frames_of_a_flood_all_differ_and_are_for_the_router(tmp_path, kind):
    assert f"v4/flood-{kind}/64B" in NAMES
    link = flood_frames.Link("02:00:00:00:00:01", "10.254.0.1", "198.18.0.1", "10.254", "10.255")
    flood_frames.write(tmp_path / "file", kind, link)
    data = (tmp_path / "file").read_bytes()
    each = 16 + flood_frames.BYTES
    frames = {data[at + 16:at + each] for at in range(24, len(data), each)}
    assert len(frames) == flood_frames.FRAMES and len(data) == 24 + flood_frames.FRAMES * each
    assert {frame[:6] for frame in frames} == {b"\xff" * 6 if kind == "arp" else bytes([2, 0, 0, 0, 0, 1])}
    if kind != "arp":
        assert {internet_sum(frame[14:34]) for frame in frames} == {0xFFFF}


def internet_sum(data):
    total = sum(struct.unpack("!10H", data))
    return (total & 0xFFFF) + (total >> 16)


@pytest.mark.parametrize("ipv, prefix, via", [(4, "192.0.2.0/24", "10.255.1.2"), (6, "2001:db8:9::/48", "2001:db8:ff:1::1:1")])
def test_a_table_is_written_in_the_words_of_each_program(tmp_path, ipv, prefix, via):
    table = Table("t", [(prefix, 5)], 4, tmp_path, ipv)
    assert table.millrace_file().read_text() == f"{prefix} via {via}\n"
    own = table.l3fwd_files()[(4, 6).index(ipv)]
    assert own.read_text() == f"R{prefix} 1\n"
    other = table.l3fwd_files()[(6, 4).index(ipv)]
    assert (":" in other.read_text()) == (ipv == 4)  # l3fwd wants rules of both families
    assert table.prefixes_file().read_text() == f"{prefix}\n"


def chosen(cases=None, quick=False, subjects=""):
    options = types.SimpleNamespace(cases=re.compile(cases) if cases else None, quick=quick, subjects=re.compile(subjects))
    return {row[0]: row[-1] for row in forward.chosen(options)}


def test_quick_takes_a_few_cases_unless_some_are_asked_for():
    assert list(chosen()) == NAMES
    assert set(chosen(quick=True)) == set(forward_cases.QUICK)
    assert list(chosen("v6/full-zipf/IMIX", quick=True)) == ["v6/full-zipf/IMIX"]
    assert chosen("v6/1route/78B", subjects="millrace") == {"v6/1route/78B": ["millrace", "testpmd-io"]}
