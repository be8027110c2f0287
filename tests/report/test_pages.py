"""What holds for every page: tables that a screen reader can tell, colours that everybody can read, and nothing that a phone cuts off."""

import re
from collections.abc import Iterator

import pytest

from chordkit.estimate import Estimate
from chordkit.evaluation.accuracy import Accuracy, AccuracyLine
from chordkit.report import Report, render_bench, render_history, render_html
from chordkit.report.benefit_sections import headline_rivals
from chordkit.report.model import Epoch, StrategyAccuracy, TrainingLog
from tests.report.pages import Page, contrast, schemes
from tests.runtime_bench.reports import EMULATED, made_report, made_samples

# Where words stand, and on what: WCAG 2.1 asks for 4.5 (AA).
TEXT = {
    "--paper": ("--ink", "--dim", "--bad", "--good", "--s0", "--own"),
    "--panel": ("--ink", "--dim", "--bad", "--good"),
    "--warnpaper": ("--warn", "--ink"),
}
# What is drawn, on the page: 3. What is off or int2 has a frame around it that has.
MARKS = (*(f"--s{index}" for index in range(8)), "--int4", "--int8", "--float", "--own", "--dim")


def around(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.004, high=value + 0.004)


def row(key: str, bits: float, likelihood: float) -> StrategyAccuracy:
    return StrategyAccuracy(
        key=key, name=key, personal=key == "own", average_bits=bits, products=1.0, phone_bytes=1, wire_bytes=0, masked_ndcg10=around(0.1),
        n100_ndcg10=around(0.1), likelihood=around(likelihood),
    )  # fmt: skip


def accuracy() -> Accuracy:
    line = {"label": "a <file>", "group": "backbone", "runtime": "PyTorch", "users": 9, "values": {"masked_ndcg10": around(0.1)}}
    lines = [AccuracyLine(name="a.safetensors", **line), AccuracyLine(name="b", minus_first={"masked_ndcg10": around(-0.1)}, **line)]
    return Accuracy(
        dataset="shop", fingerprint="0", users=9, items=9, interactions=90, protocol="How.", seed=0, lines=lines, notes=["Few."]
    )


def everything() -> Report:
    epochs = [Epoch(epoch=at, loss=3.0 - at, valid_ndcg10=0.1 * at) for at in range(3)]
    return Report(
        title="A run", created="2026-11-26", chordkit="0", commit="0", accuracy=[accuracy()], machine={"cpu": "one"},
        trainings=[TrainingLog(name="start", architecture="sasrec", best=1, epochs=epochs)],
    )  # fmt: skip


@pytest.fixture(params=["demo", "run", "bench", "history"])
def page(request: pytest.FixtureRequest, report: Report) -> str:
    drawn = {
        "demo": lambda: render_html(report),
        "run": lambda: render_html(everything()),
        "bench": lambda: render_bench(made_report(machine=EMULATED), made_samples()),
        "history": lambda: render_history([made_report()]),
    }
    return drawn[request.param]()


def tables(page: str) -> Iterator[str]:
    yield from re.findall(r"<table.*?</table>", page, re.DOTALL)


def test_every_table_has_a_caption_heads_with_a_scope_and_a_box_that_scrolls(page: str) -> None:
    found = list(tables(page))
    assert found and page.count('<div class="scroll" tabindex="0" role="region" aria-label="') == len(found)
    for table in found:
        assert re.search(r"<caption><span>[^<]+</span></caption>", table)
        head, body = table.split("<tbody>")
        assert re.findall(r"<th(?! scope=\"col\")[ >]", head) == [] == re.findall(r"<th(?! scope=\"row\")[ >]", body)
        assert "<td" not in head and body.count("<tr") == body.count('<th scope="row">')


def test_no_row_of_a_table_is_longer_than_its_head(page: str) -> None:
    for table in Page(page).tables:
        assert {len(cells) for cells in table} == {len(table[0])} and all(head.strip() for head in table[0])


def test_drawings_are_named_for_those_who_cannot_see_them(page: str) -> None:
    body = page[page.index("<body>") :]
    drawings = re.findall(r"<svg[^>]*>", body)
    named = [each for each in drawings if 'role="img"' in each and re.search(r'aria-label="[^"]+"', each)]
    assert len(named) + sum('aria-hidden="true"' in each for each in drawings) == len(drawings)
    assert len(re.findall(r'<svg[^>]*role="img"[^>]*><title>[^<]+</title>', body)) == len(named) > 0
    assert '<html lang="en">' in page and "<main>" in page


def test_colours_are_variables_and_readable_in_light_and_dark(page: str) -> None:
    style = page[: page.index("</style>")]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", re.sub(r"--\w+: #[0-9a-f]{6};", "", style)) == []
    assert re.findall(r"(?:fill|stroke|color|background)[:=]\"?\s*(?:#|rgb|white|black)", page[page.index("<body>") :]) == []
    for name, colours in schemes(page).items():
        for ground, words in TEXT.items():
            for word in words:
                assert contrast(colours[word], colours[ground]) >= 4.5, (name, word, ground)
        for mark in MARKS:
            assert contrast(colours[mark], colours["--paper"]) >= 3.0, (name, mark)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21) and contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_a_verdict_stands_beside_its_name(report: Report) -> None:
    verdicts = {"parity", "comparable", "own is", "personal is, by NDCG@10"}
    pages = [render_html(report), render_bench(made_report(), made_samples())]
    heads = [[head.strip() for head in table[0]] for page in pages for table in Page(page).tables]
    assert {head[1] for head in heads} >= verdicts
    assert not any(set(head[2:]) & verdicts for head in heads)


def test_a_part_that_nobody_measured_has_no_section(report: Report) -> None:
    bare = Report(title="t", created="", chordkit="0", commit="")
    assert re.findall(r"<h2", render_html(bare)) == [] and Page(render_html(bare)).tables == []
    titles = re.findall(r'<h2 id="(\w+)"', render_html(everything()))
    assert titles == ["files", "training"]
    assert {"accuracy", "artifacts", "latency", "strategies"} <= set(re.findall(r'<h2 id="(\w+)"', render_html(report)))


def test_headline_figures_stand_against_fp32_the_best_static_and_a_uniform_one() -> None:
    rows = [row("own", 3.0, -4.0), row("static", 3.0, -4.3), row("sensitivity", 3.0, -4.1), row("uniform2", 2.0, -5.0),
            row("uniform4", 4.0, -4.2), row("uniform8", 8.0, -4.0), row("fp32", 32.0, -3.9)]  # fmt: skip
    assert [(name, each.key) for name, each in headline_rivals(rows)] == [
        ("personal", "own"), ("trained FP32", "fp32"), ("best static", "sensitivity"), ("uniform, nearest in size", "uniform4"),
    ]  # fmt: skip
    tight = [row("own", 2.0, -4.0), row("uniform2", 2.0, -5.0), row("uniform4", 4.0, -4.2)]
    assert headline_rivals(tight)[1] == ("uniform of the same size", tight[1])
    assert headline_rivals(rows[1:]) == []
