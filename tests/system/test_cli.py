"""The millrace command against a running router: tables, JSON, exit codes, loading and applying files."""

import gzip
import json
import os
import re
import stat
import subprocess

import pytest

from basics import CLIENT
from packets import udp

HERE, THERE = "10.1.0.2", "10.2.0.2"
WIDTH = 100
SHOW = ["interfaces", "routes", "fib", "next-hops", "neighbors", "feeds", "workers", "counters", "drops"]


@pytest.fixture(scope="module")
def running(module_lab):
    """A router that has something to show in every table."""
    inside, outside = module_lab.wire("in"), module_lab.wire("out")
    config = module_lab.config(
        interfaces={"in": ["10.1.0.1/24"], "out": ["10.2.0.1/24"]},
        routes=[{"prefix": "10.20.0.0/16", "via": THERE}, {"prefix": "10.30.0.0/16", "via": [THERE, "10.2.0.3"]},
                {"prefix": "10.40.0.0/16", "type": "blackhole"}],
        neighbors=[{"address": HERE, "mac": inside.mac, "interface": "in"},
                   {"address": THERE, "mac": outside.mac, "interface": "out"}],
        feeds={"fpm": {}, "netlink": {}})
    router = module_lab.router(config)
    router.config = config
    inside.send(*[udp(inside, HERE, f"10.{n}.0.1") for n in (20, 30, 40, 50)])
    return router


def lines(result):
    return result.stdout.splitlines()


def refused(result, *words, status=1):
    """Nothing on stdout, all the words on stderr."""
    assert result.returncode == status, result
    for word in words:
        assert word in result.stderr, result
    return result


# --- tables

@pytest.mark.parametrize("what", [*(["show", table] for table in SHOW), ["show", "drops", "--all"],
                                  ["route", "lookup", "10.30.0.1"]], ids=" ".join)
def test_a_table_fits_and_is_aligned(running, what):
    result = running.cli(*what)
    assert result.stderr == ""
    for line in lines(result):
        assert len(line) <= WIDTH and line == line.rstrip(), line
    headers = [line for line in lines(result) if re.fullmatch(r"[A-Z][A-Z/-]*(  +[A-Z][A-Z/-]*)+", line)]
    assert headers, result.stdout


def test_status_is_a_page_with_the_books(running):
    text = running.cli("status").stdout
    assert len(text.splitlines()) < 25
    assert re.search(r"^packets: received [\d,]+ \+ originated [\d,]+ \+ fragments [\d,]+ = transmitted [\d,]+ "
                     r"\+ punted [\d,]+ \+ dropped [\d,]+ \((balanced|difference -?[\d,]+)\)$", text, re.M), text
    for word in ("generation", "RIB", "FIB", "neighbors", "p99", "mbuf"):
        assert word in text, word


def test_routes_are_shown_with_their_next_hops(running):
    text = running.cli("show", "routes").stdout
    via = re.escape(THERE)
    assert re.search(rf"^\*\s+10\.20\.0\.0/16\s+static\s+\d+\s+\d+\s+{via} out\s+resolved", text, re.M), text
    assert re.search(r"^\*\s+10\.40\.0\.0/16\s+static\s+\d+\s+\d+\s+blackhole\s", text, re.M), text
    assert re.search(r"^\*\s+10\.1\.0\.0/24\s+connected\s", text, re.M), text


def test_filters_narrow_the_routes(running):
    def prefixes(*words):
        return [row["prefix"] for row in json.loads(running.cli("show", "routes", *words, "--json").stdout)["routes"]]

    assert prefixes("10.20.0.0/16") == ["10.20.0.0/16"]
    assert prefixes("10.16.0.0/12", "--orlonger") == ["10.20.0.0/16", "10.30.0.0/16"]
    assert prefixes("--source", "static") == ["10.20.0.0/16", "10.30.0.0/16", "10.40.0.0/16"]
    assert len(prefixes("--limit", "2")) == 2
    assert running.cli("show", "routes", "10.99.0.0/16").stdout == "no routes\n"
    assert "stopped at the limit: 1 shown" in running.cli("show", "routes", "--limit", "1").stdout


