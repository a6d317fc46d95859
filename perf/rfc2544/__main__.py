"""perf/rfc2544.sh: puts engine and device together, runs the tests, writes the report."""

import contextlib
import copy
import os
import pathlib
import signal
import sys
import tempfile
import time

import origin

from . import device as devices
from . import machine, options, procedures, report
from .bed import Bed
from .builtin import Builtin
from .trial import Failure, Traffic, imix, line_rate

MAX_RESET_RATE = 50_000  # frames a second
ROOT = pathlib.Path(__file__).resolve().parents[2]


def say(text):
    print(text, flush=True)


def make_device(arguments, folder, links):
    build = ROOT / arguments.build
    if arguments.device == "millrace":
        return devices.Millrace(folder, links, (build / "controlplane/millraced", build / "cli/millrace"), arguments)
    if arguments.device == "wire":
        return devices.Wire(folder, links, build / "perf/generator/wire", arguments.device_core, arguments.wire_options,
                            arguments.no_huge)
    return devices.External(arguments.name, arguments.reset_command)


def make_links(arguments, folder):
    if arguments.device == "external":
        return None
    return devices.Memif(folder) if arguments.link == "memif" else devices.AfPacket()


def make_engine(arguments, folder, links):
    if arguments.engine == "trex":
        from .trex import Trex  # pylint: disable=import-outside-toplevel
        return Trex(arguments)
    ports = arguments.ports or links.generator_ports()
    # The built-in wire answers no ARP: what goes in at one port comes out at the other.
    if arguments.device == "wire" and not arguments.gateway_macs:
        arguments.gateway_macs = ["02:00:00:25:44:10", "02:00:00:25:44:11"]
    return Builtin(ROOT / arguments.build / "perf/generator/generator", ports, arguments, folder / "generator.log",
                   links.generator_prefix if links else ())


def traffic_of(arguments, size, destinations_file):
    sizes = imix(arguments.ipv6) if size == "IMIX" else (int(size),)
    ways = ((0, 1), (1, 0)) if arguments.bidirectional else ((0, 1),)
    return Traffic(size, sizes, ways, arguments.networks, arguments.flows, destinations_file,
                   arguments.ipv6)


class Run:
    """All tests, one after the other; what they found is in `results`."""

    def __init__(self, arguments, bed, destinations_file):
        self.arguments, self.bed, self.destinations_file = arguments, bed, destinations_file
        self.settings = arguments.settings
        self.results = {}
        self.rates = {}  # size -> throughput

    def traffic(self, size):
        return traffic_of(self.arguments, size, self.destinations_file)

    def line(self, size):
        return line_rate(self.traffic(size).sizes, self.arguments.line_rate * 1e9)

    def rate(self, size):
        """The throughput, measured now where it was not before."""
        if size not in self.rates:
            self.record("throughput", size, procedures.throughput(self.bed, self.traffic(size), self.line(size)))
        return self.rates[size]

    def record(self, test, size, found):
        self.results.setdefault(test, {})[size] = {"line_rate": self.line(size),
                                                     "mean_size": self.traffic(size).mean_size, **found}
        if test == "throughput":
            self.rates[size] = found["rate"]

    def per_size(self, test, sizes, procedure):
        for size in sizes:
            say(f"  {test}, {size}{'' if size == 'IMIX' else ' bytes'}")
            self.record(test, size, procedure(size))

    def throughput(self):
        self.per_size("throughput", self.settings.sizes,
                      lambda size: procedures.throughput(self.bed, self.traffic(size), self.line(size)))

    def mlr(self):
        self.per_size("mlr", self.settings.mlr_sizes,
                      lambda size: procedures.mlr(self.bed, self.traffic(size), self.line(size)))

    def latency(self):
        self.per_size("latency", [size for size in self.settings.latency_sizes if self.rate(size) > 0],
                      lambda size: procedures.latency(self.bed, self.traffic(size), self.rate(size)))

    def loss(self):
        # Steps of a tenth of what the line carries say nothing where the device does a hundredth of it.
        self.per_size("loss", self.settings.loss_sizes, lambda size: procedures.loss_rate(
            self.bed, self.traffic(size), min(self.line(size), 2 * self.rate(size) or self.line(size))))

    def back_to_back(self):
        self.per_size("back-to-back", self.settings.sizes[:1], lambda size: procedures.back_to_back(
            self.bed, self.traffic(size), self.line(size), self.rate(size)))

    def recovery(self):
        size = self.settings.sizes[0]
        if self.rate(size) > 0:
            self.per_size("recovery", [size], lambda size: procedures.recovery(
                self.bed, self.traffic(size), self.line(size), self.rate(size)))

    def reset(self):
        size = self.settings.sizes[0]
        rate = min(self.rate(size) / 2, MAX_RESET_RATE)  # a frame that is lost then is lost by the reset
        if not self.bed.device.can_reset or rate == 0:
            say("  reset: left out; an external device wants --reset-command, and there has to be a throughput")
            return
        with self.reset_bed() as bed:
            self.per_size("reset", [size], lambda size: {"resets": [
                procedures.reset(bed, self.traffic(size), rate, kind) for kind in ("hardware", "software")]})
            self.bed.trials += bed.trials

    @contextlib.contextmanager
    def reset_bed(self):
        """DPDK's memif driver may crash when its peer goes while it sends, so that what is reset is reached by
        af_packet."""
        if self.arguments.device == "external" or self.arguments.link == "af_packet":
            yield self.bed
            return
        arguments = copy.copy(self.arguments)
        arguments.link, arguments.rx_queues = "af_packet", 1
        with tempfile.TemporaryDirectory(prefix="mr-2544-") as folder, contextlib.ExitStack() as stack:
            self.bed.device.close()
            yield make_bed(arguments, pathlib.Path(folder), stack)

    def all(self):
        for test in self.arguments.tests:
            if test in ("recovery", "reset") and not self.bed.engine.tells_when:
                say(f"{test}: left out; {self.bed.engine.name} does not tell when frames were lost")
                continue
            say(test)
            getattr(self, test.replace("-", "_"))()


