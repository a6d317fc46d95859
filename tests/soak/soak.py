#!/usr/bin/python3
"""Forwards for a long time under everything that goes on around a router, and looks for what gets lost or leaks.

A millraced with a full table between kernel hosts and wires in namespaces of its own. All the time: echo requests and
TCP between the hosts, probes to routes of the table, mutated frames, route changes over the API, configurations
applied, a link that flaps. Every second the invariants are looked at under traffic; every `--quiet` seconds all but
the echo requests are held, and then packets, buffers, memory and descriptors have to be exact. Exit status 1 names
the invariant that broke.
"""

import argparse
import contextlib
import gzip
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from disturbances import Bulk, Churn, Flaps, Mutated, Probes, Reloads  # noqa: E402
from invariants import Broken, Flat, Watch, check_bulk, check_pings, check_probes, check_routes, descriptors, resident_kib  # noqa: E402
from lab import Lab, Pinger  # noqa: E402
from mutate import HERE, THERE  # noqa: E402
from oracle import FULL_TABLE, read_table  # noqa: E402
from routes import FLAPPING_HOPS, STEADY_HOPS, Routes, mac_of  # noqa: E402

PROBER = "10.3.0.2"
REPORT_SECONDS = 5


class Net:
    """The hosts and wires, the router, and its two configurations."""

    def __init__(self, lab):
        self.left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
        self.right = lab.host("right", "198.51.100.2/24", "198.51.100.1")
        # TCP fills the queues between hosts and router, which drop: it has ports of its own.
        self.client = lab.host("client", "10.90.0.2/24", "10.90.0.1")
        self.server = lab.host("server", "10.91.0.2/24", "10.91.0.1")
        self.guest = lab.host("guest", "10.80.0.2/24", "10.80.0.1")
        self.flap = lab.host("flap", "10.129.0.2/24", None)
        for hop in FLAPPING_HOPS:
            self.flap.netns.ip("address", "add", f"{hop}/24", "dev", "eth0")
        self.inside, self.outside, self.prober = lab.wire("in"), lab.wire("out"), lab.wire("probe")
        self.plain = self._configuration(lab)
        self.more = self._with_guest(self.plain)
        self.router = lab.router(self.plain)

    def _configuration(self, lab):
        neighbors = [(HERE, self.inside.mac, "in"), (THERE, self.outside.mac, "out"), (PROBER, self.prober.mac, "probe")]
        neighbors += [(hop, mac_of(hop), "out") for hop in STEADY_HOPS]
        return lab.config(
            interfaces={"left": ["192.0.2.1/24"], "right": ["198.51.100.1/24"], "in": ["10.1.0.1/24"],
                        "client": ["10.90.0.1/24"], "server": ["10.91.0.1/24"],
                        "out": {"mtu": 600, "addresses": ["10.2.0.1/24", "10.128.0.1/16"]},
                        "flap": ["10.129.0.1/24"], "probe": ["10.3.0.1/24"]},
            routes=[{"prefix": "10.20.0.0/16", "via": THERE}, {"prefix": "10.22.0.0/16", "type": "prohibit"},
                    {"prefix": "10.21.0.0/16", "via": [STEADY_HOPS[0], FLAPPING_HOPS[0]]}],
            neighbors=[dict(zip(("address", "mac", "interface"), row)) for row in neighbors],
            dataplane={"memory": "1G"})

    @staticmethod
    def _with_guest(plain):
        interfaces = {**plain["interfaces"], "guest": {"device": "net_af_packet,iface=guest", "addresses": ["10.80.0.1/24"]}}
        interfaces["in"] = {**interfaces["in"], "addresses": ["10.1.0.1/24", "10.4.0.1/24"]}
        more = [{"prefix": f"10.81.{n}.0/24", "via": "10.80.0.2"} for n in range(50)]
        return {**plain, "interfaces": interfaces, "routes": plain["routes"] + more}


def load(router, routes):
    file = router.directory / "table.txt.gz"
    with gzip.open(file, "wt", compresslevel=1) as out:
        out.writelines(line + "\n" for line in routes.lines())
    started = time.monotonic()
    router.cli("load", file, timeout=600)
    print(f"{len(routes):,} routes loaded in {time.monotonic() - started:.1f} s", flush=True)
    file.unlink()