def test_lookup_explains(running):
    text = running.cli("route", "lookup", "10.20.1.1").stdout
    for word in ("10.20.0.0/16", "static", THERE, "out", "resolved"):
        assert word in text, text
    assert running.cli("route", "lookup", "10.50.0.1").returncode == 0
    refused(running.cli("route", "lookup", "bogus", check=False), "address")


@pytest.mark.parametrize("what", [["status"], *(["show", table] for table in SHOW), ["show", "drops", "--all"],
                                  ["route", "lookup", "10.20.0.1"]], ids=" ".join)
def test_json_is_one_document(running, what):
    for words in ([*what, "--json"], ["--json", *what]):
        assert json.loads(running.cli(*words).stdout)


# --- exit codes and errors

@pytest.mark.parametrize("words", [[], ["bogus"], ["show"], ["show", "bogus"], ["status", "extra"], ["load"],
                                   ["route", "add", "10.0.0.0/8"], ["route", "add", "10.0.0.0/8", "via"],
                                   ["show", "routes", "--limit", "0"], ["show", "routes", "--source", "bogus"]],
                         ids=" ".join)
def test_wrong_usage_has_status_2(running, words):
    result = refused(running.cli(*words, check=False), "--help", status=2)
    assert result.stdout == ""


def test_help_and_version_have_status_0(running):
    for words in (["--help"], ["show", "--help"], ["route", "add", "--help"], ["--version"]):
        result = running.cli(*words)
        assert result.stdout and not result.stderr
        assert all(len(line) <= WIDTH for line in lines(result)), result.stdout


def test_an_error_of_the_api_has_status_1(running):
    result = refused(running.cli("route", "del", "10.99.0.0/16", check=False), "millrace: ", "10.99.0.0/16")
    assert result.stdout == ""
    result = running.cli("route", "del", "10.99.0.0/16", "--json", check=False)
    assert result.returncode == 1 and json.loads(result.stderr)["status"] == 404


def test_no_daemon_is_said_in_words(tmp_path):
    path = tmp_path / "no.sock"
    for words in (["status"], ["show", "routes"], ["load", "/dev/null/x"]):
        result = subprocess.run([CLIENT, "--socket", path, *words], capture_output=True, text=True, timeout=20)
        assert result.returncode == 1
    result = subprocess.run([CLIENT, "status"], capture_output=True, text=True, timeout=20,
                            env={**os.environ, "MILLRACE_SOCKET": str(path)})
    assert result.returncode == 1
    assert result.stderr == f"millrace: no daemon at {path}: is millraced running?\n"


def test_a_socket_without_permission_names_the_group(running):
    mode = stat.S_IMODE(os.stat(running.socket).st_mode)
    # Not root, and in no group: another user has to reach the directory, and still not the socket.
    os.chmod(running.directory, 0o755)
    os.chmod(running.socket, 0o600)
    try:
        result = subprocess.run([CLIENT, "--socket", running.socket, "status"], capture_output=True, text=True,
                                timeout=20, user=65534, group=65534, extra_groups=[])
    except PermissionError:
        pytest.skip("the build folder is closed to other users")
    finally:
        os.chmod(running.socket, mode)
    refused(result, "permission denied", "group millrace")


def test_a_reader_that_goes_away_is_no_news(running):
    script = f"{CLIENT} --socket {running.socket} show routes --json | head -1 >/dev/null"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert result.returncode == 0 and result.stderr == ""


def test_a_full_disk_is_news(running):
    with open("/dev/full", "w") as full:
        result = subprocess.run([CLIENT, "--socket", running.socket, "status"], stdout=full, stderr=subprocess.PIPE,
                                text=True, timeout=20)
    assert result.returncode == 1 and "cannot write" in result.stderr


# --- routes

def test_a_route_comes_and_goes(running):
    for result in ("added", "unchanged"):
        said = running.cli("route", "add", "10.70.0.0/16", "via", THERE, "--owner", "cli").stdout
        assert said == f"{result} 10.70.0.0/16\n"
    assert running.cli("route", "add", "10.70.0.0/16", "blackhole").stdout == "replaced 10.70.0.0/16\n"
    assert re.search(r"10\.70\.0\.0/16\s+api\s+\d+\s+\d+\s+blackhole", running.cli("show", "routes").stdout)
    assert running.cli("route", "del", "10.70.0.0/16").stdout == "removed 10.70.0.0/16\n"
    refused(running.cli("route", "add", "10.70.0.1/16", "via", THERE, check=False), "10.70.0.1/16")
    refused(running.cli("route", "add", "10.70.0.0/16", "via", "bogus", check=False), "bogus")


