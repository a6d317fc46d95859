"""BIRD 2 in a namespace of the lab: it speaks BGP or has static routes, and writes them to the kernel's table."""

import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from basics import sh, wait_for

DAEMON = pathlib.Path("/usr/sbin/bird")
START_SECONDS = 10
STOP_SECONDS = 10

# Parts of configurations. What it learns goes to the kernel's table, and stays there while it is started again:
KEPT_IN_KERNEL = """
graceful restart wait 20;
protocol device { scan time 1; }
protocol kernel { ipv4 { export all; }; graceful restart; merge paths on; }
protocol kernel { ipv6 { export all; }; graceful restart; merge paths on; }
"""
# A BGP session that is there again soon, and whose routes are kept meanwhile:
QUICK_SESSION = """
  connect retry time 1;
  connect delay time 1;
  error wait time 1, 2;
  graceful restart on;
"""


class Bird:
    """One BIRD, with a folder for its configuration and socket."""

    def __init__(self, netns):
        self.netns = netns
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mr-bird-"))
        self._file, self._socket = self.directory / "bird.conf", self.directory / "bird.ctl"
        self._process = None

    def start(self, config, graceful=False):
        """`graceful`: it was killed, and waits for its neighbours before it removes what it finds in the kernel."""
        self._file.write_text(config)
        with (self.directory / "log").open("ab") as log:
            self._process = self.netns.popen(DAEMON, "-f", "-c", self._file, "-s", self._socket, "-P", self.directory / "pid",
                                             *(["-R"] if graceful else []), stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._answers, START_SECONDS, lambda: f"bird answers\n{self.log}")
        return self

    def _answers(self):
        assert self._process.poll() is None, f"bird ended\n{self.log}"
        return self._socket.exists() and sh("birdc", "-s", self._socket, "show", "status", check=False).returncode == 0

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        return (self.directory / "log").read_text(errors="replace")[-3000:]

    def show(self, *words):
        return sh("birdc", "-r", "-s", self._socket, "show", *words).stdout

    def summary(self):
        """What it says of its neighbours and routes, for failures."""
        return self.netns.name + "\n" + self.show("protocols") + self.show("route")

    def configure(self, config):
        """Its routes change as far as the configuration does."""
        self._file.write_text(config)
        said = sh("birdc", "-s", self._socket, "configure").stdout
        assert re.search("Reconfigured|Reconfiguration in progress", said), said

    def routes(self):
        """Prefix -> next hops, of the best routes that it has."""
        found, prefix = {}, None
        for line in self.show("route", "primary").splitlines():
            if start := re.match(r"(\S+/\d+)\s", line):
                prefix = start.group(1)
                found[prefix] = []
            if via := re.match(r"\s+via (\S+) on", line):
                found[prefix].append(via.group(1))
        return {prefix: sorted(hops) for prefix, hops in found.items()}

    def stop(self, number=signal.SIGTERM):
        """It takes its routes out of the kernel, unless it is killed."""
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(STOP_SECONDS)
        self._process = None
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()

    def kill(self):
        self.stop(signal.SIGKILL)

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
