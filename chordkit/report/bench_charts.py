"""Charts of benchmark results: drawn by matplotlib, as inline SVG for a page in light and in dark.

Text stays text, in the page's own font; colours are variables of the page's style sheet (``--ink``, ``--dim``, ``--line``, ``--s0`` to
``--s7``); the same data give the same bytes. A chart is 400 units wide: at that width its text is read on a phone, and two stand side by
side on a desk.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chordkit.estimate import Estimate
from chordkit.runtime_bench.results import Result
from chordkit.runtime_bench.samples import SampleBlock, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = 8
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 3, 2, 3))
"""Of the lines beyond the first eight, the next eight, and so on."""
_MARKERS = "os^DvPX*"
_WIDTH = 400.0
_POINTS = 160
_STRETCHES = 24
# matplotlib takes colours, not variables: these stand for variables until the drawing is done.
_INK, _DIM, _LINE = "#0000a0", "#0000a1", "#0000a2"
_VARIABLES = {"a0": "ink", "a1": "dim", "a2": "line", "a3": "paper"} | {f"b{index}": f"s{index}" for index in range(COLOURS)}
_PAPER = "#0000a3"
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "chordkit",
    "text.parse_math": False,
    "font.size": 11.5,
    "text.color": _INK,
    "axes.labelcolor": _DIM,
    "axes.edgecolor": _LINE,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 1.0,
    "xtick.color": _DIM,
    "ytick.color": _DIM,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True)
class Spot:
    """p50 of one contender in one run: ``place`` counts the runs from the left; ``sure`` = comparable."""

    place: int
    p50_us: Estimate
    sure: bool

    def against(self, first_us: float) -> "Spot":
        """The same as percent above ``first_us``."""
        middle = self.p50_us
        value, low, high = (100 * (us / first_us - 1) if first_us > 0 else 0.0 for us in (middle.value, middle.low, middle.high))
        return Spot(self.place, Estimate(value=value, low=low, high=high), self.sure)


def ranges_chart(results: Sequence[Result], places: Mapping[str, int], key: str) -> str:
    """One row a contender, fastest on top: thin from the shortest sample to p99, thick from p50 to p95, p50 as a dot with its interval."""
    rows = sorted(results, key=lambda result: result.latency.p50_us)

    def draw(axes: "Axes") -> None:
        for row, result in enumerate(rows):
            latency, colour = result.latency, _colour(places[result.name])
            middle = latency.median_of_blocks_us
            axes.plot([latency.min_us, latency.p99_us], [row, row], color=_DIM, linewidth=1.2, solid_capstyle="butt")
            axes.plot([latency.p50_us, latency.p95_us], [row, row], color=colour, linewidth=7, solid_capstyle="butt")
            axes.plot([middle.low, middle.high], [row, row], color=_INK, linewidth=2.5, solid_capstyle="butt")
            axes.plot([latency.p50_us], [row], marker="o", markersize=7, color=colour, markeredgecolor=_PAPER, markeredgewidth=1.2)
            axes.annotate(_short(result.name), (0, row), xycoords=("axes fraction", "data"), xytext=(0, 8), textcoords="offset points")
            axes.annotate(
                f"{_number(latency.p50_us)} us",
                (1, row),
                xycoords=("axes fraction", "data"),
                xytext=(0, 8),
                textcoords="offset points",
                ha="right",
                color=_DIM,
            )
        axes.set_ylim(len(rows) - 0.5, -0.85)
        axes.set_yticks([])
        _scale(axes.xaxis, [value for result in rows for value in (result.latency.min_us, result.latency.p99_us)], 0.04)
        axes.set_xlabel("us a call")

    return _svg(draw, 52 + 34.0 * len(rows), key, "Latency of every contender: shortest, p50 with its interval, p95, p99")


def ecdf_chart(samples: Mapping[str, Sequence[Sequence[SampleBlock]]], places: Mapping[str, int], key: str) -> str:
    """Share of samples that took at most so long. ``places`` gives each contender its colour."""
    drawn = {name: np.sort(_pooled(launches)) for name, launches in samples.items()}

    def draw(axes: "Axes") -> None:
        for name, calls in drawn.items():
            steps = calls if calls.size <= _POINTS else np.quantile(calls, np.linspace(0, 1, _POINTS), method="inverted_cdf")
            shares = np.arange(1, steps.size + 1) / steps.size * 100
            axes.step(np.r_[steps[0], steps], np.r_[0, shares], where="post", color=_colour(places[name]), **_dash(places[name]))
        # The slowest call of a hundred thousand would leave the rest a narrow band.
        _scale(axes.xaxis, [value for calls in drawn.values() for value in (calls[0], np.quantile(calls, 0.995))], 0.02)
        axes.set_ylim(0, 101)
        axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_xlabel("us a call")

    return _svg(draw, 250, key, "Share of samples that took at most so long, for every contender")


def box_chart(samples: Mapping[str, Sequence[Sequence[SampleBlock]]], places: Mapping[str, int], key: str) -> str:
    """Box plots, for few samples: box from quartile to quartile, median across it, whiskers to the last sample within 1.5 boxes."""
    drawn = {name: _pooled(launches) for name, launches in samples.items()}
    names = sorted(drawn, key=lambda name: float(np.median(drawn[name])))

    def draw(axes: "Axes") -> None:
        for row, name in enumerate(names):
            colour = _colour(places[name])
            axes.boxplot(
                [drawn[name]], positions=[row], orientation="horizontal", widths=0.36, manage_ticks=False,
                boxprops={"color": colour, "linewidth": 1.6}, medianprops={"color": _INK, "linewidth": 2},
                whiskerprops={"color": colour}, capprops={"color": colour},
                flierprops={"marker": "o", "markersize": 3, "markeredgecolor": colour, "markerfacecolor": "none"},
            )  # fmt: skip
            axes.annotate(_short(name), (0, row), xycoords=("axes fraction", "data"), xytext=(0, 11), textcoords="offset points")
        axes.set_ylim(len(names) - 0.5, -0.9)
        axes.set_yticks([])
        _scale(axes.xaxis, [value for calls in drawn.values() for value in (calls.min(), calls.max())], 0.04)
        axes.set_xlabel("us a call")

    return _svg(draw, 52 + 42.0 * len(names), key, "Box plots of the samples of every contender")


def drift_chart(samples: Samples, places: Mapping[str, int], key: str) -> str:
    """How far each contender is from its own median, over time. Launches are laid over each other, each against its own median."""

    def draw(axes: "Axes") -> None:
        for name, launches in samples.items():
            spots = sorted(spot for launch in launches for spot in _away(launch))
            parts = np.array_split(np.array(spots), min(_STRETCHES, len(spots)))
            x, y = [float(part[:, 0].mean()) for part in parts], [float(np.median(part[:, 1])) for part in parts]
            axes.plot(x, y, color=_colour(places[name]), **_dash(places[name]))
        axes.axhline(0, color=_DIM, linewidth=1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g} %" if value else "0 %")
        axes.set_xlabel("minutes of measuring")

    return _svg(draw, 230, key, "Distance of every contender from its own median, over time")


def _away(launch: Sequence[SampleBlock]) -> list[tuple[float, float]]:
    """Per block of a launch its minute, and how many percent it is slower than the launch's median."""
    levels = np.array([np.median(block.us) for block in launch])
    middle = float(np.median(levels)) or 1.0
    return [(block.at_s / 60, 100 * (float(level) / middle - 1)) for block, level in zip(launch, levels, strict=True)]


