"""Throughput by binary search: RFC 2544 26.1.

`measure(rate)` runs a trial and returns its TrialResult. What comes out is the highest rate whose trial had no loss and
the lowest whose trial had; they lie within the precision of each other.
"""

import dataclasses


@dataclasses.dataclass
class Bounds:
    """`lower`: the trial of the highest rate that passed, `upper`: that of the lowest that did not; None: there is
    none."""

    lower: object
    upper: object
    trials: list
    loss_ratio: float = 0.0

    @property
    def throughput(self):
        """What was offered, not what was asked for, in the best trial that passed: in a lower one it can be more where
        the generator was late in the higher."""
        return max((trial.offered for trial in self.trials if passes(trial, self.loss_ratio)), default=0.0)


def passes(result, loss_ratio):
    return result.loss_ratio <= loss_ratio


def binary_search(measure, low, high, precision, loss_ratio=0.0):
    """Between the rates `low` and `high`; `precision` is relative to the upper bound.

    The first trial is at `high`, the second at what then came through: the capacity of most devices is near that. From
    there the interval doubles until it holds the answer, and then is halved.
    """
    trials = []

    def trial(rate):
        result = measure(rate)
        trials.append(result)
        return result

    first = trial(high)
    if passes(first, loss_ratio):
        return Bounds(first, None, trials, loss_ratio)
    lower, upper = None, first
    hint, step = min(first.forwarded, high * (1 - precision)), precision
    while lower is None:
        rate = max(low, hint)
        result = trial(rate)
        if passes(result, loss_ratio):
            lower = result
        elif rate <= low:
            return Bounds(None, result, trials, loss_ratio)
        else:
            upper = result
            step *= 2
            hint = rate * (1 - min(step, 0.5))
    step = precision
    while (upper.rate - lower.rate) / upper.rate > precision:
        middle = (upper.rate + lower.rate) / 2
        # Close to a lower bound that came at once, the answer is more likely near it than in the middle.
        rate = min(middle, lower.rate * (1 + 2 * step))
        step *= 2
        result = trial(rate)
        if passes(result, loss_ratio):
            lower = result
        else:
            upper = result
    return Bounds(lower, upper, trials, loss_ratio)
