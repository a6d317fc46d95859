"""The process: start, signals, refusals, its socket, its metrics, and a worker that makes no system call."""

import grp
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from basics import DAEMON, wait_for
from packets import udp


@pytest.fixture
def wired(lab, router):
    lab.wire("in")
    return lambda **more: router(interfaces={"in": ["10.1.0.1/24"]}, **more)


def quiet_config(lab, idle="adaptive"):
    """Two ports of DPDK's ring driver: nothing comes, and no driver makes system calls."""
    return lab.config(interfaces={"a": {"device": "net_ring", "addresses": ["10.1.0.1/24"]},
                                  "b": {"device": "net_ring", "addresses": ["10.2.0.1/24"]}},
                      dataplane={"idle": idle})


# --- signals and restarts

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(wired, number):
    running = wired()
    running.stop(number)
    assert not pathlib.Path(running.socket).exists(), "the socket is taken away"


def test_it_stops_under_traffic(lab, router):
    inside = lab.wire("in")
    running = router(interfaces={"in": ["10.1.0.1/24"]},
                     neighbors=[{"address": "10.1.0.2", "mac": inside.mac, "interface": "in"}])
    frames = [udp(inside, "10.1.0.2", f"10.{n}.0.1") for n in range(100)]
    running.send_signal(signal.SIGTERM)
    while running.alive:
        inside.send(*frames)
    running.stop()


def test_it_starts_again_at_once(wired):
    running = wired()
    for _ in range(3):
        running.stop()
        running.start()
        running.check_settled()


def test_a_client_that_goes_away_harms_nothing(wired):
    running = wired()
    for text in (b"", b"G", b"GET /v1/status HTTP/1.1\r\n", b"GET /v1/routes HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST /v1/routes:batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nshort", b"\0" * 5000):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.connect(running.socket)
                client.sendall(text)
    assert running.api("GET", "/v1/status")[0] == 200


def test_it_answers_many_clients_at_a_time(wired):
    running = wired()
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(50)]
    for client in clients:
        client.connect(running.socket)
    assert running.api("GET", "/v1/status", timeout=5)[0] == 200
    for client in clients:
        client.close()


# --- configuration at start

def check(file):
    return subprocess.run([DAEMON, "--check", file], capture_output=True, text=True, timeout=20)


def test_check_accepts_a_good_file_and_starts_nothing(lab, router, tmp_path):
    stopped = router(interfaces={"in": ["10.1.0.1/24"]}, start=False)
    result = check(stopped.file)
    assert result.returncode == 0, result
    assert not pathlib.Path(stopped.socket).exists()


def test_check_and_start_refuse_a_bad_file_with_every_place(lab, router):
    stopped = router(config="dataplane: { hugepages: none, memroy: 1G }\ninterfaces:\n  in:\n    device: 'net_ring'\n"
                            "    addresses: [10.1.0.300/24]\n", start=False)
    for result in (check(stopped.file), subprocess.run([DAEMON, "-c", stopped.file], capture_output=True, text=True,
                                                       timeout=20)):
        assert result.returncode not in (0, None) and result.returncode > 0, result
        said = result.stdout + result.stderr
        assert re.search(rf"{re.escape(str(stopped.file))}:1:\d+: .*memroy", said), said
        assert re.search(rf"{re.escape(str(stopped.file))}:5:\d+: .*10\.1\.0\.300", said), said


def test_a_file_that_is_not_there_is_named(tmp_path):
    for flag in ("-c", "--check"):
        result = subprocess.run([DAEMON, flag, tmp_path / "absent.yaml"], capture_output=True, text=True, timeout=20)
        assert result.returncode > 0 and "absent.yaml" in result.stdout + result.stderr


def test_a_device_that_is_not_there_is_named(lab, router):
    stopped = router(interfaces={"in": {"device": "net_af_packet,iface=nowhere", "addresses": ["10.1.0.1/24"]}},
                     start=False)
    result = lab.router_netns.run(DAEMON, "-c", stopped.file, check=False, timeout=60)
    assert result.returncode > 0, result.stdout
    assert "nowhere" in result.stdout and "in" in result.stdout, result.stdout
    assert not pathlib.Path(stopped.socket).exists()


def test_usage_errors_have_status_2(tmp_path):
    for words in (["--nonsense"], ["-c"], ["extra"]):
        result = subprocess.run([DAEMON, *words], capture_output=True, text=True, timeout=20)
        assert result.returncode == 2, (words, result)


