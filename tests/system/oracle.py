"""A naive longest-prefix match to compare a router with: a dictionary for each length."""

import gzip
import ipaddress
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL_TABLE = ROOT / "tests/data/v4-2024-prefix-nhidx.txt.gz"


def read_table(file, limit=None):
    """Network, length and next-hop index of each line `PREFIX INDEX` of a gzipped file."""
    with gzip.open(file, "rt") as lines:
        for number, line in enumerate(lines):
            if number == limit:
                return
            prefix, index = line.split()
            address, length = prefix.split("/")
            yield int(ipaddress.IPv4Address(address)), int(length), int(index)


class PrefixOracle:
    """Prefixes and what they lead to."""

    def __init__(self):
        self.by_length = [{} for _ in range(33)]

    def __len__(self):
        return sum(map(len, self.by_length))

    def __iter__(self):
        for length, prefixes in enumerate(self.by_length):
            for network, value in prefixes.items():
                yield network, length, value

    def match(self, address):
        """(network, length, value) of the longest match, or None."""
        for length in range(32, -1, -1):
            network = address >> (32 - length) << (32 - length)
            if (value := self.by_length[length].get(network)) is not None:
                return network, length, value
        return None


def is_forwarded(address):
    """Whether a router forwards to it at all, and no connected network of the labs (10.0.0.0/8) has it."""
    return address >> 24 not in (0, 10, 127) and address >> 28 < 14 and address >> 16 != 0xA9FE


def prefix_text(network, length):
    return f"{ipaddress.IPv4Address(network)}/{length}"
