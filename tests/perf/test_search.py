"""The searches of perf/rfc2544 find what a device can do, with devices that are a function of the rate."""

import random

import pytest

from rfc2544.mlrsearch import Goal, Load, Search, Trial, classify, conditional_throughput
from rfc2544.search import binary_search
from rfc2544.trial import TrialResult, WayResult, line_rate

LINE = 14_880_952.0


def result(rate, seconds, loss_ratio, late=0):
    sent = int(rate * seconds) - late
    lost = round(sent * loss_ratio)
    way = WayResult(sent=sent, received=sent - lost, lost=lost, refused=0, late=late, duplicates=0, reordered=0, wrong=0,
                    seconds=seconds, phase_ends=[], last_lost_sent_at=None, longest_gap=None, latency=None)
    return TrialResult(rate, seconds, [way])


def capacity(limit, seconds=1.0):
    """A device that forwards `limit` frames a second and drops the rest."""
    return lambda rate, duration=seconds: result(rate, duration, max(0.0, 1 - limit / rate))


def test_the_line_rate_is_that_of_rfc2544_appendix_b():
    assert [round(line_rate((size,), 10e6)) for size in (64, 128, 256, 512, 768, 1024, 1280, 1518)] == [
        14881, 8446, 4529, 2350, 1586, 1197, 962, 813]


@pytest.mark.parametrize("limit", [2_000, 50_000, 1_234_567, 9_999_999, 14_800_000])
@pytest.mark.parametrize("precision", [0.05, 0.005])
def test_binary_search_finds_the_capacity_within_its_precision(limit, precision):
    bounds = binary_search(capacity(limit), 1000, LINE, precision)
    assert bounds.lower.rate <= limit < bounds.upper.rate
    assert (bounds.upper.rate - bounds.lower.rate) / bounds.upper.rate <= precision
    assert bounds.throughput == pytest.approx(bounds.lower.rate, rel=1e-3)


def test_binary_search_ends_at_once_where_nothing_is_lost():
    bounds = binary_search(capacity(2 * LINE), 1000, LINE, 0.01)
    assert bounds.upper is None and bounds.lower.rate == LINE and len(bounds.trials) == 1


def test_binary_search_finds_no_throughput_where_one_frame_in_10000_is_always_lost():
    bounds = binary_search(lambda rate: result(rate, 100.0, 1e-4), 1000, LINE, 0.01)
    assert bounds.lower is None and bounds.throughput == 0
    assert bounds.trials[-1].rate == 1000  # it looked everywhere


def test_binary_search_with_a_loss_ratio_passes_what_loses_less():
    bounds = binary_search(lambda rate: result(rate, 100.0, 1e-4), 1000, LINE, 0.01, loss_ratio=1e-3)
    assert bounds.lower.rate == LINE


def test_a_rate_that_was_not_offered_is_no_throughput():
    """The generator reaches 5 Mpps, the device loses nothing: the answer is what was offered."""

    def measure(rate):
        return result(rate, 1.0, 0.0, late=max(0, int(rate - 5e6)))

    bounds = binary_search(measure, 1000, LINE, 0.01)
    assert bounds.throughput <= 5e6 * 1.001
    assert bounds.throughput == pytest.approx(5e6, rel=0.02)


def test_loss_is_of_what_was_offered_and_a_rate_that_was_not_reached_is_said():
    """RFC 2544 26.3, where the generator was late with half of the frames."""
    late = result(1e6, 1.0, 0.0, late=500_000)
    assert late.loss_of_offered == 0 and not late.rate_reached and late.loss_ratio == 0.5  # a search gives up on it
    lossy = result(1e6, 1.0, 0.1, late=9_000)
    assert lossy.loss_of_offered == pytest.approx(0.1) and lossy.rate_reached


def test_frames_that_came_back_changed_are_losses():
    way = result(1e6, 1.0, 0.0).ways[0]
    way.wrong, way.received, way.lost = 1, way.sent, 0
    assert TrialResult(1e6, 1.0, [way]).loss_ratio > 0


# --- MLRsearch

NDR = Goal("NDR", 0.0, 0.5, 1.0, 4.0, 0.01)
PDR = Goal("PDR", 0.005, 0.5, 1.0, 4.0, 0.01)
RFC2544 = Goal("RFC 2544", 0.0, 0.0, 60.0, 60.0, 0.01, 1.0)

