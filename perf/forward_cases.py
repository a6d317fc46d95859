"""The cases of perf/forward.py: routes, destinations inside them, and frames of one size; and who takes part."""

import gzip
import random
import subprocess
import threading

import flood_frames
import subjects

TABLE4 = subjects.ROOT / "tests/data/v4-2024-prefix-nhidx.txt.gz"
TABLE6 = subjects.ROOT / "tests/data/v6-2024-prefix-nhidx.txt.gz"
DESTINATIONS = 4 << 20
PCAP_PACKETS = 4096
FLOOR, MAC = "testpmd-io", "testpmd-mac"
ALL = ["millrace", FLOOR, MAC, "l3fwd-lpm", "l3fwd-fib"]
# rte_lpm adds a route by a linear search: a full table takes l3fwd minutes. Of rte_lpm6 it is left out, too.
FULL = ["millrace", FLOOR, MAC, "l3fwd-fib"]
TWO_CORES = "/2cores"
FLOOD = "flood-"

# name, table, how destinations are drawn, who takes part
ROUTES = [
    ("1route", "one", None, ALL),
    ("10k-random", "10k", "prefix", ALL),
    ("full-prefix", "full", "prefix", FULL),
    ("full-zipf", "full", "zipf", FULL),
]
# name, and the frame without FCS. IPv6 and UDP do not fit into 64 bytes, nor does their IMIX have such frames.
SIZES = {4: [("64B", "60"), ("IMIX", "imix"), ("1518B", "1514")],
         6: [("78B", "74"), ("IMIX", "imix"), ("1518B", "1514")]}


def _matrix():
    for ipv, sizes in SIZES.items():
        for routes, table, draw, names in ROUTES:
            for size, frame in sizes:
                yield f"v{ipv}/{routes}/{size}", ipv, table, draw, frame, names


# name, family, table, how destinations are drawn, frame without FCS, who takes part
CASES = [
    *_matrix(),
    ("v4/full-churn/64B", 4, "full", "prefix", "60", ["millrace", FLOOR]),
    ("v4/1route/64B" + TWO_CORES, 4, "one", None, "60", ["millrace", FLOOR, MAC]),
    ("v4/full-prefix/64B" + TWO_CORES, 4, "full", "prefix", "60", ["millrace", FLOOR, MAC]),
    *((f"v4/{FLOOD}{kind}/64B", 4, "one", None, "60", ["flooded", "millrace", FLOOR]) for kind in flood_frames.KINDS),
]
# Few enough for --quick.
QUICK = ["v4/1route/64B", "v4/10k-random/64B", "v4/full-prefix/64B", "v4/full-churn/64B", "v6/full-prefix/78B"]


class Table:
    """Routes of one family in the words of each program, made once."""

    def __init__(self, name, rows, next_hops, folder, ipv=4):  # pylint: disable=too-many-arguments
        self.name, self.rows, self.next_hops, self.folder, self.ipv = name, rows, next_hops, folder, ipv
        self.making = threading.Lock()

    def _file(self, kind, lines):
        """Made by whichever program of a case asks first; it is there whole, or not at all."""
        path = self.folder / f"{self.name}-v{self.ipv}-{kind}"
        with self.making:
            if not path.exists():
                path.write_text("".join(lines))
        return path

    def via(self, index):
        return subjects.Millrace.next_hop(index % self.next_hops, self.ipv)

    def millrace_file(self):
        return self._file("millrace", (f"{prefix} via {self.via(index)}\n" for prefix, index in self.rows))

    def l3fwd_files(self):
        """Of IPv4 and of IPv6: it wants both. What this table does not have is one route."""
        own = self._file("l3fwd", (f"R{prefix} 1\n" for prefix, _ in self.rows))
        other = self._file("l3fwd-other", ["R2001:db8::/32 1\n" if self.ipv == 4 else "R192.0.2.0/24 1\n"])
        return (own, other) if self.ipv == 4 else (other, own)

    def prefixes_file(self):
        return self._file("prefixes", (f"{prefix}\n" for prefix, _ in self.rows))


class Case:
    def __init__(self, row, tables, folder, source):
        self.name, self.ipv, table, self.draw, self.size, self.subjects = row
        self.table = tables[self.ipv, table]
        self.count = DESTINATIONS
        self.destinations = self._destinations(folder) if self.draw else None
        self.pcap = self._pcap(folder) if source == "pcap" or self.flood else None

    @property
    def churns(self):
        """Whether millrace's routes change meanwhile."""
        return "-churn/" in self.name

    @property
    def flood(self):
        """The kind of what comes to `flooded`."""
        kind = self.name.split("/")[1]
        return kind.removeprefix(FLOOD) if kind.startswith(FLOOD) else None

    @property
    def workers(self):
        """With how many each subject runs; two are compared with one in the same turns."""
        return (1, 2) if self.name.endswith(TWO_CORES) else (1,)

    def row_name(self, workers):
        return self.name if workers == self.workers[-1] else self.name.replace(TWO_CORES, "/1core")

    def _destinations(self, folder):
        path = folder / f"{self.table.name}-v{self.ipv}-{self.draw}"
        if not path.exists():
            subprocess.run([subjects.BUILD / "perf/net_stamp/make_destinations", "--table", self.table.prefixes_file(),
                            "--out", path, "--draw", self.draw, "--count", str(self.count)], check=True)
        return path

    def _pcap(self, folder):
        path = folder / f"{self.name.replace('/', '-')}.pcap"
        arguments = f"dst_mac={subjects.PCAP_MAC},size={self.size},ipv={self.ipv}"
        if self.destinations:
            arguments += f",file={self.destinations}"
        subjects.record(arguments, path, PCAP_PACKETS)
        return path


def read_table(path):
    with gzip.open(path, "rt") as file:
        return [(line.split()[0], int(line.split()[1])) for line in file if line.strip() and line[0] != "#"]


def make_tables(paths, next_hops, folder, wanted):
    """{(family, name): Table}, of those that are wanted; `paths` has a family's full table."""
    one = {4: "198.18.0.0/24", 6: "2001:2::/48"}
    tables = {(ipv, "one"): Table("one", [(prefix, 0)], next_hops, folder, ipv) for ipv, prefix in one.items()}
    for ipv in {ipv for ipv, name in wanted if name != "one"}:
        rows = read_table(paths[ipv])
        tables[ipv, "full"] = Table("full", rows, next_hops, folder, ipv)
        some = random.Random(1).sample(rows, min(10_000, len(rows)))
        tables[ipv, "10k"] = Table("10k", some, next_hops, folder, ipv)
    return tables

