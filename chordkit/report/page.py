"""The report: one JSON document with a schema, and one self-contained HTML page drawn from it.

The JSON is the truth; the page shows nothing that is not in it. ``report.schema.json`` beside this file is generated from
the models (``write_schema``), and a test keeps the two equal.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chordkit.errors import InputError
from chordkit.files import read_bytes, write_bytes
from chordkit.report import charts

FORMAT_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(_Model):
    """A mean over users with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class DatasetSummary(_Model):
    """What the models were trained and tested on."""

    name: str
    users: int
    items: int
    interactions: int
    fingerprint: str


class BackboneAccuracy(_Model):
    """The backbone trained in the usual way, FP32, on the held-out last item of each user."""

    protocol: str = Field(description="full, masked or sampled: which items the target is ranked among")
    ndcg5: Estimate
    ndcg10: Estimate
    hr5: Estimate
    hr10: Estimate


class StrategyAccuracy(_Model):
    """Accuracy of the backbone under one way to choose the widths."""

    name: str
    kind: Literal["own", "other", "mean", "static", "uniform", "fp32"]
    average_bits: float
    ndcg10: Estimate
    hr10: Estimate
    own_minus_this: Estimate | None = Field(None, description="paired difference of NDCG@10 over users")


class ParitySummary(_Model):
    """Agreement of an artifact with the PyTorch reference."""

    histories: int
    max_error: float
    mean_error: float
    relative_rms_error: float
    kendall_tau: float
    top10_overlap: float
    ndcg_difference: float
    tolerance: str
    passed: bool


class LatencySummary(_Model):
    """One thread, one history, steady state; microseconds, but for load and memory."""

    load_ms: float
    first_call_us: float
    min_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    coefficient_of_variation: float
    calls: int
    peak_memory_mib: float | None = None
    comparable: bool = True


class ArtifactSummary(_Model):
    """One runnable file, or the eager PyTorch reference beside them (no bytes, no parity)."""

    name: str
    target: str
    precision: str
    user: str | None = None
    average_bits: float | None = None
    bytes: int | None = None
    parity: ParitySummary | None = None
    latency: LatencySummary | None = None


class LayerWidths(_Model):
    """Widths of one layer's channels, a digit a channel: 0, 2, 4 or 8."""

    layer: str
    widths: Annotated[str, Field(pattern="^[0248]+$")]


class UserStrategy(_Model):
    """The strategy that the cloud made for one user."""

    user: str
    average_bits: float
    wire_bytes: int
    layers: list[LayerWidths]


class Personalisation(_Model):
    """How much strategies depend on the user."""

    users: int
    mean_pairwise_difference: float = Field(description="share of channels whose width differs, mean over pairs of users")
    mean_difference_in_time: float | None = Field(None, description="the same between two moments of one user")


class BundleSummary(_Model):
    """The deployable file."""

    file: str
    bytes: int
    members: int
    signed: bool
    backbone_fingerprint: str


class Stage(_Model):
    """Wall time of one step of the way."""

    name: str
    seconds: float


class Report(_Model):
    """Everything that one run of the main job found out."""

    format: Literal["chordkit-report"] = "chordkit-report"
    version: Literal[1] = 1
    title: str
    created: str
    chordkit: str
    commit: str
    seed: int
    machine: dict[str, str | int | float | bool | list[str]]
    runtimes: dict[str, str]
    dataset: DatasetSummary
    backbone: dict[str, Any]
    backbone_accuracy: list[BackboneAccuracy]
    strategy_accuracy: list[StrategyAccuracy]
    accuracy_protocol: str
    artifacts: list[ArtifactSummary]
    latency_protocol: str
    strategies: list[UserStrategy]
    personalisation: Personalisation | None = None
    bundle: BundleSummary | None = None
    stages: list[Stage]
    notes: list[str] = []


def schema() -> dict[str, Any]:
    """The JSON schema of ``report.json``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema()}


def write_schema() -> None:
    """Write the schema beside this module."""
    write_bytes(SCHEMA_FILE, (json.dumps(schema(), indent=2) + "\n").encode())


def save_json(report: Report, path: str | os.PathLike[str]) -> None:
    """Write ``report.json`` atomically."""
    write_bytes(path, (report.model_dump_json(indent=2) + "\n").encode())


def load_json(path: str | os.PathLike[str]) -> Report:
    """Read a ``report.json``.

    Raises:
        InputError: the file is missing, is not JSON, or breaks the schema; the message names the field.
    """
    try:
        return Report.model_validate_json(read_bytes(path, "report"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: not a report of chordkit: {field}: {first['msg']}; make one with 'chordkit demo'") from None


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


def _accuracy_svg(report: Report) -> str:
    css = {"own": "own", "fp32": "float"}
    shown = [
        (row.name, charts.Interval(row.ndcg10.value, row.ndcg10.low, row.ndcg10.high), css.get(row.kind, "other"))
        for row in report.strategy_accuracy
    ]
    return charts.interval_chart(shown, "NDCG@10 with 95 % interval") if shown else ""


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


def _environment() -> Environment:
    """The templates, with every inserted value escaped in HTML and left alone in Markdown."""
    environment = Environment(
        loader=PackageLoader("chordkit.report", "templates"),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bytes"] = _bytes
    return environment


def render_html(report: Report) -> str:
    """The report as one HTML page: style sheet and charts inside, nothing fetched from anywhere."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            accuracy_svg=Markup(_accuracy_svg(report)),
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
