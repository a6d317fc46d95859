#!/usr/bin/python3
"""Breaks the code in one place at a time and demands that a named test fails.

usage: mutate.py [--list | --check] [--jobs N] [NAME...]

The mutations are in tests/mutations/*.yaml; docs/testing.md says what an entry holds. They are applied in copies of the
tree (build-mutate/), one for each job, with builds of their own. Without NAME: all of them, and each drop reason and each built
rule has to have one. Prints a table; the last line is `N caught, N missed`, and the exit status is 1 where one was
missed or could not be tried.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import re
import subprocess
import sys
import time

import yaml

import conformance

ROOT = pathlib.Path(__file__).resolve().parents[1]
COPIES = ROOT / "build-mutate"
SECONDS = 300  # of a test, with room for a busy machine: a mutation that never ends is caught
# Of the packet steps: the processor's best, the plain one, and that with frames that a NIC has marked.
FORMS = [{}, {"MILLRACE_LAB_ISA": "scalar"}, {"MILLRACE_LAB_ISA": "scalar", "MILLRACE_LAB_MARKS": "1"}]
PROGRAMS = {"behaviour": "tests/behaviour/behaviour_test"}  # the others are tests/unit/NAME_test


@dataclasses.dataclass
class Mutation:
    name: str
    file: str
    old: str
    new: str
    test: str  # "program filter"
    rules: list[int] = dataclasses.field(default_factory=list)
    reasons: list[str] = dataclasses.field(default_factory=list)

    def program(self):
        name = self.test.split()[0]
        return PROGRAMS.get(name, f"tests/unit/{name}_test")

    def filter(self):
        return self.test.split()[1]

    def apply(self, text):
        """The changed source. The old text has to be there once: what it stood for may have gone or been doubled."""
        if text.count(self.old) != 1:
            raise ValueError(f"`{self.old}` is {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)

    def shows(self):
        return ", ".join([f"rule {rule}" for rule in self.rules] + self.reasons)


def load():
    mutations = []
    for path in sorted((ROOT / "tests/mutations").glob("*.yaml")):
        for name, entry in yaml.safe_load(path.read_text()).items():
            mutations.append(Mutation(name, **entry))
    names = [mutation.name for mutation in mutations]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        sys.exit(f"mutate: there twice: {', '.join(sorted(doubled))}")
    return mutations


def without_mutation(mutations):
    """Drop reasons and built rules that nothing here breaks."""
    reasons = re.findall(r"^DROP_REASON\((\w+),", (ROOT / "dataplane/drop_reason.def").read_text(), re.MULTILINE)
    broken = {reason for mutation in mutations for reason in mutation.reasons}
    rules = {rule for mutation in mutations for rule in mutation.rules}
    built = [number for number, rule in conformance.load_rules().items() if rule.built]
    unknown = broken - set(reasons)
    if unknown:
        sys.exit(f"mutate: no such drop reason: {', '.join(sorted(unknown))}")
    return [reason for reason in reasons if reason not in broken] + [f"rule {n}" for n in built if n not in rules]


def tracked_files():
    listed = subprocess.check_output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    return [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


class Copy:
    """A copy of the tree with a build of its own, in which one mutation at a time is tried."""

    def __init__(self, number):
        self.path = COPIES / str(number)
        # Only files that differ are written, so that only they are built again.
        for name in tracked_files():
            source, target = ROOT / name, self.path / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
                target.chmod(source.stat().st_mode)

    def build(self, programs):
        """Empty where it succeeded, else what the compiler said. Neither optimised nor debugged: what counts is the
        time from a change to its test."""
        commands = [["ninja", "-C", "build", *sorted(set(programs))]]
        if not (self.path / "build/build.ninja").exists():
            commands.insert(0, ["meson", "setup", "--buildtype=plain", "-Doptimization=0", "-Db_ndebug=false", "build"])
        for command in commands:
            result = subprocess.run(command, cwd=self.path, capture_output=True, text=True)
            if result.returncode != 0:
                return result.stdout[-3000:] + result.stderr[-1000:]
        return ""

    def run_tests(self, program, tests):
        """"passed", or what the first form of the packet steps that does not pass has to say."""
        for form in FORMS if program == PROGRAMS["behaviour"] else FORMS[:1]:
            outcome = self.run_form(program, tests, form)
            if outcome != "passed":
                break
        return outcome

    def run_form(self, program, tests, form):
        """"passed", "failed", or what else there is to say: a filter that no test matches passes, and shows nothing;
        without DPDK's environment everything fails."""
        command = [str(self.path / "build" / program), f"--gtest_filter={tests}", "--gtest_brief=1"]
        try:
            result = subprocess.run(command, cwd=self.path, capture_output=True, text=True, errors="replace",
                                    timeout=SECONDS, env=os.environ | form)
        except subprocess.TimeoutExpired:
            return "failed"
        if "no EAL" in result.stdout:
            return "had no EAL"
        if result.returncode != 0:
            return "failed"
        return "passed" if re.search(r"\[  PASSED  \] [1-9]", result.stdout) else "ran nothing"

    def attempt(self, mutation):
        """"caught", "MISSED", or an error in words."""
        target = self.path / mutation.file
        whole = target.read_text()
        try:
            target.write_text(mutation.apply(whole))
            said = self.build([mutation.program()])
            if said:
                return "does not build:\n" + said
            outcome = self.run_tests(mutation.program(), mutation.filter())
            return {"failed": "caught", "passed": "MISSED"}.get(outcome, f"its test {outcome}")
        except ValueError as error:
            return f"does not apply: {error}"
        finally:
            target.write_text(whole)


