#!/usr/bin/python3
"""What ESP costs in millraced and in DPDK's ipsec-secgw, side by side, and in IPsec-MB alone.

Port 0 is a source, port 1 a sink (perf/net_stamp), on one worker core; the rest is on core 0. To be encrypted comes what
does to perf/forward.sh: endless frames, to destinations behind SAs drawn at random. To be decrypted come frames of a file,
each once, with their sequence numbers in order. Both programs have replay windows of 1,024 packets and extended sequence
numbers. A packet's cycles are those of the worker on its core, above the floor: testpmd between the same ports, which
passes frames on as they are. perf/ipsec.sh builds what this needs and calls it.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import forward  # noqa: E402
import subjects  # noqa: E402
from forward_cases import FLOOR  # noqa: E402

TOOLS = subjects.BUILD / "perf/net_stamp"
FIRST_SPI = 0x10000  # perf/esp_frames.h
HELD_AT = 16  # in a port's counters (perf/net_stamp/counters.h)
WINDOW = 1024
PEER = "ipsec-secgw"
CEILING = "ipsec-mb"

# Bytes of the cipher's key with its salt, and of the integrity key; ipsec-secgw's words, and its driver's name.
ALGORITHMS = {
    "aes-128-gcm": (20, 0, "aead_algo aes-128-gcm aead_key {0}", "crypto_aesni_gcm"),
    "aes-256-gcm": (36, 0, "aead_algo aes-256-gcm aead_key {0}", "crypto_aesni_gcm"),
    "chacha20-poly1305": (36, 0, "aead_algo chacha20-poly1305 aead_key {0}", "crypto_chacha20_poly1305"),
    "aes-128-cbc-hmac-sha1": (16, 20, "cipher_algo aes-128-cbc cipher_key {0} auth_algo sha1-hmac auth_key {1}",
                              "crypto_aesni_mb"),
    "aes-128-cbc-hmac-sha256": (16, 32, "cipher_algo aes-128-cbc cipher_key {0} auth_algo sha256-hmac auth_key {1}",
                                "crypto_aesni_mb"),
}
# The frame that the packet inside would be, without FCS.
SIZES = {"64B": "60", "128B": "124", "512B": "508", "IMIX": "imix", "1408B": "1404"}


def _cases():
    for direction in ("encrypt", "decrypt"):
        for algorithm in ALGORITHMS:
            for size in ("64B", "1408B"):
                yield direction, algorithm, size, 1
        for size in ("128B", "512B", "IMIX"):
            if direction == "encrypt" or size != "IMIX":
                yield direction, "aes-128-gcm", size, 1
        for sas in (100, 8000):
            yield direction, "aes-128-gcm", "64B", sas


CASES = list(_cases())
QUICK = [("encrypt", "aes-128-gcm", "64B", 1), ("decrypt", "aes-128-gcm", "64B", 1), ("encrypt", "aes-128-gcm", "1408B", 1)]


def name_of(case):
    direction, algorithm, size, sas = case
    return f"{direction}/{algorithm}/{size}/{sas}sa"


def key(number, algorithm):
    """As perf/esp_frames.h makes it."""
    size = sum(ALGORITHMS[algorithm][:2])
    return bytes((number >> 8 * i) & 0xFF if i < 4 else (13 * i + 7) & 0xFF for i in range(size))


class Case:
    """What all subjects of a case have in common."""

    def __init__(self, row, options, work):
        self.direction, self.algorithm, self.size, self.sas = row
        self.name, self.work = name_of(row), work
        self.frame = SIZES[self.size]
        self.encrypts = self.direction == "encrypt"
        self.mtu = 1600 if self.frame == "imix" else 1500  # of the ports: nothing is cut up or dropped
        self.destinations = self._destinations() if self.encrypts and self.sas > 1 else None
        self.frames, self.frame_bytes = (None, None) if self.encrypts else self._frames(options)

    def prefix(self, number):
        """Behind which SA a destination is."""
        return f"198.{18 + (number >> 12)}.{number >> 4 & 0xFF}.{(number & 0xF) << 4}/28" if self.sas > 1 else "198.18.0.0/15"

    def _destinations(self):
        prefixes, out = self.work / "prefixes", self.work / "destinations"
        prefixes.write_text("".join(f"{self.prefix(number)}\n" for number in range(self.sas)))
        subprocess.run([TOOLS / "make_destinations", "--table", prefixes, "--out", out], check=True)
        return out

    def _frames(self, options):
        """Enough for all turns of the fastest, which takes no fewer than 60 cycles for a packet of 64 bytes."""
        fastest = 40e6 if self.size == "64B" else 25e6 if self.size == "128B" else 12e6
        count = int(fastest * options.seconds * (options.runs + 2))
        out = self.work / "frames"
        made = subprocess.run([TOOLS / "make_esp_frames", "--algorithm", self.algorithm, "--sas", str(self.sas), "--count",
                               str(count), "--frame", self.frame, "--out", out], check=True, capture_output=True, text=True)
        return out, int(made.stdout)


class OneWay(subjects.Subject):
    """Frames come by port 0 and leave by port 1."""

    counts_numbers = True  # a frame of a file is good for it once

    def vdev(self, number):
        arguments = f"mac=02:00:00:00:01:{number + 1:02x},stats={self.stats[number]}"
        if number == 1:
            return "net_stamp", arguments + ",rx=none"
        if self.case.frames:
            times = "once" if self.counts_numbers else "endless"
            return "net_stamp", arguments + f",frames={self.case.frames},size={self.case.frame_bytes},rx={times}"
        if self.case.destinations:
            arguments += f",file={self.case.destinations}"
        return "net_stamp", arguments + f",size={self.case.frame},ipv=4"

    def hold(self, held):
        """Frames of a file come only while it is wanted."""
        if self.case.frames and self.stats[0].exists():
            with open(self.stats[0], "r+b") as counters:
                counters.seek(HELD_AT)
                counters.write(bytes([held, 0, 0, 0, 0, 0, 0, 0]))

    def forwards(self):
        self.hold(0)
        try:
            return super().forwards()
        finally:
            self.hold(1)

    def turn(self, run):
        self.hold(0)
        try:
            return super().turn(run)
        finally:
            self.hold(1)


class Floor(OneWay, subjects.Testpmd):
    counts_numbers = False


class Millrace(OneWay, subjects.Millrace):
    def tunnel(self, number):
        """The interface of an SA, and the route into it."""
        case = self.case
        base = number << 2
        near, far = (f"10.{64 + (base >> 16)}.{base >> 8 & 0xFF}.{base & 0xFF | host}" for host in (1, 2))
        local, remote = ("10.255.0.1", "10.255.1.1") if case.encrypts else ("10.254.0.1", "10.254.0.2")
        ipsec = {"local": local, "remote": remote, "algorithm": case.algorithm, "replay_window": WINDOW,
                 "out" if case.encrypts else "in": {"spi": FIRST_SPI + number, "key": key(number, case.algorithm).hex()}}
        return {"mtu": case.mtu - 100, "addresses": [f"{near}/30"], "ipsec": ipsec}, {"prefix": case.prefix(number), "via": far}

    def command(self):
        tunnels, routes = zip(*(self.tunnel(number) for number in range(self.case.sas)))
        interfaces = {f"port{number}": {"device": ",".join(self.vdev(number)), "queues": 1, "mtu": self.case.mtu,
                                        "addresses": [address]}
                      for number, address in enumerate(("10.254.0.1/24", "10.255.0.1/16"))}
        interfaces.update((f"t{number}", tunnel) for number, tunnel in enumerate(tunnels))
        config = {"control": {"core": 0, "api": f"{self.folder}/api.sock"}, "interfaces": interfaces,
                  "ipsec": {"state": f"{self.folder}/ipsec.json", "allow": ["aes-128-cbc-hmac-sha1"]},
                  "neighbors": [{"address": "10.255.1.1", "mac": "02:00:00:00:03:00", "interface": "port1"}],
                  "routes": list(routes) if self.case.encrypts else [{"prefix": "198.18.0.0/15", "via": "10.255.1.1"}]}
        # JSON is YAML.
        (self.folder / "millrace.yaml").write_text(f"dataplane: {{ workers: [1], {self.SETTINGS} }}\n" + "".join(
            f"{section}: {json.dumps(settings)}\n" for section, settings in config.items()))
        return [str(subjects.BUILD / "controlplane/millraced"), "-c", str(self.folder / "millrace.yaml")]

    def load(self):
        self.wait_for("serve its API", lambda: self.cli("status").returncode == 0, 60)


class Secgw(OneWay):
    """DPDK's example, with librte_ipsec. What it gets by port 1 is to be decrypted, what by port 0 encrypted."""

    def words(self, number):
        whole = key(number, self.case.algorithm)
        cipher_bytes, _, words, _ = ALGORITHMS[self.case.algorithm]
        return words.format(*(":".join(f"{byte:02x}" for byte in part) for part in (whole[:cipher_bytes], whole[cipher_bytes:])))

    def command(self):
        # It wants SAs of both directions; of the other one there is one that nothing comes for.
        other = 0x7FFFFF
        lines = []
        for number in [*range(self.case.sas), other]:
            wanted = number != other
            outbound = wanted == self.case.encrypts
            ends = "src 10.255.0.1 dst 10.255.1.1" if outbound else "src 10.254.0.2 dst 10.254.0.1"
            spi = FIRST_SPI + number
            prefix = "203.0.113.0/24" if not wanted else self.case.prefix(number)
            lines.append(f"sp ipv4 {'out' if outbound else 'in'} esp protect {spi} pri 1 dst {prefix} sport 0:65535 dport 0:65535")
            lines.append(f"sa {'out' if outbound else 'in'} {spi} {self.words(number)} mode ipv4-tunnel {ends}")
        lines += ["rt ipv4 dst 10.255.1.1/32 port 1", "rt ipv4 dst 198.18.0.0/15 port 1"]
        lines += [f"neigh port {port} 02:00:00:00:03:0{port}" for port in (0, 1)]
        (self.folder / "secgw.cfg").write_text("\n".join(lines) + "\n")
        driver = ALGORITHMS[self.case.algorithm][3]
        unprotected = "0x2" if self.case.encrypts else "0x1"
        return [str(subjects.BUILD / f"peers/{PEER}"), *self.eal(), "--vdev", f"{driver}0", "--", "-p", "0x3", "-P", "-u",
                unprotected, "--config", "(0,0,1),(1,0,1)", "-l", "-w", str(WINDOW), "-e", "--mtu",
                str(self.case.mtu), "-f", str(self.folder / "secgw.cfg")]