CLASSES = [
    # what, trials (seconds, loss), goal, class
    ("nothing is known", [], NDR, Load.UNDECIDED),
    ("half of the sum was good: it cannot be an upper bound any more", [(1, 0)] * 2, NDR, Load.LOWER_BOUND),
    ("one good one is too few", [(1, 0)], NDR, Load.UNDECIDED),
    ("half of the sum was bad: the rest may still be good", [(1, 0.1)] * 2, NDR, Load.UNDECIDED),
    ("more than half was bad", [(1, 0.1)] * 3, NDR, Load.UPPER_BOUND),
    ("two of each", [(1, 0.1), (1, 0)] * 2, NDR, Load.LOWER_BOUND),
    ("loss at the goal is good", [(1, 0.005)] * 2, PDR, Load.LOWER_BOUND),
    ("loss above the goal is bad", [(1, 0.0051)] * 3, PDR, Load.UPPER_BOUND),
    ("short good trials are no lower bound", [(0.5, 0)] * 20, NDR, Load.UNDECIDED),
    ("short bad trials are an upper bound", [(0.5, 0.1)] * 5, NDR, Load.UPPER_BOUND),
    ("short good trials outweigh as many short bad ones", [(0.5, 0.1)] * 5 + [(0.5, 0)] * 5, NDR, Load.UNDECIDED),
    ("RFC 2544: one good trial of 60 s", [(60, 0)], RFC2544, Load.LOWER_BOUND),
    ("RFC 2544: one bad one", [(60, 1e-9)], RFC2544, Load.UPPER_BOUND),
    ("RFC 2544: a short bad one is enough", [(1, 1e-9)], RFC2544, Load.UPPER_BOUND),
    ("RFC 2544: a short good one is not", [(1, 0)], RFC2544, Load.UNDECIDED),
    ("RFC 2544: no good one makes up for a bad one", [(60, 0.1)] + [(60, 0)] * 9, RFC2544, Load.UPPER_BOUND),
]


def trials_of(*pairs):
    """(seconds, loss ratio) each, of a generator that was in time."""
    return [Trial(seconds, loss, loss) for seconds, loss in pairs]


@pytest.mark.parametrize("what, trials, goal, expected", CLASSES, ids=[row[0] for row in CLASSES])
def test_rfc9971_load_classification(what, trials, goal, expected):
    assert classify(trials_of(*trials), goal) == expected, what


# RFC 9971 appendix C: four goals, and what each makes of one load at six points in time. Of the last goal the appendix calls
# the load a lower bound at points 5 and 6, by exceed ratios of 42.857 % and 27.273 % where 20 % are allowed: by the
# algorithm of appendix A, which is the definition, it stays an upper bound.
EXAMPLE_GOALS = [
    Goal("RFC2544", 0.0, 0.0, 60.0, 60.0, 0.01),
    Goal("TST009", 0.0, 0.5, 60.0, 120.0, 0.01),
    Goal("1s final", 0.005, 0.5, 1.0, 120.0, 0.01),
    Goal("20% exceed", 0.005, 0.2, 60.0, 60.0, 0.01),
]
GOOD, BAD, LONG_BAD, LONG_GOOD = (1, 0.0), (1, 0.01), (60, 0.001), (60, 0.0)
UP, LOW, OPEN = Load.UPPER_BOUND, Load.LOWER_BOUND, Load.UNDECIDED
EXAMPLE_POINTS = [
    ("1: first short good", [GOOD] * 59, [OPEN, OPEN, OPEN, OPEN]),
    ("2: first short bad", [GOOD] * 59 + [BAD], [UP, OPEN, OPEN, OPEN]),
    ("3: last short bad", [GOOD] * 59 + [BAD] * 60, [UP, OPEN, OPEN, UP]),
    ("4: last short good", [GOOD] * 60 + [BAD] * 60, [UP, OPEN, LOW, UP]),
    ("5: first long bad", [GOOD] * 60 + [BAD] * 60 + [LONG_BAD], [UP, OPEN, LOW, UP]),
    ("6: first long good", [GOOD] * 60 + [BAD] * 60 + [LONG_BAD, LONG_GOOD], [UP, LOW, LOW, UP]),
]


@pytest.mark.parametrize("point, trials, expected", EXAMPLE_POINTS, ids=[row[0] for row in EXAMPLE_POINTS])
def test_rfc9971_example_search_classifies_as_the_rfc_does(point, trials, expected):
    assert [classify(trials_of(*trials), goal) for goal in EXAMPLE_GOALS] == expected, point


def test_rfc9971_example_search_has_the_conditional_throughputs_of_the_rfc():
    trials = trials_of(*EXAMPLE_POINTS[-1][1])
    found = [conditional_throughput(1e6, trials, goal) for goal in EXAMPLE_GOALS[1:]]
    assert found == [1e6, 1e6, pytest.approx(999_000)]