def check_baseline(copy, filters):
    """All tests pass as long as nothing is broken; without that, failing shows nothing."""
    for program, tests in filters.items():
        outcome = copy.run_tests(program, ":".join(sorted(tests)))
        if outcome != "passed":
            sys.exit(f"mutate: {program} {outcome} without a mutation")


def attempt_all(mutations, jobs):
    """The outcomes, each printed as it comes."""
    print("== build and tests without mutations", flush=True)
    filters = {}
    for mutation in mutations:
        filters.setdefault(mutation.program(), set()).add(mutation.filter())
    copies = queue.Queue()
    for number in range(min(jobs, len(mutations))):
        copy = Copy(number)
        said = copy.build(filters)  # after the first copy mostly out of the compiler's cache
        if said:
            sys.exit("mutate: the tree does not build\n" + said)
        if number == 0:
            check_baseline(copy, filters)
        copies.put(copy)
    print(f"== {len(mutations)} mutations", flush=True)

    def attempt(mutation):
        started = time.monotonic()
        copy = copies.get()
        outcome = copy.attempt(mutation)
        copies.put(copy)
        print(f"  {outcome.splitlines()[0]:8} {time.monotonic() - started:4.0f} s  {mutation.name:36} "
              f"{mutation.shows():48} {mutation.filter()}", flush=True)
        if "\n" in outcome:
            print(outcome)
        return outcome

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(attempt, mutations))


def check_all_apply(mutations, lacking):
    """Without building anything: 1 where the list is behind the code."""
    said = [f"nothing breaks {what}" for what in lacking]
    for mutation in mutations:
        try:
            mutation.apply((ROOT / mutation.file).read_text())
        except (ValueError, OSError) as error:
            said.append(f"{mutation.name}: {error}")
    print("\n".join(said) or f"{len(mutations)} mutations apply")
    return 1 if said else 0


def chosen(mutations, names):
    unknown = set(names) - {mutation.name for mutation in mutations}
    if unknown:
        sys.exit(f"mutate: no such mutation: {', '.join(sorted(unknown))} (--list lists them)")
    return [mutation for mutation in mutations if not names or mutation.name in names]


def main():
    parser = argparse.ArgumentParser(prog="mutate.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="list the mutations and what each breaks")
    parser.add_argument("--check", action="store_true", help="only say whether each can be applied, and what has none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="how many at a time")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    mutations = load()
    lacking = without_mutation(mutations)
    if options.list:
        for mutation in mutations:
            print(f"{mutation.name:36} {mutation.file:32} {mutation.shows()}")
        print(f"\n{len(mutations)} mutations" + (f"; none for {', '.join(lacking)}" if lacking else ""))
        return 0

    todo = chosen(mutations, options.names)
    if options.check:
        return check_all_apply(todo, lacking)
    todo.sort(key=lambda mutation: mutation.file)  # those of one file in a row: it is built once for each, not twice
    os.environ.pop("CI", None)  # a mutation may leave something unused: no reason not to try it
    outcomes = attempt_all(todo, options.jobs)
    if lacking and not options.names:
        print(f"\nnothing breaks: {', '.join(lacking)}")
    caught, missed = outcomes.count("caught"), outcomes.count("MISSED")
    errors = len(outcomes) - caught - missed
    print(f"\n{caught} caught, {missed} missed" + (f", {errors} could not be tried" if errors else ""))
    return 0 if missed == errors == 0 and (options.names or not lacking) else 1


if __name__ == "__main__":
    sys.exit(main())
