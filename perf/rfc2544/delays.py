"""Latency and its variation, from the delays of single frames and from histograms."""

import math
import statistics


def percentile(values, share):
    """The least value that at least `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def histogram_percentile(histogram, share):
    """The same of (value, count) pairs in order."""
    wanted = max(1, math.ceil(share * sum(count for _, count in histogram)))
    for value, count in histogram:
        wanted -= count
        if wanted <= 0:
            return value
    raise ValueError("a histogram without values has no percentiles")


def merge(histograms):
    merged = {}
    for histogram in histograms:
        for value, count in histogram:
            merged[value] = merged.get(value, 0) + count
    return sorted(merged.items())


def typical(tagged):
    """RFC 8219 7.2: TL, the median of the tagged frames' latencies."""
    return statistics.median(tagged)


def worst_case(tagged):
    """RFC 8219 7.2: WCL, the 99.9th percentile of the tagged frames' latencies."""
    return percentile(tagged, 0.999)


def pdv(histogram):
    """RFC 8219 7.3.1: packet delay variation, the 99.9th percentile less the minimum, over all frames."""
    return histogram_percentile(histogram, 0.999) - histogram[0][0]


def summary(latencies):
    """What one trial says of latency, all directions together; nanoseconds."""
    histogram = merge([latency.histogram for latency in latencies])
    tagged = [delay for latency in latencies for delay in latency.tagged]
    return {"average": statistics.mean(tagged), "typical": typical(tagged), "worst_case": worst_case(tagged),
            "pdv": pdv(histogram), "minimum": min(latency.minimum for latency in latencies),
            "maximum": max(latency.maximum for latency in latencies), "tagged_frames": len(tagged),
            "percentiles": {str(share): histogram_percentile(histogram, share / 100)
                            for share in (1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100)}}


def over_trials(summaries, name):
    """RFC 8219 7.2 and 7.3: the median of the repeated trials, and the 1st and 99th percentiles as its error."""
    values = [one[name] for one in summaries]
    return {"median": statistics.median(values), "p1": percentile(values, 0.01), "p99": percentile(values, 0.99)}
