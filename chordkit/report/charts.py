"""Charts of the report as inline SVG: no script, no library, readable on a phone and in the dark.

Every function returns one ``<svg>`` element that scales to its container. Colours are CSS variables of the report's style
sheet, so that light and dark schemes share one drawing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from chordkit.estimate import Estimate

WIDTH_CLASSES = {0: "off", 2: "int2", 4: "int4", 8: "int8"}


@dataclass(frozen=True)
class Percentiles:
    """Latency of one artifact, microseconds."""

    p50: float
    p90: float
    p99: float


WIDTH = 400.0
"""Units of every chart: at that width its text is read on a phone, and two stand side by side on a desk."""
_MARGIN, _LINE, _TOP = 14.0, 36.0, 4.0
_CHARACTER = 6.3
# Fits the width at the size of a name beside its value.
_LONGEST = 44


def _svg(height: float, body: Sequence[str], label: str, width: float = WIDTH) -> str:
    title = escape(label, quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{title}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{title}</title>{"".join(body)}</svg>'
    )


def _short(name: str, most: int = _LONGEST) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _text(css: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _head(name: str, value: str, y: float) -> list[str]:
    """A row's name, and its value at the other end of the line."""
    return [_text("name", 0, y, _short(name)), _text("axis", WIDTH, y, value, "end")]


def _axis(ticks: Sequence[float], x: Callable[[float], float], bottom: float, label: str) -> list[str]:
    body = []
    for tick in ticks:
        css = "zero" if tick == 0 and ticks[0] < 0 else "grid"
        body.append(f'<line class="{css}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}"/>')
        body.append(_text("tick", x(tick), bottom + 14, _number(tick), "middle"))
    body.append(_text("axis", WIDTH / 2, bottom + 31, label, "middle"))
    return body


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high], about ``count`` of them."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / max(count - 1, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def interval_chart(rows: Sequence[tuple[str, Estimate, str]], label: str, spec: str = ".4f") -> str:
    """Dots with confidence intervals, each under its name.

    Args:
        rows: (name, estimate, CSS class of the mark), top to bottom.
        label: what the axis shows.
        spec: how a value is written.
    """
    bottom = _TOP + _LINE * len(rows)
    ticks = nice_ticks(min(row[1].low for row in rows), max(row[1].high for row in rows))

    def x(value: float) -> float:
        return _MARGIN + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - 2 * _MARGIN)

    body = _axis(ticks, x, bottom, label)
    for index, (name, interval, css) in enumerate(rows):
        y = _TOP + _LINE * index
        body += _head(name, f"{interval.value:{spec}}", y + 13)
        body.append(f'<line class="whisker {css}" x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}" y1="{y + 24}" y2="{y + 24}"/>')
        body.append(f'<circle class="mark {css}" cx="{x(interval.value):.1f}" cy="{y + 24}" r="4.5"/>')
    return _svg(bottom + 38, body, label)


def latency_chart(rows: Sequence[tuple[str, Percentiles, str]], label: str) -> str:
    """Latency on a logarithmic axis: the bar ends at p50, the ticks behind it are p90 and p99.

    Args:
        rows: (name, percentiles in us, CSS class), top to bottom.
        label: what the axis shows.
    """
    bottom = _TOP + _LINE * len(rows)
    low = 10.0 ** math.floor(math.log10(min(row[1].p50 for row in rows) * 0.999))
    high = max(row[1].p99 for row in rows) * 1.05
    scale = (WIDTH - 2 * _MARGIN) / math.log10(high / low)

    def x(value: float) -> float:
        return _MARGIN + math.log10(max(value, low) / low) * scale

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
    if len(ticks) > 8:
        ticks = [tick for tick in ticks if math.log10(tick) % 1 < 1e-9]
    body = _axis(ticks, x, bottom, label)
    for index, (name, times, css) in enumerate(rows):
        y = _TOP + _LINE * index
        body += _head(name, f"{_number(times.p50)} us", y + 13)
        body.append(f'<rect class="bar {css}" x="{_MARGIN}" y="{y + 18}" width="{max(x(times.p50) - _MARGIN, 1):.1f}" height="12" rx="2"/>')
        body.append(f'<line class="whisker" x1="{x(times.p50):.1f}" x2="{x(times.p99):.1f}" y1="{y + 24}" y2="{y + 24}"/>')
        for value in (times.p90, times.p99):
            body.append(f'<line class="whisker" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{y + 19}" y2="{y + 29}"/>')
    return _svg(bottom + 38, body, label)


def share_chart(rows: Sequence[tuple[str, Sequence[int]]], classes: Sequence[str], label: str) -> str:
    """One bar a row, divided into parts; every bar has the whole width.

    Args:
        rows: (name, how much of each part), top to bottom; none is without any.
        classes: CSS class of each part.
        label: what a bar shows, for those who cannot see it.
    """
    body = []
    for index, (name, parts) in enumerate(rows):
        y, left = _TOP + _LINE * index, 0.0
        body.append(_text("name", 0, y + 13, _short(name)))
        for part, css in zip(parts, classes, strict=True):
            width = WIDTH * part / sum(parts)
            if part:
                body.append(f'<rect class="{css}" x="{left:.2f}" y="{y + 18:.1f}" width="{width:.2f}" height="12"/>')
            left += width
        body.append(f'<rect class="frame" x="0" y="{y + 18:.1f}" width="{WIDTH:g}" height="12"/>')
    told = "; ".join(f"{name}: {', '.join(map(str, parts))}" for name, parts in rows)
    return _svg(_TOP + _LINE * len(rows), body, f"{label}: {told}")