def test_help_and_version():
    for flag, word in (("--help", "--check"), ("--version", ".")):
        result = subprocess.run([DAEMON, flag], capture_output=True, text=True, timeout=20)
        assert result.returncode == 0 and word in result.stdout, result


# --- the socket

def test_the_socket_is_for_root_and_the_group(wired):
    running = wired()
    seen = os.stat(running.socket)
    assert stat.S_IMODE(seen.st_mode) == 0o660
    assert seen.st_uid == 0
    try:
        assert seen.st_gid == grp.getgrnam("millrace").gr_gid
    except KeyError:
        assert seen.st_gid == 0


def test_a_second_daemon_on_the_same_socket_is_refused(lab, wired):
    running = wired()
    second = lab.router_netns.run(*running.command(), check=False, timeout=30)
    assert second.returncode > 0
    assert running.socket in second.stdout, second.stdout
    assert running.api("GET", "/v1/status")[0] == 200


def test_a_stale_socket_is_replaced(wired):
    running = wired()
    running.kill()
    assert pathlib.Path(running.socket).exists(), "a killed daemon leaves its socket"
    running.start()


def test_a_file_that_is_no_socket_is_left_alone(lab, router):
    stopped = router(interfaces={}, start=False)
    pathlib.Path(stopped.socket).write_text("precious")
    result = lab.router_netns.run(*stopped.command(), check=False, timeout=30)
    assert result.returncode > 0 and stopped.socket in result.stdout, result.stdout
    assert pathlib.Path(stopped.socket).read_text() == "precious"


def test_the_client_says_when_no_daemon_answers(lab, router):
    stopped = router(interfaces={}, start=False)
    result = stopped.cli("status", check=False)
    assert result.returncode == 1
    assert stopped.socket in result.stderr and "millraced" in result.stderr, result


# --- metrics

def metrics(text):
    """{name: {labels: value}} of an OpenMetrics text, which has to be well formed."""
    lines = text.splitlines()
    assert lines[-1] == "# EOF", lines[-3:]
    found, described = {}, {"TYPE": set(), "HELP": set()}
    for line in lines[:-1]:
        if line.startswith("#"):
            kind, name, _ = line[2:].split(" ", 2)
            assert kind in ("TYPE", "HELP", "UNIT"), line
            described.setdefault(kind, set()).add(name)
            continue
        parts = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (-?[0-9.eE+-]+|\+Inf|NaN)", line)
        assert parts, line
        family = found.setdefault(parts.group(1), {})
        assert parts.group(2) not in family, f"twice: {line}"
        family[parts.group(2)] = float(parts.group(3))
    for name in found:
        family = re.sub(r"_(total|bucket|sum|count|info)$", "", name)
        assert family in described["TYPE"] or name in described["TYPE"], f"{name} has no TYPE"
        assert family in described["HELP"] or name in described["HELP"], f"{name} has no HELP"
        assert name.startswith("millrace_"), name
    return found


def test_metrics_on_the_socket(lab, router):
    inside = lab.wire("in")
    running = router(interfaces={"in": ["10.1.0.1/24"]})
    inside.send(*[udp(inside, "10.1.0.2", "10.9.0.1", destination_mac="02:00:00:00:99:99")] * 7)
    wait_for(lambda: running.drops()["not_our_mac"] == 7, 3, "seven drops")
    status, headers, body = running.api("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text"), headers
    found = metrics(body.decode())
    dropped = [value for name, family in found.items() if name.startswith("millrace_") and name.endswith("_total")
               for labels, value in family.items() if labels and 'reason="not_our_mac"' in labels
               and 'interface="in"' in labels]
    assert dropped == [7.0], dropped
    assert any(name.startswith("millrace_control_loop_lag_seconds") for name in found), sorted(found)


def test_metrics_over_tcp_and_nothing_else(lab, router):
    lab.wire("in")
    running = router(interfaces={"in": ["10.1.0.1/24"]}, control={"metrics": "127.0.0.1:9473"})

    def get(path, method="GET"):
        with lab.router_netns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", 9473))
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    status, body = get("/metrics")
    assert status == 200 and metrics(body)
    assert get("/v1/status")[0] == 404
    assert get("/v1/routes?prefix=10.0.0.0/8", "DELETE")[0] in (404, 405)
    assert running.alive


def test_metrics_are_off_unless_asked_for(lab, wired):
    wired()
    with lab.router_netns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", 9473))


# --- workers