def history_chart(
    series: Mapping[str, Sequence[Spot]], places: Mapping[str, int], runs: Sequence[str], key: str, label: str, change: bool = False
) -> str:
    """p50 with interval, run by run; rings are runs that were not comparable.

    Args:
        series: the spots of each contender, oldest first.
        places: gives each contender its colour.
        runs: their names, from the left.
        key, label: of the drawing.
        change: draw percent above each contender's first run: what a logarithmic axis over all of them hides.
    """
    shown_series = {name: [spot.against(spots[0].p50_us.value) for spot in spots] if change else spots for name, spots in series.items()}

    def draw(axes: "Axes") -> None:
        for name, spots in shown_series.items():
            index = places[name]
            colour, marker = _colour(index), _MARKERS[index % len(_MARKERS)]
            x, y = [spot.place for spot in spots], [spot.p50_us.value for spot in spots]
            axes.plot(x, y, color=colour, alpha=0.5, linewidth=1.4, **_dash(index))
            low = [max(spot.p50_us.value - spot.p50_us.low, 0.0) for spot in spots]
            high = [max(spot.p50_us.high - spot.p50_us.value, 0.0) for spot in spots]
            axes.errorbar(x, y, yerr=[low, high], fmt="none", color=colour, ecolor=colour, elinewidth=1.6, capsize=2.5)
            for sure, face in ((True, colour), (False, _PAPER)):
                marks = [spot for spot in spots if spot.sure is sure]
                x, y = [spot.place for spot in marks], [spot.p50_us.value for spot in marks]
                axes.plot(x, y, marker=marker, markersize=6, linestyle="none", color=colour, markerfacecolor=face)
        _scale(
            axes.yaxis,
            [value for spots in shown_series.values() for spot in spots for value in (spot.p50_us.low, spot.p50_us.high)],
            0.06,
            not change,
        )
        axes.set_xlim(-0.5, max(len(runs) - 0.5, 0.5))
        shown = sorted({round(place) for place in np.linspace(0, len(runs) - 1, min(len(runs), 4))})
        axes.set_xticks(shown, [_short(runs[place], 22).replace(" ", "\n", 1) for place in shown])
        if change:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.3g} %" if value else "0 %")
        else:
            axes.set_ylabel("us a call, p50")

    return _svg(draw, 270, key, label)


