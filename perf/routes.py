#!/usr/bin/python3
"""Routes: how fast a full table comes in and changes, how fast traffic moves when a next hop fails, what it all takes.

The real millraced beside the Linux kernel for what comes from outside, and two small programs (perf/failover_bench,
perf/memory_bench) for what is measured best from inside; perf/outage.py has the failures of links, perf/host_tcp.py TCP
through a TAP, perf/replay.py what comes from routing daemons. perf/routes.sh builds what this needs and calls it.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import forward  # noqa: E402
import forward_cases  # noqa: E402
import origin  # noqa: E402
import replay  # noqa: E402
import host_tcp  # noqa: E402
import outage  # noqa: E402
import subjects  # noqa: E402

ROOT, BUILD = subjects.ROOT, subjects.BUILD
LOAD_BATCH = 10_000  # lines in a request, as `millrace load` sends them
CHURN_BATCH = 5_000
BUDGET_MB = 250  # for the tables of a full router
LIMIT_SECONDS = 900  # for anything that is given to another program: a hang ends here
CHURN_STEPS = ("replace", "delete", "add")


class Router(subjects.Millrace):
    """millraced between two ports that neither receive nor send."""

    SETTINGS = "memory: 128M, hugepages: none, idle: adaptive"

    def __init__(self, table, work):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=work))
        super().__init__("millrace", types.SimpleNamespace(table=table, pcap=None), self.work)
        self.connection = None

    def vdev(self, number):
        return "net_null", f"no-rx=1,size={64 + number}"

    def start(self):
        super().start()
        try:
            self.wait_for("serve its API", self._connect, 20)
        except BaseException:
            self.end()
            raise
        return self

    def _connect(self):
        connection = http.client.HTTPConnection("localhost", timeout=LIMIT_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT_SECONDS)
        try:
            connection.sock.connect(f"{self.folder}/api.sock")
        except OSError:
            connection.close()
            return False
        self.connection = connection
        self.ask("GET", "/v1/status")  # the socket is there before the router is
        return True

    def end(self):
        if self.connection:
            self.connection.close()
        super().end()
        shutil.rmtree(self.work, ignore_errors=True)

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body, {"Content-Type": "text/plain"} if body else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise subjects.Failure(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")
        return json.loads(text)

    def post(self, bodies, outcome):
        """Sends the batches one after the other over one connection. Returns the seconds; all must end as said."""
        wanted = sum(body.count(b"\n") for body in bodies)
        begin = time.monotonic()
        done = sum(self.ask("POST", "/v1/routes:batch", body)[outcome] for body in bodies)
        took = time.monotonic() - begin
        if done != wanted:
            raise subjects.Failure(f"millrace: {done:,} of {wanted:,} routes were {outcome}")
        return took

    def load_by_cli(self):
        file = str(self.case.table.millrace_file())
        begin = time.monotonic()
        result = self.cli("load", file)
        took = time.monotonic() - begin
        if result.returncode != 0:
            raise subjects.Failure(f"millrace load: {result.stderr}")
        return took

    def routes(self):
        return self.ask("GET", "/v1/status")["rib"]["sources"]["api"]

    def lag_ms(self):
        """(p50, p99, max) of the control loop's lag, as the status says."""
        loop = self.ask("GET", "/v1/status")["control_loop"]
        return [loop[f"lag_{what}_seconds"] * 1e3 for what in ("p50", "p99", "max")]

    def resident_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return sum(int(kb) for kb in re.findall(r"^(?:Rss|Private_Hugetlb): +(\d+) kB", text, re.M)) * 1024


