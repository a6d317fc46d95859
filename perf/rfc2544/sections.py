"""The report's sections: for each test a heading, a sentence, tables and plots. Tables are lists of rows of text, so
that the HTML and Markdown reports say the same."""

import dataclasses

from . import plot
from .trial import GAP


@dataclasses.dataclass
class Section:
    title: str
    text: str
    table: list  # rows; the first is the heading
    plots: list = dataclasses.field(default_factory=list)


def mpps(rate):
    return f"{rate / 1e6:.4f}"


def gbit(rate, mean_size):
    """Of the line: with preamble and gap."""
    return f"{rate * (mean_size + GAP) * 8 / 1e9:.3f}"


def us(nanoseconds):
    return f"{nanoseconds / 1e3:.1f}"


def throughput(found, ways):
    rows = [["frame size", "throughput, Mpps", "Gbit/s on the line", "of the line", "next rate that lost, Mpps",
             "check at a fixed rate"]]
    for size, one in found.items():
        check = one["check"]
        verdict = "no rate without loss" if not check else (
            f"{mpps(check['rate'])} Mpps: " + ("no loss" if check["agrees"] else f"{check['lost']:,} lost of {check['sent']:,}"
                                               + ("" if check["late"] == 0 else f", {check['late']:,} not offered")))
        rows.append([size, mpps(one["rate"]), gbit(one["rate"], one["mean_size"]), f"{one['rate'] / one['line_rate']:.1%}",
                     mpps(one["upper"]) if one["upper"] else "none", verdict])
    precision = next(iter(found.values()))["precision"]
    points = [(size, one["rate"] / 1e6) for size, one in found.items() if one["rate"] > 0]
    theory = [(size, one["line_rate"] / 1e6) for size, one in found.items()]
    values = [y for _, y in points + theory]
    picture = plot.plot(plot.Names(found), plot.Log(min(values), max(values)), "frame size, bytes with FCS",
                        "Mpps, each way", [("throughput", points, plot.LINE),
                                            ("what the line carries", theory, plot.DASHED)],
                        "throughput by frame size against theory")
    return Section("Throughput", f"RFC 2544 26.1: the highest rate{ways} of which no frame was lost, by binary search to "
                   f"{precision:.1%}. The check is one more trial of a fixed rate, lower by that precision.", rows, [picture])


def mlr(found, ways):
    rows = [["frame size", "goal", "loss allowed", "of the time", "conditional throughput, Mpps", "lower bound",
             "upper bound", "trials"]]
    for size, one in found.items():
        for goal in one["goals"]:
            name = goal["goal"] + ("" if goal["regular"] else " (irregular)")
            rows.append([size, name, f"{goal['loss_ratio']:.1%}", f"{1 - goal['exceed_ratio']:.0%}",
                         mpps(goal["conditional_throughput"]), mpps(goal["lower"]) if goal["lower"] else "none",
                         mpps(goal["upper"]) if goal["upper"] else "none", str(len(one["trials"]))])
    goals = next(iter(found.values()))["goals"]
    lengths = ", ".join(f"{goal['goal']} {goal['final_trial_duration']:g} s (at first "
                        f"{goal['initial_trial_duration'] or goal['final_trial_duration']:g} s) of {goal['duration_sum']:g} s "
                        f"to {goal['width']:.1%} of the upper bound" for goal in goals)
    series = []
    for size, one in found.items():
        trials = sorted((trial["rate"] / 1e6, 100 * trial["loss_ratio"]) for trial in one["trials"])
        series.append((size, trials, plot.POINTS))
    most = max(x for _, points, _ in series for x, _ in points)
    picture = plot.plot(plot.Linear(0, most), plot.Linear(0, max(1, max(y for _, points, _ in series for _, y in points))),
                        "load, Mpps", "lost, %", series, "loss of every trial of the search")
    return Section("Throughput by MLRsearch", f"RFC 9971: one search for several goals{ways}. Trials and width: {lengths}. "
                   "Irregular: one of the bounds was not found, or they are farther apart.", rows, [picture])


