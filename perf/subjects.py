"""The programs that perf/forward.py compares: how each is started between two ports, and given its routes.

Each has two ports a worker, runs on core 1, controls itself on core 0, and publishes what its ports count in files
(perf/net_stamp/counters.h). A second worker runs on core 0: on a machine of two cores it has to. Between measurements it is stopped by a signal, so that all programs of a case can be there at the same time.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import flood_frames
import processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-perf"
DRIVER = BUILD / "perf/net_stamp/libnet_stamp.so"
EAL = ["--no-pci", "--in-memory", "--no-telemetry", "-d", str(DRIVER)]
# Threads are numbered apart from cores: the main one on core 0, workers on core 1, and on core 0 again.
LCORES = {1: "0@0,1@1", 2: "0@0,1@1,2@0"}
WORKER_CORES = {1: [1], 2: [1, 0]}
PCAP_MAC = "02:70:63:61:70:00"  # of the first net_pcap port of a process
COUNTERS_BYTES = 64 + 16 * 64


class Failure(Exception):
    pass


def totals(path):
    """(rx, tx, TSC Hz) of a port's counters; zeroes while there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return 0, 0, 0
    if len(data) < COUNTERS_BYTES or data[:7] != b"STAMP01":
        return 0, 0, 0
    queues = [struct.unpack_from("<4Q", data, 64 + 64 * i) for i in range(16)]
    return sum(q[0] for q in queues), sum(q[3] for q in queues), struct.unpack_from("<Q", data, 8)[0]


