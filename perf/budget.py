#!/usr/bin/python3
"""Instructions that a worker executes for a packet that goes straight on, beside the budget that is committed.

Callgrind counts what the real worker step executes, driver calls included (perf/instructions_bench.cc), so that the
figure is the same on a quiet machine and on a busy one. Valgrind knows no AVX-512: it is the AVX2 form that is counted.
perf/budget.sh builds what this needs and calls it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import origin

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build-perf/perf/instructions_bench"
BUDGET = ROOT / "perf/budget.json"
TABLE4 = ROOT / "tests/data/v4-2024-prefix-nhidx.txt.gz"
TABLE6 = ROOT / "tests/data/v6-2024-prefix-nhidx.txt.gz"
ISA = "avx2"
GROWTH = 0.03  # of a case's budget, above which the check fails
BRANCH = 2.0  # instructions of one branch not taken: a test and a jump
PLAIN, ELSEWHERE = "v4/1route", "v4/1route/features-elsewhere"
CASES = {
    PLAIN: [],
    ELSEWHERE: ["--features-elsewhere"],
    "v4/10k-random": ["--table", TABLE4, "--routes", "10000"],
    "v4/full-prefix": ["--table", TABLE4],
    "v4/1route/marked": ["--marked"],
    "v4/2paths": ["--paths", "2"],
    "v4/2paths/marked": ["--paths", "2", "--marked"],
    "v6/1route": ["--ipv6"],
    "v6/2paths": ["--ipv6", "--paths", "2"],
    "v6/2paths/marked": ["--ipv6", "--paths", "2", "--marked"],
    "v6/full-prefix": ["--ipv6", "--table", TABLE6],
}


class Failure(Exception):
    pass


def count(arguments, program=PROGRAM):
    """(instructions a packet, what the count depends on) of one case."""
    with tempfile.NamedTemporaryFile(prefix="millrace-callgrind-") as log:
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
                   "--callgrind-out-file=/dev/null", f"--log-file={log.name}", program, *arguments]
        ran = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        said = pathlib.Path(log.name).read_text(errors="replace")
    collected = re.search(r"Collected : (\d+)", said)
    if ran.returncode != 0 or not collected:
        raise Failure(f"{' '.join(map(str, arguments))}: {ran.stderr or said}")
    facts = json.loads(ran.stdout.splitlines()[-1])
    if facts["isa"] != ISA:
        raise Failure(f"counted the {facts['isa']} form of the lookups, not {ISA}: this processor lacks it")
    return int(collected[1]) / facts["packets"], {key: facts[key] for key in ("isa", "compiler", "dpdk")}


def measure(cases):
    """{case: instructions a packet}, and what they depend on."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(cases, pool.map(count, cases.values())))
    return {case: value for case, (value, _) in counts.items()}, next(iter(counts.values()))[1]


def figures(values, machine):
    """In the format of all benchmarks."""
    return {"command": origin.command("perf/budget.sh"), "machine": machine,
            "rows": [{"case": case, "subject": "millrace", "value": round(value, 2), "unit": "instructions",
                      "runs": [round(value, 2)]} for case, value in values.items()]}


def values_of(found):
    return {row["case"]: row["value"] for row in found["rows"]}


def judge(case, measured, allowed):
    """What is wrong with a case's count; empty where nothing is."""
    if case not in allowed:
        return "has no budget"
    if measured[case] > allowed[case] * (1 + GROWTH):
        return f"grew by more than {GROWTH:.0%}"
    if case == ELSEWHERE and PLAIN in measured and measured[case] > measured[PLAIN] + BRANCH:
        return f"costs more than a branch beyond {PLAIN}"
    return ""


def compare(measured, machine, budget):
    """A line a case, and how many passed, failed and were skipped: counts of another toolchain are not compared."""
    same = machine == budget["machine"]
    allowed = values_of(budget)
    lines = [f"{'case':30} {'budget':>8} {'measured':>8} {'change':>8}"]
    passed = failed = skipped = 0
    for case, value in measured.items():
        wrong = judge(case, measured, allowed) if same else "another toolchain: not compared"
        passed, failed, skipped = passed + (not wrong), failed + bool(wrong and same), skipped + (not same)
        was = allowed.get(case)
        before, change = (f"{was:.2f}", f"{value / was - 1:+.1%}") if was else ("none", "")
        lines.append(f"{case:30} {before:>8} {value:8.2f} {change:>8}  {wrong or 'ok'}")
    return lines, (passed, failed, skipped)


def arguments():
    parser = argparse.ArgumentParser(prog="perf/budget.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write the counts to the budget instead of comparing them")
    parser.add_argument("--quick", action="store_true", help="without the full IPv4 table")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/budget.json"),
                        help="where the counts go (default build-perf/budget.json)")
    parser.add_argument("--budget", metavar="FILE", type=pathlib.Path, default=BUDGET,
                        help="what they may be (default perf/budget.json)")
    options = parser.parse_args()
    if options.update and options.quick:
        parser.error("--update wants all cases")
    return options


def main():
    options = arguments()
    cases = {case: words for case, words in CASES.items() if not (options.quick and case == "v4/full-prefix")}
    measured, machine = measure(cases)
    found = json.dumps(figures(measured, machine), indent=2) + "\n"
    options.json.write_text(found)
    print(f"instructions a packet, {machine['isa']} form, compiler {machine['compiler']}, DPDK {machine['dpdk']}")
    if options.update:
        options.budget.write_text(found)
        print("\n".join(f"{case:30} {value:8.2f}" for case, value in measured.items()))
        return 0
    lines, (passed, failed, skipped) = compare(measured, machine, json.loads(options.budget.read_text()))
    print("\n".join(lines))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"budget: {failure}")
