#!/usr/bin/python3
"""Forwarding rates of millraced and of DPDK's own programs, side by side.

Two ports on one worker core (core 1), the rest on core 0. Each port is an endless source and a sink (perf/net_stamp):
what comes costs every program the same, and its ports' counters are the ruler for all. The programs of a case take
turns; time is what the worker was on its core, so that other work on the machine disturbs less. perf/forward.sh builds
what this needs and calls it.
"""

import argparse
import gzip
import http.client
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import subjects  # noqa: E402

ROOT = subjects.ROOT
TABLE4 = ROOT / "tests/data/v4-2024-prefix-nhidx.txt.gz"
DESTINATIONS = 4 << 20
PCAP_PACKETS = 4096
FLOOR = "testpmd-io"
TESTPMD = ["testpmd-io", "testpmd-mac"]
ALL = ["millrace", *TESTPMD, "l3fwd-lpm", "l3fwd-fib"]
# rte_lpm adds a route by a linear search: a full table takes l3fwd minutes.
FULL = ["millrace", *TESTPMD, "l3fwd-fib"]
# name, table, how destinations are drawn, frame without FCS, who takes part. A family is a row here and a template in
# net_stamp: the rows of IPv6 come when the router has it.
CASES = [
    ("v4/1route/64B", "one", None, "60", ALL),
    ("v4/10k-random/64B", "10k", "prefix", "60", ALL),
    ("v4/full-prefix/64B", "full", "prefix", "60", FULL),
    ("v4/full-zipf/64B", "full", "zipf", "60", FULL),
    ("v4/full-prefix/IMIX", "full", "prefix", "imix", FULL),
    ("v4/full-prefix/1518B", "full", "prefix", "1514", FULL),
    ("v4/full-churn/64B", "full", "prefix", "60", ["millrace", FLOOR]),
]
CHURN_RATE = 100_000  # route changes a second that are asked for
CHURN_BATCH = 5_000


class Table:
    """Routes in the words of each program, made once."""

    def __init__(self, name, rows, next_hops, folder):
        self.name, self.rows, self.next_hops, self.folder = name, rows, next_hops, folder

    def _file(self, kind, lines):
        path = self.folder / f"{self.name}-{kind}"
        if not path.exists():
            path.write_text("".join(lines))
        return path

    def via(self, index):
        return subjects.Millrace.next_hop(index % self.next_hops)

    def millrace_file(self):
        return self._file("millrace", (f"{prefix} via {self.via(index)}\n" for prefix, index in self.rows))

    def l3fwd_file(self):
        return self._file("l3fwd", (f"R{prefix} 1\n" for prefix, _ in self.rows))

    def l3fwd_other(self):
        return self._file("l3fwd-v6", ["R2001:db8::/32 1\n"])

    def prefixes_file(self):
        return self._file("prefixes", (f"{prefix}\n" for prefix, _ in self.rows))


class Case:
    def __init__(self, row, tables, folder, source):
        self.name, table, self.draw, self.size, self.subjects = row
        self.table = tables[table]
        self.count = DESTINATIONS
        self.destinations = self._destinations(folder) if self.draw else None
        self.pcap = self._pcap(folder) if source == "pcap" else None

    def _destinations(self, folder):
        path = folder / f"{self.table.name}-{self.draw}"
        if not path.exists():
            subprocess.run([subjects.BUILD / "perf/net_stamp/make_destinations", "--table", self.table.prefixes_file(),
                            "--out", path, "--draw", self.draw, "--count", str(self.count)], check=True)
        return path

    def _pcap(self, folder):
        path = folder / f"{self.name.replace('/', '-')}.pcap"
        arguments = f"dst_mac={subjects.PCAP_MAC},size={self.size}"
        if self.destinations:
            arguments += f",file={self.destinations}"
        subjects.record(arguments, path, PCAP_PACKETS)
        return path


def read_table(path):
    with gzip.open(path, "rt") as file:
        return [(line.split()[0], int(line.split()[1])) for line in file if line.strip() and line[0] != "#"]


def make_tables(path, next_hops, folder, wanted):
    tables = {"one": Table("one", [("198.18.0.0/24", 0)], next_hops, folder)}
    if wanted & {"10k", "full"}:
        rows = read_table(path)
        tables["full"] = Table("full", rows, next_hops, folder)
        tables["10k"] = Table("10k", random.Random(1).sample(rows, min(10_000, len(rows))), next_hops, folder)
    return tables


