"""What TRex's counters mean, with the answers of a TRex v3.08 whose frames went through a wire that drops each 100th."""

import argparse
import types

import pytest

from rfc2544 import trex
from rfc2544.trex import Trex, hdr_histogram, latency_of, shares, way_result, whole
from rfc2544.trial import Failure, Phase, Traffic, TrialResult, imix

DELAYS = {
    "average": 1940.0, "jitter": 3232, "last_max": 11937, "total_max": 11937, "total_min": 26,
    "hdrh": "HISTFAAAAMh4nC2OzwpBQRyF73xzdVNkcdNNkSRJspCFJEmWugt5AFnKwsLSRmEhSyVl7Sk8hPICsrZRXsDxZ2rm/PrmnDOTXu18x3Guzm/Z"
            "v5rvedgv2s8fqJGgQQWK5EnikyFCoF3A6Cqq2SckxUgal7ZEe5xc+qyNSMBQYw3rBkp0lYyTU87Kb8RzzFSfwKOp/pvhZTla5myMeOg2lSjJG6XKhK"
            "ncKbaGu+VhOKP+8vdlT1pUa52B2Fh+j8/nOyxj+nSWjSvfxfIGnsUbbQ==",
    "histogram": {20: 1, 30: 1, 60: 1, 80: 1, 90: 1, 100: 8, 200: 7, 300: 5, 400: 3, 700: 2, 800: 3, 900: 5, 1000: 23, 2000: 14,
                  3000: 9, 4000: 11, 7000: 2, 8000: 1, 9000: 1, 10000: 2}}
STATISTICS = {
    "flow_stats": {1: {"tx_pkts": {0: 901, 1: 0, "total": 901}, "rx_pkts": {0: 0, 1: 891, "total": 891}},
                   100: {"tx_pkts": {0: 101, 1: 0, "total": 101}, "rx_pkts": {0: 0, 1: 101, "total": 101}}},
    "latency": {100: {"err_cntrs": {"dropped": 0, "out_of_order": 0, "dup": 0, "seq_too_high": 0, "seq_too_low": 0},
                      "latency": DELAYS}},
}
SENT = 1002


def test_frames_of_all_streams_are_counted_on_their_ports():
    way = way_result((0, 1), [1, 100], STATISTICS, 1.0, 1000)
    assert (way.sent, way.received, way.lost, way.late) == (SENT, 992, 10, 0)
    assert (way.reordered, way.duplicates) == (0, 0)


def test_what_trex_did_not_send_is_late():
    result = TrialResult(2000, 1.0, [way_result((0, 1), [1, 100], STATISTICS, 1.0, 2000)])
    assert result.late == 2000 - SENT and not result.offered_as_intended and result.loss_ratio > 0.5


def test_latency_is_that_of_the_precise_histogram():
    latency = latency_of(DELAYS)
    assert (latency.minimum, latency.maximum) == (26_000, 11_936_000)
    assert latency.minimum < latency.mean < latency.maximum
    assert latency.histogram == sorted(latency.histogram) and len(latency.tagged) == 101
    coarse = latency_of({name: value for name, value in DELAYS.items() if name != "hdrh"})
    for precise, digit in zip(latency.tagged, coarse.tagged):
        assert digit <= precise < digit + 10 ** (len(str(int(digit))) - 1)


def test_a_server_without_hdrh_is_named_so(make):
    engine = make()
    run(engine, Phase(1_000, 1.0))
    run(engine, Phase(1_000, 1.0))
    assert engine.version == "v3.08 without --hdrh: latencies have one digit"


def test_no_latency_frame_is_no_latency():
    assert latency_of({"histogram": {}, "total_min": 0, "average": 0.0}) is None


def test_a_histogram_of_another_form_is_refused():
    with pytest.raises(Failure, match="form"):
        hdr_histogram("HISTBAAAABZ4nJNpmczMgABMUJoRSnPBJAAvggFE")


def test_imix_is_seven_to_four_to_one():
    assert dict(shares(imix())) == pytest.approx({64: 7 / 12, 594: 4 / 12, 1518: 1 / 12})


@pytest.mark.parametrize("frames", [1, 2, 5, 64, 65, 100_000, 30_000_001])
def test_a_burst_has_the_frames_that_were_asked_for(frames):
    counts = whole(frames, [7 / 12, 4 / 12, 1 / 12])
    assert sum(counts) == frames and min(counts) >= 0


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Client:
    """A server that sends at most `pps`, and, as TRex does, all that it was asked for, however long that takes; and a device
    that answers ARP from `answers_at` on."""

    def __init__(self, clock, pps=1e9, answers_at=0.0):
        self.clock, self.pps, self.answers_at = clock, pps, answers_at
        self.streams, self.service, self.macs, self.stopped_at = [], False, {}, None
        self.ports = [types.SimpleNamespace(set_l3_mode=lambda *words, port=port: self._set_macs(port, words)) for port in (0, 1)]

    def _set_macs(self, port, words):
        self.macs[port] = words
        return self.service

    def set_service_mode(self, _, enabled):
        self.service = enabled

    def set_l3_mode(self, port, address, gateway):
        assert self.service
        self.clock.sleep(0.1 if self.clock.now >= self.answers_at else 3)
        if self.clock.now < self.answers_at:
            raise RuntimeError("Could not resolve following ports")
        self.macs[port] = (address, gateway)

    def remove_all_streams(self, ports):
        self.streams = []

    def add_streams(self, streams, ports):
        self.streams += streams

    def start(self, ports, duration, force):
        self.began, self.stopped_at = self.clock.now, None
        self.frames = sum(stream.mode.get("total_pkts") or stream.mode["pps"] * duration for stream in self.streams)
        self.takes = max(self.frames / self.pps, self.frames / sum(stream.mode["pps"] for stream in self.streams))

    def is_traffic_active(self, ports):
        return self.clock.now < self.began + self.takes

    def stop(self, ports, rx_delay_ms):
        self.stopped_at = self.clock.now

    def get_pgid_stats(self):
        sent = round(self.frames * min(1.0, (self.stopped_at - self.began) / self.takes))
        groups = [stream.flow_stats.pg_id for stream in self.streams]
        flows = {group: {"tx_pkts": {}, "rx_pkts": {}} for group in groups}
        flows[groups[0]] = {"tx_pkts": {0: sent}, "rx_pkts": {1: sent}}
        latency = {"err_cntrs": {"dup": 0, "out_of_order": 0}, "latency": {"histogram": {20: 1}}}
        return {"flow_stats": flows, "latency": {group: latency for group in groups if group >= trex.LATENCY_GROUP}}


