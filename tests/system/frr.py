"""FRR's daemons in a namespace of the lab: zebra with its FPM, staticd and bgpd, each instance with its own sockets."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from basics import sh, wait_for

DAEMONS = pathlib.Path("/usr/lib/frr")
START_SECONDS = 30
STOP_SECONDS = 20
NETLINK_BYTES = 90_000_000  # as Debian's package has it


class Frr:
    """Daemons with one zebra. They drop to the user frr, so that their folder is his."""

    def __init__(self, netns, fpm=None):
        self.netns, self.fpm = netns, fpm
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mr-frr-"))
        shutil.chown(self.directory, "frr", "frr")
        os.chmod(self.directory, 0o755)
        self._processes = {}

    def start(self, *names, config=""):
        """Starts daemons that do not run yet; zebra goes first."""
        (self.directory / "vtysh.conf").write_text("")
        connect = f"fpm address {self.fpm[0]} port {self.fpm[1]}\n" if self.fpm else ""
        (self.directory / "zebra.conf").write_text(connect)
        if "zebra" not in self._processes:
            self._start("zebra", "-s", NETLINK_BYTES, *(["-M", "dplane_fpm_nl"] if self.fpm else []))
        for name in names:
            self._start(name)
        if config:
            self.configure(*config.splitlines())
        return self

    def start_alone(self, name, config):
        """Also where no zebra runs."""
        self._start(name)
        self.configure(*config.splitlines())

    def start_by(self, text):
        """By a whole frr.conf, as `vtysh -b` takes it. Its comments say what /etc/frr/daemons has."""
        options = re.search(r'zebra_options="([^"]*)"', text)
        (self.directory / "vtysh.conf").write_text("service integrated-vtysh-config\n")
        self._start("zebra", *(options.group(1).split() if options else []))
        for name in re.findall(r"(\w+)=yes", text):
            self._start(name)
        (self.directory / "frr.conf").write_text(text)
        said = self._vtysh("-b").stdout
        assert "%" not in said and "rror" not in said, said
        return self

    def _start(self, name, *options):
        file = self.directory / f"{name}.conf"
        file.touch()
        shutil.chown(file, "frr", "frr")
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = self.netns.popen(
                DAEMONS / name, *options, "-f", file, "-i", self.directory / f"{name}.pid", "-z", self.directory / "zserv.api",
                "--vty_socket", self.directory, "-P", "0", "--log", "stdout", stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: (self.directory / f"{name}.vty").exists() and self._answers(name), START_SECONDS,
                 lambda: f"{name} answers\n{self.log(name)}")

    def _answers(self, name):
        assert self._processes[name].poll() is None, f"{name} ended\n{self.log(name)}"
        return self._vtysh("-d", name, "-c", "show version", check=False).returncode == 0

    def pid(self, name):
        return self._processes[name].pid

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")[-3000:]

    def _vtysh(self, *words, check=True, timeout=60):
        return sh("vtysh", "--vty_socket", self.directory, "--config_dir", self.directory, *words, check=check, timeout=timeout)

    def show(self, command, timeout=60):
        return self._vtysh("-c", command, timeout=timeout).stdout

    def show_json(self, command):
        return json.loads(self.show(f"{command} json"))

    def configure(self, *lines):
        words = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        said = self._vtysh(*words).stdout
        assert "%" not in said, f"{lines}: {said}"

    def summary(self):
        """What it says of its neighbours and routes, for failures."""
        of_daemon = {"bgpd": "show bgp summary", "ospfd": "show ip ospf neighbor", "ospf6d": "show ipv6 ospf6 neighbor",
                     "isisd": "show isis neighbor", "ripd": "show ip rip", "ripngd": "show ipv6 ripng",
                     "eigrpd": "show ip eigrp neighbor", "bfdd": "show bfd peers brief"}
        commands = [command for name, command in of_daemon.items() if name in self._processes]
        return self.netns.name + "\n" + "".join(self.show(each) for each in [*commands, "show ip route", "show ipv6 route"])

    def stop(self, name, number=signal.SIGTERM):
        """Its routes may go with it."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(STOP_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            (self.directory / f"{name}.vty").unlink()

    def kill(self, name):
        """It has no time to remove anything."""
        self.stop(name, signal.SIGKILL)

    def close(self):
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