def _pooled(launches: Sequence[Sequence[SampleBlock]]) -> NDArray[np.float64]:
    return np.concatenate([block.us for launch in launches for block in launch])


def _colour(index: int) -> str:
    return f"#0000b{index % COLOURS}"


def _dash(index: int) -> dict[str, Any]:
    dash = DASHES[index // COLOURS % len(DASHES)]
    return {"dashes": dash} if dash else {}


def _short(name: str, most: int = 42) -> str:
    """A name that fits, on one line: a file may hold any."""
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scale(axis: Any, values: Sequence[float], margin: float, times: bool = True) -> None:
    """Limits around ``values``; of ``times`` from a factor of three on logarithmic, with ticks at 1, 2, 5."""
    low, high = float(min(values)), float(max(values))
    axes, set_limits = axis.axes, axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    axis.set_major_formatter(lambda value, _: _number(value))
    if times and low > 0 and high / low >= 3:
        (axes.set_xscale if axis.axis_name == "x" else axes.set_yscale)("log")
        room = (high / low) ** margin
        low, high = low / room, high * room
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]
        if len(ticks) > 7:
            ticks = [tick for tick in ticks if math.log10(tick) % 1 < 1e-9] or ticks
        axis.set_major_locator(_fixed(ticks))
        axis.set_minor_locator(_fixed([]))
        axis.set_major_formatter(lambda value, _: _number(value))
    else:
        room = (high - low) * margin or abs(high) * 0.05 or 1.0
        low, high = low - room, high + room
        axis.set_major_locator(_few())
    set_limits(low, high)


def _fixed(ticks: Sequence[float]) -> Any:
    from matplotlib.ticker import FixedLocator

    return FixedLocator(list(ticks))


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _svg(draw: Callable[["Axes"], None], height: float, key: str, label: str) -> str:
    """What ``draw`` puts on axes of 400 x ``height`` units, as an element of a page; ``key`` keeps its names apart from other charts'."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    stream = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # The font that text is measured with need not have every sign; the page's has.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
        draw(figure.subplots())
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_a_page(stream.getvalue(), height, key, label)


def _for_a_page(svg: str, height: float, key: str, label: str) -> str:
    body = svg[svg.index("<g ", svg.index("<svg ")) : svg.rindex("</svg>")]
    # Only what is referred to keeps its name, and no other chart of the page has it.
    wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{key}-{found[1]}"' if found[1] in wanted else "", body)
    body = re.sub(r'xlink:href="#', f'href="#{key}-', body).replace("url(#", f"url(#{key}-")
    body = re.sub(r"#0000([ab]\d)", lambda found: f"var(--{_VARIABLES[found[1]]})" if found[1] in _VARIABLES else found[0], body)
    body = re.sub(r" font-family: [^;\"]*;", "", body)
    body = re.sub(r"\s*\n\s*", " ", re.sub(r'\s*\n\s*(?=[<"])', "", body))
    body = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), body)
    title = escape(label, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>'
