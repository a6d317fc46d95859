"""The test bed: engine and device together, and how a trial is run on them."""

import contextlib
import time

from .machine import Share
from .trial import Failure, Phase, TrialResult


class Bed:
    """Trials as RFC 2544 section 23 has them: learning frames, a pause, the trial, a wait for the last frames, a pause
    for the device to settle."""

    def __init__(self, engine, device, settings, say):
        self.engine, self.device, self.settings, self.say = engine, device, settings, say
        self.share = Share()
        self.trials = self.late_trials = 0
        self.churn = None

    def learn(self):
        try:
            self.engine.learn(self.settings.learn_seconds)
        except Failure:
            self.device.check_alive()
            raise

    @contextlib.contextmanager
    def _watched(self):
        self.share.begin({"generator": self.engine.process_ids(), "device": self.device.process_ids()})
        if self.churn:
            self.churn.start()
        try:
            yield
        finally:
            if self.churn:
                self.churn.stop()
            self.share.end()

    def run(self, traffic, phases):
        """One trial: its WayResults."""
        self.learn()
        time.sleep(self.settings.settle)
        with self._watched():
            ways = self.engine.trial(traffic, phases, self.settings.drain)
        self.trials += 1
        time.sleep(self.settings.settle)
        return ways

    def measure(self, traffic, rate, seconds):
        """A trial of one rate. Where the generator was late and that alone is what is wrong, it is run again."""
        for _ in range(self.settings.attempts):
            result = TrialResult(rate, seconds, self.run(traffic, [Phase(rate, seconds)]), self.settings.tolerance)
            if result.rate_reached or result.lost > 0:
                break
        self.late_trials += not result.rate_reached
        self.say(f"    {rate / 1e6:8.4f} Mpps for {seconds:g} s: {result.received:,} of {result.sent:,} came back"
                 + (f", {result.refused:,} refused" if result.refused else "")
                 + (f", {result.late:,} not offered in time" if result.late else "")
                 + (f", {result.reordered:,} reordered" if result.reordered else "")
                 + (f", {result.wrong:,} wrong" if result.wrong else ""))
        return result