def prepare_table(arguments, device, folder):
    """The table in the device: where addresses in it are, and what changes it."""
    if not arguments.table:
        return None, None
    from . import tables  # pylint: disable=import-outside-toplevel
    table = tables.read(arguments.table, folder, arguments.ipv6)
    device.load(table.millrace_file())
    program = ROOT / arguments.build / "perf/net_stamp/make_destinations"
    file = tables.destinations(table, program, folder, arguments.draw)
    return file, tables.churn(folder, table) if arguments.churn else None


def make_bed(arguments, folder, stack):
    """Engine and device, running, and known to each other; `stack` ends them."""
    links = make_links(arguments, folder)
    if links:
        stack.callback(links.close)
    engine = make_engine(arguments, folder, links)
    stack.callback(engine.close)
    device = make_device(arguments, folder, links)
    stack.callback(device.close)
    device.start()
    bed = Bed(engine, device, arguments.settings, say)
    bed.learn()
    return bed


def measure(arguments, folder, stack):
    bed = make_bed(arguments, folder, stack)
    file, bed.churn = prepare_table(arguments, bed.device, folder)
    say(f"{bed.device.describe()}, measured by {bed.engine.name} ({bed.engine.version}) over "
        f"{report.link_of(arguments)}")
    run = Run(arguments, bed, file)
    run.all()
    return bed, run


def conditions(arguments, bed):
    cores = {"generator": arguments.generator_core}
    if arguments.device != "external":
        cores["device"] = arguments.device_core
    if arguments.device == "millrace":
        cores["control"] = arguments.control_core
    if arguments.engine == "trex":
        cores = {}
    host = machine.describe(ROOT)
    shares = bed.share.medians()
    return {"machine": host, "shares": shares, "cores": cores,
            "warnings": machine.warnings(host, shares, cores, bed.late_trials, bed.trials,
                                         bed.churn.rate() if bed.churn else None)}


def end_on_signal(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    arguments = options.parse()
    signal.signal(signal.SIGTERM, end_on_signal)
    if arguments.engine != "trex":
        os.nice(arguments.nice)
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="mr-2544-") as folder, contextlib.ExitStack() as stack:
        bed, run = measure(arguments, pathlib.Path(folder), stack)
        found = {**conditions(arguments, bed), "device": bed.device.describe(),
                 "engine": f"{bed.engine.name} ({bed.engine.version})", "trials": bed.trials,
                 "route_changes_per_second": round(bed.churn.rate()) if bed.churn else None}
    found |= {"command": origin.command("perf/rfc2544.sh"), "began": began, "seconds": time.time() - began,
              "settings": report.settings_of(arguments), "results": run.results}
    report.write(arguments.json, found)
    say(report.text(found))
    say(f"the report is {arguments.json.with_suffix('.html')}, with .md and .json beside it")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"rfc2544: {failure}")