def strategy_heat_map(layers: Sequence[tuple[str, np.ndarray]], label: str) -> str:
    """One row a layer, one cell a channel, coloured by width; for those who cannot see it the mean bits of every layer.

    Args:
        layers: (name, widths uint8 [channels of the layer]) in channel-table order.
        label: whose strategy this is.
    """
    left, line = min(8 + _CHARACTER * max(len(name) for name, _ in layers), 130.0), 16.0
    cell = (WIDTH - left) / max(len(widths) for _, widths in layers)
    body = []
    for index, (name, widths) in enumerate(layers):
        y = line * index + 1
        body.append(_text("small", left - 6, y + 11, _short(name, 19), "end"))
        # Neighbours of one width are one rectangle: fewer elements, no hairlines between them.
        edges = np.flatnonzero(np.diff(widths, prepend=-1, append=-1))
        for start, stop in pairwise(edges):
            css = WIDTH_CLASSES[int(widths[start])]
            body.append(
                f'<rect class="{css}" x="{left + start * cell:.2f}" y="{y:.1f}" width="{(stop - start) * cell:.2f}" height="{line - 3}"/>'
            )
        body.append(f'<rect class="frame" x="{left}" y="{y}" width="{len(widths) * cell:.2f}" height="{line - 3}"/>')
    means = ", ".join(f"{name} {widths.mean():.1f}" for name, widths in layers)
    return _svg(line * len(layers) + 1, body, f"{label}; mean bits by layer: {means}")


def difference_matrix(names: Sequence[str], fractions: np.ndarray, label: str) -> str:
    """How much users differ: the share of channels whose width is not the same, for every pair.

    Args:
        names: one a user, length n.
        fractions: [n, n] in [0, 1].
        label: what a cell shows.
    """
    count = len(names)
    left, top = min(8 + _CHARACTER * max(map(len, names)), 110.0), 22.0
    cell = min((WIDTH - left) / count, 58.0)
    most = max(int(cell / _CHARACTER), 2)
    body = []
    for row in range(count):
        body.append(_text("small", left - 6, top + cell * (row + 0.5) + 4, _short(names[row], 16), "end"))
        body.append(_text("small", left + cell * (row + 0.5), top - 7, _short(names[row], most), "middle"))
        for column in range(count):
            value = float(fractions[row, column])
            x, y = left + cell * column, top + cell * row
            # Never so dark that the number on it could not be read.
            shade = f'style="opacity:{0.06 + 0.34 * value:.3f}"'
            body.append(f'<rect class="int8" {shade} x="{x:.1f}" y="{y:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}"/>')
            body.append(_text("value", x + cell / 2 - 1, y + cell / 2 + 4, f"{100 * value:.0f} %", "middle"))
    return _svg(top + cell * count, body, label)


def curve_chart(points: Sequence[tuple[float, float]], marked: float, label: str) -> str:
    """One value over another, joined; a ring where x is ``marked``.

    Args:
        points: (x, y), x rising.
        marked: the x of the ring.
        label: what is shown, for those who cannot see it; the axes have numbers alone.
    """
    left, bottom, height = 52.0, 150.0, 176.0
    levels = nice_ticks(min(y for _, y in points), max(y for _, y in points))
    places = nice_ticks(points[0][0], points[-1][0], 6) if len(points) > 1 else [points[0][0], points[0][0] + 1]

    def across(value: float) -> float:
        return left + (value - points[0][0]) / ((points[-1][0] - points[0][0]) or 1.0) * (WIDTH - left - _MARGIN)

    def down(value: float) -> float:
        return bottom - (value - levels[0]) / (levels[-1] - levels[0]) * (bottom - 10)

    body = []
    for level in levels:
        body.append(f'<line class="grid" x1="{left}" x2="{WIDTH - _MARGIN}" y1="{down(level):.1f}" y2="{down(level):.1f}"/>')
        body.append(_text("tick", left - 6, down(level) + 4, _number(level), "end"))
    for place in places:
        if points[0][0] <= place <= points[-1][0] and place == round(place):
            body.append(_text("tick", across(place), bottom + 16, _number(place), "middle"))
    path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
    body.append(f'<polyline class="curve" points="{path}"/>')
    body += [f'<circle class="mark" cx="{across(x):.1f}" cy="{down(y):.1f}" r="2.5"/>' for x, y in points]
    body += [f'<circle class="ring" cx="{across(x):.1f}" cy="{down(y):.1f}" r="6"/>' for x, y in points if x == marked]
    return _svg(height, body, label)
