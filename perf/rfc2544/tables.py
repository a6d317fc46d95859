"""Routes of a user's table behind the device, destinations in them, and their change while frames go by."""

import subprocess

import forward
import forward_cases

from .trial import network_of

DESTINATIONS = 1 << 20
NEXT_HOPS = 16


class Table(forward_cases.Table):
    """Its next hops are hosts behind port 1, for all of whom the generator answers."""

    def via(self, index):
        network = network_of(1, 0, self.ipv == 6)[1].removesuffix("2")
        return f"{network}{2 + index % self.next_hops:{'x' if self.ipv == 6 else 'd'}}"


def read(path, folder, ipv6):
    return Table("table", forward_cases.read_table(path), NEXT_HOPS, folder, 6 if ipv6 else 4)


def destinations(table, program, folder, draw):
    path = folder / "destinations"
    subprocess.run([program, "--table", table.prefixes_file(), "--out", path, "--draw", draw, "--count",
                    str(DESTINATIONS)], check=True)
    return path


class _Case:
    def __init__(self, table):
        self.table = table


class _Subject:
    def __init__(self, folder, table):
        self.folder, self.case = folder, _Case(table)


def churn(folder, table):
    """perf/forward.sh's: 100,000 changes a second are asked for, over the API in `folder`."""
    return forward.Churn(_Subject(folder, table))
