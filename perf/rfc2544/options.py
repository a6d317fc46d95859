"""The command line."""

import argparse
import pathlib
import shlex

from .settings import FULL, NORMAL, QUICK
from .trial import LEAST, network_of

TESTS = ("throughput", "mlr", "latency", "loss", "back-to-back", "recovery", "reset")
SIZES_OF = ("sizes", "mlr_sizes", "latency_sizes", "loss_sizes")  # settings


def _parser():
    parser = argparse.ArgumentParser(
        prog="perf/rfc2544.sh", description="RFC 2544 measurements of a millraced that is started here, or of any device.",
        epilog="docs/benchmarking.md says how to read the report and how to tune a machine.")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="four frame sizes, trials of 0.3 s: under three minutes")
    length.add_argument("--full", action="store_true",
                        help="as the RFCs ask: trials of 60 s, 20 latency trials of 120 s, "
                        "50 bursts; takes a day or more")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, default=pathlib.Path("build-perf/rfc2544.json"),
                        help="where the figures go; the report is beside it as .html and .md (build-perf/rfc2544.json)")
    what = parser.add_argument_group("what is measured")
    what.add_argument("--tests", metavar="LIST", default=",".join(TESTS), help=f"of {','.join(TESTS)} (all)")
    what.add_argument("--ipv6", action="store_true", help="IPv6 frames; those of 64 bytes, that IPv6, UDP and the stamp do "
                      "not fit into, have 78")
    what.add_argument("--sizes", metavar="LIST", help="frame sizes with FCS, and IMIX: 64,512,IMIX")
    what.add_argument("--bidirectional", action="store_true", help="both ways at once; rates are of each way")
    what.add_argument("--networks", metavar="N", type=int, default=1, help="destination networks, 1 to 254 (1)")
    what.add_argument("--flows", metavar="N", type=int, default=1, help="flows, by their UDP source port (1)")
    table = what.add_mutually_exclusive_group()
    table.add_argument("--table4", metavar="FILE", type=pathlib.Path,
                       help="millraced gets this table (gzip, \"prefix index\" "
                       "a line), and frames go to random addresses in it")
    table.add_argument("--table6", metavar="FILE", type=pathlib.Path, help="the same of IPv6")
    what.add_argument("--draw", choices=["prefix", "zipf"], default="prefix",
                      help="which prefixes of the table (prefix)")
    what.add_argument("--churn", action="store_true",
                      help="and 100,000 of its routes change a second during the trials")
    what.add_argument("--line-rate", metavar="GBIT", type=float, default=10.0,
                      help="of the ports, for theory and as the "
                      "highest rate (10)")
    what.add_argument("--trial", metavar="S", type=float, help="seconds of a throughput or loss trial")
    what.add_argument("--precision", metavar="SHARE", type=float, help="of a throughput, 0.01 for 1 %%")
    device = parser.add_argument_group("the device under test")
    device.add_argument("--device", choices=["millrace", "wire", "external"], default="millrace",
                        help="millraced or a bare "
                        "wire, started here; or one that is there (millrace)")
    device.add_argument("--link", choices=["memif", "af_packet"], default="memif",
                        help="to a device started here (memif)")
    device.add_argument("--wire-options", metavar="TEXT", type=shlex.split, default=[],
                        help="such as '--drop-one-in 10000'")
    device.add_argument("--ports", metavar="PORT", nargs=2,
                        help="of the generator, to an external device: PCI addresses or "
                        "DPDK devargs")
    device.add_argument("--addresses", metavar="A", nargs=2,
                        help="of the tester on its ports (198.18.0.2 198.19.0.2; 2001:2:0:1800::2 2001:2:0:1900::2)")
    device.add_argument("--gateways", metavar="A", nargs=2,
                        help="of the device (198.18.0.1 198.19.0.1; 2001:2:0:1800::1 2001:2:0:1900::1)")
    device.add_argument("--gateway-macs", metavar="MAC", nargs=2, help="of the device; default: ARP or ND tells")
    device.add_argument("--name", default="external", help="of an external device, for the report")
    device.add_argument("--reset-command", metavar="COMMAND", help="restarts an external device")
    engine = parser.add_argument_group("the engine and the machine")
    engine.add_argument("--engine", choices=["builtin", "trex"], default="builtin",
                        help="what sends and receives (builtin)")
    engine.add_argument("--trex-server", metavar="HOST", default="127.0.0.1", help="where TRex runs (127.0.0.1)")
    engine.add_argument("--trex-client", metavar="DIR", type=pathlib.Path,
                        help="TRex's automation/trex_control_plane/interactive")
    engine.add_argument("--generator-core", metavar="N", type=int, default=0, help="(0)")
    engine.add_argument("--device-core", metavar="N", type=int, default=1, help="of a device started here (1)")
    engine.add_argument("--control-core", metavar="N", type=int, default=0, help="of millraced's control threads (0)")
    engine.add_argument("--rx-queues", metavar="N", type=int,
                        help="of the generator's ports; over memif as many as the "
                        "device has transmit queues (2 for a millraced that is started here over memif, else 1)")
    engine.add_argument("--nice", metavar="N", type=int, default=-10, help="of generator and device (-10)")
    engine.add_argument("--no-huge", action="store_true", help="without hugepages")
    engine.add_argument("--build", metavar="DIR", type=pathlib.Path, default=pathlib.Path("build-perf"),
                        help=argparse.SUPPRESS)
    return parser