class Kernel:
    """Linux's own table, in a namespace of this run, behind one end of a veth."""

    def __init__(self):
        self.name = f"millrace-routes-{os.getpid()}"

    def start(self):
        self._ip("netns", "add", self.name)
        try:
            self._here("link", "add", "out0", "type", "veth", "peer", "name", "far0")
            self._here("link", "set", "out0", "up")
            self._here("link", "set", "far0", "up")
            self._here("addr", "add", subjects.Millrace.OUT, "dev", "out0")
        except BaseException:
            self.end()
            raise
        self.own = self.routes(0)
        return self

    def end(self):
        # Link first: that empties the table before the next measurement begins; a namespace is freed some time later.
        subprocess.run(["ip", "-n", self.name, "link", "set", "out0", "down"], check=False)
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    @staticmethod
    def _ip(*words):
        result = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=LIMIT_SECONDS)
        if result.returncode != 0:
            raise subjects.Failure(f"ip {' '.join(words)}: {result.stderr.strip()[-300:]}")
        return result.stdout

    def _here(self, *words):
        return self._ip("-n", self.name, *words)

    def batch(self, file):
        begin = time.monotonic()
        self._here("-batch", str(file))
        return time.monotonic() - begin

    def routes(self, own=None):
        text = self._ip("netns", "exec", self.name, "cat", "/proc/net/fib_triestat")
        return int(re.search(r"Prefixes:\s+(\d+)", text).group(1)) - (self.own if own is None else own)


class Changes:
    """Some routes of the table: each to another next hop, then all away, then back as they were."""

    def __init__(self, table, count, folder):
        rows = random.Random(3).sample(table.rows, min(count, len(table.rows)))
        self.count = len(rows)
        self.lines = {"replace": [f"{prefix} via {table.via(index + 1)}\n" for prefix, index in rows],
                      "delete": [f"{prefix}\n" for prefix, _ in rows],
                      "add": [f"{prefix} via {table.via(index)}\n" for prefix, index in rows]}
        self.files = {}
        for step, word in zip(CHURN_STEPS, ("replace", "del", "add")):
            self.files[step] = folder / f"kernel-{step}"
            self.files[step].write_text("".join(f"route {word} {line}" for line in self.lines[step]))

    def bodies(self, step):
        return batches([("del " if step == "delete" else "") + line for line in self.lines[step]], CHURN_BATCH)


def batches(lines, size):
    return ["".join(lines[i:i + size]).encode() for i in range(0, len(lines), size)]


def kernel_file(table, folder):
    path = folder / "kernel-add"
    path.write_text("".join(f"route add {prefix} via {table.via(index)}\n" for prefix, index in table.rows))
    return path


def row(case, subject, unit, runs, digits, notes="", **more):
    return {"case": case, "subject": subject, "value": round(statistics.median(runs), digits), "unit": unit,
            "runs": [round(value, digits) for value in runs], **more, "notes": notes}


def check_count(who, have, want):
    if have != want:
        raise subjects.Failure(f"{who} has {have:,} routes, not {want:,}")


class Loads:
    """The table, given to a fresh millraced in two ways and to a fresh namespace, run by run. The last ones stay."""

    def __init__(self, table, work, options):
        self.table, self.work, self.options = table, work, options
        self.seconds = {"millrace": [], "millrace-post": [], "kernel": []}
        self.lags = {"millrace": [], "millrace-post": []}
        self.before, self.after = [], []
        self.router = self.kernel = None

    def run(self, runs, kernel_runs):
        bodies = batches(self.table.millrace_file().read_text().splitlines(True), LOAD_BATCH)
        lines = kernel_file(self.table, self.work) if kernel_runs else None
        for number in range(runs):
            self._millrace("millrace", Router.load_by_cli)
            self._millrace("millrace-post", lambda router: router.post(bodies, "added"))
            if number < kernel_runs:
                self._kernel(lines)

    def _millrace(self, name, load):
        if self.router:
            self.router.end()
        self.router = Router(self.table, self.work).start()
        before = self.router.resident_bytes()
        self.seconds[name].append(load(self.router))
        self.lags[name].append(self.router.lag_ms())
        if name == "millrace":
            self.before.append(before)
            self.after.append(self.router.resident_bytes())
        check_count(name, self.router.routes(), len(self.table.rows))

    def _kernel(self, lines):
        if self.kernel:
            self.kernel.end()
        self.kernel = Kernel().start()
        self.seconds["kernel"].append(self.kernel.batch(lines))
        check_count("kernel", self.kernel.routes(), len(self.table.rows))

    def end(self):
        for subject in (self.router, self.kernel):
            if subject:
                subject.end()

    def rows(self):
        for name, runs in self.seconds.items():
            if not runs:
                continue
            rate = len(self.table.rows) / statistics.median(runs)
            notes, more = f"{rate / 1e3:,.0f} k routes/s", {}
            if name in self.lags:
                p50, p99, most = (statistics.median(column) for column in zip(*self.lags[name]))
                notes += f"; loop lag p50 {p50:.2f}, p99 {p99:.2f}, max {most:.2f} ms"
                more = {"lag_p50_ms": p50, "lag_p99_ms": p99, "lag_max_ms": most}
            yield row("load/api", name, "s", runs, 3, notes, **more)

    def memory_rows(self):
        count = len(self.table.rows)
        yield row("memory/millraced-before", "millrace", "MB", [b / 1e6 for b in self.before], 1)
        yield row("memory/millraced", "millrace", "MB", [a / 1e6 for a in self.after], 1, "after `millrace load`")
        yield row("memory/bytes-per-route", "millrace", "B",
                  [(a - b) / count for a, b in zip(self.after, self.before)], 1)


