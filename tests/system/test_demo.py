"""The demo of the README: what it shows is right, and nothing of it is left behind."""

import os
import re
import subprocess

import pytest

from basics import BUILD, ROOT

DEMO = ROOT / "scripts/demo.sh"


def run_demo(*options):
    environment = {**os.environ, "MILLRACE_BUILD": str(BUILD)}
    return subprocess.run([DEMO, *options], env=environment, capture_output=True, text=True, timeout=180)


def namespaces():
    return {line.split()[0] for line in subprocess.check_output(["ip", "netns", "list"], text=True).splitlines()}


def test_dual_stack_demo_crosses_the_router_by_both_families_and_cleans_up():
    before = namespaces()
    demo = run_demo("--dual-stack")
    assert demo.returncode == 0, demo.stdout[-3000:] + demo.stderr[-3000:]
    assert demo.stdout.count("20 packets transmitted, 20 received, 0% packet loss") == 2
    for hop in ("192.0.2.1", "2001:db8:1::1"):
        assert re.search(rf"^ 1  {re.escape(hop)}  ", demo.stdout, re.MULTILINE), f"{hop} is not the first hop"
    assert re.search(r"^received [1-9][\d,]* .* transmitted [1-9][\d,]* ", demo.stdout, re.MULTILINE)
    assert namespaces() <= before


@pytest.mark.parametrize("option", ["--ipv5", "extra"])
def test_demo_refuses_what_it_does_not_know(option):
    demo = run_demo(option)
    assert demo.returncode == 2 and "usage: scripts/demo.sh" in demo.stderr