class Subject:
    """A running program. `case` says what goes through it."""

    def __init__(self, name, case, folder, workers=1):
        self.name, self.case, self.workers = name, case, workers
        self.folder = folder / f"{name}-{workers}"
        self.folder.mkdir()
        self.stats = [self.folder / f"port{number}" for number in range(2 * workers)]
        self.process = None

    # What differs.

    def command(self):
        raise NotImplementedError

    def load(self):
        """Gives the running program its routes."""

    # What is common.

    def vdev(self, number):
        """Driver and arguments of a port. A case's pcap file is port 0's traffic, and port 1 is then a sink."""
        arguments = f"mac=02:00:00:00:01:{number + 1:02x},stats={self.stats[number]}"
        if self.case.pcap and number == 0:
            # Named twice, it has two transmit queues, which l3fwd wants.
            return "net_pcap", f"rx_pcap={self.case.pcap},rx_pcap={self.case.pcap},infinite_rx=1"
        if self.case.pcap:
            return "net_stamp", arguments + ",rx=none"
        arguments += f",size={self.case.size},ipv={self.case.ipv}"
        if self.case.destinations:
            arguments += f",file={self.case.destinations},offset={number * self.case.count // len(self.stats)}"
        return "net_stamp", arguments

    def eal(self):
        words = ["--lcores", LCORES[self.workers], "--main-lcore", "0", *EAL]
        for number in range(len(self.stats)):
            driver, arguments = self.vdev(number)
            words += ["--vdev", f"{driver}{number},{arguments}"]
        return words

    def start(self):
        log = open(self.folder / "log", "wb")
        # testpmd ends when its input does.
        self.process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()

    def fail(self, what):
        log = (self.folder / "log").read_text(errors="replace").splitlines()[-15:]
        raise Failure(f"{self.name} {what}:\n  " + "\n  ".join(log))

    def alive(self):
        if self.process.poll() is not None:
            self.fail(f"ended (exit status {self.process.returncode})")

    def wait_for(self, what, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            self.alive()
            if time.monotonic() > end:
                self.fail(f"did not {what} within {seconds} s")
            time.sleep(0.01)

    def forwards(self):
        return sum(totals(path)[1] for path in self.stats) > 0

    def look(self):
        return {"tx": self.packets(), "rx": self.received(), "seconds": self.worker_seconds()}

    def turn(self, run):
        """What was counted before and after: at standstill, so that packets and time on the core belong together exactly."""
        before = self.look()
        self.go()
        run()
        self.stop()
        return before, self.look()

    def stop(self):
        """Holds it still; returns when none of its threads runs."""
        os.kill(self.process.pid, signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")

        def stopped():
            states = (task.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] for task in tasks.iterdir())
            return all(state == "T" for state in states)

        self.wait_for("stop", stopped, 10)

    def go(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.go()
        processes.end(self.process)

    def packets(self):
        return sum(totals(path)[1] for path in self.stats)

    def received(self):
        return sum(totals(path)[0] for path in self.stats)

    def tsc_hz(self):
        return max(totals(path)[2] for path in self.stats)

    def worker_seconds(self):
        """How long its workers were on their cores so far, added up. Exact while it is stopped."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        # rte-worker-1, dpdk-worker1, mr-worker-0
        workers = [task for task in tasks if "worker" in task.joinpath("comm").read_text()]
        if len(workers) != self.workers:
            self.fail(f"has {len(workers)} worker threads, not {self.workers}")
        return sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in workers) / 1e9


class Testpmd(Subject):
    """DPDK's own: `io` passes frames on untouched, `mac` writes new MAC addresses. No lookup: the floor."""

    def command(self):
        mode = self.name.removeprefix("testpmd-")
        return ["dpdk-testpmd", *self.eal(), "-m", "64", "--", f"--forward-mode={mode}", "--total-num-mbufs=8192",
                "--mbcache=256", "--burst=32", "--rxd=1024", "--txd=1024", f"--nb-cores={self.workers}"]


class L3fwd(Subject):
    """DPDK's example: a lookup gives the port; new MAC addresses; TTL and checksum. Few checks, no next hops."""

    def command(self):
        lookup = self.name.removeprefix("l3fwd-")
        rules4, rules6 = self.case.table.l3fwd_files()
        words = [str(BUILD / "peers/l3fwd"), *self.eal(), "--", "-p", "3", "-P", "--config", "(0,0,1),(1,0,1)",
                 "--lookup", lookup, "--rule_ipv4", str(rules4), "--rule_ipv6", str(rules6),
                 "--eth-dest", "0,02:00:00:00:02:01", "--eth-dest", "1,02:00:00:00:02:02"]
        return words + (["--parse-ptype"] if self.case.pcap else [])


class Millrace(Subject):
    """The router. Routes come over its API, next hops are static neighbours behind the second port."""

    SETTINGS = f"memory: 128M, idle: poll, drivers: [{DRIVER}]"
    OUT = "10.255.0.1/16"  # of port 1, where the neighbours are
    IN_BITS = 24  # of the other ports' subnets

    @staticmethod
    def next_hop(number, ipv=4):
        return f"10.255.{1 + number // 250}.{1 + number % 250}" if ipv == 4 else f"2001:db8:ff:1::1:{number:x}"

    def command(self):
        config = [f"dataplane: {{ workers: {WORKER_CORES[self.workers]}, {self.SETTINGS} }}",
                  f"control: {{ core: 0, api: {self.folder}/api.sock }}", "interfaces:"]
        for number in range(len(self.stats)):
            driver, arguments = self.vdev(number)
            ipv4 = self.OUT if number == 1 else f"10.254.{number}.1/{self.IN_BITS}"
            config.append(f'  port{number}: {{ device: "{driver},{arguments}", queues: 1, '
                          f'addresses: [{ipv4}, "2001:db8:ff:{number}::1/64"] }}')
        config.append("neighbors:")
        for number in range(self.case.table.next_hops):
            mac = f"02:00:00:00:{3 + number // 256:02x}:{number % 256:02x}"
            for ipv in (4, 6):
                config.append(f'  - {{ address: "{self.next_hop(number, ipv)}", mac: "{mac}", interface: port1 }}')
        (self.folder / "millrace.yaml").write_text("\n".join(config) + "\n")
        return [str(BUILD / "controlplane/millraced"), "-c", str(self.folder / "millrace.yaml")]

    def cli(self, *arguments):
        return subprocess.run([str(BUILD / "cli/millrace"), "--socket", f"{self.folder}/api.sock", *arguments],
                              capture_output=True, text=True)

    def load(self):
        self.wait_for("serve its API", lambda: self.cli("status").returncode == 0, 20)
        result = self.cli("load", str(self.case.table.millrace_file()))
        if result.returncode != 0:
            raise Failure(f"millrace load: {result.stderr}")


class Flooded(Millrace):
    """A router that gets nothing but packets of one kind that it does not forward, and more than it looks at.

    What it counts itself says how many came, and it says so only while it runs: turns are not quite exact.
    """

    IN_BITS = 16

    def vdev(self, number):
        driver, arguments = super().vdev(number)
        if number != 0:
            return driver, arguments
        path = self.folder / "flood.pcap"
        flood_frames.write(path, self.case.flood, flood_frames.Link(
            mac=PCAP_MAC, own="10.254.0.1", beyond="198.18.0.1", senders="10.254", strangers="10.255"))
        return driver, arguments.replace(str(self.case.pcap), str(path))

    def api(self, path):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{self.folder}/api.sock")
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())

    def policed(self):
        return sum(row["policed"] for row in self.api("/v1/counters")["punt"])

    def forwards(self):
        return self.policed() > 0

    def look(self):
        came = sum(worker["rx_packets"] for worker in self.api("/v1/workers")["workers"])
        return {"tx": came, "rx": came, "seconds": self.worker_seconds()}

    def turn(self, run):
        self.go()
        policed = self.policed()
        before = self.look()
        run()
        after = self.look()
        policed = self.policed() - policed
        if policed < 0.9 * (after["rx"] - before["rx"]):
            self.fail(f"policed only {policed:,} of {after['rx'] - before['rx']:,} packets")
        self.stop()
        return before, after


def record(arguments, path, packets):
    """Writes the first frames of a net_stamp port to a pcap file."""
    command = ["dpdk-testpmd", "--lcores", LCORES[1], "--main-lcore", "0", *EAL, "-m", "64", "--vdev", f"net_stamp0,{arguments}",
               "--vdev", f"net_pcap1,tx_pcap={path}", "--", "--total-num-mbufs=8192"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not path.exists() or path.stat().st_size < packets * 1600:
            if process.poll() is not None:
                raise Failure(f"testpmd could not write {path}")
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    with open(path, "r+b") as file:
        end = 24
        for _ in range(packets):
            file.seek(end)
            end += 16 + struct.unpack("<IIII", file.read(16))[2]
        file.truncate(end)


def make(name, case, folder, workers=1):
    own = {"millrace": Millrace, "flooded": Flooded}
    kind = own[name] if name in own else L3fwd if name.startswith("l3fwd") else Testpmd
    return kind(name, case, folder, workers)
