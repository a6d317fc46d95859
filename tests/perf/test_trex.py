"""What TRex's counters mean, with an answer as its client gives it."""

import pytest

from rfc2544.trex import shares, way_result
from rfc2544.trial import TrialResult, imix

STATISTICS = {
    "flow_stats": {1: {"tx_pkts": {0: 900, "total": 900}, "rx_pkts": {1: 899, "total": 899}},
                   100: {"tx_pkts": {0: 100, "total": 100}, "rx_pkts": {1: 98, "total": 98}}},
    "latency": {100: {"err_cntrs": {"dropped": 2, "out_of_order": 1, "dup": 3, "seq_too_high": 1, "seq_too_low": 0},
                      "latency": {"average": 22.5, "total_max": 120, "total_min": 8, "jitter": 2,
                                  "histogram": {20: 90, 8: 7, 100: 1}}}},
}


def test_frames_of_all_streams_are_counted_on_their_ports():
    way = way_result((0, 1), [1, 100], STATISTICS, 1.0, 1000)
    assert (way.sent, way.received, way.lost, way.late) == (1000, 997, 3, 0)
    assert (way.reordered, way.duplicates) == (1, 3)


def test_latency_is_in_nanoseconds_and_in_order():
    latency = way_result((0, 1), [1, 100], STATISTICS, 1.0, 1000).latency
    assert (latency.minimum, latency.mean, latency.maximum) == (8000, 22500, 120000)
    assert latency.histogram == [(8000, 7), (20000, 90), (100000, 1)]
    assert len(latency.tagged) == 98 and latency.tagged[-1] == 100000


def test_what_trex_did_not_send_is_late():
    result = TrialResult(2000, 1.0, [way_result((0, 1), [1, 100], STATISTICS, 1.0, 2000)])
    assert result.late == 1000 and not result.offered_as_intended and result.loss_ratio > 0.5


def test_imix_is_seven_to_four_to_one():
    assert dict(shares(imix())) == pytest.approx({64: 7 / 12, 594: 4 / 12, 1518: 1 / 12})
