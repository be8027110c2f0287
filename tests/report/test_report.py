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
from chordkit.report import Report, charts, load_json, model, render_html, save_html, save_json, save_markdown

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
        ('{"format": "chordkit-report", "version": 3}', "title"),
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
    benefit = report.benefits[0]
    head = benefit.headline.model_copy(update={"worth_it": worth_it})
    page = render_html(report.model_copy(update={"benefits": [benefit.model_copy(update={"headline": head})]}))
    text = re.sub(r"<[^>]*>", "", page[page.index("<body>") :])
    first = [text.index(words) for words in (head.sentence, benefit.truth[0].sentence, head.validation, "NDCG@10")]
    assert first == sorted(first)
    assert ('class="story no"' in page) is not worth_it


def test_the_tables_are_whole_as_markdown(report: Report, tmp_path: Path) -> None:
    save_markdown(report, tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 10
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert sum(item.name in line for item in report.artifacts for line in text.splitlines()) >= 2 * len(report.artifacts)


def test_the_heat_map_draws_every_channel_in_its_colour() -> None:
    widths = np.array([2, 2, 4, 8, 8, 8, 0], np.uint8)
    svg = charts.strategy_heat_map([("layer", widths)], "label")
    cell = (400.0 - 39.5) / 7
    drawn = {
        css: float(width) / cell for css, width in re.findall(r'<rect class="(int\d|off)" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', svg)
    }
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
    assert seen["svgs"] == 9 and seen["drawn"]


def test_a_report_of_version_2_is_read_as_ever(report: Report, tmp_path: Path) -> None:
    document = report.model_dump(mode="json", exclude={"benefits", "accuracy", "sizes", "trainings"})
    benefit = report.benefits[0].model_dump(mode="json", exclude={"title"})
    (tmp_path / "report.json").write_text(json.dumps(document | benefit | {"version": 2}))
    assert load_json(tmp_path / "report.json") == report
