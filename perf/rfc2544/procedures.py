"""The tests of RFC 2544 section 26, with what RFC 8219, 9004 and 9971 made of them. Each gives a JSON-ready dict."""

import statistics
import threading
import time

from . import delays, mlrsearch
from .search import binary_search, passes
from .trial import Failure, Phase, TrialResult

MIN_RATE = 1000.0  # frames a second
FIRST_BURST = 64
FORWARDS_TRIALS = 50


def trial_row(result):
    return {"rate": result.rate, "offered": result.offered, "forwarded": result.forwarded, "seconds": result.seconds,
            "sent": result.sent, "lost": result.lost, "refused": result.refused, "late": result.late,
            "loss_ratio": result.loss_ratio, "rate_reached": result.rate_reached, "reordered": result.reordered,
            "duplicates": result.duplicates, "wrong": result.wrong}


def throughput(bed, traffic, line):
    """26.1, and a trial of the rate that was found to see whether it holds."""
    settings = bed.settings
    bounds = binary_search(lambda rate: bed.measure(traffic, rate, settings.trial), MIN_RATE, line, settings.precision)
    found = {"rate": bounds.throughput, "upper": bounds.upper.rate if bounds.upper else None,
             "precision": settings.precision, "trials": [trial_row(trial) for trial in bounds.trials], "check": None}
    if bounds.lower:
        # Less by the precision: at the very bound half of all trials may fail.
        check = bed.measure(traffic, bounds.lower.rate * (1 - settings.precision), settings.trial)
        found["check"] = {**trial_row(check), "agrees": passes(check, 0.0)}
    return found


def mlr(bed, traffic, line):
    """RFC 9971."""
    search = mlrsearch.Search(lambda rate, seconds: bed.measure(traffic, rate, seconds), MIN_RATE, line,
                              bed.settings.goals, lambda text: bed.say(f"    {text}"))
    goals = [{"goal": result.goal.name, "conditional_throughput": result.conditional_throughput,
              "lower": result.lower, "upper": result.upper, "regular": result.regular,
              **{name: getattr(result.goal, name) for name in
                 ("loss_ratio", "exceed_ratio", "width", "duration_sum", "final_trial_duration",
                  "initial_trial_duration")}}
             for result in search.results()]
    return {"goals": goals, "trials": [trial_row(trial) for trial in search.results_of_trials]}


