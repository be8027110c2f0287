"""Pages of benchmark results: what they say, that they fetch nothing and escape everything, and what a browser makes of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chordkit.report import render_bench, render_history
from chordkit.runtime_bench.results import BenchReport, Counts, Settings
from chordkit.runtime_bench.statistics import drift
from tests.report.pages import Page, words
from tests.runtime_bench.reports import BASELINE, EMULATED, PHONE, STATE, TIMES, made_report, made_samples

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '</title><img src=x onerror=alert(1)> " \' & $x^2$ #0000a9 id="b"\n\x07 漢'


def sustained() -> BenchReport:
    found = drift(np.arange(100.0), np.linspace(100, 101, 100))
    return made_report(settings=Settings(mode="sustained"), result={"drift_percent_per_minute": found})


def test_a_page_has_the_device_the_charts_and_every_number_of_the_table() -> None:
    report = made_report(before=STATE.model_copy(update={"bad": ("UNLOCKED",)}), waited_s=42.0, skipped={"onnx-fp32": "no room"})
    page = Page(render_bench(report, made_samples()))
    text = words(render_bench(report, made_samples()))
    assert "EMULATED" not in text and "Not comparable" not in text
    for fact in ("Maker Phone 8", "API 35, user build AP4A.250105.002", "2 x Cortex-A76 up to 2.84 GHz", "processors 4-5", "UNLOCKED",
                 "SoC 3", "waited 42 s", "onnx-fp32: no room", "schedutil", "82 %, 31.0 °C, cable gives power", "skin 33.0"):  # fmt: skip
        assert fact in text, fact
    table = page.tables[0]
    assert {len(row) for row in table} == {len(table[0])} and len(table) == 1 + len(TIMES)
    heads = [head.strip() for head in table[0]]
    assert heads == ["artifact", "comparable", "p50", f"ratio to {BASELINE}", "p90", "p95", "p99", "min", "CV", "n", "batch", "load, ms",
                     "first call", "instructions", "memory", "bytes"]  # fmt: skip
    first = dict(zip(heads, table[1], strict=True))
    latency = report.results[0].latency
    assert first["artifact"].split()[0] == "native-int8", "the fastest on top"
    assert f"{latency.p50_us:.2f}" in first["p50"] and f"[{latency.median_of_blocks_us.low:.2f}, " in first["p50"]
    assert first["n"].strip() == "600" and first["instructions"].strip() == "1,000" and first["memory"].strip() == "3.00 MiB"


@pytest.mark.parametrize(("name", "count"), [("plain", 1), ("samples", 2), ("few", 2), ("sustained", 3), ("nothing", 0)])
def test_what_is_drawn_is_what_is_there(name: str, count: int) -> None:
    report, samples = {
        "plain": (made_report(), None),
        "samples": (made_report(), made_samples()),
        "few": (made_report(), made_samples(blocks=1, calls=5)),
        "sustained": (sustained(), made_samples()),
        "nothing": (made_report(results=()), made_samples()),
    }[name]
    text = render_bench(report, samples)
    page = Page(text)
    drawn = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(drawn) == count and all(each["aria-label"] for each in drawn) and text.count("<title>") == 1 + count
    assert ("Box: the middle half" in text) == (name == "few") and ("Over time" in text) == (name == "sustained")
    assert len(page.ids) == len(set(page.ids)), "no two elements of one name"
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    assert referred <= set(page.ids)


def test_emulated_is_said_first_and_not_comparable_with_its_reasons() -> None:
    counts = Counts(per_call=1000.0, by_layer={"<ffn>": 750.0, "b": 250.0})
    judged = {"comparable": False, "reasons": ("too wide",), "counts": counts}
    report = made_report(machine=EMULATED, comparable=False, reasons=("native-int8: too wide",), result=judged)
    text = words(render_bench(report, made_samples(noise=0.0)))
    places = [text.index(part) for part in ("EMULATED: times are no phone", "Not comparable", "native-int8: too wide", "How fast is each?")]
    assert places == sorted(places)
    assert "75.0 %" in text and "&lt;ffn&gt;" in text


def test_a_page_fetches_nothing_and_escapes_what_it_shows() -> None:
    samples = made_samples({HOSTILE: 10.0, **TIMES})
    android = PHONE.android.model_copy(update={"model": HOSTILE, "manufacturer": HOSTILE}) if PHONE.android else None
    machine = PHONE.model_copy(update={"android": android, "cpu": HOSTILE, "commit": "<i>", "versions": {HOSTILE: HOSTILE}})
    report = made_report(samples, machine=machine, device=HOSTILE, reasons=(HOSTILE,), comparable=False, skipped={HOSTILE: HOSTILE},
                         before=STATE.model_copy(update={"at": HOSTILE, "temperatures_c": {HOSTILE: 1.0}, "bad": (HOSTILE,)}))  # fmt: skip
    for text in (render_bench(report, samples), render_history([report])):
        page = Page(text)
        assert page.count("img") == 0 and page.count("i") == 0 and text.count("</title><img") == 0
        fetched = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "xlink:href")]
        assert all(value and value.startswith("#") for value in fetched)
        assert re.findall(r"@import|https?:|url\((?!#)", text) == []
        assert "<?xml" not in text and "<!DOCTYPE svg" not in text and "<metadata" not in text
    embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', render_bench(report, samples), re.DOTALL)
    assert embedded is not None and BenchReport.model_validate_json(embedded.group(1)) == report


def test_the_same_result_gives_the_same_bytes() -> None:
    assert render_bench(sustained(), made_samples()) == render_bench(sustained(), made_samples())
    assert render_history([made_report()]) == render_history([made_report()])


def test_colours_are_the_pages_in_light_and_in_dark() -> None:
    text = render_bench(sustained(), made_samples())
    body = text[text.index("<body>") : text.index("<script")]
    assert re.findall(r"#[0-9a-f]{6}\b", body) == [], "no colour that one of the two schemes cannot read"
    used, style = set(re.findall(r"var\((--\w+)\)", text)), text[: text.index("</style>")]
    light, dark = style.split("prefers-color-scheme: dark", 1)
    assert used and all(f"{name}:" in light and f"{name}:" in dark for name in used)


@pytest.mark.parametrize("us", [0.0, -1.0, 1e300, 1e-300])
def test_numbers_that_are_no_times_are_told_and_not_drawn(us: float) -> None:
    report = made_report()
    latency = report.results[0].latency.model_copy(update=dict.fromkeys(("min_us", "p50_us", "p99_us"), us))
    report = report.model_copy(update={"results": (report.results[0].model_copy(update={"latency": latency}), *report.results[1:])})
    text = render_bench(report)
    drawing = text[text.index("<figure>") : text.index("</figure>")]
    assert "native-int8" not in drawing and "onnx-int8" in drawing and len(Page(text).tables[0]) == 1 + len(TIMES)
    assert Page(render_history([report])).count("figure") == 2


def test_history_has_a_panel_for_each_device_and_none_with_emulated_and_real() -> None:
    def at(day: int, report: BenchReport) -> BenchReport:
        return report.model_copy(update={"before": STATE.model_copy(update={"at": f"2026-11-{day:02d}T10:00:00+00:00"})})

    doubtful = made_report(comparable=False, result={"comparable": False})
    emulated, disguised = made_report(machine=EMULATED), made_report(machine=EMULATED, device="adb:SERIAL")
    reports = [at(3, made_report()), at(1, doubtful), at(2, emulated), at(2, disguised), at(4, made_report(settings=Settings(mode="cold")))]
    text = render_history(reports)
    page = Page(text)
    assert [re.sub(r"\s+", " ", head) for head in re.findall(r"<h2[^>]*>(.*?)</h2>", text)] == [
        "adb:SERIAL: Phone 8, saturated", "emulator:cortex-a76: Cortex-A76, saturated", "adb:SERIAL: Cortex-A76, saturated",
        "adb:SERIAL: Phone 8, cold"]  # fmt: skip
    assert text.count("EMULATED") == 2 and len(page.tables) == 4
    assert [row[0].split()[0] for row in page.tables[0][1:]] == ["2026-11-01", "2026-11-03"], "oldest first"
    assert page.tables[0][0][1:] == [f" {name}" for name in TIMES]
    assert Page(render_history([])).tables == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_pages_without_sideways_scrolling(width: int, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    long = made_samples({**TIMES, "executorch-of-a-user-with-a-very-very-long-name-indeed-0123456789": 50.0})
    (tmp_path / "run.html").write_text(render_bench(made_report(long, settings=Settings(mode="sustained")), long))
    (tmp_path / "history.html").write_text(render_history([made_report(long), made_report(machine=EMULATED)]))
    # Headless Chromium has a minimum window width, so the pages are measured inside frames as narrow as a phone.
    probe = tmp_path / "probe.html"
    frames = "".join(f'<iframe src="{name}.html" style="width:{width}px;height:4000px;border:0"></iframe>' for name in ("run", "history"))
    probe.write_text(
        f"""{frames}<script>onload = () => {{ document.title = JSON.stringify([...document.querySelectorAll('iframe')].map(frame => {{
const page = frame.contentDocument, charts = [...page.querySelectorAll('figure svg')];
const small = [...page.querySelectorAll('figure text')].filter(text => text.getBoundingClientRect().height < 10).length;
return {{scroll: page.documentElement.scrollWidth, charts: charts.length, small,
drawn: charts.every(svg => svg.getBoundingClientRect().height > 100)}}; }})); }};</script>"""
    )
    dumped = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", dumped)
    assert title is not None, dumped[:500]
    run, history = json.loads(title.group(1))
    assert run["scroll"] <= width and history["scroll"] <= width
    assert (run["charts"], history["charts"]) == (3, 4) and run["drawn"] and history["drawn"]
    assert run["small"] == history["small"] == 0, "text that a reader of a phone can read"
