"""TRex as the engine: its stateless API, spoken to a server that runs already (perf/trex/ has examples of its
configuration).

TRex counts frames and measures the latency of a stream of its own beside the others, in microseconds. It does not tell
when a frame was lost, so that recovery and reset want the built-in engine.
"""

import base64
import collections
import contextlib
import os
import struct
import sys
import time
import zlib

from .trial import FCS, Engine, Failure, Latency, WayResult, line_rate

PORTS = [0, 1]
LATENCY_PPS = 1000
ECHO_PORT, FIRST_SOURCE_PORT = 7, 0xC020
LATENCY_GROUP = 100  # packet groups from here on are those of latency streams
FLOWS_AT_MOST = 0x10000 - FIRST_SOURCE_PORT
SLACK_S = 0.02  # by which the client may learn late that the last frame was sent
BURST_PATIENCE = 100  # times the time that a burst takes on the line, and a second
HDR_HEADER = struct.Struct(">IiiiqqQ")  # cookie, length, offset, digits, least and most value, ratio
HDR_V2_COOKIE = 0x1C849313


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


def whole(frames, parts):
    """So many frames in these shares, in whole numbers; what is left over or too much is the largest's."""
    counts = [round(frames * share) for share in parts]
    counts[parts.index(max(parts))] += frames - sum(counts)
    return counts


def hdr_histogram(text):
    """(microseconds, count) in order, of an HdrHistogram V2 as a server that runs with --hdrh gives it: values from 1 us,
    with three digits. Its counts are zigzag LEB128; a negative one is so many zeros."""
    body = zlib.decompress(base64.b64decode(text)[8:])  # after the cookie and length of what is compressed
    cookie, length, _, digits, least, _, _ = HDR_HEADER.unpack_from(body)
    if (cookie, digits, least) != (HDR_V2_COOKIE, 3, 1):
        raise Failure("TRex's HdrHistogram is of a form that is not known here")
    found, index, number, shift = [], 0, 0, 0
    for byte in body[HDR_HEADER.size:HDR_HEADER.size + length]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            continue
        count = (number >> 1) ^ -(number & 1)
        if count > 0:
            # The first 2,048 values have a place each; then 1,024 places at a time are twice as wide as those before.
            bucket = max(0, (index >> 10) - 1)
            found.append(((index - (bucket << 10)) << bucket, count))
        index += max(1, -count)
        number = shift = 0
    return found


def latency_of(delays):
    """From the histogram alone: TRex's least, most and average are of some of the frames, or of the last ones."""
    if "hdrh" in delays:
        histogram = hdr_histogram(delays["hdrh"])
    else:
        histogram = sorted(delays["histogram"].items())
    if not histogram:
        return None
    histogram = [(1000.0 * us, count) for us, count in histogram]
    mean = sum(delay * count for delay, count in histogram) / sum(count for _, count in histogram)
    return Latency(histogram[0][0], mean, histogram[-1][0], histogram,
                   [delay for delay, count in histogram for _ in range(count)])


def way_result(way, groups, statistics, seconds, intended):
    """What TRex's counters say of one direction; `groups` are its streams' packet groups."""
    sender, receiver = way
    flows = statistics["flow_stats"]
    sent = sum(flows[group]["tx_pkts"].get(sender, 0) for group in groups)
    received = sum(flows[group]["rx_pkts"].get(receiver, 0) for group in groups)
    found = statistics["latency"].get(groups[-1])
    errors = found["err_cntrs"] if found else {"dup": 0, "out_of_order": 0}
    return WayResult(sent=sent, received=min(received, sent), lost=max(0, sent - received), refused=0,
                     late=max(0, round(intended) - sent), duplicates=errors["dup"], reordered=errors["out_of_order"], wrong=0,
                     seconds=seconds, phase_ends=[], last_lost_sent_at=None, longest_gap=None,
                     latency=latency_of(found["latency"]) if found else None)


