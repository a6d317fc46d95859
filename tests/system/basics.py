"""Where things are, and what every system test needs."""

import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MILLRACE_BUILD", "build-test")
DAEMON = BUILD / "controlplane/millraced"
CLIENT = BUILD / "cli/millrace"


def sh(*command, check=True, timeout=60, **options):
    """Runs a command to its end; a failure carries what it printed."""
    result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}")
    return result


def wait_for(condition, seconds, what):
    """Polls until `condition` returns something true, and returns that; `what` names it in the failure."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)