def test_conditional_throughput_is_what_came_through_where_the_generator_was_late_within_its_tolerance():
    """No frame that was sent is lost, and so the load is met; but a tenth of it was never sent."""
    assert conditional_throughput(1e6, [Trial(60.0, 0.0, 0.1)], RFC2544) == pytest.approx(0.9e6)


def test_rfc9971_a_goal_whose_bounds_another_goal_moved_is_searched_for_again():
    """The device gets worse while the second goal has its many trials, some of them at the bounds of the first."""
    coarse = Goal("coarse", 0.0, 0.5, 1.0, 12.0, 0.05)
    seen = []

    def measure(rate, seconds):
        seen.append(rate)
        return result(rate, seconds, max(0.0, 1 - (3e6 if len(seen) <= 30 else 2e6) / rate))

    for found in Search(measure, 1000, LINE, [NDR, coarse]).results():
        assert found.regular and (found.upper - found.lower) / found.upper <= found.goal.width, found


def test_rfc9971_bounds_that_are_too_far_apart_are_irregular():
    search = Search(capacity(3e6), 1000, LINE, [NDR])
    for load, loss in ((1e6, 0.0), (2e6, 0.5)):
        search.trials[load] = trials_of(*[(1, loss)] * 4)
    found = search._result(NDR)  # pylint: disable=protected-access
    assert (found.lower, found.upper, found.regular) == (1e6, 2e6, False)


def test_rfc9971_conditional_throughput_takes_the_loss_that_half_of_the_time_did_not_exceed():
    trials = trials_of((1, 0.0), (1, 0.001), (1, 0.2), (1, 0.3))
    assert conditional_throughput(1e6, trials, PDR) == pytest.approx(1e6 * 0.999)
    assert conditional_throughput(1e6, trials_of(*[(1, 0.0)] * 4), PDR) == 1e6
    assert conditional_throughput(1e6, trials_of((1, 0.0)), PDR) == 0  # a second of the two that it takes


@pytest.mark.parametrize("limit", [30_000, 2_345_678, 14_000_000])
def test_mlrsearch_finds_several_throughputs_in_one_search(limit):
    search = Search(capacity(limit), 1000, LINE, [NDR, PDR])
    ndr, pdr = search.results()
    assert ndr.regular and ndr.lower <= limit < ndr.upper
    assert (ndr.upper - ndr.lower) / ndr.upper <= 0.01
    # Of the rate that loses 0.5 %.
    assert pdr.lower <= limit / 0.995 < pdr.upper and (pdr.upper - pdr.lower) / pdr.upper <= 0.01
    assert pdr.conditional_throughput == pytest.approx(limit, rel=0.015)


def test_mlrsearch_ends_at_the_highest_load_where_nothing_is_lost():
    search = Search(capacity(2 * LINE), 1000, LINE, [NDR])
    [ndr] = search.results()
    assert ndr.lower == LINE and ndr.upper is None and not ndr.regular
    assert ndr.conditional_throughput == pytest.approx(LINE, rel=1e-6)


def test_mlrsearch_meets_no_goal_without_loss_where_one_frame_in_10000_is_always_lost():
    ndr, pdr = Search(lambda rate, seconds: result(rate, seconds * 100, 1e-4), 1000, LINE, [NDR, PDR]).results()
    assert ndr.lower is None and ndr.conditional_throughput == 0
    assert pdr.lower == LINE


def test_mlrsearch_tolerates_what_exceeds_a_goal_for_less_than_half_of_the_time():
    """Each third trial loses frames whatever the rate: a machine that is disturbed now and then."""
    seed = random.SystemRandom().randrange(1 << 30)
    numbers = random.Random(seed)
    device = capacity(3e6)

    def measure(rate, seconds):
        return result(rate, seconds, 0.01) if numbers.random() < 0.2 else device(rate, seconds)

    goal = Goal("NDR", 0.0, 0.5, 1.0, 21.0, 0.02)
    [ndr] = Search(measure, 1000, LINE, [goal]).results()
    assert ndr.lower is not None and 2.5e6 < ndr.lower <= 3e6, f"seed {seed}"


def test_mlrsearch_uses_short_trials_to_find_the_region_and_long_ones_to_be_sure():
    search = Search(capacity(3e6), 1000, LINE, [RFC2544])
    [found] = search.results()
    assert found.lower <= 3e6 < found.upper and (found.upper - found.lower) / found.upper <= 0.01
    long = [trial for trial in search.results_of_trials if trial.seconds >= 60]
    assert 1 <= len(long) <= 4
    assert sum(trial.seconds for trial in search.results_of_trials) < 60 * 8