class Soak:
    def __init__(self, lab, options):
        self.options = options
        self.net = Net(lab)
        net, seed = self.net, options.seed
        self.routes = Routes(read_table(options.table, options.routes), seed)
        load(net.router, self.routes)
        self.churn = Churn(net.router, self.routes)
        self.reloads = Reloads(net.router, net.guest, net.plain, net.more)
        self.flaps = Flaps(net.flap)
        self.mutated = Mutated(net.inside, options.rate, seed)
        net.client.warm(net.server.address)
        self.bulk = Bulk(net.client, net.server)
        self.probes = Probes(net.prober, PROBER, net.outside, self.routes.steady_destinations(500))
        every = [self.churn, self.reloads, self.flaps, self.mutated, self.bulk, self.probes]
        self.all = [disturbance for disturbance in every if disturbance.name not in options.without]
        self.watch = Watch(net.router, self.all)
        self.memory = Flat("resident memory", options.memory_slack, " KiB")
        self.descriptors = Flat("descriptors", 0)
        self.pings_answered = 0

    def run(self):
        net, options = self.net, self.options
        net.left.warm(net.right.address)
        started = time.monotonic()
        with Pinger(net.left, net.right.address, 0.005) as pinger:
            for disturbance in self.all:
                disturbance.start()
            try:
                while time.monotonic() - started < options.seconds:
                    self._traffic(started, min(started + options.seconds, time.monotonic() + options.quiet))
                    self._quiet(pinger, warm=time.monotonic() - started >= options.warm_up)
            finally:
                for disturbance in self.all:
                    disturbance.stop()
                self.probes.close()
                self.bulk.close()
        check_pings(pinger, self.pings_answered, pinger.sent)
        check_routes(net.router, self.routes, self.churn.owned, 300)
        self.watch.settled()
        self._summary(time.monotonic() - started, pinger)

    def _traffic(self, started, until):
        following = time.monotonic()
        while (now := time.monotonic()) < until:
            status = self.watch.look()
            if now >= following:
                following = now + REPORT_SECONDS
                self._line(now - started, status)
            time.sleep(min(1.0, max(0.0, until - time.monotonic())))

    def _quiet(self, pinger, warm):
        pinged = pinger.sent
        with contextlib.ExitStack() as held:
            for disturbance in self.all:
                disturbance.hold()
                held.callback(disturbance.release)
            self.watch.look()
            check_bulk(self.bulk)
            check_probes(self.probes)
            check_pings(pinger, self.pings_answered, pinged)
            self.pings_answered = pinged
            self.watch.settled()
            if warm:
                self.memory.see(resident_kib(self.net.router.pid))
                self.descriptors.see(descriptors(self.net.router.pid))

    def _line(self, elapsed, status):
        accounting, loop = status["accounting"], status["control_loop"]
        print(f"{elapsed:6.0f} s  {accounting['received']:>9,} packets in, {accounting['dropped']:>8,} dropped, "
              f"difference {accounting['difference']:>3}; {self.churn.changes:>8,} route changes, "
              f"{self.reloads.steps:>3} reloads, {self.flaps.steps:>3} flaps, {self.mutated.frames:>8,} mutated, "
              f"{self.probes.sent:>6,} probes, {self.bulk.received / 1e6:6.0f} MB TCP; RSS "
              f"{resident_kib(self.net.router.pid) / 1024:.1f} MiB, lag p99 {loop['lag_p99_seconds'] * 1e3:.1f} ms", flush=True)

    def _summary(self, elapsed, pinger):
        print(f"{elapsed:.0f} s: {self.churn.changes:,} route changes, {self.reloads.steps} reloads, {self.flaps.steps} flaps, "
              f"{self.mutated.frames:,} mutated frames; {pinger.sent:,} pings and {self.probes.sent:,} probes, none lost; "
              f"{self.memory}; {self.descriptors}; slowest answer of the API {self.watch.slowest_answer:.2f} s")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--table", type=pathlib.Path, default=FULL_TABLE, help="gzipped `PREFIX INDEX` lines (a full table)")
    parser.add_argument("--routes", type=int, help="only the first so many of the table")
    parser.add_argument("--rate", type=int, default=2000, help="mutated frames a second (2000)")
    parser.add_argument("--quiet", type=float, default=15, help="seconds of traffic between two exact looks (15)")
    parser.add_argument("--memory-slack", type=int, default=8192, metavar="KIB", help="growth allowed after the warm-up (8192)")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME",
                        choices=["churn", "reloads", "flaps", "mutated", "bulk", "probes"],
                        help="leave disturbances out, to find which one breaks something")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    options.seconds = options.minutes * 60
    options.warm_up = min(120.0, options.seconds / 3)
    return options


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, interrupted)
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    lab = Lab()
    try:
        Soak(lab, options).run()
    except (Broken, AssertionError) as broken:
        print(f"BROKEN: {broken}", flush=True)
        return 1
    finally:
        with contextlib.suppress(AssertionError):  # what broke has been said
            lab.close()
    print("nothing was lost or leaked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