def worker_thread(pid, name="mr-worker-0"):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    names = sorted((task / "comm").read_text().strip() for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    raise AssertionError(f"no thread {name} among {names}")


def test_a_polling_worker_makes_no_system_call(lab, router, tmp_path):
    running = router(quiet_config(lab, "poll"))
    task = worker_thread(running.pid)
    trace = tmp_path / "trace"
    # Without -f: with it strace would attach to every thread of the process.
    tracer = subprocess.Popen(["strace", "-qq", "-o", trace, "-p", str(task)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: "TracerPid:\t0" not in pathlib.Path(f"/proc/{task}/status").read_text(), 5, "strace attaches")
    before = running.get("/v1/workers")["workers"][0]["loops"]
    time.sleep(5)
    after = running.get("/v1/workers")["workers"][0]["loops"]
    tracer.send_signal(signal.SIGINT)
    said, _ = tracer.communicate(timeout=10)
    calls = [line for line in trace.read_text().splitlines() if re.match(r"\w+\(", line)]
    assert calls == [], f"{len(calls)} system calls, the first: {calls[:5]} {said}"
    assert after > before + 1000, "the worker polled meanwhile"


def test_an_adaptive_worker_sleeps_when_nothing_comes(lab, router):
    running = router(quiet_config(lab, "adaptive"))
    task = worker_thread(running.pid)

    def ticks():
        fields = pathlib.Path(f"/proc/{running.pid}/task/{task}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    time.sleep(0.5)
    before = ticks()
    time.sleep(2)
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / 2
    print(f"an idle adaptive worker uses {share:.0%} of its core")
    assert running.get("/v1/workers")["workers"][0]["naps"] > 0


def test_the_worker_runs_on_its_core(lab, router):
    running = router(quiet_config(lab))
    worker = running.get("/v1/workers")["workers"][0]
    assert os.sched_getaffinity(worker_thread(running.pid)) == {worker["core"]}


def test_workers_may_share_a_machine_of_one_core(lab, router):
    """Worker and control thread on core 0: it still starts, forwards and stops."""
    host = lab.host("host", "192.0.2.2/24", "192.0.2.1")
    running = router(interfaces={"host": ["192.0.2.1/24"]}, dataplane={"workers": [0]})
    host.warm("192.0.2.1")
    ping = host.ping("192.0.2.1", count=20)
    assert ping.lost == 0, ping.text
    assert running.alive


def test_two_routers_run_side_by_side(lab, router):
    lab.wire("one")
    lab.wire("two")
    routers = [router(lab.config(interfaces={name: [f"10.{n}.0.1/24"]}, dataplane={"memory": "256M"}), name=name)
               for n, name in ((1, "one"), (2, "two"))]
    assert {running.get("/v1/status")["pid"] for running in routers} == {running.pid for running in routers}


def test_many_workers_and_queues(lab, router):
    """Two workers, each with a queue of the port where the driver has two."""
    host = lab.host("host", "192.0.2.2/24", "192.0.2.1")
    cores = sorted(os.sched_getaffinity(0))[:2]
    running = router(interfaces={"host": ["192.0.2.1/24"]}, dataplane={"workers": cores})
    host.warm("192.0.2.1")
    ping = host.ping("192.0.2.1", count=50)
    assert ping.lost == 0, ping.text
    workers = running.get("/v1/workers")["workers"]
    assert [worker["core"] for worker in workers] == cores
    assert sum(len(worker["queues"]) for worker in workers) >= 1


def test_an_ordinary_start_logs_no_error(wired):
    running = wired()
    assert "error" not in running.log.lower(), running.log


@pytest.mark.parametrize("wanted", ["2M", "auto"])
def test_it_runs_on_hugepages(lab, router, hugepages, wanted):
    host = lab.host("host", "192.0.2.2/24", "192.0.2.1")
    running = router(interfaces={"host": ["192.0.2.1/24"]}, dataplane={"hugepages": wanted, "memory": "256M"})
    host.warm("192.0.2.1")
    assert running.get("/v1/status")["dataplane"]["hugepages"] == "2M"
    ping = host.ping("192.0.2.1", count=20)
    assert ping.lost == 0, ping.text


def test_hugepages_that_are_not_there_are_an_error_that_says_so(lab, router):
    stopped = router(interfaces={}, dataplane={"hugepages": "1G", "memory": "1000G"}, start=False)
    result = lab.router_netns.run(DAEMON, "-c", stopped.file, check=False, timeout=60)
    assert result.returncode > 0 and "1G hugepages" in result.stdout, result.stdout
