#!/usr/bin/python3
"""Forwarding rates of millraced and of DPDK's own programs, side by side.

Two ports on one worker core (core 1), the rest on core 0; where two cores are compared with one, also four ports on
both. Each port is an endless source and a sink (perf/net_stamp): what comes costs every program the same, and its ports'
counters are the ruler for all. The programs of a case take turns; time is what the workers were on their cores, so that
other work on the machine disturbs less. perf/forward.sh builds what this needs and calls it.
"""

import argparse
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
import origin  # noqa: E402
import subjects  # noqa: E402
from forward_cases import CASES, FLOOR, MAC, QUICK, TABLE4, TABLE6, Case, make_tables  # noqa: E402

CHURN_RATE = 100_000  # route changes a second that are asked for
CHURN_BATCH = 5_000
FLOOD_COST = 2  # forwarded packets, that a policed one may cost
SCALING = 0.95  # of testpmd's from one core to two, that is wanted at least


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
    """What one subject did in the runs of one case. Rates are what its workers reach with their cores to themselves."""

    def __init__(self, workers):
        self.workers = workers
        self.mpps, self.cycles, self.share, self.forwarded = [], [], [], []
        self.churn = None

    def add(self, before, after, wall, tsc_hz):
        packets = after["tx"] - before["tx"]
        busy = after["seconds"] - before["seconds"]  # of all workers
        self.mpps.append(packets * self.workers / busy / 1e6)
        self.cycles.append(busy * tsc_hz / max(packets, 1))
        self.share.append(busy / self.workers / wall)
        received = after["rx"] - before["rx"]
        self.forwarded.append(packets / received if received else 1.0)


