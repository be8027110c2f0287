"""The page of an evaluation says what the summary says, and its charts put it where it belongs."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from chordkit.estimate import Estimate
from chordkit.evaluation import Case, Evaluation, RowResult, SeedResult, summarise_seeds
from chordkit.evaluation.summary import MEASURES
from chordkit.hypernetwork import HypernetworkOptions
from chordkit.hypernetwork.diversity import Diversity
from chordkit.report.evaluation import evaluation_markdown, lengths_chart, quality_chart, save_evaluation
from chordkit.report.evaluation_charts import Panel, Reference, Series, panels_chart
from chordkit.runtime_bench import machine

USERS = 80
SVG = "{http://www.w3.org/2000/svg}"


def seed_result(gain: float, bits: float) -> SeedResult:
    """Own better than static by ``gain`` for everybody, uniform between them, all at their bits."""
    base = np.random.default_rng(0).normal(0.1, 0.02, USERS)
    levels = {"own": (base + gain, bits), "static": (base, bits), "uniform2": (base - 0.01, 2.0), "uniform8": (base + 0.01, 8.0),
              "fp32_long": (base + 0.02, 32.0), "own_age5": (base + gain / 2, bits)}  # fmt: skip
    rows = tuple(
        RowResult(key, f"label of {key}", False, at, 1.0, int(1000 * at), 0, 0.5, float("nan"), 1.0, 1.0,
                  dict.fromkeys(MEASURES, values.astype(np.float32)), dict.fromkeys(MEASURES, values.astype(np.float32)))
        for key, (values, at) in levels.items()
    )  # fmt: skip
    return SeedResult(0, rows, Diversity(USERS, 0.4, 0.2, 5, 0.5, 1.0, 0.0), np.arange(USERS, dtype=np.int64) + 3)


@pytest.fixture
def evaluation() -> Evaluation:
    cases = tuple(
        Case(HypernetworkOptions(average_bits=bits, widths=widths), summarise_seeds([seed_result(gain, bits)]), "no engine here", 1.5)
        for gain, bits, widths in ((0.05, 3.0, (2, 4, 8)), (0.0, 2.0, (0, 8)))
    )
    return Evaluation("shop", "00", USERS, 200, 4000, "sasrec", 10, (0,), 5, 5, machine.describe(), cases)


def test_the_page_has_a_verdict_for_every_budget_before_any_table(evaluation: Evaluation) -> None:
    page = evaluation_markdown(evaluation)
    head = page[: page.index("## 3 bits of {2, 4, 8}")]
    assert "**3 bits of {2, 4, 8}: ship the personal strategy" in head and "**2 bits of {off, 8}: a strategy is not worth it here" in head
    assert "3 minutes" in head and evaluation.machine.cpu in head
    assert page.count("not measured, no engine here") == 2


def test_the_page_says_how_the_data_was_split(evaluation: Evaluation) -> None:
    assert "of each user the last 5 items test and the 5 before them validate (at most)" in evaluation_markdown(evaluation)
    page = evaluation_markdown(replace(evaluation, split_at="80%,90%"))
    assert "split by time at 80%,90%: what came before trains, of each user the first 5 items" in page and "the last 5 items" not in page


def test_every_row_has_as_many_cells_as_its_table_has_columns(evaluation: Evaluation) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", evaluation_markdown(evaluation), re.MULTILINE)
    assert len(tables) == 2 * 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "`own`: label of own" in tables[0] and "own_age5" not in tables[0]


def test_only_an_interval_that_excludes_zero_is_bold(evaluation: Evaluation) -> None:
    first, second = evaluation_markdown(evaluation).split("## 2 bits of {off, 8}")
    difference = r"^\| own - static \|(.*)$"
    for row in re.findall(difference, first, re.MULTILINE):
        assert row.count("**+0.05") == row.count("[")
    for row in re.findall(difference, second, re.MULTILINE):
        assert row.count("[") > 0 and "**" not in row


def circles(svg: str, css: str) -> list[tuple[float, float]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}circle")
    return [(float(each.get("cx")), float(each.get("cy"))) for each in found if each.get("class").split()[1] == css]


def test_the_quality_chart_has_more_to_the_right_and_better_above(evaluation: Evaluation) -> None:
    own = circles(quality_chart(evaluation), "personal")
    # Two panels of two budgets, and the legend.
    (tight, three), panels = own[:2], own[2:4]
    assert len(own) == 5 and tight[0] < three[0] and tight[1] > three[1] and panels[0][0] > three[0]
    static = circles(quality_chart(evaluation), "plain")
    for mine, theirs in zip(own[:4], static[:4], strict=True):
        assert 8 < abs(mine[0] - theirs[0]) < 10, "of equal size: they stand side by side"
    assert static[1][1] > three[1] + 20, "and static is below"


def test_the_gain_by_length_is_drawn_around_zero(evaluation: Evaluation) -> None:
    chart = lengths_chart(evaluation)
    better, level = circles(chart, "personal"), circles(chart, "plain")
    assert len(better) == len(level) == 4 + 4 + 1
    assert max(y for _, y in better[:8]) < min(y for _, y in level[:8])


def test_a_chart_is_a_file_of_its_own_in_light_and_dark() -> None:
    spot = Estimate(value=0.2, low=0.1, high=0.3)
    panel = Panel("a < b", "x & y", [(2.0, "2")], [Series("one & <two>", "personal", [(2.0, spot)])], [Reference("level", "other", 0.25)])
    drawn = panels_chart([panel], "what it shows", "a note")
    root = ElementTree.fromstring(drawn)
    assert root.find(f"{SVG}title").text == "what it shows" and float(root.get("width")) > 300
    assert {"a < b", "x & y", "one & <two>", "level", "a note"} <= {text.text for text in root.iter(f"{SVG}text")}
    style = root.find(f"{SVG}style").text
    assert "prefers-color-scheme: dark" in style and "var(" not in drawn and "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_marks_of_one_place_stand_side_by_side() -> None:
    spot = Estimate(value=0.2, low=0.1, high=0.3)
    series = [Series(str(number), "personal", [(3.0, spot)]) for number in range(4)]
    marks = circles(panels_chart([Panel("", "", [(2.0, "2"), (8.0, "8")], series)], ""), "personal")[:4]
    assert all(b[0] - a[0] > 8 for a, b in pairwise(marks))


def test_saving_leaves_the_document_the_page_and_its_pictures(evaluation: Evaluation, tmp_path: Path) -> None:
    written = save_evaluation(evaluation, tmp_path)
    assert sorted(path.name for path in written) == sorted(path.name for path in tmp_path.iterdir())
    page = (tmp_path / "evaluation.md").read_text()
    assert all((tmp_path / name).is_file() for name in re.findall(r"\]\(([^)]+)\)", page))
