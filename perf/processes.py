"""Programs that the benchmarks start."""

import subprocess


def reap(process, seconds=5):
    """Waits for its end, and ends it by force where it does not come."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end(process):
    process.terminate()
    reap(process)
