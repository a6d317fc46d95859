"""perf/forward.py's cases are those that its contract names, and it reckons rates and scaling as it says."""

import os
import re
import types

import pytest

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