def churn_rows(router, kernel, changes, runs):
    seconds = {(step, name): [] for step in CHURN_STEPS for name in ("millrace", "kernel")}
    bodies = {step: changes.bodies(step) for step in CHURN_STEPS}
    full = router.routes()
    for _ in range(runs):
        for step, outcome in zip(CHURN_STEPS, ("replaced", "removed", "added")):
            seconds[step, "millrace"].append(router.post(bodies[step], outcome))
            seconds[step, "kernel"].append(kernel.batch(changes.files[step]))
            want = full - (changes.count if step == "delete" else 0)
            check_count("millrace", router.routes(), want)
            check_count("kernel", kernel.routes(), want)
    for name in ("millrace", "kernel"):
        whole = [sum(turn) for turn in zip(*(seconds[step, name] for step in CHURN_STEPS))]
        note = "replace, delete and add in turn"
        yield row("churn/api", name, "k/s", [3 * changes.count / s / 1e3 for s in whole], 1, note)
    for step in CHURN_STEPS:
        for name in ("millrace", "kernel"):
            runs_of = [changes.count / s / 1e3 for s in seconds[step, name]]
            yield row(f"churn/api/{step}", name, "k/s", runs_of, 1)


def bench_rows(program, work, *words):
    """What a program of ours has measured from inside."""
    out = work / f"{program}.json"
    result = subprocess.run([BUILD / "perf" / program, "--json", out, *map(str, words)], capture_output=True, text=True,
                            timeout=LIMIT_SECONDS)
    if result.returncode != 0:
        raise subjects.Failure(f"{program}: {result.stderr.strip()}")
    for made in json.loads(out.read_text())["rows"]:
        yield row(made["case"], made["subject"], made["unit"], made["runs"], 3 if made["unit"] == "us" else 1)


def failover_rows(options, work):
    words = ["--table4", options.table4, "--runs", options.runs, "--only", options.cases.pattern]
    for made in bench_rows("failover_bench", work, *words):
        groups = re.search(r"(\d+)-groups", made["case"])
        if made["subject"] == "one-by-one":
            made["notes"] = "every prefix written anew"
        elif not made["case"].endswith("-p99"):
            made["groups"] = int(groups.group(1)) if groups else 1
            made["notes"] = f"next hops published: {made['groups']:,}; FIB entries: 0"
        yield made


