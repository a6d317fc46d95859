"""The systemd unit, by systemd itself: it boots in a container over this system's own files, which stay as they are."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from basics import BUILD, ROOT, sh, wait_for

SECONDS = 60
UNIT = pathlib.Path("etc/systemd/system/millraced.service.d/routing.conf")
OPERATIONS = ROOT / "docs/operations.md"
CONFIG = """
dataplane: { hugepages: none, memory: 128M }
interfaces: { wan0: { device: "net_af_packet,iface=wan", addresses: [192.0.2.1/24], host: true } }
host: { netns: routing }
"""


class Machine:
    """Its files are an overlay in memory; systemd is its process 1."""

    def __init__(self, folder):
        self._memory, self.root = folder, folder / "root"
        sh("mount", "-t", "tmpfs", "-o", "size=2G", "tmpfs", folder)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        sh("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work", self.root)
        self._container = self._init = None

    def boot(self):
        # Nothing else of this system is to start.
        sh("systemctl", f"--root={self.root}", "set-default", "basic.target")
        self._container = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "-b", "--private-network", "--capability=all", "--bind=/dev/net/tun",
             "--bind=/sys/module", f"--machine=mr-{os.getpid()}", "--register=no", "--keep-unit", "--console=pipe"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        children = pathlib.Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
        wait_for(lambda: len(children.read_text().split()) == 1, SECONDS, "the container's process 1")
        self._init = int(children.read_text())
        wait_for(lambda: self.run("systemctl", "is-active", "basic.target", check=False).returncode == 0, SECONDS, "it is booted")

    def run(self, *command, check=True):
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return sh("nsenter", "-t", self._init, "-a", "env", path, *command, check=check)

    def close(self):
        if self._container:
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(self._init, 9)
            self._container.wait(SECONDS)
        sh("umount", "-l", self.root, check=False)
        sh("umount", "-l", self._memory, check=False)


@pytest.fixture
def machine():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mr-machine-"))
    made = Machine(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.long
def test_the_unit_runs_a_router_with_a_namespace_for_daemons(machine):
    sh("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", machine.root)
    drop_in = re.search(r"^```ini\n(.*?)^```", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)[1]
    (machine.root / UNIT).parent.mkdir(parents=True)
    (machine.root / UNIT).write_text(drop_in)
    machine.boot()
    machine.run("systemd-sysusers")
    machine.run("ip", "link", "add", "wan", "type", "veth", "peer", "name", "other")
    for link in ("wan", "other"):
        machine.run("ip", "link", "set", link, "up")
    machine.run("sh", "-c", f"mkdir -p /etc/millrace && echo '{CONFIG}' > /etc/millrace/millrace.yaml")

    def tap():
        return machine.run("ip", "-n", "routing", "-br", "address", "show", "dev", "wan0").stdout

    def journal():
        return machine.run("journalctl", "-u", "millraced", "--no-pager").stdout

    assert machine.run("systemctl", "start", "millraced", check=False).returncode == 0, journal()
    assert "192.0.2.1/24" in tap()
    assert machine.run("ip", "netns", "exec", "routing", "sysctl", "-n", "net.ipv4.ip_forward").stdout.strip() == "0"
    assert "192.0.2.1" in machine.run("millrace", "show", "interfaces").stdout
    machine.run("sh", "-c", "sed -i s/192.0.2.1/192.0.2.9/ /etc/millrace/millrace.yaml")
    machine.run("systemctl", "reload", "millraced")
    assert "192.0.2.9/24" in tap()
    kept = machine.run("sh", "-c", "grep CapBnd /proc/$(systemctl show -p MainPID --value millraced)/status").stdout.split()[1]
    assert int(kept, 16) & 1 << 21 == 0, "CAP_SYS_ADMIN, which the namespace needs, is given up"
    machine.run("systemctl", "kill", "-s", "KILL", "millraced")
    wait_for(lambda: "UP" in tap() and "millraced" in machine.run("millrace", "status", check=False).stdout, SECONDS, journal)
    assert machine.run("systemctl", "is-active", "millraced").stdout.strip() == "active"
    machine.run("systemctl", "stop", "millraced")
    assert "192.0.2.9/24" in tap(), "daemons keep their interface"
