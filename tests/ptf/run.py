"""Runs SONiC's PTF tests, as they are, against Millrace (docs/ptf.md)."""

import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

from bed import Bed
from cases import select

# Of a sonic-mgmt checkout. ptf imports every file of its test folder, so that each test gets a folder of its own.
PTFTESTS = "ansible/roles/test/files/ptftests/py3"
CASE_SECONDS = 900
PASSED, FAILED, DIFFERS = "passed", "FAILED", "differs"


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/ptf.sh", description=__doc__)
    parser.add_argument("sonic_mgmt", metavar="SONIC_MGMT", type=pathlib.Path, help="a checkout of sonic-net/sonic-mgmt")
    parser.add_argument("ptf", metavar="PTF", type=pathlib.Path, nargs="?",
                        help="a checkout of p4lang/ptf (default: ptf beside SONIC_MGMT)")
    parser.add_argument("--only", metavar="REGEX", default="", help="the cases whose name it is found in, and what they need")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the routes and of ptf's packets")
    parser.add_argument("--logs", type=pathlib.Path, help="where ptf's logs stay (default: they go)")
    parser.add_argument("--list", action="store_true", help="names the cases, and runs none")
    options = parser.parse_args()
    options.ptf = options.ptf or options.sonic_mgmt.resolve().parent / "ptf"
    for path in (options.sonic_mgmt / PTFTESTS / "fib_test.py", options.ptf / "ptf"):
        if not path.is_file():
            parser.error(f"there is no {path}")
    return options


class Runner:
    def __init__(self, options, directory, bed):
        self.options, self.directory, self.bed = options, directory, bed

    def command(self, case, log):
        module = case.test.split(".")[0]
        folder = self.directory / module
        folder.mkdir(exist_ok=True)
        tests = (self.options.sonic_mgmt / PTFTESTS).resolve()
        link = folder / f"{module}.py"
        if not link.exists():
            link.symlink_to(tests / f"{module}.py")
        parameters = ";".join(f"{key}={value!r}" for key, value in case.parameters(self.bed).items())
        # As sonic-mgmt's ptf_runner.py calls it, but for the platform: there the ports come from a file.
        return ["/usr/bin/python3", (self.options.ptf / "ptf").resolve(), "--test-dir", folder, "--pypath", tests,
                "--platform", "eth", *self.bed.ptf_interfaces(), "-t", parameters, "--relax", "--debug", "info",
                "--log-file", log, "--qlen", 20000, "--socket-recv-size", 16384,
                "--random-seed", self.options.seed, case.test]

    def run(self, case, number):
        """(result, remark)"""
        log = self.directory / f"{number:02}-{re.sub('[^A-Za-z0-9]+', '-', case.name)}.log"
        wrong = self.what_is_wrong(case, log)
        if case.differs:
            return (DIFFERS, case.differs) if wrong else (FAILED, f"it passes, and is said to differ: {case.differs}")
        return (FAILED, wrong) if wrong else (PASSED, "")

    def what_is_wrong(self, case, log):
        try:
            with case.around(self.bed):
                self.ptf(case, log)
                case.after(self.bed)
            self.bed.lab.check_settled()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return str(error) or repr(error)
        return ""

    def ptf(self, case, log):
        result = self.bed.tester.run(*self.command(case, log), check=False, timeout=CASE_SECONDS, cwd=self.directory)
        assert result.returncode == 0 and re.search(r"^Ran 1 test", result.stdout, re.MULTILINE), \
            f"ptf ended with {result.returncode}\n{without_packets(result.stdout)[-4000:]}"


def without_packets(text):
    """Without the hexadecimal dumps of all that came meanwhile."""
    return re.sub(r"^[0-9a-f]{4}  .*\n", "", text, flags=re.MULTILINE)


def indented(text):
    return "\n".join(f"    {line}" for line in text.splitlines())


def run_all(options, directory, cases):
    with Bed(directory, options.seed) as bed:
        print(f"seed {options.seed}; {sum(map(len, bed.routes.values()))} routes")
        runner = Runner(options, directory, bed)
        counts = dict.fromkeys((PASSED, FAILED, DIFFERS), 0)
        width = max(len(case.name) for case in cases)
        for number, case in enumerate(cases):
            started = time.monotonic()
            result, remark = runner.run(case, number)
            counts[result] += 1
            print(f"{case.name:{width}}  {result:7}  {time.monotonic() - started:5.1f} s"
                  f"{f'  {remark}' if result == DIFFERS else ''}", flush=True)
            if result == FAILED:
                print(indented(remark), flush=True)
        return counts


def main():
    options = arguments()
    cases = select(options.only)
    if options.list or not cases:
        print("\n".join(case.name for case in cases) or f"no case is called {options.only}")
        return 0 if cases else 2
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing appears in others' checkouts
    with tempfile.TemporaryDirectory(prefix="mr-ptf-") as scratch:
        directory = options.logs.resolve() if options.logs else pathlib.Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        counts = run_all(options, directory, cases)
    print("\n" + ", ".join(f"{count} {result.lower()}" for result, count in counts.items()))
    return 1 if counts[FAILED] or not counts[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main())
