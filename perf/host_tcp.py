"""How fast TCP is through a TAP for daemons: the part `tcp/…` of perf/routes.py.

    client ── left ── millraced ── TAP, 10.1.0.1 ── server     (each in a namespace of its own)
    client ── left ── kernel, 10.1.0.1: server                 (the peer: nothing but a veth between)

iperf3 between the same addresses, each way. The frames on the veths are whole ones in both: no segmentation offload.
"""

import contextlib
import json
import statistics
import subprocess

import replay
import subjects
from basics import wait_for
from lab import Lab

HERE, CLIENT = "10.1.0.1", "10.1.0.2"
SECONDS, QUICK_SECONDS = 5, 2
WANTED_GBITS = 1
CASES = {"tcp/tap": [], "tcp/tap-reverse": ["-R"]}
RING = "framesz=2048,blocksz=65536,framecnt=4096"


class Bed:
    """A client, and the namespace where the server is."""

    def __init__(self, lab):
        self.client = lab.host("left", f"{CLIENT}/24", HERE)

    def gbits(self, options, seconds):
        server = self.server.popen("iperf3", "-s", "-1", "-B", HERE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        wait_for(lambda: self.server.run("ss", "-Hltn", "sport = :5201").stdout.strip(), 5, "iperf3 listens")
        said = self.client.run("iperf3", "-c", HERE, "--json", "--connect-timeout", "3000", "-t", seconds, *options,
                               check=False).stdout
        server.wait(20)
        report = json.loads(said)
        if "error" in report:
            raise subjects.Failure(f"{self.name}: iperf3: {report['error']}")
        return report["end"]["sum_received"]["bits_per_second"] / 1e9, report["end"]["sum_sent"].get("retransmits", 0)


class Tap(Bed):
    name = "millrace"

    def __init__(self, lab):
        super().__init__(lab)
        self.server = lab.namespace("daemons")
        config = lab.config(interfaces={"left": {"device": f"net_af_packet,iface=left,{RING}", "addresses": [f"{HERE}/24"],
                                                 "host": True}}, dataplane={"memory": "128M"})
        self.router = lab.router({**config, "host": {"netns": self.server.name}})
        replay.favour(self.router)
        self.client.warm(HERE)

    def punts_dropped(self):
        """Of what was for the server: over the rate of its class, and over what its ring holds."""
        drops = self.router.drops()
        return drops["punt_policed"], drops["punt_queue_full"]


class Veth(Bed):
    name = "veth"

    def __init__(self, lab):
        super().__init__(lab)
        self.server = lab.router_netns
        self.server.run("ethtool", "-K", "left", "tx", "off", "gso", "off", "tso", "off", "gro", "off")
        self.server.add_address("left", f"{HERE}/24")
        self.client.warm(HERE)


def parts(options, _, row):
    """Rows, where any is wanted."""
    cases = {case: words for case, words in CASES.items() if options.cases.search(case)}
    if not cases:
        return
    try:
        yield list(_rows(cases, options, row))
    except AssertionError as error:
        raise subjects.Failure(error) from error


def _rows(cases, options, row):
    seconds = QUICK_SECONDS if options.quick else SECONDS
    with contextlib.ExitStack() as stack:
        beds = [kind(stack.enter_context(contextlib.closing(Lab()))) for kind in (Tap, Veth)]
        for case, words in cases.items():
            found = {bed.name: [] for bed in beds}
            for _ in range(options.runs):
                for bed in beds:
                    found[bed.name].append(bed.gbits(words, seconds))
            for bed in beds:
                runs = [gbits for gbits, _ in found[bed.name]]
                again = statistics.median(again for _, again in found[bed.name])
                made = row(case, bed.name, "Gbit/s", runs, 3, f"{again:,.0f} segments sent again")
                if bed.name == "millrace":
                    share = statistics.median(runs) / statistics.median(gbits for gbits, _ in found["veth"])
                    policed, full = beds[0].punts_dropped()
                    made["notes"] += (f"; {share:.2f} of the veth's; {'' if made['value'] >= WANTED_GBITS else 'LESS THAN '}"
                                      f"{WANTED_GBITS} Gbit/s is wanted; punts so far: {policed:,} over the rate, {full:,} over "
                                      "the ring")
                    made.update(share_of_veth=round(share, 3), punts_policed=policed, punts_queue_full=full)
                yield made
