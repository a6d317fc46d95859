"""The programs that perf/forward.py compares: how each is started between two ports, and given its routes.

Each runs on core 1, controls itself on core 0, and publishes what its ports count in files (perf/net_stamp/counters.h).
Between measurements it is stopped by a signal, so that all programs of a case can be there at the same time.
"""

import os
import pathlib
import signal
import struct
import subprocess
import time

import processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-perf"
DRIVER = BUILD / "perf/net_stamp/libnet_stamp.so"
EAL = ["-l", "0,1", "--main-lcore", "0", "--no-pci", "--in-memory", "--no-telemetry", "-d", str(DRIVER)]
FIRST_MAC = "02:00:00:00:01:01"
OUT_MAC = "02:00:00:00:01:02"
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

    def __init__(self, name, case, folder):
        self.name, self.case = name, case
        self.folder = folder / name
        self.folder.mkdir()
        self.stats = [self.folder / "port0", self.folder / "port1"]
        self.process = None

    # What differs.

    def command(self):
        raise NotImplementedError

    def load(self):
        """Gives the running program its routes."""

    # What is common.

    def vdev(self, number):
        """Driver and arguments of a port. A case's pcap file is port 0's traffic, and port 1 is then a sink."""
        arguments = f"mac={(FIRST_MAC, OUT_MAC)[number]},stats={self.stats[number]}"
        if self.case.pcap and number == 0:
            # Named twice, it has two transmit queues, which l3fwd wants.
            return "net_pcap", f"rx_pcap={self.case.pcap},rx_pcap={self.case.pcap},infinite_rx=1"
        if self.case.pcap:
            return "net_stamp", arguments + ",rx=none"
        arguments += f",size={self.case.size}"
        if self.case.destinations:
            arguments += f",file={self.case.destinations},offset={number * self.case.count // 2}"
        return "net_stamp", arguments

    def eal(self):
        words = list(EAL)
        for number in range(2):
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
        """How long its worker was on its core so far. Exact while it is stopped."""
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if "worker" in task.joinpath("comm").read_text():  # rte-worker-1, dpdk-worker1, mr-worker-0
                return int(task.joinpath("schedstat").read_text().split()[0]) / 1e9
        return self.fail("has no worker thread")


class Testpmd(Subject):
    """DPDK's own: `io` passes frames on untouched, `mac` writes new MAC addresses. No lookup: the floor."""

    def command(self):
        mode = self.name.removeprefix("testpmd-")
        return ["dpdk-testpmd", *self.eal(), "-m", "64", "--", f"--forward-mode={mode}", "--total-num-mbufs=8192",
                "--mbcache=256", "--burst=32", "--rxd=1024", "--txd=1024"]


class L3fwd(Subject):
    """DPDK's example: a lookup gives the port; new MAC addresses; TTL and checksum. Few checks, no next hops."""

    def command(self):
        lookup = self.name.removeprefix("l3fwd-")
        words = [str(BUILD / "peers/l3fwd"), *self.eal(), "--", "-p", "3", "-P", "--config", "(0,0,1),(1,0,1)",
                 "--lookup", lookup, "--rule_ipv4", str(self.case.table.l3fwd_file()),
                 "--rule_ipv6", str(self.case.table.l3fwd_other()),
                 "--eth-dest", "0,02:00:00:00:02:01", "--eth-dest", "1,02:00:00:00:02:02"]
        return words + (["--parse-ptype"] if self.case.pcap else [])


class Millrace(Subject):
    """The router. Routes come over its API, next hops are static neighbours behind the second port."""

    IN, OUT = "10.254.0.1/24", "10.255.0.1/16"
    DATAPLANE = f"workers: [1], memory: 128M, idle: poll, drivers: [{DRIVER}]"

    @staticmethod
    def next_hop(number):
        return f"10.255.{1 + number // 250}.{1 + number % 250}"

    def command(self):
        hops = self.case.table.next_hops
        config = [f"dataplane: {{ {self.DATAPLANE} }}",
                  f"control: {{ core: 0, api: {self.folder}/api.sock }}", "interfaces:"]
        for number, (name, address) in enumerate((("in0", self.IN), ("out0", self.OUT))):
            driver, arguments = self.vdev(number)
            config.append(f'  {name}: {{ device: "{driver},{arguments}", addresses: [{address}] }}')
        config.append("neighbors:")
        for number in range(hops):
            mac = f"02:00:00:00:{3 + number // 256:02x}:{number % 256:02x}"
            config.append(f'  - {{ address: {self.next_hop(number)}, mac: "{mac}", interface: out0 }}')
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


def record(arguments, path, packets):
    """Writes the first frames of a net_stamp port to a pcap file."""
    command = ["dpdk-testpmd", *EAL, "-m", "64", "--vdev", f"net_stamp0,{arguments}",
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


def make(name, case, folder):
    kind = Millrace if name == "millrace" else L3fwd if name.startswith("l3fwd") else Testpmd
    return kind(name, case, folder)