class Churn:
    """Moves routes to another next hop and back over millraced's API, at a steady rate, while it is on."""

    def __init__(self, subject):
        self.socket = f"{subject.folder}/api.sock"
        self.batches = self._batches(subject.case.table)
        self.changed, self.seconds = 0, 0.0
        self.on, self.over = threading.Event(), False
        self.idle = threading.Event()
        self.idle.set()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @staticmethod
    def _batches(table):
        """Each route of a random 100,000 away from its next hop, then each back."""
        rows = random.Random(2).sample(table.rows, min(100_000, len(table.rows)))
        parts = [rows[i:i + CHURN_BATCH] for i in range(0, len(rows), CHURN_BATCH)]
        return [(len(part), "".join(f"{prefix} via {table.via(index + step)}\n" for prefix, index in part).encode())
                for step in (1, 0) for part in parts]

    def _run(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.socket)
        number = 0
        while not self.over:
            if not self.on.wait(0.1):
                continue
            self.idle.clear()
            begin = time.monotonic()
            sent = 0
            while self.on.is_set():
                size, body = self.batches[number % len(self.batches)]
                connection.request("POST", "/v1/routes:batch", body, {"Content-Type": "text/plain"})
                answer = json.loads(connection.getresponse().read())
                self.changed += answer["replaced"]
                number, sent = number + 1, sent + size
                time.sleep(max(0.0, begin + sent / CHURN_RATE - time.monotonic()))
            self.seconds += time.monotonic() - begin
            self.idle.set()

    def start(self):
        self.on.set()

    def stop(self):
        self.on.clear()
        self.idle.wait()

    def rate(self):
        return self.changed / self.seconds if self.seconds else 0.0


class Measured:
    """What one subject did in the runs of one case."""

    def __init__(self):
        self.mpps, self.cycles, self.share, self.forwarded = [], [], [], []
        self.churn = None

    def add(self, before, after, wall, tsc_hz):
        packets = after["tx"] - before["tx"]
        busy = after["seconds"] - before["seconds"]
        self.mpps.append(packets / busy / 1e6)
        self.cycles.append(busy * tsc_hz / max(packets, 1))
        self.share.append(busy / wall)
        received = after["rx"] - before["rx"]
        self.forwarded.append(packets / received if received else 1.0)


def look(subject):
    return {"tx": subject.packets(), "rx": subject.received(), "seconds": subject.worker_seconds()}


def run_once(subject, measured, seconds, churn):
    """One turn, from standstill to standstill: what was counted and the time on the core belong together exactly."""
    before, begin = look(subject), time.monotonic()
    subject.go()
    if churn:
        churn.start()
    time.sleep(seconds)
    if churn:
        churn.stop()
    subject.stop()
    measured.add(before, look(subject), time.monotonic() - begin, subject.tsc_hz())


def get_ready(subject):
    subject.load()
    subject.wait_for("forward", subject.forwards, 60)
    subject.stop()


def start_all(running):
    """All at once: tables load while others load theirs."""
    for subject in running:
        subject.start()
    failures = []

    def ready(subject):
        try:
            get_ready(subject)
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=ready, args=(subject,)) for subject in running]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def run_case(case, options, work):
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    running = [subjects.make(name, case, folder) for name in case.subjects]
    results = {subject.name: Measured() for subject in running}
    try:
        start_all(running)
        churn = Churn(running[0]) if case.name.endswith("-churn/64B") else None
        for _ in range(options.runs):
            for subject in running:
                with_churn = churn if subject.name == "millrace" else None
                run_once(subject, results[subject.name], options.seconds, with_churn)
        if churn:
            results["millrace"].churn = churn.rate()
            churn.over = True
        return results, running[0].tsc_hz()
    finally:
        for subject in running:
            subject.end()
        shutil.rmtree(folder)


def rows_of(case, results):
    rows = []
    floor = statistics.median(results[FLOOR].cycles)
    for name, measured in results.items():
        cycles = statistics.median(measured.cycles)
        row = {"case": case.name, "subject": name, "value": round(statistics.median(measured.mpps), 2), "unit": "Mpps",
               "runs": [round(value, 2) for value in measured.mpps], "cycles": round(cycles, 1),
               "cycles_above_floor": round(cycles - floor, 1),
               "core_share": round(statistics.median(measured.share), 3),
               "forwarded": round(min(measured.forwarded), 4)}
        if measured.churn is not None:
            row["route_changes_per_second"] = round(measured.churn)
        rows.append(row)
    return rows


