#!/usr/bin/python3
"""Runs kinds of tests, shows their progress, names what failed or was skipped, and counts.

The last line printed is `N passed, N failed` (`, N skipped` where some were); the exit status is 1 on failure. With
CI=true a skipped test is a failure.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ_SECONDS = 10
SYSTEM_SECONDS = 1800  # the whole of pytest: a hang is ended and reported
CI = os.environ.get("CI") == "true"


@dataclasses.dataclass
class Outcome:
    """Counts of one runner, and the tests that one has to hear about."""

    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    said: dict[str, str] = dataclasses.field(default_factory=dict)  # by a failed test's name: what it said, in short

    def add(self, other: "Outcome") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.said |= other.said

    def line(self) -> str:
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return text + (f", {len(self.skipped)} skipped" if self.skipped else "")


def run(command, seconds, cwd=ROOT, env=None):
    """Runs in a process group of its own and ends the whole group at the time limit: (exit status, output)."""
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 124, output + f"\n(ended after {seconds} s)\n"


def indent(text, lines=60):
    """The tail of a failing test's output."""
    return "\n".join("      " + line for line in text.rstrip().splitlines()[-lines:])


# --- unit and behaviour tests: what meson declares -----------------------------------------------------------------

def gtest_outcome(report, prefix):
    outcome = Outcome()
    for suite in json.loads(report.read_text())["testsuites"]:
        for case in suite["testsuite"]:
            name = f"{prefix}: {case['classname']}.{case['name']}"
            if failures := case.get("failures"):
                outcome.failed.append(name)
                outcome.said[name] = failures[0].get("failure", "")
            elif case.get("status") == "NOTRUN" or case.get("result") == "SKIPPED":  # disabled in the source, or by itself
                outcome.skipped.append(name)
            else:
                outcome.passed += 1
    return outcome


def run_meson_test(test, reports):
    """One declared test: a GoogleTest binary counts its cases, any other program is one test."""
    name = test["name"]
    report = reports / (re.sub(r"\W+", "_", name) + ".json")
    env = dict(os.environ, GTEST_OUTPUT=f"json:{report}", GTEST_COLOR="no",
               ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1"),
               UBSAN_OPTIONS=os.environ.get("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1"),
               TSAN_OPTIONS=os.environ.get("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1"))
    env.update(test["env"])
    seconds = max(test.get("timeout", 0), 30) * 4
    started = time.monotonic()
    status, output = run(test["cmd"], seconds, cwd=test.get("workdir") or ROOT, env=env)
    took = time.monotonic() - started
    outcome = gtest_outcome(report, name) if report.exists() else Outcome()
    if status == 77 and not report.exists():  # meson's exit status for "skipped"
        outcome.skipped.append(name)
    elif status != 0 and not outcome.failed:
        outcome.failed.append(f"{name} (exit status {status})")
    elif status == 0 and not report.exists():
        outcome.passed = 1
    return name, outcome, output, took


def show(name, outcome, output, took):
    print(f"  {'FAIL' if outcome.failed else 'ok':4} {name:44} {outcome.line():>32} {took:6.1f} s", flush=True)
    if outcome.failed:
        print(indent(output) or "      (no output)", flush=True)


def run_declared(build):
    """Shortest time limits first; as many at a time as there are cores, where a test says that it may."""
    tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", str(build)], cwd=ROOT))
    total, lock = Outcome(), threading.Lock()

    def finish(result):
        with lock:
            total.add(result[1])
            show(*result)

    with tempfile.TemporaryDirectory(prefix="millrace-reports-") as folder:
        reports = pathlib.Path(folder)
        tests.sort(key=lambda test: (test.get("timeout", 30), test["name"]))
        together = [test for test in tests if test.get("is_parallel", True)]
        alone = [test for test in tests if not test.get("is_parallel", True)]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for future in concurrent.futures.as_completed([pool.submit(run_meson_test, t, reports) for t in together]):
                finish(future.result())
        for test in alone:
            finish(run_meson_test(test, reports))
    if not tests:
        total.failed.append(f"{build.name}: no test is declared")
    return total


# --- an old processor, emulated ------------------------------------------------------------------------------------

def run_nehalem(build):
    """The tables' tests on a processor that has SSE4.2 and no AVX. Those of whole tables take too long there."""
    command = ["qemu-x86_64", "-cpu", "Nehalem", str(build / "tests/unit/lpm_test"), "--gtest_filter=-*Million*:*Whole*"]
    with tempfile.TemporaryDirectory(prefix="millrace-reports-") as folder:
        test = {"name": "lpm on a Nehalem", "cmd": command, "env": {}, "timeout": 100}
        name, outcome, output, took = run_meson_test(test, pathlib.Path(folder))
    show(name, outcome, output, took)
    return outcome


# --- fuzz targets: a short run of each, from its seeds -------------------------------------------------------------