KINDS = {"millrace": Millrace, PEER: Secgw, FLOOR: Floor}


def run_case(case, options):
    """{subject: Measured}, and the TSC's rate."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=case.work))
    running = [kind(name, case, folder) for name, kind in KINDS.items() if name == FLOOR or options.subjects.search(name)]
    results = {subject.name: forward.Measured(1) for subject in running}
    try:
        forward.start_all(running)
        for _ in range(options.runs):
            for subject in running:
                forward.run_once(subject, results[subject.name], options.seconds, None)
        return results, running[-1].tsc_hz()
    finally:
        for subject in running:
            subject.end()
        shutil.rmtree(folder)


def ceiling(case):
    """Cycles a packet of IPsec-MB alone."""
    if case.frame == "imix":
        return None
    payload = int(case.frame) - 14
    said = subprocess.run(["taskset", "-c", "1", TOOLS / "ipsec_mb_bench", "--algorithm", case.algorithm, "--direction",
                           case.direction, "--payload", str(payload), "--sas", str(case.sas)],
                          check=True, capture_output=True, text=True)
    return float(said.stdout)


def rows_of(case, results, tsc_hz):
    floor = statistics.median(results[FLOOR].cycles)
    size = statistics.mean((60, 590, 60, 60, 590, 60, 60, 590, 60, 1514, 60, 590)) if case.frame == "imix" else int(case.frame)
    rows = []
    for name, measured in results.items():
        cycles = statistics.median(measured.cycles)
        rows.append({"case": case.name, "subject": name, "value": round(cycles - floor, 1), "unit": "cycles",
                     "runs": [round(value - floor, 1) for value in measured.cycles], "mpps": round(tsc_hz / cycles / 1e6, 2),
                     "gbit_per_second": round(tsc_hz / cycles * size * 8 / 1e9, 2),
                     "core_share": round(statistics.median(measured.share), 3),
                     "forwarded": round(min(measured.forwarded), 4)})
        if name == "millrace" and PEER in results:
            ratios = [theirs / ours for ours, theirs in zip(measured.cycles, results[PEER].cycles)]
            rows[-1]["over_peer"] = round(statistics.median(ratios), 2)
    alone = ceiling(case)
    if alone is not None:
        rows.append({"case": case.name, "subject": CEILING, "value": round(alone, 1), "unit": "cycles", "runs": [round(alone, 1)]})
    return rows


def print_rows(rows, first):
    if first:
        print(f"{'case':38} {'subject':12} {'cycles above floor':>18} {'Mpps':>7} {'Gbit/s':>7}  notes")
    for row in rows:
        notes = []
        if row.get("core_share", 1) < 0.9:
            notes.append(f"had the core {row['core_share']:.0%} of the time")
        if row.get("forwarded", 1) < 0.999:
            notes.append(f"forwarded only {row['forwarded']:.1%} of what came")
        if "over_peer" in row:
            notes.append(f"{row['over_peer']:.2f} times {PEER}'s packets")
        rates = f"{row['mpps']:7.2f} {row['gbit_per_second']:7.2f}" if "mpps" in row else " " * 15
        print(f"{row['case']:38} {row['subject']:12} {row['value']:18.1f} {rates}  {'; '.join(notes)}".rstrip())
    print(flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="perf/ipsec.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few cases and fewer turns")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/ipsec.json"),
                        help="where the figures go (default build-perf/ipsec.json)")
    parser.add_argument("--runs", metavar="N", type=int, help="turns of each program (default 7, with --quick 3)")
    parser.add_argument("--seconds", metavar="S", type=float, default=0.1, help="length of a turn (default 0.1)")
    parser.add_argument("--cases", metavar="REGEX", type=re.compile, help="only these (default all; with --quick a few)")
    parser.add_argument("--subjects", metavar="REGEX", type=re.compile, default=re.compile(""), help=f"only these, and {FLOOR}")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick else 7)
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, forward.end_on_signal)
    os.sched_setaffinity(0, {0})
    cases = QUICK if options.quick and not options.cases else CASES
    cases = [case for case in cases if not options.cases or options.cases.search(name_of(case))]
    if not cases:
        sys.exit("ipsec: no case matches; there are: " + ", ".join(map(name_of, CASES)))
    all_rows, tsc_hz = [], 0
    for row in cases:
        with tempfile.TemporaryDirectory(prefix="millrace-ipsec-", dir="/dev/shm") as work:
            case = Case(row, options, pathlib.Path(work))
            results, tsc_hz = run_case(case, options)
            new = rows_of(case, results, tsc_hz)
            print_rows(new, not all_rows)
            all_rows += new
    forward.save("perf/ipsec.sh", options.json, all_rows, tsc_hz)


if __name__ == "__main__":
    try:
        main()
    except subjects.Failure as failure:
        sys.exit(f"ipsec: {failure}")
