"""A report as one self-contained HTML page, and its tables as Markdown."""

import os
from collections.abc import Sequence

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from chordkit.estimate import Estimate
from chordkit.files import write_bytes
from chordkit.report import charts
from chordkit.report.model import ArtifactSummary, Report, UserStrategy


def _artifact_class(artifact: ArtifactSummary) -> str:
    return {"fp32": "float", "int8": "int8", "strategy": "int4"}.get(artifact.precision, "float")


def _latency_svg(report: Report) -> str:
    timed = [
        (
            artifact.name,
            charts.Percentiles(artifact.latency.p50_us, artifact.latency.p90_us, artifact.latency.p99_us),
            _artifact_class(artifact),
        )
        for artifact in sorted(report.artifacts, key=lambda item: item.latency.p50_us if item.latency else 0.0)
        if artifact.latency
    ]
    return charts.latency_chart(timed, "latency of one rerank, us (bar: p50, ticks: p90 and p99)") if timed else ""


# The colours of a row's mark; all others share one.
_MARKS = {"own": "own", "fp32": "float", "start": "float"}
# Names that fit beside a chart.
_SHORT_NAMES = {
    "own": "the user's own strategy",
    "static": "static, learned with equal care",
    "fp32": "FP32, the phone's window",
    "start": "FP32, the long window",
    "other": "another user's strategy",
    "mean": "the mean strategy",
    "random": "a random strategy",
    "sensitivity": "FP32, then widths by sensitivity",
    **{f"uniform{width}": f"FP32, then {width} bits everywhere" for width in (2, 4, 8)},
}


def _accuracy_svg(report: Report) -> str:
    shown = [(_SHORT_NAMES.get(row.key, row.name), row.masked_ndcg10, _MARKS.get(row.key, "other")) for row in report.strategy_accuracy]
    return charts.interval_chart(shown, "NDCG@10 among unseen items, with 95 % interval") if shown else ""


def _gains_svg(report: Report) -> str:
    rows = [(_SHORT_NAMES.get(row.key, row.name), row.own_minus_this_likelihood, row.key) for row in report.strategy_accuracy]
    shown = [(name, value, "own" if key == "static" else "other") for name, value, key in rows if value is not None]
    return charts.interval_chart(shown, "own strategy minus this: nats an item, with 95 % interval") if shown else ""


def _heat_map(strategy: UserStrategy) -> str:
    layers = [(layer.layer.replace("blocks.", ""), np.array([int(digit) for digit in layer.widths], np.uint8)) for layer in strategy.layers]
    return charts.strategy_heat_map(layers, f"strategy of {strategy.user}")


def _differences(strategies: Sequence[UserStrategy]) -> str:
    if len(strategies) < 2:
        return ""
    widths = np.array([[int(digit) for layer in strategy.layers for digit in layer.widths] for strategy in strategies])
    fractions = (widths[:, None] != widths[None]).mean(-1)
    return charts.difference_matrix([strategy.user for strategy in strategies], fractions, "share of channels whose width differs")


def _bytes(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1024:,.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):,.2f} MiB"


def _signed(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate:+}"


def _in_two_lines(estimate: Estimate | None) -> Markup:
    """The value, and its interval below it: a table of many columns stays within a page."""
    value, _, interval = _signed(estimate).partition(" ")
    return Markup("{}<br><small>{}</small>").format(value, interval)


def _environment() -> Environment:
    """The templates, with every inserted value escaped in HTML and left alone in Markdown."""
    environment = Environment(
        loader=PackageLoader("chordkit.report", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bytes"] = _bytes
    environment.filters["signed"] = _signed
    environment.filters["in_two_lines"] = _in_two_lines
    return environment


def render_html(report: Report) -> str:
    """The report as one HTML page: style sheet and charts inside, nothing fetched from anywhere."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            accuracy_svg=Markup(_accuracy_svg(report)),
            gains_svg=Markup(_gains_svg(report)),
            latency_svg=Markup(_latency_svg(report)),
            heat_maps=[(strategy, Markup(_heat_map(strategy))) for strategy in report.strategies],
            differences_svg=Markup(_differences(report.strategies)),
            embedded_json=Markup(report.model_dump_json().replace("<", "\\u003c")),
        )
    )


def save_markdown(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the report's tables as Markdown, for a repository; atomically."""
    write_bytes(path, (_environment().get_template("report.md.j2").render(report=report).rstrip() + "\n").encode())


def save_html(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the HTML page atomically."""
    write_bytes(path, render_html(report).encode())
