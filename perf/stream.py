"""Packets through a router, counted one by one (perf/packet_stream.py), for whoever changes something meanwhile."""

import json
import pathlib
import subprocess
import sys
import time

import processes

HERE = pathlib.Path(__file__).resolve().parent
PACKETS_A_SECOND = 10_000


class Ended(Exception):
    """A program of ours ended before it should."""


class Child:
    """A program of ours that says JSON, a line each."""

    def __init__(self, *words, netns=None):
        enter = ["ip", "netns", "exec", netns.name] if netns else []
        self.process = subprocess.Popen([*enter, sys.executable, *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.line()  # it is ready

    def line(self):
        said = self.process.stdout.readline().strip()
        if not said:
            raise Ended(f"{self.process.args}: ended")
        return said

    def json(self):
        return json.loads(self.line())

    def close(self):
        self.process.stdin.close()
        processes.end(self.process)
        self.process.stdout.close()


class Stream:
    """Packets through the router while it is open; then `lost` and `sent`, and the longest time without one."""

    def __init__(self, inside, outsides, *destinations, rate=PACKETS_A_SECOND, core=None):
        receivers = ",".join(outside.netns.name for outside in outsides)
        self._child = Child(HERE / "packet_stream.py", inside.netns.name, receivers, inside.router_mac, rate, *destinations,
                            *(["--core", core] if core is not None else []))
        self.found = None

    def __enter__(self):
        time.sleep(0.5)  # some before anything happens
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            time.sleep(0.5)
            self._child.process.stdin.write("\n")
            self._child.process.stdin.flush()
            self.found = self._child.json()
        self._child.close()