def run_fuzzers(build):
    total = Outcome()
    targets = sorted(path for path in (build / "tests/fuzz").glob("*_fuzz") if path.is_file() and os.access(path, os.X_OK))
    if not targets:
        total.failed.append("fuzz: no target is built")
    for target in targets:
        name = target.name.removesuffix("_fuzz")
        seeds = ROOT / "tests/fuzz/corpus" / name
        with tempfile.TemporaryDirectory(prefix="millrace-fuzz-") as folder:
            corpus = pathlib.Path(folder) / "corpus"
            if seeds.is_dir():
                shutil.copytree(seeds, corpus)
            else:
                corpus.mkdir()
            command = [str(target), str(corpus), f"-max_total_time={FUZZ_SECONDS}", "-entropic=0", "-rss_limit_mb=4096", "-timeout=10",
                       "-print_final_stats=1", f"-artifact_prefix={folder}/"]
            status, output = run(command, FUZZ_SECONDS + 120, cwd=folder)
            found = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
            executed = int(found.group(1)) if found else 0
            good = status == 0 and executed > 0
            print(f"  {'ok' if good else 'FAIL':4} {target.name:44} {executed:>25,} inputs {FUZZ_SECONDS:6.1f} s", flush=True)
            if good:
                total.passed += 1
                continue
            total.failed.append(f"fuzz: {target.name} (exit status {status})")
            print(indent(output), flush=True)
            for artifact in pathlib.Path(folder).glob("*-*"):
                kept = build / f"{target.name}-{artifact.name}"
                shutil.copy(artifact, kept)
                print(f"      the input is kept as {kept}", flush=True)
    return total


# --- system tests: pytest ------------------------------------------------------------------------------------------

def junit_outcome(report):
    outcome = Outcome()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"system: {case.get('classname', '').split('.')[-1]}::{case.get('name')}"
        if failures := case.findall("failure") + case.findall("error"):
            outcome.failed.append(name)
            outcome.said[name] = failures[0].get("message", "")
        elif (skip := case.find("skipped")) is not None:
            outcome.skipped.append(f"{name}: {skip.get('message', '')}")
        else:
            outcome.passed += 1
    return outcome


def run_system(selection):
    with tempfile.TemporaryDirectory(prefix="millrace-reports-") as folder:
        report = pathlib.Path(folder) / "junit.xml"
        command = ["/usr/bin/python3", "-m", "pytest", "-v", "--color=no", "-p", "no:cacheprovider",
                   f"--junitxml={report}", *(selection or ["tests/system"])]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace")
        # SIGINT lets pytest tear its fixtures down, so that namespaces and daemons go too.
        watchdog = threading.Timer(SYSTEM_SECONDS, process.send_signal, [signal.SIGINT])
        watchdog.start()
        try:
            for line in process.stdout:
                if not re.fullmatch(r"=+ .* in [\d.]+s.*=+\s*", line):  # the counts are in our own last line
                    print("  " + line, end="", flush=True)
            status = process.wait()
        except KeyboardInterrupt:
            process.wait(60)
            raise
        finally:
            watchdog.cancel()
        outcome = junit_outcome(report) if report.exists() else Outcome()
        if status != 0 and not outcome.failed:
            outcome.failed.append(f"system: pytest ended with exit status {status}")
        return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--declared", metavar="BUILD", type=pathlib.Path, help="the tests that meson declares in BUILD")
    parser.add_argument("--system", action="store_true", help="the system tests")
    parser.add_argument("--fuzz", metavar="BUILD", type=pathlib.Path, help="a short run of each fuzz target in BUILD")
    parser.add_argument("--nehalem", metavar="BUILD", type=pathlib.Path, help="the tables' tests of BUILD without AVX")
    parser.add_argument("--select", nargs="*", default=[], help="arguments for pytest instead of tests/system")
    options = parser.parse_args()
    build = options.declared.resolve() if options.declared else None
    fuzz = options.fuzz.resolve() if options.fuzz else None
    nehalem = options.nehalem.resolve() if options.nehalem else None

    phases = []
    if build:
        phases.append((f"unit and behaviour tests ({build.name})", lambda: run_declared(build)))
    if nehalem:
        phases.append((f"an emulated Nehalem ({nehalem.name})", lambda: run_nehalem(nehalem)))
    if options.system:
        phases.append(("system tests", lambda: run_system(options.select)))
    if fuzz:
        phases.append((f"fuzz targets, {FUZZ_SECONDS} s each", lambda: run_fuzzers(fuzz)))

    total = Outcome()
    for title, phase in phases:
        print(f"\n== {title}", flush=True)
        started = time.monotonic()
        outcome = phase()
        total.add(outcome)
        print(f"  -- {outcome.line()}, {time.monotonic() - started:.0f} s", flush=True)

    if total.skipped:
        print("\n== skipped" + (" (a failure in CI)" if CI else ""))
        print("\n".join("  " + name for name in total.skipped))
    if total.failed:
        print("\n== failed")
        for name in total.failed:
            print(f"  {name}")
            if name in total.said:
                print(indent(total.said[name], lines=20))
    print("\n" + total.line())
    return 1 if total.failed or (CI and total.skipped) or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