def _sizes(parser, text, least):
    sizes = tuple(text.split(","))
    for size in sizes:
        if size != "IMIX" and not (size.isdigit() and least <= int(size) <= 1518):
            parser.error(f"a frame size is {least} to 1518, or IMIX: not {size}")
    return sizes


def _settings(parser, options):
    settings = QUICK if options.quick else FULL if options.full else NORMAL
    least = LEAST[options.ipv6]
    if options.sizes:
        sizes = _sizes(parser, options.sizes, least)
        changes = dict.fromkeys(SIZES_OF, sizes)
    else:
        changes = {name: tuple(size if size == "IMIX" else str(max(least, int(size))) for size in getattr(settings, name))
                   for name in SIZES_OF}
    if options.trial:
        changes["trial"] = options.trial
    if options.precision:
        changes["precision"] = options.precision
    return settings.__class__(**{**settings.__dict__, **changes})


def parse(words=None):
    parser = _parser()
    options = parser.parse_args(words)
    options.tests = options.tests.split(",")
    for test in options.tests:
        if test not in TESTS:
            parser.error(f"no test is {test}: there are {', '.join(TESTS)}")
    if not 1 <= options.networks <= 254:
        parser.error("--networks wants 1 to 254")
    if options.ipv6 and options.table4:
        parser.error("--table4 is of IPv4")
    options.table, options.ipv6 = options.table4 or options.table6, options.ipv6 or options.table6 is not None
    if options.churn and not options.table:
        parser.error("--churn wants --table4 or --table6")
    if options.table and options.device != "millrace":
        parser.error("a table is for a millraced that is started here")
    if options.ipv6 and options.engine == "trex":
        parser.error("TRex's streams are of IPv4: --engine builtin")
    if options.device == "external" and options.engine == "builtin" and not options.ports:
        parser.error("an external device wants --ports")
    if options.engine == "trex" and options.device != "external":
        parser.error("TRex has ports of its own: --device external")
    if options.rx_queues is None:
        # A millraced's worker and its control thread each have a transmit queue.
        options.rx_queues = 2 if options.device == "millrace" and options.link == "memif" else 1
    hosts = [network_of(port, 0, options.ipv6)[1] for port in (0, 1)]
    options.addresses = options.addresses or hosts
    options.gateways = options.gateways or [host.removesuffix("2") + "1" for host in hosts]
    options.settings = _settings(parser, options)
    return options
