"""perf/budget.py tells a count that grew from one that did not, and says what it compares."""

import json
import stat

import pytest

import budget

MACHINE = {"isa": "avx2", "compiler": "12.2.0", "dpdk": "22.11"}


def allowed(**values):
    return budget.figures({case.replace("_", "/", 1): value for case, value in values.items()}, MACHINE)


@pytest.mark.parametrize("value, wrong", [
    (50.0, False),  # fewer is never wrong
    (100.0, False),
    (103.0, False),
    (103.1, True),
])
def test_a_case_may_grow_by_3_percent_and_no_more(value, wrong):
    lines, (passed, failed, skipped) = budget.compare({"v6/1route": value}, MACHINE, allowed(v6_1route=100.0))
    assert (passed, failed, skipped) == (int(not wrong), int(wrong), 0)
    assert lines[1].split()[:3] == ["v6/1route", "100.00", f"{value:.2f}"]
    assert ("grew by more than 3%" in lines[1]) == wrong


def test_a_case_without_a_budget_fails():
    lines, counts = budget.compare({"v6/1route": 1.0}, MACHINE, allowed(v4_1route=100.0))
    assert counts == (0, 1, 0) and "has no budget" in lines[1]


@pytest.mark.parametrize("elsewhere, failed", [(100.0, 0), (102.0, 0), (102.1, 1)])
def test_features_of_another_interface_cost_a_branch_at_most(elsewhere, failed):
    """Also where their own budget would allow more."""
    measured = {budget.PLAIN: 100.0, budget.ELSEWHERE: elsewhere}
    found = budget.figures({budget.PLAIN: 100.0, budget.ELSEWHERE: 110.0}, MACHINE)
    assert budget.compare(measured, MACHINE, found)[1] == (2 - failed, failed, 0)


def test_counts_of_another_compiler_are_shown_and_not_compared():
    lines, counts = budget.compare({"v6/1route": 200.0}, {**MACHINE, "compiler": "13.2.0"}, allowed(v6_1route=100.0))
    assert counts == (0, 0, 1) and "not compared" in lines[1]


def fake_bench(folder, words):
    program = folder / "bench"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def fake_valgrind(folder, monkeypatch, collected):
    """Stands where valgrind does: runs the program, and says what callgrind says."""
    valgrind = fake_bench(folder, f"""for word; do case $word in --log-file=*) log=${{word#*=}} ;; --*) ;; *) break ;; esac; shift; done
echo "==1== Collected : {collected}" >"$log"
exec "$@" """)
    valgrind.rename(folder / "valgrind")
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_count_is_of_what_callgrind_collected_by_packet(tmp_path, monkeypatch):
    fake_valgrind(tmp_path, monkeypatch, 12345)
    program = fake_bench(tmp_path, f"echo '{json.dumps({'packets': 100, 'routes': 1, **MACHINE})}'")
    assert budget.count([], program) == (123.45, MACHINE)


@pytest.mark.parametrize("words, said", [
    ("echo a frame was not forwarded >&2; exit 1", "not forwarded"),
    (f"echo '{json.dumps({'packets': 100, **MACHINE, 'isa': 'scalar'})}'", "scalar"),
])
def test_a_bench_that_fails_or_takes_another_form_gives_no_count(tmp_path, monkeypatch, words, said):
    fake_valgrind(tmp_path, monkeypatch, 12345)
    with pytest.raises(budget.Failure, match=said):
        budget.count([], fake_bench(tmp_path, words))


def test_the_committed_budget_has_all_cases():
    found = json.loads(budget.BUDGET.read_text())
    assert list(budget.values_of(found)) == list(budget.CASES)
    assert found["machine"]["isa"] == budget.ISA