def memory_rows(options, work):
    for made in bench_rows("memory_bench", work, "--table4", options.table4, "--table6", options.table6):
        if made["case"] in ("memory/resident", "memory/accounted"):
            within = "within" if made["value"] <= BUDGET_MB else "MORE THAN"
            made["notes"] = f"all of the above, {within} {BUDGET_MB} MB"
        yield made


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def print_rows(rows, first):
    if rows and first:
        print(f"{'case':30} {'subject':14} {'value':>10} {'unit':4}  {'runs':32} notes")
    for made in rows:
        runs = " ".join(map(number, made["runs"][:5])) + (" ..." if len(made["runs"]) > 5 else "")
        print(f"{made['case']:30} {made['subject']:14} {number(made['value']):>10} {made['unit']:4}  {runs:32} "
              f"{made['notes']}".rstrip())
    if rows:
        print(flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="perf/routes.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, one of the kernel's loads, no daemons unless "
                        "--cases names them; two minutes or so once all is built")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/routes.json"),
                        help="where the figures go (default build-perf/routes.json)")
    parser.add_argument("--table4", metavar="FILE", type=pathlib.Path, default=forward_cases.TABLE4,
                        help='IPv4 table, gzip, "prefix next-hop-index" a line')
    parser.add_argument("--table6", metavar="FILE", type=pathlib.Path, default=forward_cases.TABLE6,
                        help="IPv6 table; for memory and replays")
    parser.add_argument("--runs", metavar="N", type=int, help="runs of each case (default 5, with --quick 3)")
    parser.add_argument("--failures", metavar="N", type=int, help=f"of links (default {outage.FAILURES}, with --quick "
                        f"{outage.QUICK_FAILURES})")
    parser.add_argument("--cases", metavar="REGEX", type=re.compile, default=re.compile(""), help="only these")
    parser.add_argument("--next-hops", metavar="N", type=int, default=64,
                        help="neighbours behind the output port, for load and churn (default 64)")
    parser.add_argument("--changes", metavar="N", type=int,
                        help="routes that a run of churn changes (default 100000, with --quick 20000)")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick else 5)
    options.changes = options.changes or (20_000 if options.quick else 100_000)
    options.failures = options.failures or (outage.QUICK_FAILURES if options.quick else outage.FAILURES)
    if min(options.runs, options.changes, options.failures) < 1 or not 2 <= options.next_hops <= 10_000:
        parser.error("--runs, --changes and --failures want a positive number, --next-hops one from 2 to 10000")
    return options


def parts(options, work):
    """The rows, part by part."""
    def wanted(*cases):
        return any(options.cases.search(case) for case in cases)

    load = wanted("load/api")
    churn = wanted("churn/api", *(f"churn/api/{step}" for step in CHURN_STEPS))
    memory = wanted("memory/millraced-before", "memory/millraced", "memory/bytes-per-route")
    from_loads = []
    if load or churn or memory:
        rows = forward_cases.read_table(options.table4)
        table = forward_cases.Table("full", rows, options.next_hops, work)
        loads = Loads(table, work, options)
        try:
            kernel_runs = options.runs if load and not options.quick else int(load or churn)
            loads.run(options.runs if load or memory else 1, kernel_runs)
            from_loads = list(loads.memory_rows())
            yield list(loads.rows())
            if churn:
                changes = Changes(table, options.changes, work)
                yield list(churn_rows(loads.router, loads.kernel, changes, options.runs))
        finally:
            loads.end()
    yield list(failover_rows(options, work))
    yield from outage.parts(options, work, row)
    yield list(memory_rows(options, work)) + from_loads
    yield from host_tcp.parts(options, work, row)
    if not options.quick or options.cases.pattern:
        yield from replay.parts(options, work, row)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, forward.end_on_signal)
    written = []
    with tempfile.TemporaryDirectory(prefix="millrace-routes-", dir="/dev/shm") as work:
        for part in parts(options, pathlib.Path(work)):
            rows = [made for made in part if options.cases.search(made["case"])]
            print_rows(rows, not written)
            written += rows
    if not written:
        sys.exit("routes: no case matches; there are: load/api, churn/api, failover/group, failover/link-outage, "
                 "memory/resident, tcp/tap, replay/fpm, bgp/feed and more")
    machine = forward.machine(0)
    del machine["tsc_hz"]
    found = {"command": origin.command("perf/routes.sh"), "machine": machine, "rows": written}
    options.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"the figures are in {options.json}")


if __name__ == "__main__":
    try:
        main()
    except (subjects.Failure, subprocess.TimeoutExpired) as failure:
        sys.exit(f"routes: {failure}")