class Part:
    """An object of TRex's client library: its keywords."""

    def __init__(self, *_, **keywords):
        self.__dict__.update(keywords)


@pytest.fixture
def make(monkeypatch):
    """Trex with such a client."""

    def make(gateway_macs=None, **of_client):
        clock = Clock()
        monkeypatch.setattr(trex, "time", clock)
        engine = Trex.__new__(Trex)
        engine.version = "v3.08"
        engine.api = types.SimpleNamespace(
            STLError=RuntimeError, STLStream=Part, STLFlowStats=Part, STLFlowLatencyStats=Part,
            STLTXCont=lambda **mode: mode, STLTXSingleBurst=lambda **mode: mode)
        engine.options = argparse.Namespace(addresses=["198.18.0.2", "198.19.0.2"], gateways=["198.18.0.1", "198.19.0.1"],
                                            gateway_macs=gateway_macs, line_rate=1.0)
        engine.client = Client(clock, **of_client)
        engine._packet = lambda traffic, way, size: size  # pylint: disable=protected-access
        return engine

    return make


def run(engine, phase, sizes=(64,)):
    return engine.trial(Traffic("test", sizes, ((0, 1),)), [phase], 0.05)[0]


def test_a_trial_in_time_is_as_long_as_it_was_asked_to_be(make):
    way = run(make(), Phase(100_000, 2.0))
    assert (way.sent, way.late, way.seconds) == (200_000, 0, 2.0)


def test_a_rate_that_trex_does_not_reach_is_not_said_to_be_offered(make):
    """2 million frames in one second took a TRex on veth ten."""
    engine = make(pps=200_000)
    way = run(engine, Phase(2e6, 1.0))
    assert engine.client.stopped_at < 1.1, "the trial was not ended"
    result = TrialResult(2e6, 1.0, [way])
    assert result.offered == pytest.approx(200_000, rel=0.01)
    assert result.late_ratio == pytest.approx(0.9, abs=0.01) and not result.rate_reached


def test_a_burst_goes_at_the_rate_of_the_line(make):
    engine = make()
    way = run(engine, Phase(0, frames=1_000_000))
    assert way.sent == 1_000_000 and sum(stream.mode["total_pkts"] for stream in engine.client.streams) == 1_000_000
    assert way.sent / way.seconds == pytest.approx(1e9 / (8 * 84), rel=0.01)


@pytest.mark.parametrize("sizes", [(64,), imix()], ids=["64", "IMIX"])
def test_a_burst_of_one_frame_is_one_stream_that_ends(make, sizes):
    engine = make()
    way = run(engine, Phase(0, frames=1), sizes)
    assert way.sent == 1 and way.latency is None
    assert [stream.mode["total_pkts"] for stream in engine.client.streams] == [1]


def test_a_burst_that_does_not_end_is_a_failure(make):
    with pytest.raises(Failure, match="end of a burst"):
        run(make(pps=1), Phase(0, frames=1_000_000))


def test_a_burst_that_trex_sends_slowly_has_that_rate_and_all_its_frames(make):
    way = run(make(pps=200_000), Phase(0, frames=1_000_000))
    assert way.sent == 1_000_000 and way.late == 0
    assert way.sent / way.seconds == pytest.approx(200_000, rel=0.01)


def test_a_device_that_is_not_there_yet_is_asked_again(make):
    engine = make(answers_at=7.0)
    engine.learn(10)
    assert engine.client.macs == {0: ("198.18.0.2", "198.18.0.1"), 1: ("198.19.0.2", "198.19.0.1")}
    assert not engine.client.service


def test_a_device_that_does_not_answer_is_a_failure(make):
    engine = make(answers_at=1e9)
    with pytest.raises(Failure, match="did not answer ARP"):
        engine.learn(5)
    assert not engine.client.service


def test_macs_that_are_given_are_set_beside_the_addresses(make):
    """So that the port answers the device's ARP; and TRex wants its service mode for it."""
    engine = make(gateway_macs=["02:00:00:00:00:01", "02:00:00:00:00:02"])
    engine.learn(5)
    assert engine.client.macs[1] == ("198.19.0.2", "198.19.0.1", "02:00:00:00:00:02")
    assert not engine.client.service
