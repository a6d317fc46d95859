"""A running millraced: its process, its API and command, and what has to hold after every scenario."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
import yaml

from basics import CLIENT, DAEMON, sh, wait_for

START_SECONDS = 60
STOP_SECONDS = 10
SETTLE_SECONDS = 2  # from the last packet to counters that add up
MBUF_SECONDS = 6  # packets may wait that long for a neighbour that does not answer


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Router:
    """A millraced in the lab's router namespace, with a configuration file and a socket of its own."""

    def __init__(self, lab, config, name="router"):
        self.lab = lab
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mr-"))  # short: socket paths have 107 bytes at most
        self.name = name
        self.file = self.directory / "millrace.yaml"
        self.socket = str(self.directory / "api.sock")
        self._log = self.directory / "log"
        self._process = None
        self._baseline = {}
        self.write(config)

    def text(self, config):
        """A configuration as YAML; mappings get this router's socket."""
        if isinstance(config, str):
            return config
        whole = dict(config)
        whole["control"] = {"core": 0, "api": self.socket, **config.get("control", {})}
        return yaml.safe_dump(whole, sort_keys=False)

    def write(self, config, file=None):
        path = pathlib.Path(file) if file else self.file
        path.write_text(self.text(config))
        return path

    # --- the process

    def command(self):
        preload = os.environ.get("MILLRACE_PRELOAD")
        return [*(["env", f"LD_PRELOAD={preload}"] if preload else []), str(DAEMON), "-c", str(self.file)]

    def start(self):
        """Starts the daemon and returns once its API answers."""
        with self._log.open("ab") as log:
            self._process = self.lab.router_netns.popen(*self.command(), stdout=log, stderr=subprocess.STDOUT,
                                                          cwd=self.directory)
        wait_for(self._ready, START_SECONDS, lambda: f"{self.name} answers on its socket\n{self.log}")
        self._baseline = self.mbufs()
        return self

    def _ready(self):
        assert self.alive, f"{self.name} ended with exit status {self._process.returncode}\n{self.log}"
        try:
            return self.api("GET", "/v1/status")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    @property
    def running(self):
        """Started, and not stopped by the test itself."""
        return self._process is not None

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, seconds=STOP_SECONDS):
        """The exit status."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s\n{self.log}") from None

    def stop(self, number=signal.SIGTERM):
        """An orderly stop has exit status 0."""
        if not self.running:
            return
        if self.alive:
            self.send_signal(number)
        status = self.wait()
        self._process = None
        assert status == 0, f"{self.name} ended with exit status {status}\n{self.log[-6000:]}"

    def kill(self):
        if self.running:
            if self.alive:
                self._process.kill()
            self._process.wait()
            self._process = None

    def dump_core(self):
        """Ends it, and returns what the kernel wrote of it: a file of its folder."""
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if "/" in pattern or pattern.startswith("|"):
            pytest.skip(f"this machine gives cores elsewhere: {pattern}")
        sh("prlimit", "--pid", str(self.pid), "--core=unlimited")
        os.kill(self.pid, signal.SIGABRT)
        self._process.wait(60)
        self._process = None
        (core,) = self.directory.glob("core*")
        return core

    def close(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- API and CLI

    def api(self, method, path, body=None, headers=None, timeout=60):
        """One request on the UNIX socket: (status, headers, bytes)."""
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def get(self, path):
        """The JSON of a GET that has to succeed."""
        status, _, body = self.api("GET", path)
        assert status == 200, f"GET {path}: {status} {body[:2000]!r}"
        return json.loads(body)

    def apply(self, config):
        """Applies over the API; the answer's JSON. Fails where the daemon refuses."""
        status, _, body = self.api("POST", "/v1/config:apply", self.text(config), {"Content-Type": "application/yaml"})
        assert status == 200, f"apply: {status} {body.decode()}\n{self.text(config)}"
        return json.loads(body)

    def cli(self, *words, check=True, timeout=120):
        """The millrace command, with its output and errors apart."""
        command = [str(CLIENT), "--socket", self.socket, *map(str, words)]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check:
            assert result.returncode == 0, f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}"
        return result

    def accounting(self):
        return self.get("/v1/status")["accounting"]

    def mbufs(self):
        return self._mbufs_in(self.get("/v1/status"))

    @staticmethod
    def _mbufs_in(status):
        return {pool["name"]: pool["available"] for pool in status["mbuf_pools"]}

    def drops(self):
        """Drop reason -> packets, over all interfaces."""
        total = {}
        for row in self.get("/v1/drops?all=1")["drops"]:
            total[row["reason"]] = total.get(row["reason"], 0) + row["packets"]
        return total

    def neighbors(self):
        return {row["address"]: row for row in self.get("/v1/neighbors")["neighbors"]}

    def interface(self, name):
        return next(row for row in self.get("/v1/interfaces")["interfaces"] if row["name"] == name)

    @contextlib.contextmanager
    def dropping(self, **expected):
        """Inside, exactly so many packets more are dropped for each reason that is named."""
        before = self.drops()
        yield
        for reason, packets in expected.items():
            assert reason in before, f"the daemon knows no drop reason {reason}"
            wait_for(lambda: self.drops()[reason] - before[reason] == packets, 3,
                     lambda: f"{packets} more dropped as {reason}; it was {self.drops()[reason] - before[reason]}")

    # --- what has to hold after every scenario

    def check_settled(self):
        """Alive, every packet accounted for, every mbuf back."""
        assert self.alive, f"{self.name} died: exit status {self._process.returncode}\n{self.log[-6000:]}"
        wait_for(lambda: self.accounting()["difference"] == 0, SETTLE_SECONDS,
                 lambda: f"accounting adds up: {self.accounting()}")
        wait_for(lambda: not self._missing_mbufs(), MBUF_SECONDS,
                 lambda: f"every mbuf is back; missing {self._missing_mbufs()}, baseline {self._baseline}")

    def _missing_mbufs(self):
        status = self.get("/v1/status")
        now = self._mbufs_in(status)
        missing = {name: count - now.get(name, 0) for name, count in self._baseline.items()
                   if now.get(name, count) < count}
        waiting = status["reassembly"]["buffers"]  # of fragments to the router, for up to a minute
        return missing if sum(missing.values()) > waiting else {}