def notes_of(row):
    notes = []
    if row["core_share"] < 0.9:
        notes.append(f"had the core {row['core_share']:.0%} of the time")
    if row["forwarded"] < 0.999:
        notes.append(f"forwarded only {row['forwarded']:.1%} of what came")
    if "route_changes_per_second" in row:
        notes.append(f"{row['route_changes_per_second']:,} of {CHURN_RATE:,} route changes/s")
    return "; ".join(notes)


def print_rows(rows, first):
    if first:
        print(f"{'case':22} {'subject':12} {'Mpps':>7} {'cycles':>7} {'above floor':>11}  {'runs (Mpps)':30} notes")
    for row in rows:
        runs = " ".join(f"{value:.1f}" for value in row["runs"][:5]) + (" ..." if len(row["runs"]) > 5 else "")
        print(f"{row['case']:22} {row['subject']:12} {row['value']:7.2f} {row['cycles']:7.1f} "
              f"{row['cycles_above_floor']:11.1f}  {runs:30} {notes_of(row)}".rstrip())
    print(flush=True)


def machine(tsc_hz):
    def command(*words):
        return subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout.strip()

    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(), "tsc_hz": tsc_hz,
            "kernel": platform.release(), "dpdk": command("dpkg-query", "-W", "-f=${Version}", "libdpdk-dev"),
            "millrace": command("git", "describe", "--always", "--dirty")}


def arguments():
    parser = argparse.ArgumentParser(prog="perf/forward.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short turns; under a minute once all is built")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/forward.json"),
                        help="where the figures go (default build-perf/forward.json)")
    parser.add_argument("--table4", metavar="FILE", type=pathlib.Path, default=TABLE4,
                        help='IPv4 table, gzip, "prefix next-hop-index" a line')
    parser.add_argument("--table6", metavar="FILE", type=pathlib.Path, help="IPv6 table; no case uses it yet")
    parser.add_argument("--runs", metavar="N", type=int, help="turns of each program (default 7, with --quick 3)")
    parser.add_argument("--seconds", metavar="S", type=float, help="length of a turn (default 1, with --quick 0.25)")
    parser.add_argument("--cases", metavar="REGEX", type=re.compile, default=re.compile(""), help="only these")
    parser.add_argument("--subjects", metavar="REGEX", type=re.compile, default=re.compile(""),
                        help=f"only these, and {FLOOR}")
    parser.add_argument("--next-hops", metavar="N", type=int, default=64,
                        help="neighbours behind the output port (default 64)")
    parser.add_argument("--source", choices=["stamp", "pcap"], default="stamp",
                        help="stamp: net_stamp at both ports; pcap: net_pcap at port 0, 4,096 packets over and over, "
                        "and a sink at port 1")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick else 7)
    if not 2 <= options.next_hops <= 10_000:
        parser.error("--next-hops wants a number from 2 to 10000")
    options.seconds = options.seconds or (0.25 if options.quick else 1.0)
    return options


def chosen(options):
    rows = []
    for name, table, draw, size, names in CASES:
        if options.cases.search(name):
            rows.append((name, table, draw, size, [s for s in names if s == FLOOR or options.subjects.search(s)]))
    if not rows:
        sys.exit("forward: no case matches; there are: " + ", ".join(row[0] for row in CASES))
    return rows


def end_on_signal(*_):
    """Ends with what runs here; a second signal does not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, end_on_signal)
    os.sched_setaffinity(0, {0})
    all_rows = []
    rows = chosen(options)
    with tempfile.TemporaryDirectory(prefix="millrace-forward-", dir="/dev/shm") as work:
        work = pathlib.Path(work)
        tables = make_tables(options.table4, options.next_hops, work, {row[1] for row in rows})
        for row in rows:
            case = Case(row, tables, work, options.source)
            results, tsc_hz = run_case(case, options, work)
            new = rows_of(case, results)
            print_rows(new, not all_rows)
            all_rows += new
    options.json.write_text(json.dumps({"machine": machine(tsc_hz), "rows": all_rows}, indent=2) + "\n")
    print(f"the figures are in {options.json}")


if __name__ == "__main__":
    try:
        main()
    except subjects.Failure as failure:
        sys.exit(f"forward: {failure}")
