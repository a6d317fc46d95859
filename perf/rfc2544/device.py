"""The device under test: a millraced that is started here, a bare wire, or whatever is there already.

A device of ours is reached by links that are made here, too: memif sockets, or veth pairs between two network
namespaces.
"""

import os
import pathlib
import signal
import subprocess
import time

import processes

from .trial import Failure, network_of

MEMIF_RING_LOG2 = 14  # the longest there is: where cores are shared, rings hold what comes while a program waits for one
START_SECONDS = 30


class Links:
    """How the generator's two ports reach the device's: devargs of each, and the command that enters its namespace."""

    generator_prefix = device_prefix = ()

    def generator_ports(self):
        return [self._port("generator", number) for number in (0, 1)]

    def device_ports(self):
        return [self._port("device", number) for number in (0, 1)]

    def _port(self, side, number):
        raise NotImplementedError

    def close(self):
        pass


class Memif(Links):
    def __init__(self, folder):
        self.socket = folder / "memif.sock"

    def _port(self, side, number):
        # The generator listens: a device that is started again finds it.
        role = "server" if side == "generator" else "client"
        # And has the MAC that it had.
        mac = f"02:00:00:25:44:{number + (0x10 if side == 'device' else 0):02x}"
        return (f"net_memif,role={role},id={number},socket={self.socket},socket-abstract=no,mac={mac},"
                f"rsize={MEMIF_RING_LOG2}")


class AfPacket(Links):
    """veth pairs; each side in a namespace of its own, so that no kernel answers or sends of its own."""

    def __init__(self):
        self.names = {side: f"mr-2544-{os.getpid()}-{side}" for side in ("generator", "device")}
        self.generator_prefix = ("ip", "netns", "exec", self.names["generator"])
        self.device_prefix = ("ip", "netns", "exec", self.names["device"])
        for name in self.names.values():
            self._ip("netns", "add", name)
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                            "net.ipv6.conf.default.disable_ipv6=1"], check=True)
        for number in (0, 1):
            self._ip("-n", self.names["generator"], "link", "add", f"p{number}", "type", "veth", "peer", "name",
                     f"p{number}", "netns", self.names["device"])
            for name in self.names.values():
                self._ip("-n", name, "link", "set", f"p{number}", "up")

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True)

    def _port(self, side, number):
        return f"net_af_packet,iface=p{number},blocksz=65536,framesz=2048,framecnt=4096"

    def close(self):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False)


class Device:
    """What is common: something that runs, or does not."""

    name = "external"
    can_reset = False

    def start(self):
        pass

    def describe(self):
        return self.name

    def check_alive(self):
        """Failure, with its last words, where a device of ours has ended."""

    def process_ids(self):
        return []

    def reset(self, kind):
        """Stops it hard ("hardware") or in an orderly way ("software") and starts it again; returns once it is told."""
        raise Failure("this device cannot be reset from here: --reset-command")

    def close(self):
        pass


class External(Device):
    """A device that is there already; `reset_command` is a shell command that restarts it."""

    def __init__(self, name, reset_command):
        self.name, self.reset_command = name, reset_command
        self.can_reset = reset_command is not None

    def reset(self, kind):
        subprocess.run(self.reset_command, shell=True, check=True)


class Started(Device):
    """A program that is started here, on a core of its own."""

    can_reset = True

    def __init__(self, folder, links):
        self.folder, self.links = pathlib.Path(folder), links
        self.process = None

    def command(self):
        raise NotImplementedError

    def start(self):
        with open(self.folder / "device.log", "ab") as log:
            self.process = subprocess.Popen([*self.links.device_prefix, *map(str, self.command())], stdin=subprocess.PIPE,
                                            stdout=log, stderr=log, start_new_session=True)

    def check_alive(self):
        if self.process.poll() is not None:
            log = (self.folder / "device.log").read_text(errors="replace").splitlines()[-10:]
            raise Failure(f"{self.name} ended (exit status {self.process.returncode}):\n  " + "\n  ".join(log))

    def process_ids(self):
        return [self.process.pid] if self.process and self.process.poll() is None else []

    def reset(self, kind):
        self.process.send_signal(signal.SIGKILL if kind == "hardware" else signal.SIGTERM)
        self.process.wait(10)
        self.start()

    def close(self):
        if self.process is None or self.process.stdin.closed:
            return
        self.process.stdin.close()
        if self.process.poll() is None:
            processes.end(self.process)


class Wire(Started):
    """perf/generator's bare wire: how fast the test bed itself is; or, with harm, whether the tester sees it."""

    name = "wire"

    def __init__(self, folder, links, program, core, harm=(), no_huge=False):
        super().__init__(folder, links)
        self.program, self.core, self.harm, self.no_huge = program, core, list(harm), no_huge

    def start(self):
        """Returns when frames pass: unlike a router, it has no ARP to tell that by."""
        log = self.folder / "device.log"
        old = log.read_text(errors="replace").count("ready\n") if log.exists() else 0
        super().start()
        end = time.monotonic() + START_SECONDS
        while log.read_text(errors="replace").count("ready\n") == old:
            self.check_alive()
            if time.monotonic() > end:
                raise Failure("the wire does not start")
            time.sleep(0.01)

    def command(self):
        words = [self.program, "--core", self.core, *self.harm] + (["--no-huge"] if self.no_huge else [])
        for port in self.links.device_ports():
            words += ["--port", port]
        return words


class Millrace(Started):
    """The router, with the networks of RFC 2544 appendix C.2.6 behind it, or a table of the user's."""

    name = "millrace"

    def __init__(self, folder, links, programs, options):
        super().__init__(folder, links)
        self.daemon, self.client = programs
        self.options = options
        self.socket = self.folder / "api.sock"
        self.config = self.folder / "millrace.yaml"
        self.config.write_text(self._config())

    def _config(self):
        options = self.options
        pages = "none" if options.no_huge else "auto"
        lines = [f"dataplane: {{ workers: [{options.device_core}], memory: 256M, idle: poll, hugepages: {pages} }}",
                 f"control: {{ core: {options.control_core}, api: {self.socket} }}", "interfaces:"]
        for number, (port, gateway) in enumerate(zip(self.links.device_ports(), options.gateways)):
            length = network_of(number, 0, options.ipv6)[0].split("/")[1]
            lines.append(f'  port{number}: {{ device: "{port}", addresses: ["{gateway}/{length}"] }}')
        lines.append("routes:")
        for number, tester in enumerate(options.addresses):
            for network in range(1, options.networks + 1):
                prefix = network_of(number, network, options.ipv6)[0]
                lines.append(f'  - {{ prefix: "{prefix}", via: "{tester}" }}')
        return "\n".join(lines) + "\n"

    def command(self):
        return [self.daemon, "-c", self.config]

    def describe(self):
        version = subprocess.run([self.daemon, "--version"], capture_output=True, text=True).stdout.split()
        return f"millraced {version[-1] if version else ''}".strip()

    def cli(self, *words):
        return subprocess.run([self.client, "--socket", self.socket, *map(str, words)], capture_output=True, text=True)

    def load(self, file):
        end = time.monotonic() + START_SECONDS
        while self.cli("status").returncode != 0:
            self.check_alive()
            if time.monotonic() > end:
                raise Failure("millraced does not serve its API")
            time.sleep(0.05)
        result = self.cli("load", file)
        if result.returncode != 0:
            raise Failure(f"millrace load: {result.stderr}")
