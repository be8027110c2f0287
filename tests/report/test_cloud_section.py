"""What the report shows of a service and of a roll-out is what is in its document."""

import re

import pytest

from chordkit.report import Report, render_html
from chordkit.report.charts import WIDTH, share_chart
from chordkit.report.page import render_markdown
from tests.report.pages import Page


def test_the_section_tells_who_got_what(report: Report) -> None:
    html = render_html(report)
    tables = [[[cell.strip() for cell in row] for row in rows] for rows in Page(html).tables]
    table = next(rows for rows in tables if rows[0][0] == "change")
    counts = ["shipped with the app", "release 1", "release 2"]
    assert table[0] == ["change", *counts, "self-check failed", "fetched by all", "by a phone without news"]
    assert table[1] == ["release 1 to 20 %", "90", "30", "0", "", "8.58 MiB", "1.6 KiB"]
    assert table[2] == ["release 2 to 40 %", "0", "85", "35", "13", "12.40 MiB", ""]
    text = render_markdown(report)
    assert "539 of 540 envelopes were checked and accepted" in text and "4.2 ms each (p50; p99 9.1 ms)" in text
    assert "after 27 reports, 8 of which told of a failed self-check. Of the 120 phones, 35 run it" in text


def test_a_report_without_a_cloud_has_no_such_section(report: Report) -> None:
    assert 'id="cloud"' in render_html(report)
    assert 'id="cloud"' not in render_html(report.model_copy(update={"cloud": None}))


@pytest.mark.parametrize("parts", [(1, 3), (0, 5), (2, 2, 4)])
def test_the_parts_of_a_bar_are_as_wide_as_their_share_and_touch(parts: tuple[int, ...]) -> None:
    svg = share_chart([("all", parts)], [f"c{index}" for index in range(len(parts))], "phones")
    found = re.findall(r'<rect class="c(\d)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    assert [int(index) for index, _, _ in found] == [index for index, part in enumerate(parts) if part]
    left = 0.0
    for index, x, width in found:
        # Two decimals are written.
        assert float(x) == pytest.approx(left, abs=0.011)
        assert float(width) == pytest.approx(WIDTH * parts[int(index)] / sum(parts), abs=0.006)
        left += float(width)
    assert left == pytest.approx(WIDTH, abs=0.03)
