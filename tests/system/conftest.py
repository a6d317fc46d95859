"""Fixtures of the system tests: labs for one test or one module, and what holds after every scenario."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from basics import CLIENT, DAEMON  # noqa: E402
from lab import Lab  # noqa: E402

# The quick files first; any other goes before the slow ones.
QUICK = ["test_config_schema", "test_openapi", "test_cli", "test_forwarding", "test_arp"]
SLOW = ["test_daemon", "test_apply", "test_hostile", "test_load", "test_rfc2544", "test_soak"]

_open_labs = []


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes long, and is run by `scripts/soak.sh --tests` (-m long) alone")


def pytest_collection_modifyitems(config, items):
    if not config.option.markexpr:
        items[:] = [item for item in items if not item.get_closest_marker("long")]

    def rank(item):
        name = item.path.stem
        if name in QUICK:
            return QUICK.index(name)
        return len(QUICK) + (1 + SLOW.index(name) if name in SLOW else 0)

    items.sort(key=rank)  # stable: a module's tests stay together and in their order


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the system tests make network namespaces: run them as root", returncode=4)
    for program in (DAEMON, CLIENT):
        if not program.exists():
            pytest.exit(f"{program.name} is not built: run scripts/build.sh test", returncode=4)


def _lab():
    lab = Lab()
    _open_labs.append(lab)
    try:
        yield lab
    finally:
        _open_labs.remove(lab)
        lab.close()


@pytest.fixture
def lab():
    """A lab for one test."""
    yield from _lab()


@pytest.fixture(scope="module")
def module_lab():
    """A lab that the tests of a module share."""
    yield from _lab()


@pytest.fixture
def router(lab):
    """Starts routers in the test's lab: router(config) or router(interfaces={...}, routes=[...], ...)."""
    def start(config=None, name="router", start=True, **parts):
        return lab.router(config if config is not None else lab.config(**parts), name=name, start=start)

    return start


@pytest.fixture
def hugepages():
    """300 pages of 2 MB while the test runs, on top of what the machine has reserved."""
    pool = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    before = int(pool.read_text())
    pool.write_text(str(before + 300))
    assert int(pool.read_text()) == before + 300, "the kernel has no memory for 300 hugepages"
    yield
    pool.write_text(str(before))


@pytest.fixture(autouse=True)
def settled(request):
    """After every test each running router is alive, its counters add up and no mbuf is lost."""
    # An autouse fixture is set up first and so torn down last, when the lab is gone: ask for the lab before the test.
    for name in ("lab", "module_lab"):
        if name in request.fixturenames:
            request.getfixturevalue(name)
    yield
    for lab in _open_labs:
        lab.check_settled()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the tail of each daemon's log."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for lab in _open_labs:
            for router in lab.routers:
                report.sections.append((f"log of {router.name}", router.log[-6000:]))
