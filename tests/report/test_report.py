"""The report: schema, page and what a reader's browser makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from chordkit.errors import InputError
from chordkit.estimate import Estimate
from chordkit.report import Report, charts, load_json, model, render_html, save_html, save_json, save_markdown
from chordkit.report.model import (
    ArtifactSummary,
    BackboneAccuracy,
    BundleSummary,
    DatasetSummary,
    Headline,
    LatencySummary,
    LayerWidths,
    ParitySummary,
    Personalisation,
    Stage,
    StrategyAccuracy,
    Truth,
    UserStrategy,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def report() -> Report:
    rng = np.random.default_rng(0)

    def around(value: float) -> Estimate:
        return Estimate(value=value, low=value - 0.004, high=value + 0.004)

    def row(key: str, bits: float, ndcg: float) -> StrategyAccuracy:
        return StrategyAccuracy(
            key=key, name=f"the {key} one", personal=key == "own", average_bits=bits, products=0.25, phone_bytes=80_000, wire_bytes=216,
            masked_ndcg10=around(ndcg), n100_ndcg10=around(0.5), likelihood=around(-4.5),
            own_minus_this=None if key == "own" else around(0.07 - ndcg),
            own_minus_this_likelihood=None if key == "own" else around(0.0321),
        )  # fmt: skip

    def artifact(target: str, precision: str, p50: float) -> ArtifactSummary:
        return ArtifactSummary(
            name=f"{target}-{precision}", target=target, precision=precision, average_bits=3.0, bytes=123_456,
            parity=ParitySummary(histories=1000, max_error=1e-6, mean_error=1e-7, relative_rms_error=1e-7, kendall_tau=1.0,
                                 top10_overlap=1.0, ndcg_difference=0.0, tolerance="rms 1e-5", passed=precision != "int8"),
            latency=LatencySummary(load_ms=1.5, first_call_us=300, min_us=p50 * 0.9, p50_us=p50, p90_us=p50 * 1.2, p99_us=p50 * 2,
                                   coefficient_of_variation=0.1, calls=5000, peak_memory_mib=12.5),
        )  # fmt: skip

    def strategy(user: str) -> UserStrategy:
        names = [f"blocks.{block}.{layer}" for block in range(2) for layer in ("query", "key", "value", "output", "ffn1", "ffn2")]
        layers = [LayerWidths(layer=name, widths="".join(rng.choice(["2", "4", "8"], 64, p=[0.65, 0.25, 0.1]))) for name in names]
        return UserStrategy(user=user, average_bits=3.0, wire_bytes=216, layers=layers)

    return Report(
        title="A </script><b>hostile</b> title", created="2026-11-21T12:00:00Z", chordkit="0.1.0", commit="0123abc", seed=0,
        machine={"cpu": "a CPU", "cores": 2, "features": ["avx2", "fma"]}, runtimes={"ai-edge-litert": "2.3.0"},
        dataset=DatasetSummary(name="synthetic", users=2500, items=1300, interactions=150_000, fingerprint="00"),
        backbone={"architecture": "sasrec", "dim": 64},
        backbone_accuracy=[BackboneAccuracy(protocol=name, ndcg5=around(0.05), ndcg10=around(0.07), hr5=around(0.09), hr10=around(0.13))
                           for name in ("full", "masked", "sampled")],
        headline=Headline(worth_it=True, sentence="Personal strategies gain +0.1.", against="one static strategy", likelihood=around(0.1),
                          masked_ndcg10=around(0.01), validation="ship the personal strategy"),
        truth=[Truth(measure="masked_likelihood", sentence="Their taste is worth 0.871 nats.", taste=around(-3.7), context=around(-4.6),
                     own=around(-4.4), static=around(-4.5), share=around(0.11))],
        strategy_accuracy=[row("own", 2.0, 0.07), row("static", 2.0, 0.06), row("fp32", 32.0, 0.065)],
        accuracy_protocol="Five held-out items.", latency_protocol="Interleaved, one thread.",
        artifacts=[artifact(target, precision, p50) for target, p50 in (("litert", 55.0), ("executorch", 120.0), ("onnx", 150.0))
                   for precision in ("fp32", "int8", "strategy")],
        strategies=[strategy(f"user {index}") for index in range(4)],
        personalisation=Personalisation(users=2500, mean_pairwise_difference=0.3, mean_difference_in_time=0.1),
        bundles=[BundleSummary(file="demo.chord", holds="all", bytes=2_000_000, members=14, signed=True, backbone_fingerprint="ab" * 8)],
        stages=[Stage(name="train", seconds=50.0)], notes=["A note."],
    )  # fmt: skip


def test_json_round_trips_and_meets_the_schema_beside_the_code(report: Report, tmp_path: Path) -> None:
    schema = json.loads(Path(model.__file__).with_name("report.schema.json").read_text())
    save_json(report, tmp_path / "report.json")
    assert load_json(tmp_path / "report.json") == report
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), schema)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "Expecting property name"),
        ("[]", "the document"),
        ('{"version": "1"}', "version"),
        ('{"format": "chordkit-report", "version": 2}', "title"),
    ],
)
def test_what_is_no_report_is_refused_with_the_field(text: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match=rf"report\.json: not a chordkit report: {field}"):
        load_json(tmp_path / "report.json")


def test_the_page_fetches_nothing_and_escapes_what_it_shows(report: Report) -> None:
    page = render_html(report)
    assert "<b>hostile</b>" not in page
    assert page.count("</script>") == 1
    outside = re.findall(r"(?:src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    assert outside == []
    embedded = re.search(r'<script type="application/json" id="report">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    assert Report.model_validate_json(embedded.group(1)) == report


@pytest.mark.parametrize("worth_it", [True, False])
def test_the_story_and_its_interval_are_what_is_read_first(report: Report, worth_it: bool) -> None:
    page = render_html(report.model_copy(update={"headline": report.headline.model_copy(update={"worth_it": worth_it})}))
    text = re.sub(r"<[^>]*>", "", page[page.index("<body>") :])
    first = [text.index(words) for words in (report.headline.sentence, report.truth[0].sentence, report.headline.validation, "NDCG@10")]
    assert first == sorted(first)
    assert ('class="story no"' in page) is not worth_it


def test_the_tables_are_whole_as_markdown(report: Report, tmp_path: Path) -> None:
    save_markdown(report, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert sum(item.name in line for item in report.artifacts for line in text.splitlines()) >= 2 * len(report.artifacts)


def test_the_heat_map_draws_every_channel_in_its_colour() -> None:
    widths = np.array([2, 2, 4, 8, 8, 8, 0], np.uint8)
    svg = charts.strategy_heat_map([("layer", widths)], "label")
    cell = (640.0 - 118.0) / 7
    drawn = {css: float(width) / cell for css, width in re.findall(r'<rect class="(\w+)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', svg)}
    assert {css: round(count) for css, count in drawn.items()} == {"int2": 2, "int4": 1, "int8": 3, "off": 1}


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.061, 0.0665), (-3e-4, 2e-3), (5.0, 5.0), (0.0, 0.0), (12, 98000)])
def test_ticks_are_few_and_cover_the_range(low: float, high: float) -> None:
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 8


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_sideways_scrolling(report: Report, width: int, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    save_html(report, tmp_path / "report.html")
    # Headless Chromium has a minimum window width, so the page is measured inside a frame as narrow as a phone.
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"""<iframe id="frame" src="report.html" style="width:{width}px;height:4000px;border:0"></iframe><script>
frame.onload = () => {{ const page = frame.contentDocument;
document.title = JSON.stringify({{scroll: page.documentElement.scrollWidth, svgs: page.querySelectorAll('svg').length,
drawn: [...page.querySelectorAll('svg')].every(svg => svg.getBoundingClientRect().height > 20)}}); }};</script>"""
    )
    dumped = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", dumped)
    assert title is not None, dumped[:500]
    seen = json.loads(title.group(1))
    assert seen["scroll"] <= width
    assert seen["svgs"] == 8 and seen["drawn"]
