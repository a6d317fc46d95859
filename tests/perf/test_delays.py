"""Latency and its variation, as RFC 2544 and RFC 8219 define them."""

import random
import statistics

import pytest

from rfc2544 import delays
from rfc2544.trial import Latency


def latency(values):
    counts = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return Latency(min(values), statistics.mean(values), max(values), sorted(counts.items()), values)


def test_a_percentile_is_the_nearest_rank():
    values = list(range(1, 1001))
    random.Random(1).shuffle(values)
    assert delays.percentile(values, 0.5) == 500
    assert delays.percentile(values, 0.999) == 999
    assert delays.percentile(values, 1) == 1000
    assert delays.percentile([7], 0.01) == 7


def test_a_histogram_has_the_percentiles_of_its_values():
    numbers = random.Random(2)
    values = [int(numbers.expovariate(1 / 1000)) for _ in range(5000)]
    histogram = latency(values).histogram
    for share in (0.001, 0.5, 0.9, 0.99, 0.999, 1):
        assert delays.histogram_percentile(histogram, share) == delays.percentile(values, share)


def test_a_histogram_without_values_has_no_percentiles():
    with pytest.raises(ValueError):
        delays.histogram_percentile([], 0.5)


def test_rfc8219_typical_and_worst_case_latency():
    tagged = [1000.0] * 600 + [2000.0] * 399 + [9000.0]
    assert delays.typical(tagged) == 1000
    assert delays.worst_case(tagged) == 2000
    assert delays.worst_case(tagged + [9000.0]) == 9000


def test_rfc8219_pdv_is_the_99_9th_percentile_less_the_least():
    assert delays.pdv([(100, 1), (500, 998), (700, 1)]) == 400
    assert delays.pdv([(100, 1), (500, 997), (700, 2)]) == 600


def test_directions_are_taken_together():
    found = delays.summary([latency([10.0] * 10), latency([30.0] * 10)])
    assert found["average"] == 20 and found["minimum"] == 10 and found["maximum"] == 30
    assert found["percentiles"]["50"] == 10 and found["percentiles"]["75"] == 30 and found["tagged_frames"] == 20


def test_over_trials_the_median_with_the_1st_and_99th_percentile():
    summaries = [{"typical": value} for value in range(1, 101)]
    assert delays.over_trials(summaries, "typical") == {"median": 50.5, "p1": 1, "p99": 99}
