"""TRex as the engine: its stateless API, spoken to a server that runs already (perf/trex/ has examples of its
configuration).

TRex counts frames and measures the latency of a stream of its own beside the others, in microseconds. It does not tell
when a frame was lost, so that recovery and reset want the built-in engine.
"""

import collections
import os
import sys

from .trial import FCS, Engine, Failure, Latency, WayResult

LATENCY_PPS = 1000
ECHO_PORT, FIRST_SOURCE_PORT = 7, 0xC020
LATENCY_GROUP = 100  # packet groups from here on are those of latency streams
FLOWS_AT_MOST = 0x10000 - FIRST_SOURCE_PORT


def import_api(folder):
    """TRex's own client library, from its installation."""
    if folder:
        sys.path.insert(0, str(folder))
        os.environ.setdefault("TREX_EXT_LIBS", str(folder.resolve().parents[2] / "external_libs"))
    try:
        from trex.stl import api  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Failure(f"TRex's client library is not found ({error}): --trex-client DIR") from error
    return api


def shares(sizes):
    """(size, share of the frames) of a pattern of sizes."""
    return [(size, count / len(sizes)) for size, count in collections.Counter(sizes).items()]


def way_result(way, groups, statistics, seconds, intended):
    """What TRex's counters say of one direction. `groups` are its streams' packet groups, the last one for latency."""
    sender, receiver = way
    flows = statistics["flow_stats"]
    sent = sum(flows[group]["tx_pkts"].get(sender, 0) for group in groups)
    received = sum(flows[group]["rx_pkts"].get(receiver, 0) for group in groups)
    found = statistics["latency"][groups[-1]]
    errors, delays = found["err_cntrs"], found["latency"]
    histogram = sorted((1000.0 * int(us), count) for us, count in delays["histogram"].items())
    latency = None
    if histogram:
        latency = Latency(1000.0 * delays["total_min"], 1000.0 * delays["average"], 1000.0 * delays["total_max"], histogram,
                          [delay for delay, count in histogram for _ in range(count)])
    return WayResult(sent=sent, received=min(received, sent), lost=max(0, sent - received), refused=0,
                     late=max(0, round(intended) - sent), duplicates=errors["dup"], reordered=errors["out_of_order"], wrong=0,
                     seconds=seconds, phase_ends=[], last_lost_sent_at=None, longest_gap=None, latency=latency)


class Trex(Engine):
    name = "TRex"
    tells_when = False

    def __init__(self, options):
        self.api = import_api(options.trex_client)
        self.options = options
        self.client = self.api.STLClient(server=options.trex_server)
        try:
            self.client.connect()
            self.client.reset(ports=[0, 1])
        except self.api.STLError as error:
            raise Failure(f"TRex at {options.trex_server}: {error}") from error
        self.version = self.client.get_server_version()["version"]
        self.trial_of = None

    def learn(self, seconds):
        ports = [0, 1]
        if self.options.gateway_macs:
            for port, mac in zip(ports, self.options.gateway_macs):
                self.client.set_l2_mode(port, mac)
            return
        self.client.set_service_mode(ports, True)
        try:
            for port, address, gateway in zip(ports, self.options.addresses, self.options.gateways):
                self.client.set_l3_mode(port, address, gateway)
            self.client.resolve(ports, retries=int(10 * seconds), verbose=False)
        except self.api.STLError as error:
            raise Failure(f"the device did not answer ARP: {error}") from error
        finally:
            self.client.set_service_mode(ports, False)

    def _packet(self, traffic, way, size):
        api = self.api
        destinations = traffic.destinations(way[1])
        head = (api.Ether() / api.IP(src=self.options.addresses[way[0]], dst=destinations[0]) /
                api.UDP(sport=FIRST_SOURCE_PORT, dport=ECHO_PORT, chksum=0))
        packet = head / bytes(i % 256 for i in range(size - FCS - len(head)))
        steps = []
        if len(destinations) > 1:
            steps += [api.STLVmFlowVar("to", min_value=destinations[0], max_value=destinations[-1], size=4, step=256),
                      api.STLVmWrFlowVar("to", "IP.dst"), api.STLVmFixIpv4("IP")]
        if traffic.flows > 1:
            last = FIRST_SOURCE_PORT + min(traffic.flows, FLOWS_AT_MOST) - 1
            steps += [api.STLVmFlowVar("from", min_value=FIRST_SOURCE_PORT, max_value=last, size=2),
                      api.STLVmWrFlowVar("from", "UDP.sport")]
        return api.STLPktBuilder(pkt=packet, vm=api.STLScVmRaw(steps) if steps else None)

    def _mode(self, phase, share):
        if phase.frames:
            rate = {"pps": phase.rate * share} if phase.rate else {"percentage": 100 * share}
            return self.api.STLTXSingleBurst(total_pkts=max(1, round(phase.frames * share)), **rate)
        return self.api.STLTXCont(pps=phase.rate * share)

    def _streams(self, number, traffic, way, phase):
        """Streams of one direction: one a size, and one for latency, whose frames are taken from the first."""
        api, streams, groups = self.api, [], []
        latency_share = min(0.1, LATENCY_PPS / phase.rate) if phase.rate else 0.01
        parts = shares(traffic.sizes)
        for i, (size, share) in enumerate(parts):
            groups.append(1 + number * 20 + i)
            streams.append(api.STLStream(packet=self._packet(traffic, way, size),
                                         mode=self._mode(phase, share * (1 - latency_share)),
                                         flow_stats=api.STLFlowStats(pg_id=groups[-1])))
        groups.append(LATENCY_GROUP + number)
        streams.append(api.STLStream(packet=self._packet(traffic, way, parts[0][0]),
                                     mode=self._mode(phase, latency_share),
                                     flow_stats=api.STLFlowLatencyStats(pg_id=groups[-1])))
        return streams, groups

    def start(self, traffic, phases, drain):
        if len(phases) > 1 or traffic.destinations_file:
            raise Failure("TRex runs trials of one rate, and without a table: --engine builtin")
        phase, self.trial_of = phases[0], []
        self.client.remove_all_streams(ports=[0, 1])
        for number, way in enumerate(traffic.ways):
            streams, groups = self._streams(number, traffic, way, phase)
            self.client.add_streams(streams, ports=[way[0]])
            self.trial_of.append((way, groups))
        self.phase, self.drain = phase, drain
        self.client.clear_stats()
        # force: TRex refuses what is more than it takes for the line's rate.
        self.client.start(ports=sorted({way[0] for way in traffic.ways}), duration=phase.seconds or -1, force=True)

    def finish(self):
        self.client.wait_on_traffic(ports=[way[0] for way, _ in self.trial_of], rx_delay_ms=int(1000 * self.drain))
        statistics = self.client.get_pgid_stats()
        seconds = self.phase.seconds or (self.phase.frames / self.phase.rate if self.phase.rate else 1.0)
        intended = self.phase.frames or self.phase.rate * seconds
        return [way_result(way, groups, statistics, seconds, intended) for way, groups in self.trial_of]

    def close(self):
        self.client.disconnect()