def run_once(subject, measured, seconds, churn):
    def run():
        if churn:
            churn.start()
        time.sleep(seconds)
        if churn:
            churn.stop()

    begin = time.monotonic()
    before, after = subject.turn(run)
    measured.add(before, after, time.monotonic() - begin, subject.tsc_hz())


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
    """{(subject, workers): Measured}, and the TSC's rate."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=work))
    running = [subjects.make(name, case, folder, workers) for name in case.subjects for workers in case.workers]
    results = {(subject.name, subject.workers): Measured(subject.workers) for subject in running}
    try:
        start_all(running)
        churn = Churn(running[0]) if case.churns else None
        for _ in range(options.runs):
            for subject in running:
                with_churn = churn if subject.name == "millrace" else None
                run_once(subject, results[subject.name, subject.workers], options.seconds, with_churn)
        if churn:
            results["millrace", 1].churn = churn.rate()
            churn.over = True
        return results, running[0].tsc_hz()
    finally:
        for subject in running:
            subject.end()
        shutil.rmtree(folder)


def scaling(results, name):
    """How much faster two workers are than one: the median of the runs."""
    one, two = results[name, 1].mpps, results[name, 2].mpps
    return statistics.median(fast / slow for slow, fast in zip(one, two))


def over_forwarded(results):
    """What a packet of a flood costs, in packets that are forwarded: the median of the turns."""
    pairs = zip(results["flooded", 1].cycles, results["millrace", 1].cycles)
    return statistics.median(flooded / forwarded for flooded, forwarded in pairs)


def rows_of(case, results):
    rows = []
    for (name, workers), measured in results.items():
        cycles = statistics.median(measured.cycles)
        floor = statistics.median(results[FLOOR, workers].cycles)
        row = {"case": case.row_name(workers), "subject": name, "value": round(statistics.median(measured.mpps), 2),
               "unit": "Mpps", "runs": [round(value, 2) for value in measured.mpps], "cycles": round(cycles, 1),
               "cycles_above_floor": round(cycles - floor, 1),
               "core_share": round(statistics.median(measured.share), 3),
               "forwarded": round(min(measured.forwarded), 4)}
        if measured.churn is not None:
            row["route_changes_per_second"] = round(measured.churn)
        if workers > 1:
            row["scaling"] = round(scaling(results, name), 3)
        if name == "flooded" and ("millrace", workers) in results:
            row["over_forwarded"] = round(over_forwarded(results), 2)
        rows.append(row)
    return rows


def scaling_verdict(rows):
    """What the two-core rows of a case say of millrace beside testpmd; empty where they are not both there."""
    found = {row["subject"]: row["scaling"] for row in rows if "scaling" in row}
    if not {"millrace", MAC} <= found.keys():
        return ""
    ratio = found["millrace"] / found[MAC]
    text = (f"two cores over one: millrace {found['millrace']:.2f}, {MAC} {found[MAC]:.2f}; millrace scales "
            f"{ratio:.3f} times as well (at least {SCALING} is wanted)")
    if os.cpu_count() < 3:
        text += ("\nnote: with two cores in all, a worker shares core 0 with the program's control thread or main lcore; "
                 "rates are of the time that the workers had")
    return text


def notes_of(row):
    notes = []
    if row["core_share"] < 0.9:
        notes.append(f"had the core {row['core_share']:.0%} of the time")
    if row["forwarded"] < 0.999:
        notes.append(f"forwarded only {row['forwarded']:.1%} of what came")
    if "route_changes_per_second" in row:
        notes.append(f"{row['route_changes_per_second']:,} of {CHURN_RATE:,} route changes/s")
    if "over_forwarded" in row:
        notes.append(f"{row['over_forwarded']:.2f} times a forwarded packet (at most {FLOOD_COST} are wanted)")
    return "; ".join(notes)


def print_rows(rows, first):
    if first:
        print(f"{'case':26} {'subject':12} {'Mpps':>7} {'cycles':>7} {'above floor':>11}  {'runs (Mpps)':30} notes")
    for row in rows:
        runs = " ".join(f"{value:.1f}" for value in row["runs"][:5]) + (" ..." if len(row["runs"]) > 5 else "")
        print(f"{row['case']:26} {row['subject']:12} {row['value']:7.2f} {row['cycles']:7.1f} "
              f"{row['cycles_above_floor']:11.1f}  {runs:30} {notes_of(row)}".rstrip())
    verdict = scaling_verdict(rows)
    print(verdict + "\n" if verdict else "", flush=True)


def machine(tsc_hz):
    def command(*words):
        return subprocess.run(words, capture_output=True, text=True, cwd=subjects.ROOT).stdout.strip()

    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(), "tsc_hz": tsc_hz,
            "kernel": platform.release(), "dpdk": command("dpkg-query", "-W", "-f=${Version}", "libdpdk-dev"),
            "millrace": origin.revision()}


def save(script, path, rows, tsc_hz):
    found = {"command": origin.command(script), "machine": machine(tsc_hz), "rows": rows}
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"the figures are in {path}")


def arguments():
    parser = argparse.ArgumentParser(prog="perf/forward.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases and short turns; under a minute once all is built")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/forward.json"),
                        help="where the figures go (default build-perf/forward.json)")
    parser.add_argument("--table4", metavar="FILE", type=pathlib.Path, default=TABLE4,
                        help='IPv4 table, gzip, "prefix next-hop-index" a line')
    parser.add_argument("--table6", metavar="FILE", type=pathlib.Path, default=TABLE6, help="the same of IPv6")
    parser.add_argument("--runs", metavar="N", type=int, help="turns of each program (default 7, with --quick 3)")
    parser.add_argument("--seconds", metavar="S", type=float, help="length of a turn (default 1, with --quick 0.25)")
    parser.add_argument("--cases", metavar="REGEX", type=re.compile, help="only these (default all; with --quick a few)")
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
    """Rows of CASES; of --quick, unless some are asked for, a few."""
    rows = []
    for *row, names in CASES:
        name = row[0]
        if options.cases.search(name) if options.cases else not options.quick or name in QUICK:
            rows.append((*row, [s for s in names if s == FLOOR or options.subjects.search(s)]))
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
        tables = make_tables({4: options.table4, 6: options.table6}, options.next_hops, work,
                             {(row[1], row[2]) for row in rows})
        for row in rows:
            case = Case(row, tables, work, options.source)
            results, tsc_hz = run_case(case, options, work)
            new = rows_of(case, results)
            print_rows(new, not all_rows)
            all_rows += new
    save("perf/forward.sh", options.json, all_rows, tsc_hz)


if __name__ == "__main__":
    try:
        main()
    except subjects.Failure as failure:
        sys.exit(f"forward: {failure}")
