"""MLRsearch, RFC 9971: several throughputs in one search, each with its own tolerance of loss.

The words are the RFC's. A goal says how long trials are (final trial duration), how much of them a load needs (duration
sum), which loss a trial may have (loss ratio), and which share of the time may exceed that (exceed ratio). By all trials
that were made at a load so far it is an upper bound, a lower bound or undecided for a goal. The search ends for a goal
when the relevant bounds are within its width, or the highest load is a lower bound. The goal's result is the conditional
throughput at the relevant lower bound. A trial for one goal may move the bounds of another, so that the search is over
when all goals are reached at the same time.

`measure(rate, seconds)` runs a trial and returns its TrialResult.
"""

import dataclasses
import enum

ROUNDS = 5  # of all goals; trials that contradict each other might go on for ever


@dataclasses.dataclass(frozen=True)
class Goal:
    name: str
    loss_ratio: float
    exceed_ratio: float
    final_trial_duration: float
    duration_sum: float
    width: float  # relative to the upper bound
    initial_trial_duration: float = 0.0  # 0: the final one


class Load(enum.Enum):
    LOWER_BOUND = "lower bound"
    UPPER_BOUND = "upper bound"
    UNDECIDED = "undecided"


@dataclasses.dataclass
class GoalResult:
    """`regular`: both bounds were found, and are within the goal's width. Without a lower bound nothing is known but that
    the goal is not met; without an upper one the lower bound is the highest load that was looked at."""

    goal: Goal
    lower: float | None
    upper: float | None
    conditional_throughput: float
    regular: bool


@dataclasses.dataclass(frozen=True)
class Trial:
    """`loss_ratio` decides between high and low loss; `shortfall` is the share of the load that did not come through for
    whatever reason, frames that a generator was too late for, within its tolerance, among them."""

    seconds: float
    loss_ratio: float
    shortfall: float


def full_length(trials, goal):
    return [trial for trial in trials if trial.seconds >= goal.final_trial_duration]


def classify(trials, goal):
    """What a load is for a goal, by its trials (RFC 9971 appendix A).

    Trials that are too short count for an upper bound alone, and only by as much as bad ones outweigh good ones: by
    a short trial one may give up on a load, but not trust it.
    """

    def total(short, bad):
        return sum(trial.seconds for trial in trials if (trial.seconds < goal.final_trial_duration) == short
                   and (trial.loss_ratio > goal.loss_ratio) == bad)

    balance = total(True, False) * goal.exceed_ratio / (1 - goal.exceed_ratio)
    good, bad = total(False, False), total(False, True) + max(0.0, total(True, True) - balance)
    whole = max(good + bad, goal.duration_sum)
    allowed = whole * goal.exceed_ratio
    if bad > allowed:
        return Load.UPPER_BOUND
    return Load.LOWER_BOUND if whole - good <= allowed else Load.UNDECIDED


def conditional_throughput(load, trials, goal):
    """The load less what (1 - exceed ratio) of the time did not fall short by (RFC 9971 appendix B). Time that was not
    measured counts as if nothing had come through. What falls short of the load is more than the loss where the generator
    was late: no device is said to have forwarded what nobody sent."""
    full = sorted(full_length(trials, goal), key=lambda trial: trial.shortfall)
    left = max(sum(trial.seconds for trial in full), goal.duration_sum) * (1 - goal.exceed_ratio)
    quantile = None
    for trial in full:
        if quantile is not None and left <= 0:
            break
        quantile = trial.shortfall
        left -= trial.seconds
    return load * (1 - (1.0 if left > 0 or quantile is None else quantile))


class Search:
    """One search; `results()` runs it to its end."""

    def __init__(self, measure, low, high, goals, progress=lambda text: None):
        self.measure, self.low, self.high, self.goals, self.progress = measure, low, high, goals, progress
        self.trials = {}  # load -> [Trial]
        self.results_of_trials = []

    def _trial(self, load, seconds):
        result = self.measure(load, seconds)
        self.results_of_trials.append(result)
        self.trials.setdefault(load, []).append(Trial(seconds, result.loss_ratio, result.shortfall))
        return result

    def _decide(self, load, goal):
        """Trials at a load until it is a bound for the goal."""
        while (kind := classify(self.trials.get(load, []), goal)) == Load.UNDECIDED:
            self._trial(load, goal.final_trial_duration)
        return kind

    def bounds(self, goal):
        """The relevant bounds: the lowest upper bound, and the highest lower bound below it."""
        kinds = {load: classify(trials, goal) for load, trials in self.trials.items()}
        upper = min((load for load, kind in kinds.items() if kind == Load.UPPER_BOUND), default=None)
        lower = max((load for load, kind in kinds.items()
                     if kind == Load.LOWER_BOUND and (upper is None or load < upper)), default=None)
        return lower, upper

    def _next_load(self, goal, hint, step):
        """The load to look at next, or None when the goal is reached."""
        lower, upper = self.bounds(goal)
        if upper is None:
            return None if lower == self.high else self.high if lower is None else min(self.high, lower * (1 + step))
        if lower is None:
            if upper <= self.low:
                return None
            below = upper * (1 - min(step, 0.5))
            return max(self.low, min(hint, below) if hint else below)
        if (upper - lower) / upper <= goal.width:
            return None
        # Both sides of the middle are expanded to carefully: bounds of another goal may be far off.
        middle = (lower * upper) ** 0.5
        return min(middle, lower * (1 + step)) if step < 0.5 else middle

    def _narrow(self, goal, hint):
        step = goal.width
        while (load := self._next_load(goal, hint, step)) is not None:
            kind = self._decide(load, goal)
            self.progress(f"{goal.name}: {load / 1e6:.4f} Mpps is {'an' if kind != Load.LOWER_BOUND else 'a'} {kind.value}")
            step *= 2
            hint = None

    def _targets(self, goal):
        """The goal with shorter trials and wider bounds first: they find the region at little cost."""
        targets = [goal]
        duration = goal.final_trial_duration
        while goal.initial_trial_duration and duration > 2 * goal.initial_trial_duration:
            duration = max(goal.initial_trial_duration, duration / 4)
            targets.append(dataclasses.replace(goal, final_trial_duration=duration, duration_sum=duration,
                                               width=min(0.5, targets[-1].width * 2)))
        return targets[::-1]

    def _reached(self, goal):
        return self._next_load(goal, None, goal.width) is None

    def _result(self, goal):
        lower, upper = self.bounds(goal)
        if lower is None:
            return GoalResult(goal, None, upper, 0.0, False)
        throughput = conditional_throughput(lower, self.trials[lower], goal)
        return GoalResult(goal, lower, upper, throughput, upper is not None and (upper - lower) / upper <= goal.width)

    def results(self):
        """A GoalResult for each goal, in the goals' order."""
        first = min(self._targets(goal)[0].final_trial_duration for goal in self.goals)
        hint = self._trial(self.high, first).forwarded
        for goal in self.goals:
            for target in self._targets(goal):
                self._narrow(target, hint)
                lower, _ = self.bounds(target)
                hint = lower or hint
        for _ in range(ROUNDS):
            for goal in self.goals:
                if not self._reached(goal):
                    self._narrow(goal, None)
            if all(map(self._reached, self.goals)):
                break
        return [self._result(goal) for goal in self.goals]
