"""Charts of an evaluation as SVG files of their own, for a README: they bring their ground and their style, in light and in dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from chordkit.estimate import Estimate
from chordkit.report.charts import nice_ticks

# A file that a page shows as an image sees no style sheet of that page, and the ground of that page may be of the other scheme.
_STYLE = """
.paper { fill: #ffffff; stroke: #dfe3e8; }
text { fill: #1b1f24; font: 15px system-ui, -apple-system, 'Segoe UI', sans-serif; }
.tick, .note { fill: #57606a; font-size: 14px; }
.title { font-weight: 600; }
.grid { stroke: #e4e8ec; } .zero { stroke: #57606a; stroke-width: 1.5; }
.line { fill: none; stroke-width: 2; } .whisker { stroke-width: 2; } .mark { stroke-width: 2.2; }
.reference { stroke-width: 2; stroke-dasharray: 7 5; } .fine { stroke-dasharray: 2 4; }
.personal { stroke: #c2410c; fill: #c2410c; } .plain { stroke: #0b5cad; fill: #0b5cad; } .other { stroke: #7a8391; fill: #7a8391; }
.second { stroke: #0f766e; fill: #0f766e; }
.line.personal, .line.plain, .line.other, .line.second { fill: none; }
.hollow { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
.paper { fill: #161b22; stroke: #30363d; } text { fill: #e6edf3; } .tick, .note { fill: #9aa4b0; }
.grid { stroke: #2a313a; } .zero { stroke: #9aa4b0; }
.personal { stroke: #ff9d5c; fill: #ff9d5c; } .plain { stroke: #79b8ff; fill: #79b8ff; } .other { stroke: #9aa4b0; fill: #9aa4b0; }
.second { stroke: #5eead4; fill: #5eead4; }
.line.personal, .line.plain, .line.other, .line.second { fill: none; }
.hollow { fill: #161b22; }
}
"""
_PANEL, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 340.0, 300.0, 74.0, 16.0, 46.0, 58.0, 20.0
_CHARACTER = 7.9
_LEGEND_LINE = 24.0
# Marks that stand at one place are drawn so far apart.
_DODGE = 9.0


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour.

    Attributes:
        name: in the legend.
        css: ``personal``, ``plain``, ``second`` or ``other``.
        points: (x, estimate), joined by a line in this order where ``joined``.
        hollow: rings instead of dots.
        joined: draw the line.
    """

    name: str
    css: str
    points: Sequence[tuple[float, Estimate]]
    hollow: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Reference:
    """A level to compare with, as a dashed line all across, dotted where ``fine``."""

    name: str
    css: str
    value: float
    fine: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: what the y axis shows.
        x: what the x axis shows.
        ticks: (x, label).
        series: what is drawn.
        references: levels.
        logarithmic: the x axis is.
        beside: marks of one place stand beside each other, so that their whiskers do not hide one another; else on the place.
    """

    title: str
    x: str
    ticks: Sequence[tuple[float, str]]
    series: Sequence[Series]
    references: Sequence[Reference] = ()
    logarithmic: bool = False
    beside: bool = True


def panels_chart(panels: Sequence[Panel], label: str, note: str = "") -> str:
    """``panels`` beside each other over one legend, as a whole SVG file.

    Args:
        panels: at least one; the legend is that of all, a name once.
        label: what the picture shows, for those who cannot see it.
        note: a line below the legend.
    """
    own = _LEFT + _PANEL + _RIGHT
    width = own * len(panels) + _GAP * (len(panels) - 1)
    body = []
    for index, panel in enumerate(panels):
        body += _panel(panel, index * (own + _GAP) + _LEFT)
    legend, bottom = _legend(panels, width, _TOP + _HEIGHT + _BOTTOM + 16)
    body += legend
    if note:
        body.append(f'<text class="note" x="{width / 2:.0f}" y="{bottom:.0f}" text-anchor="middle">{escape(note)}</text>')
        bottom += _LEGEND_LINE
    height = bottom - 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img"><title>{escape(label)}</title><style>{_STYLE}</style>'
        f'<rect class="paper" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>{"".join(body)}</svg>\n'
    )


def _panel(panel: Panel, left: float) -> list[str]:
    places = [x for series in panel.series for x, _ in series.points] + [x for x, _ in panel.ticks]
    scale = math.log if panel.logarithmic else float
    low, high = scale(min(places)), scale(max(places))
    # Room for the marks beside the outermost place.
    margin = 36.0

    def across(x: float) -> float:
        return left + margin + (scale(x) - low) / ((high - low) or 1.0) * (_PANEL - 2 * margin)

    levels = [each.value for each in panel.references]
    levels += [level for series in panel.series for _, estimate in series.points for level in (estimate.low, estimate.high)]
    ticks = nice_ticks(min(levels), max(levels), 6)

    def down(level: float) -> float:
        return _TOP + _HEIGHT - (level - ticks[0]) / (ticks[-1] - ticks[0]) * _HEIGHT

    body = [f'<text class="title" x="{left:.0f}" y="{_TOP - 18:.0f}">{escape(panel.title)}</text>']
    for tick in ticks:
        css = "zero" if tick == 0.0 and ticks[0] < 0.0 else "grid"
        body.append(f'<line class="{css}" x1="{left}" x2="{left + _PANEL}" y1="{down(tick):.1f}" y2="{down(tick):.1f}"/>')
        body.append(f'<text class="tick" x="{left - 8}" y="{down(tick) + 5:.1f}" text-anchor="end">{tick:.4g}</text>')
    for x, text in panel.ticks:
        body.append(f'<text class="tick" x="{across(x):.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle">{escape(text)}</text>')
    body.append(f'<text x="{left + _PANEL / 2:.0f}" y="{_TOP + _HEIGHT + 44}" text-anchor="middle">{escape(panel.x)}</text>')
    for each in panel.references:
        body.append(_reference(each, left, left + _PANEL, down(each.value)))
    aside = _shifts(panel.series, across) if panel.beside else [[0.0] * len(series.points) for series in panel.series]
    for series, shifts in zip(panel.series, aside, strict=True):
        spots = [(across(x) + shift, estimate) for (x, estimate), shift in zip(series.points, shifts, strict=True)]
        if series.joined and len(spots) > 1:
            path = " ".join(f"{x:.1f},{down(estimate.value):.1f}" for x, estimate in spots)
            body.append(f'<polyline class="line {series.css}" points="{path}" opacity="0.45"/>')
        for x, estimate in spots:
            ends = f'y1="{down(estimate.low):.1f}" y2="{down(estimate.high):.1f}"'
            body.append(f'<line class="whisker {series.css}" x1="{x:.1f}" x2="{x:.1f}" {ends}/>')
            body.append(_mark(series, x, down(estimate.value)))
    return body


def _shifts(series: Sequence[Series], across: Callable[[float], float]) -> list[list[float]]:
    """How far each mark steps aside, so that those of one place stand side by side."""
    spots = [(across(x), number, index) for number, each in enumerate(series) for index, (x, _) in enumerate(each.points)]
    shifts = [[0.0] * len(each.points) for each in series]
    groups: list[list[tuple[float, int, int]]] = []
    for spot in sorted(spots):
        if groups and spot[0] - groups[-1][0][0] < _DODGE:
            groups[-1].append(spot)
        else:
            groups.append([spot])
    for group in groups:
        middle = sum(place for place, _, _ in group) / len(group)
        for position, (place, number, index) in enumerate(sorted(group, key=lambda spot: spot[1:])):
            shifts[number][index] = middle - place + (position - (len(group) - 1) / 2) * _DODGE
    return shifts


def _mark(series: Series, x: float, y: float) -> str:
    return f'<circle class="mark {series.css}{" hollow" if series.hollow else ""}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'


def _reference(reference: Reference, left: float, right: float, y: float) -> str:
    css = f"reference {reference.css}{' fine' if reference.fine else ''}"
    return f'<line class="{css}" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _legend(panels: Sequence[Panel], width: float, top: float) -> tuple[list[str], float]:
    entries: dict[str, Series | Reference] = {}
    for panel in panels:
        entries |= {each.name: each for each in panel.series}
        entries |= {each.name: each for each in panel.references}
    # As many columns as the longest name leaves room for.
    column = 40 + _CHARACTER * max(map(len, entries))
    columns = max(1, min(len(entries), int((width - 24) // column)))
    left = (width - columns * column) / 2
    body = []
    for number, (name, entry) in enumerate(entries.items()):
        x, y = left + number % columns * column, top + number // columns * _LEGEND_LINE
        if isinstance(entry, Series):
            body.append(_mark(entry, x + 12, y - 5))
        else:
            body.append(_reference(entry, x, x + 26, y - 5))
        body.append(f'<text x="{x + 34:.0f}" y="{y:.0f}">{escape(name)}</text>')
    return body, top + -(-len(entries) // columns) * _LEGEND_LINE