def latency(bed, traffic, rate):
    """26.2 and RFC 8219 7.2, 7.3.1, at shares of the throughput."""
    loads = []
    for share in bed.settings.latency_loads:
        summaries = []
        for _ in range(bed.settings.latency_repeats):
            result = bed.measure(traffic, rate * share, bed.settings.latency_trial)
            if result.latencies():
                summaries.append(delays.summary(result.latencies()))
        if not summaries:
            raise Failure(f"no frame came back at {rate * share:.0f} frames/s: there is no latency")
        middle = sorted(summaries, key=lambda one: one["typical"])[len(summaries) // 2]
        loads.append({"share": share, "rate": rate * share, "trials": len(summaries),
                      "average": statistics.mean(one["average"] for one in summaries),
                      **{name: delays.over_trials(summaries, name) for name in ("typical", "worst_case", "pdv")},
                      "minimum": min(one["minimum"] for one in summaries),
                      "maximum": max(one["maximum"] for one in summaries), "percentiles": middle["percentiles"],
                      "tagged_frames": middle["tagged_frames"]})
    return {"loads": loads}


def loss_rate(bed, traffic, line):
    """26.3: from the highest rate down in steps of a tenth, until two trials in a row lose nothing. A trial whose rate
    the generator did not reach says what was lost of what it sent, and nothing of its rate."""
    points, clean = [], 0
    for tenth in range(10, 0, -1):
        result = bed.measure(traffic, line * tenth / 10, bed.settings.trial)
        points.append({"share": tenth / 10, **trial_row(result), "loss_ratio": result.loss_of_offered})
        clean = clean + 1 if result.loss_of_offered == 0 and result.rate_reached else 0
        if clean == 2:
            break
    return {"line": line, "points": points}


def _longest_burst(bed, traffic, most):
    """Frames of the longest burst without loss (to 1 %), and the rate that it went at."""

    def burst(frames):
        result = TrialResult(0, 0, bed.run(traffic, [Phase(0, frames=frames)]), 1.0)
        rates.append(result.offered)
        return result.loss_ratio == 0

    rates = []
    good, bad = 0, None
    frames = FIRST_BURST
    while bad is None and good < most:
        if burst(frames):
            good, frames = frames, min(most, 2 * frames)
        else:
            bad = frames
    while bad is not None and bad - good > max(1, bad // 100):
        middle = (good + bad) // 2
        if burst(middle):
            good = middle
        else:
            bad = middle
    return good, statistics.median(rates)


def back_to_back(bed, traffic, line, rate):
    """26.4 and RFC 9004: the longest burst, again and again; what buffer that means, less what was forwarded from it
    meanwhile. A device that forwards at the rate of the bursts has no longest burst: two seconds are the end."""
    most = max(FIRST_BURST, int(2 * line))
    bursts, rates = zip(*(_longest_burst(bed, traffic, most) for _ in range(bed.settings.burst_repeats)))
    burst_rate = statistics.median(rates)
    implied = statistics.mean(bursts) / burst_rate
    limited = min(bursts) < most
    bed.say(f"    bursts of {', '.join(f'{burst:,}' for burst in bursts)} frames at {burst_rate / 1e6:.3f} Mpps")
    return {"bursts": bursts, "average": statistics.mean(bursts), "minimum": min(bursts), "maximum": max(bursts),
            "deviation": statistics.pstdev(bursts), "burst_rate": burst_rate, "limited": limited,
            "implied_buffer_s": implied, "corrected_buffer_s": max(0.0, implied * (1 - rate / burst_rate))}


def recovery(bed, traffic, line, rate):
    """26.5: overload at 110 % of the throughput, then half of that; how long after the change the last frame is lost."""
    overload = min(line, 1.1 * rate)
    seconds = bed.settings.overload
    ways = bed.run(traffic, [Phase(overload, seconds), Phase(overload / 2, seconds)])
    times = [max(0.0, way.last_lost_sent_at - way.phase_ends[0]) if way.last_lost_sent_at is not None else 0.0
             for way in ways]
    lost = sum(way.lost for way in ways)
    bed.say(f"    overload of {overload / 1e6:.3f} Mpps lost {lost:,}, the last {max(times) * 1e3:.1f} ms after it")
    return {"overload": overload, "seconds": max(times), "lost": lost, "overloaded": lost > 0}


def _wait_until_it_forwards(bed, traffic, rate):
    """A device that is still starting is not reset: frames that it loses for that are not the reset's."""
    for _ in range(FORWARDS_TRIALS):
        if all(way.lost == 0 for way in bed.run(traffic, [Phase(rate, 0.1)])):
            return
    raise Failure(f"the device does not forward {rate:.0f} frames/s without loss")


def reset(bed, traffic, rate, kind):
    """26.6: frames go on while the device is reset; the time from the last frame before to the first one after."""
    seconds, before = bed.settings.reset, min(1.0, bed.settings.reset / 4)
    _wait_until_it_forwards(bed, traffic, rate)
    bed.engine.start(traffic, [Phase(rate, seconds)], bed.settings.drain)
    failures = []

    def act():
        time.sleep(before)
        try:
            bed.device.reset(kind)
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)

    thread = threading.Thread(target=act)
    thread.start()
    ways = bed.engine.finish()
    thread.join()
    if failures:
        raise failures[0]
    gaps = [way.longest_gap for way in ways]
    recovered = all(way.received and gap and gap[1] > before for way, gap in zip(ways, gaps))
    time_s = max((gap[1] - gap[0] for gap in gaps if gap), default=None) if recovered else None
    bed.say(f"    {kind} reset: " + (f"{time_s * 1e3:,.0f} ms" if recovered else f"no frame came within {seconds} s"))
    bed.learn()
    return {"kind": kind, "rate": rate, "seconds": time_s, "lost": sum(way.lost for way in ways),
            "lost_s": max(way.lost for way in ways) / rate}
