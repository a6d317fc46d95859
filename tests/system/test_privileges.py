"""What the running process may still do, in each of its threads, and that ports still come and go with it."""

import configparser
import os
import pathlib
import re
import socket
import stat
import subprocess

import pytest

from basics import BUILD, DAEMON, ROOT, wait_for

KEPT = {"net_admin": 12, "net_raw": 13, "ipc_lock": 14, "net_bind_service": 10}  # linux/capability.h
UNIT = ROOT / "packaging/millraced.service"


def bits(names):
    return sum(1 << KEPT[name] for name in names)


def threads(pid):
    """Thread name -> the fields of its /proc/PID/task/TID/status."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        found[f"{fields['Name']} ({task.name})"] = fields
    return found


@pytest.fixture
def hosts(lab, router):
    left = lab.host("left", "192.0.2.2/24", "192.0.2.1")
    lab.host("right", "198.51.100.2/24", "198.51.100.1")
    config = lab.config(interfaces={"left": ["192.0.2.1/24"]})
    return left, config, router(config)


def test_every_thread_keeps_only_what_a_router_needs(hosts):
    _, _, running = hosts
    seen = threads(running.pid)
    assert any(name.startswith("mr-worker-0") for name in seen) and any(name.startswith("mr-api") for name in seen)
    for name, fields in seen.items():
        sets = {key: int(fields[key], 16) for key in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")}
        assert sets == {"CapPrm": bits(KEPT), "CapEff": bits(KEPT), "CapBnd": bits(KEPT), "CapInh": 0, "CapAmb": 0}, name
        assert fields["NoNewPrivs"] == "1", name
        assert fields["Umask"] == "0027", name
    said = re.search(r"privileges: kept ([\w ]+); all others dropped", running.log)
    assert said and set(said.group(1).split()) == set(KEPT), running.log


def test_a_port_plugged_in_later_still_works(hosts):
    """A packet socket in promiscuous mode and a TAP, both made by `apply` long after the privileges went."""
    left, config, running = hosts
    more = {**config, "interfaces": {
        **config["interfaces"],
        "right": {"device": "net_af_packet,iface=right", "addresses": ["198.51.100.1/24"]},
        "tap": {"device": "net_tap,iface=tap0", "queues": 2, "addresses": ["203.0.113.1/24"]}}}
    for _ in range(2):
        file = running.write(more, running.directory / "more.yaml")
        running.cli("apply", file)
        left.warm("198.51.100.2")
        ping = left.ping("198.51.100.2", count=20)
        assert ping.lost == 0, ping.text
        assert "tap0" in running.lab.router_netns.ip("-o", "link", "show").stdout
        running.cli("apply", running.write(config, running.directory / "less.yaml"))
        wait_for(lambda: "tap0" not in running.lab.router_netns.ip("-o", "link", "show").stdout, 5, "the TAP goes")


def test_the_metrics_may_have_a_low_port(lab, router):
    running = router(interfaces={}, control={"metrics": "127.0.0.1:947"})
    with lab.router_netns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(("127.0.0.1", 947))
    assert running.alive


def test_without_the_rights_it_says_which_are_missing(lab, router):
    stopped = router(interfaces={}, start=False)
    dropped = lab.router_netns.popen("capsh", "--drop=cap_net_raw", "--", "-c", f"exec {DAEMON} -c {stopped.file}",
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: pathlib.Path(stopped.socket).exists(), 30, "the socket")
    fields = threads(dropped.pid)
    dropped.terminate()
    log, _ = dropped.communicate(timeout=30)
    assert "without net_raw" in log, log
    assert {int(thread["CapEff"], 16) for thread in fields.values()} == {bits(set(KEPT) - {"net_raw"})}


def test_nothing_it_makes_is_for_everybody(lab, router):
    """Even where its folder is not there yet and its starter's umask forbids nothing."""
    stopped = router(interfaces={}, start=False)
    folder = stopped.directory / "run"
    stopped.socket = str(folder / "api.sock")
    stopped.write(lab.config(interfaces={}))
    before = os.umask(0)
    try:
        stopped.start()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(stopped.socket).st_mode) == 0o660
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o007 == 0, path
    # The group has to come to the socket, whatever the folder's own group is.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


# --- the systemd unit

def unit():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser["Service"]


def test_the_unit_gives_what_the_daemon_keeps_and_needs_to_drop_the_rest():
    given = set(unit()["CapabilityBoundingSet"].split())
    assert given == {f"CAP_{name.upper()}" for name in KEPT} | {"CAP_SETPCAP", "CAP_SETGID"}


def test_the_unit_is_sound_and_shut(tmp_path):
    """`systemd-analyze` of the unit with the programs of this build."""
    text = UNIT.read_text().replace("=millraced ", f"={DAEMON} ").replace("=millrace ", f"={BUILD}/cli/millrace ")
    (tmp_path / UNIT.name).write_text(text)
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name], capture_output=True, text=True,
                              timeout=60)
    about_us = [line for line in verified.stderr.splitlines() if UNIT.name in line]
    assert verified.returncode == 0 and about_us == [], verified.stderr
    security = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=40",
                               tmp_path / UNIT.name], capture_output=True, text=True, timeout=60)
    assert security.returncode == 0, security.stdout + security.stderr


def test_the_daemon_makes_only_system_calls_that_the_unit_allows(hosts, lab, router, tmp_path):
    """The filter is not the kernel's here: what the daemon calls from start to end is compared with it."""
    allowed = set()
    for word in unit()["SystemCallFilter"].split():
        allowed |= expand(word)
    traced = router(lab.config(interfaces={"right": ["198.51.100.1/24"]}, dataplane={"memory": "256M"}), name="traced",
                    start=False)
    plain, trace = traced.command, tmp_path / "trace"
    traced.command = lambda: ["strace", "-D", "-f", "-qq", "-o", str(trace), *plain()]
    traced.start()
    traced.apply(lab.config(interfaces={"right": ["198.51.100.1/24"], "tap": {"device": "net_tap,iface=tap1", "queues": 2}},
                            dataplane={"memory": "256M"}))
    traced.stop()
    wait_for(lambda: "exit_group" in trace.read_text(), 10, "the end of the trace")
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    called -= {"execve",  # systemd's own, before the filter
               "iopl"}  # DPDK tries it for port I/O and goes on when refused, as without CAP_SYS_RAWIO
    assert called and called <= allowed, called - allowed


def expand(group):
    """The system calls of one of systemd's groups, with those of the groups inside it."""
    if not group.startswith("@"):
        return {group}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, timeout=60)
    words = [line.strip() for line in shown.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    assert shown.returncode == 0 and words, shown
    return set().union(*(expand(word) for word in words))
