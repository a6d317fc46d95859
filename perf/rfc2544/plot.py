"""Plots as SVG text that stands alone in a page: axes, lines with points, a legend; values as tooltips."""

import html
import math

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 16, 86
# Told apart by most who do not see all colours (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#666666")


def number(value):
    """For axes and tooltips: three digits that mean something."""
    if value == 0:
        return "0"
    if abs(value) >= 1e7 or abs(value) < 1e-4:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Linear:
    def __init__(self, low, high):
        self.low, self.high = low, high if high > low else low + 1

    def at(self, value):
        return (value - self.low) / (self.high - self.low)

    def ticks(self):
        raw = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * 0.999)
        first = math.ceil(self.low / step)
        return [(step * i, number(step * i)) for i in range(first, int(self.high / step + 1e-9) + 1)]


class Log:
    """From a power of ten to a power of ten."""

    def __init__(self, low, high):
        self.low = math.floor(math.log10(low))
        self.high = max(math.ceil(math.log10(high)), self.low + 1)

    def at(self, value):
        return (math.log10(value) - self.low) / (self.high - self.low)

    def ticks(self):
        ticks = []
        for power in range(self.low, self.high + 1):
            ticks.append((10.0 ** power, number(10.0 ** power)))
            if self.high - self.low <= 3 and power < self.high:
                ticks += [(factor * 10.0 ** power, number(factor * 10.0 ** power)) for factor in (2, 5)]
        return ticks


class Names:
    """Places of equal width, in order."""

    def __init__(self, names):
        self.names = list(names)

    def at(self, name):
        return (self.names.index(name) + 0.5) / len(self.names)

    def ticks(self):
        return [(name, name) for name in self.names]


class Percentiles:
    """Each nine takes as much room as the one before: what one looks at is the tail."""

    def __init__(self, least):
        self.least = least  # of 100 - percentile

    def at(self, percentile):
        return math.log10(100 / max(100 - percentile, self.least)) / math.log10(100 / self.least)

    def ticks(self):
        return [(value, f"{value:g}") for value in (0, 50, 90, 99, 99.9, 99.99) if 100 - value >= self.least * 0.99]


def _x(scale, value):
    return LEFT + scale.at(value) * (WIDTH - LEFT - RIGHT)


def _y(scale, value):
    return HEIGHT - BOTTOM - scale.at(value) * (HEIGHT - TOP - BOTTOM)


def _axes(xs, ys, x_label, y_label):
    bottom = HEIGHT - BOTTOM
    parts = []
    for value, label in ys.ticks():
        y = _y(ys, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                     f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in xs.ticks():
        x = _x(xs, value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
                     f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 38}" text-anchor="middle">{html.escape(x_label)}</text>'
                 f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
                 f'{html.escape(y_label)}</text>')
    return parts


# How a series is drawn: attributes of its line, or none.
LINE, DASHED, POINTS = "", ' stroke-dasharray="6 4"', None


def _series(xs, ys, name, points, colour, style):
    at = [(_x(xs, x), _y(ys, y), x, y) for x, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)
    parts = [] if style == POINTS else [
        f'<polyline fill="none" stroke="{colour}" stroke-width="2"{style} points="{line}"/>']
    for x, y, x_value, y_value in at:
        x_text = x_value if isinstance(x_value, str) else f"{x_value:.6g}"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{html.escape(name)}: '
                     f'{html.escape(x_text)}, {y_value:.6g}</title></circle>')
    return parts


def _legend(entries):
    parts, x, y = [], LEFT, HEIGHT - 22
    for name, colour, style in entries:
        width = 34 + 7 * len(name)
        if x + width > WIDTH:
            x, y = LEFT, y + 16
        sample = (f'<circle cx="{x + 11}" cy="{y - 4}" r="3.5" fill="{colour}"/>' if style == POINTS else
                  f'<line x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"{style}/>')
        parts.append(sample +
                     f'<text x="{x + 28}" y="{y}">{html.escape(name)}</text>')
        x += width + 12
    return parts


def plot(xs, ys, x_label, y_label, series, description):
    """`series`: (name, points, LINE, DASHED or POINTS) each, points being (x, y) in the scales' values."""
    parts = _axes(xs, ys, x_label, y_label)
    legend = []
    for i, (name, points, style) in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        parts += _series(xs, ys, name, points, colour, style)
        legend.append((name, colour, style))
    parts += _legend(legend)
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(description)}">'
            + "".join(parts) + "</svg>")