def test_a_route_with_weights_is_shown_with_them(running):
    running.cli("route", "add", "10.71.0.0/16", "via", THERE, "weight", "3", "10.2.0.3")
    text = running.cli("show", "routes", "10.71.0.0/16").stdout
    assert f"{THERE} out weight 3" in text and "10.2.0.3 out  " in text, text
    members = next(hop["members"] for hop in json.loads(running.cli("show", "next-hops", "--json").stdout)["next_hops"]
                   if len(hop["members"]) == 2 and hop["members"][0]["weight"] == 3)
    assert [(member["address"], member["weight"]) for member in members] == [(THERE, 3), ("10.2.0.3", 1)]
    running.cli("route", "del", "10.71.0.0/16")


@pytest.fixture
def no_api_routes(running):
    yield
    rows = json.loads(running.cli("show", "routes", "--source", "api", "--json").stdout)["routes"]
    running.api("POST", "/v1/routes:batch", "".join(f"del {row['prefix']}\n" for row in rows),
                {"Content-Type": "text/plain"})
    assert running.get("/v1/status")["rib"]["sources"]["api"] == 0


def some_routes(count):
    return [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.0/24 via {THERE}" for n in range(count)]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_loads_a_file_and_names_the_lines_that_fail(running, tmp_path, no_api_routes, packed):
    rows = some_routes(25_000)
    rows[0], rows[11] = "# a comment", ""
    rows[20_004], rows[9_999], rows[10_000] = "bogus", "20.0.0.1/24 via 10.2.0.2", "20.0.0.0/24 via nowhere"
    file = tmp_path / "routes"  # gzip is known by its content
    data = "\r\n".join(rows).encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    result = running.cli("load", file, check=False)
    assert result.returncode == 1
    for number in (10_000, 10_001, 20_005):
        assert re.search(rf"^{re.escape(str(file))}:{number}: ", result.stderr, re.M), result.stderr
    assert len(result.stderr.splitlines()) == 4 and "3 lines" in result.stderr
    assert re.match(r"24,995 routes in [\d.]+ s: added 24,995, .*failed 3\n$", result.stdout), result.stdout
    assert running.get("/v1/status")["rib"]["sources"]["api"] == 24_995
    count = 0
    for line in lines(running.cli("show", "routes", "--source", "api")):
        assert len(line) <= WIDTH
        count += line.startswith("*")
    assert count == 24_995
    assert len(json.loads(running.cli("show", "fib", "20.0.0.0/8", "--orlonger", "--json").stdout)["entries"]) == 24_995


def test_loads_from_the_standard_input(running, no_api_routes):
    result = subprocess.run([CLIENT, "--socket", running.socket, "load", "-", "--json"], input="20.0.0.0/8 blackhole\n",
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result
    answer = json.loads(result.stdout)
    assert (answer["added"], answer["failed"], answer["errors"]) == (1, 0, [])


def test_a_file_that_cannot_be_loaded_is_named(running, tmp_path):
    refused(running.cli("load", tmp_path / "absent", check=False), "absent", "No such file")
    refused(running.cli("load", tmp_path, check=False), str(tmp_path))
    cut = tmp_path / "cut"
    cut.write_bytes(gzip.compress(b"# nothing\n" * 100_000)[:200])
    refused(running.cli("load", cut, check=False), str(cut))


def test_a_line_without_end_does_not_fill_memory(running, tmp_path):
    file = tmp_path / "long"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for _ in range(200):
            packed.write(b"x" * 1_000_000)
    script = f"ulimit -v 100000; exec {CLIENT} --socket {running.socket} load {file}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    if "Sanitizer" not in result.stderr:  # which needs more address space
        refused(result, f"{file}:1: longer than")


# --- configurations

@pytest.fixture
def written(running, tmp_path):
    """Writes a configuration like the router's with other parts; afterwards the router has its own again."""
    def write(**parts):
        return running.write({**running.config, **parts}, tmp_path / "new.yaml")

    yield write
    running.apply(running.config)


NEW_ROUTES = [{"prefix": "10.60.0.0/16", "via": THERE}]


def generation(running):
    return running.get("/v1/config")["generation"]


def test_check_names_the_place_of_each_problem(running, written):
    file = written()
    assert running.cli("check", file).stdout == f"{file}: ok\n"
    with file.open("a") as more:
        more.write("bogus: 1\n")
    line = len(file.read_text().splitlines())
    for command in ("check", "diff", "apply"):
        result = refused(running.cli(command, file, check=False))
        assert re.match(rf"{re.escape(str(file))}:{line}:\d+: .*bogus", result.stderr), result.stderr
        assert result.stdout == ""
    problem = json.loads(running.cli("check", file, "--json", check=False).stderr)
    assert problem["problems"][0]["line"] == line


def test_diff_shows_and_apply_does(running, written):
    file, before = written(routes=NEW_ROUTES), generation(running)
    shown = lines(running.cli("diff", file))
    assert shown[-1] == f"4 changes against generation {before}"
    assert any(re.match(r"\+ .*10\.60\.0\.0/16", line) for line in shown), shown
    assert any(re.match(r"- .*10\.40\.0\.0/16", line) for line in shown), shown
    assert generation(running) == before, "diff changes nothing"
    applied = lines(running.cli("apply", file))
    assert applied[:-1] == shown[:-1]
    assert applied[-1] == f"applied 4 changes: generation {generation(running)}"
    assert generation(running) > before
    assert lines(running.cli("diff", file)) == [f"0 changes against generation {generation(running)}"]
    assert json.loads(running.cli("diff", file, "--json").stdout)["changes"] == []


def test_what_needs_a_restart_is_marked_and_refused(running, written):
    file, before = written(dataplane={**running.config["dataplane"], "memory": "256M"}), generation(running)
    assert "(needs a restart)" in running.cli("diff", file).stdout
    refused(running.cli("apply", file, check=False), "restart")
    assert generation(running) == before


def test_a_stale_generation_is_refused(running, written):
    """Another operator applied something after this one looked."""
    looked = generation(running)
    other = written(routes=NEW_ROUTES)
    running.cli("apply", other, "--generation", looked)
    routes = running.get("/v1/status")["rib"]["sources"]
    refused(running.cli("apply", running.file, "--generation", looked, check=False), f"generation {looked}", "diff")
    status, _, _ = running.api("POST", "/v1/config:apply", running.text(running.config), {"If-Match": f'"{looked}"'})
    assert status == 412
    assert running.get("/v1/status")["rib"]["sources"] == routes, "nothing was applied"


def test_a_configuration_comes_from_the_standard_input(running):
    result = subprocess.run([CLIENT, "--socket", running.socket, "check", "-"], input="bogus: 1\n",
                            capture_output=True, text=True, timeout=20)
    assert result.returncode == 1 and result.stderr.startswith("<stdin>:"), result


def test_a_file_over_the_limit_is_refused_in_words(running, tmp_path):
    file = tmp_path / "big.yaml"
    file.write_bytes(b"#" * (65 << 20))
    refused(running.cli("check", file, check=False), "millrace: ", "large")


# --- completion

def test_bash_completes_commands_options_and_values(running):
    script = f"""
        PATH={CLIENT.parent}:$PATH
        source <(millrace completion bash)
        compopt() {{ :; }}
        complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _millrace; echo "${{COMPREPLY[*]}}"; }}
        complete_words millrace show n
        complete_words millrace show routes --s
        complete_words millrace show routes --source ''
        complete_words millrace --json route l
        complete_words millrace route add 10.0.0.0/8 b
    """
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["next-hops neighbors", "--source --socket", "connected static api fpm netlink neighbor",
                                          "lookup", "blackhole"]


def test_every_command_is_completed_and_has_help(running):
    script = running.cli("completion", "bash").stdout
    paths = re.findall(r"^    '(millrace[^']*)'\) words=", script, re.M)
    assert len(paths) > 15
    for path in paths:
        assert "Usage: " + path in running.cli(*path.split()[1:], "--help").stdout
