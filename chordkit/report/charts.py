"""Charts of the report as inline SVG: no script, no library, readable on a phone and in the dark.

Every function returns one ``<svg>`` element that scales to its container. Colours are CSS variables of the report's style
sheet, so that light and dark schemes share one drawing.
"""

import math
from collections.abc import Sequence
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


def _svg(width: float, height: float, body: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


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


def _name_space(names: Sequence[str]) -> float:
    """Room for the longest of ``names`` left of an axis, at 6.4 units a character of the 12 px font."""
    return min(max(14 + 6.4 * max(map(len, names)), 100), 330)


def interval_chart(rows: Sequence[tuple[str, Estimate, str]], label: str) -> str:
    """Dots with confidence intervals, one line each.

    Args:
        rows: (name, estimate, CSS class of the mark), top to bottom.
        label: what the axis shows.
    """
    left, right, line, top = _name_space([row[0] for row in rows]), 60.0, 26.0, 8.0
    width = 640.0
    height = top + line * len(rows) + 34
    ticks = nice_ticks(min(row[1].low for row in rows), max(row[1].high for row in rows))
    span = ticks[-1] - ticks[0]

    def x(value: float) -> float:
        return left + (value - ticks[0]) / span * (width - left - right)

    body = []
    bottom = top + line * len(rows)
    for tick in ticks:
        body.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        body.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{_number(tick)}</text>')
    body.append(f'<text class="axis" x="{(left + width - right) / 2:.1f}" y="{bottom + 30}" text-anchor="middle">{escape(label)}</text>')
    for index, (name, interval, css) in enumerate(rows):
        y = top + line * (index + 0.5)
        body.append(f'<text class="name" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<line class="whisker {css}" x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(f'<circle class="mark {css}" cx="{x(interval.value):.1f}" cy="{y:.1f}" r="4.5"/>')
        body.append(f'<text class="value" x="{width - right + 8}" y="{y + 4:.1f}">{interval.value:.4f}</text>')
    return _svg(width, height, body, label)


def latency_chart(rows: Sequence[tuple[str, Percentiles, str]], label: str) -> str:
    """Latency on a logarithmic axis: the bar ends at p50, the ticks behind it are p90 and p99.

    Args:
        rows: (name, percentiles in us, CSS class), top to bottom.
        label: what the axis shows.
    """
    left, right, line, top = _name_space([row[0] for row in rows]), 70.0, 26.0, 8.0
    width = 640.0
    bottom = top + line * len(rows)
    low = 10.0 ** math.floor(math.log10(min(row[1].p50 for row in rows) * 0.999))
    high = max(row[1].p99 for row in rows) * 1.05
    scale = (width - left - right) / math.log10(high / low)

    def x(value: float) -> float:
        return left + math.log10(max(value, low) / low) * scale

    ticks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
        if low <= factor * 10.0**power <= high
    ]
    body = []
    for tick in ticks:
        body.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
        body.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{_number(tick)}</text>')
    body.append(f'<text class="axis" x="{(left + width - right) / 2:.1f}" y="{bottom + 30}" text-anchor="middle">{escape(label)}</text>')
    for index, (name, times, css) in enumerate(rows):
        y = top + line * index
        middle = y + line / 2
        body.append(f'<text class="name" x="{left - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        body.append(
            f'<rect class="bar {css}" x="{left}" y="{y + 5:.1f}" width="{max(x(times.p50) - left, 1):.1f}" height="{line - 10}" rx="2"/>'
        )
        body.append(f'<line class="whisker {css}" x1="{x(times.p50):.1f}" x2="{x(times.p99):.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>')
        for value in (times.p90, times.p99):
            body.append(
                f'<line class="whisker {css}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{middle - 5:.1f}" y2="{middle + 5:.1f}"/>'
            )
        body.append(f'<text class="value" x="{width - right + 8}" y="{middle + 4:.1f}">{_number(times.p50)} us</text>')
    return _svg(width, bottom + 36, body, label)


def strategy_heat_map(layers: Sequence[tuple[str, np.ndarray]], label: str) -> str:
    """One row a layer, one cell a channel, coloured by width.

    Args:
        layers: (name, widths uint8 [channels of the layer]) in channel-table order.
        label: whose strategy this is.
    """
    left, top, line = 118.0, 2.0, 13.0
    width = 640.0
    most = max(len(widths) for _, widths in layers)
    cell = (width - left) / most
    body = []
    for index, (name, widths) in enumerate(layers):
        y = top + line * index
        body.append(f'<text class="small" x="{left - 6}" y="{y + 9.5:.1f}" text-anchor="end">{escape(name)}</text>')
        # Neighbours of one width are one rectangle: fewer elements, no hairlines between them.
        edges = np.flatnonzero(np.diff(widths, prepend=-1, append=-1))
        for start, stop in pairwise(edges):
            css = WIDTH_CLASSES[int(widths[start])]
            body.append(
                f'<rect class="{css}" x="{left + start * cell:.2f}" y="{y:.1f}" width="{(stop - start) * cell:.2f}" height="{line - 1.5}"/>'
            )
    return _svg(width, top + line * len(layers), body, label)


def difference_matrix(names: Sequence[str], fractions: np.ndarray, label: str) -> str:
    """How much users differ: the share of channels whose width is not the same, for every pair.

    Args:
        names: one a user, length n.
        fractions: [n, n] in [0, 1].
        label: what a cell shows.
    """
    cell, left, top = 58.0, 118.0, 22.0
    count = len(names)
    body = []
    for row in range(count):
        body.append(
            f'<text class="small" x="{left - 6}" y="{top + cell * (row + 0.5) + 4:.1f}" text-anchor="end">{escape(names[row])}</text>'
        )
        body.append(
            f'<text class="small" x="{left + cell * (row + 0.5):.1f}" y="{top - 7}" text-anchor="middle">{escape(names[row])}</text>'
        )
        for column in range(count):
            value = float(fractions[row, column])
            x, y = left + cell * column, top + cell * row
            body.append(
                f'<rect class="int8" style="opacity:{0.08 + 0.82 * value:.3f}" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}"/>'
            )
            body.append(
                f'<text class="value" x="{x + cell / 2 - 1:.1f}" y="{y + cell / 2 + 4:.1f}" text-anchor="middle">{value:.0%}</text>'
            )
    return _svg(left + cell * count, top + cell * count, body, label)