class Trex(Engine):
    name = "TRex"
    tells_when = False

    def __init__(self, options):
        self.api = import_api(options.trex_client)
        self.options = options
        self.client = self.api.STLClient(server=options.trex_server)
        with self._asked(f"at {options.trex_server}"):
            self.client.connect()
            self.client.reset(ports=PORTS)
            self.version = self.client.get_server_version()["version"]
        self.trial_of = None

    @contextlib.contextmanager
    def _asked(self, what):
        try:
            yield
        except self.api.STLError as error:
            raise Failure(f"TRex {what}: {error}") from error

    def learn(self, seconds):
        end = time.monotonic() + seconds
        with self._asked("and the device"):
            self.client.set_service_mode(PORTS, True)
            try:
                for port in PORTS:
                    self._learn(port, end)
            finally:
                self.client.set_service_mode(PORTS, False)

    def _learn(self, port, end):
        address, gateway = self.options.addresses[port], self.options.gateways[port]
        if self.options.gateway_macs:
            # Not set_l2_mode(): without its address the port would not answer when the device asks for it.
            done = self.client.ports[port].set_l3_mode(address, gateway, self.options.gateway_macs[port])
            if not done:
                raise Failure(f"TRex does not take the device's MAC: {done.err()}")
            return
        while True:
            try:
                self.client.set_l3_mode(port, address, gateway)  # asks once, and waits 3 s
                return
            except self.api.STLError as error:
                if time.monotonic() >= end:
                    raise Failure(f"the device did not answer ARP: {error}") from error

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

    def _streams(self, number, traffic, way, phase):
        """Streams of one direction: one a size, and one for latency, whose frames are taken from the first; none for that
        in a burst, which is to have the frames that were asked for."""
        api, streams, groups = self.api, [], []
        latency_share = 0 if phase.frames else min(0.1, LATENCY_PPS / self.rate)
        parts = [(1 + number * 20 + i, size, share * (1 - latency_share)) for i, (size, share) in enumerate(shares(traffic.sizes))]
        if latency_share:
            parts.append((LATENCY_GROUP + number, parts[0][1], latency_share))
        counts = whole(phase.frames, [share for _, _, share in parts])
        for (group, size, share), count in zip(parts, counts):
            if not phase.frames:
                mode = api.STLTXCont(pps=self.rate * share)
            elif count:
                mode = api.STLTXSingleBurst(total_pkts=count, pps=self.rate * count / phase.frames)
            else:
                continue
            statistics = api.STLFlowStats if group < LATENCY_GROUP else api.STLFlowLatencyStats
            streams.append(api.STLStream(packet=self._packet(traffic, way, size), mode=mode, flow_stats=statistics(pg_id=group)))
            groups.append(group)
        return streams, groups

    def start(self, traffic, phases, drain):
        if len(phases) > 1 or traffic.destinations_file:
            raise Failure("TRex runs trials of one rate, and without a table: --engine builtin")
        phase, self.trial_of = phases[0], []
        self.phase, self.drain = phase, drain
        self.rate = phase.rate or line_rate(traffic.sizes, 1e9 * self.options.line_rate)
        with self._asked("does not start"):
            self.client.remove_all_streams(ports=PORTS)
            for number, way in enumerate(traffic.ways):
                streams, groups = self._streams(number, traffic, way, phase)
                self.client.add_streams(streams, ports=[way[0]])
                self.trial_of.append((way, groups))
            # force: TRex refuses what is more than it takes for the line's rate.
            self.client.start(ports=self._senders(), duration=phase.seconds or -1, force=True)
        self.began = time.monotonic()

    def _senders(self):
        return [way[0] for way, _ in self.trial_of]

    def finish(self):
        """TRex sends all that it was asked for, however long that takes it: a trial of a time is ended when it is over, and
        what was not sent by then is late."""
        seconds = self.phase.seconds or self.phase.frames / self.rate
        # A burst is sent whole, but not for ever: a client that takes the ports leaves this one without news of its end.
        patience = BURST_PATIENCE * (1 + seconds) if self.phase.frames else seconds + SLACK_S
        ports = self._senders()
        with self._asked("does not finish"):
            while (sends := self.client.is_traffic_active(ports=ports)) and time.monotonic() < self.began + patience:
                time.sleep(0.001)
            took = time.monotonic() - self.began
            self.client.stop(ports=ports, rx_delay_ms=int(1000 * self.drain))
            statistics = self.client.get_pgid_stats()
        if sends and self.phase.frames:
            raise Failure(f"TRex has not come to the end of a burst of {self.phase.frames:,} frames in {patience:.0f} s")
        if any(group in statistics["latency"] and "hdrh" not in statistics["latency"][group]["latency"]
               for _, groups in self.trial_of for group in groups):
            self.version = self.version.split()[0] + " without --hdrh: latencies have one digit"
        if self.phase.frames:
            seconds = max(seconds, took - SLACK_S)
        elif sends or took > seconds + SLACK_S:
            seconds = took
        intended = self.phase.frames or self.rate * seconds
        return [way_result(way, groups, statistics, seconds, intended) for way, groups in self.trial_of]

    def close(self):
        self.client.disconnect()