def latency(found, _):
    rows = [["frame size", "load", "Mpps", "average, µs", "typical, µs", "worst case, µs", "PDV, µs", "least, µs",
             "most, µs", "trials"]]
    series = []
    for size, one in found.items():
        for load in one["loads"]:
            rows.append([size, f"{load['share']:.0%}", mpps(load["rate"]), us(load["average"]),
                         us(load["typical"]["median"]), us(load["worst_case"]["median"]), us(load["pdv"]["median"]),
                         us(load["minimum"]), us(load["maximum"]), str(load["trials"])])
            points = sorted((float(share), value / 1e3)
                            for share, value in load["percentiles"].items() if float(share) < 100)
            series.append((f"{size} at {load['share']:.0%}", points, plot.LINE))
    values = [y for _, points, _ in series for _, y in points]
    picture = plot.plot(plot.Percentiles(0.01), plot.Log(min(values), max(values)), "percentile", "latency, µs", series,
                        "latency percentiles")
    return Section("Latency", "At shares of the throughput. Average: RFC 2544 26.2, over tagged frames and trials. Typical "
                   "and worst case: RFC 8219 7.2, the median and the 99.9th percentile of the tagged frames, and of the "
                   "trials the median. PDV: RFC 8219 7.3.1, the 99.9th percentile less the least, over all frames. The plot "
                   "is of all frames of the median trial.", rows, [picture])


def loss(found, ways):
    rows = [["frame size", "asked for, Mpps", "offered, Mpps", "not offered in time", "lost", "of them refused", "loss",
             "trial"]]
    series = []
    for size, one in found.items():
        points = []
        for point in one["points"]:
            rows.append([size, mpps(point["rate"]), mpps(point["offered"]), f"{point['late']:,}", f"{point['lost']:,}",
                         f"{point['refused']:,}", f"{point['loss_ratio']:.3%}",
                         "valid" if point["rate_reached"] else "not valid: rate not reached"])
            points.append((point["offered"] / 1e6, 100 * point["loss_ratio"]))
        series.append((size, sorted(points), plot.LINE))
    most = max(x for _, points, _ in series for x, _ in points)
    picture = plot.plot(plot.Linear(0, most), plot.Linear(0, max(1, max(y for _, points, _ in series for _, y in points))),
                        "offered, Mpps", "lost, %", series, "frame loss rate by offered load")
    return Section("Frame loss rate", f"RFC 2544 26.3: from the highest rate{ways} down in tenths, until two trials lose "
                   "nothing. The highest is the line's, or twice the throughput where that is less. Loss is of what was "
                   "offered. A trial is not valid for its rate where the generator was late with more than 1 % of the frames.",
                   rows, [picture])


def back_to_back(found, _):
    rows = [["frame size", "average, frames", "least", "most", "deviation", "bursts", "at, Mpps", "implied buffer, µs",
             "corrected, µs"]]
    for size, one in found.items():
        if one["limited"]:
            buffers = [f"{one['implied_buffer_s'] * 1e6:.0f}", f"{one['corrected_buffer_s'] * 1e6:.0f}"]
        else:
            buffers = ["no loss in 2 s", ""]
        rows.append([size, f"{one['average']:,.0f}", f"{one['minimum']:,}", f"{one['maximum']:,}", f"{one['deviation']:,.0f}",
                     str(len(one["bursts"])), mpps(one["burst_rate"]), *buffers])
    return Section("Back-to-back frames", "RFC 2544 26.4 and RFC 9004: the longest burst as fast as the generator sends, "
                   "without loss. The buffer time is corrected by what the device forwards meanwhile.", rows)


def recovery(found, _):
    rows = [["frame size", "overload, Mpps", "lost", "recovery, ms"]]
    for size, one in found.items():
        rows.append([size, mpps(one["overload"]), f"{one['lost']:,}",
                     f"{one['seconds'] * 1e3:.1f}" if one["overloaded"] else "was not overloaded"])
    return Section("System recovery", "RFC 2544 26.5: 110 % of the throughput, then half of that; from the change to when the "
                   "last frame that was lost had been sent.", rows)


def reset(found, _):
    rows = [["frame size", "reset", "Mpps", "no frames for, ms", "lost", "lost by rate, ms"]]
    for size, one in found.items():
        for each in one["resets"]:
            rows.append([size, each["kind"], mpps(each["rate"]),
                         f"{each['seconds'] * 1e3:,.0f}" if each["seconds"] is not None else "did not come back",
                         f"{each['lost']:,}", f"{each['lost_s'] * 1e3:,.0f}"])
    return Section("Reset", "RFC 2544 26.6 and RFC 6201, by time stamps: the longest time without a frame; by loss: the time "
                   "in which so many frames are sent. Of a millraced, a hardware reset is a kill and a new start, a software "
                   "reset an orderly stop and a new start; both over af_packet and veth.", rows)


SECTIONS = {"throughput": throughput, "mlr": mlr, "latency": latency, "loss": loss, "back-to-back": back_to_back,
            "recovery": recovery, "reset": reset}


def sections(found):
    ways = " (of each way)" if found["settings"]["bidirectional"] else ""
    return [make(found["results"][test], ways) for test, make in SECTIONS.items() if found["results"].get(test)]
