"""Files beside files: what ``chordkit evaluate accuracy`` measured."""

from markupsafe import Markup

from chordkit.evaluation.accuracy import Accuracy
from chordkit.report import charts
from chordkit.report.parts import (
    Bullets,
    Cell,
    Chart,
    Charts,
    Part,
    Section,
    Table,
    Words,
    difference_cells,
    estimate_cell,
    without_empty_columns,
)

_MARKS = {"baseline": "float", "strategy": "own", "artifact": "other", "backbone": "other"}


def accuracy_section(accuracy: Accuracy, number: int) -> Section:
    """The table, the chart, and what has to be known about them; ``number`` keeps several apart."""
    first = accuracy.lines[0].name
    rows = []
    for line in accuracy.lines:
        word, difference = difference_cells(line.minus_first.get("masked_ndcg10"))
        rows.append(
            [
                Cell(line.name, line.label),
                Cell("the first", f"of {line.users:,} users")
                if line is accuracy.lines[0]
                else Cell(word.text, f"{line.users:,} users", word.css),
                difference,
                *(
                    estimate_cell(line.values.get(measure))
                    for measure in ("masked_ndcg10", "masked_hr10", "ndcg10", "hr10", "n100_ndcg10", "n100_hr10")
                ),
                Cell("" if line.bits is None else f"{line.bits:.2f}"),
                Cell(line.runtime),
            ]
        )
    heads = ("what answered", f"beside {first}", "this − the first", "NDCG@10, unseen", "HR@10, unseen", "NDCG@10, all", "HR@10, all",
             "NDCG@10 of 100", "HR@10 of 100", "bits", "runtime")  # fmt: skip
    caption = f"Accuracy on {accuracy.dataset}; differences are paired over the users that both were asked for, with 95 % intervals"
    table = without_empty_columns(Table(caption, heads, rows, mine=first))
    marks = [(line.name, line.values["masked_ndcg10"], _MARKS[line.group]) for line in accuracy.lines if "masked_ndcg10" in line.values]
    marks.sort(key=lambda mark: -mark[1].value)
    svg = charts.interval_chart(marks, "NDCG@10 among unseen items, with 95 % interval")
    key = [("own", "strategies and uniform widths"), ("int4", "backbones and artifacts"), ("float", "simple baselines")]
    chart = Chart("Accuracy of everything", "The best on top. Of fewer users the interval is wider.", Markup(svg))
    parts: list[Part] = [Words(accuracy.protocol), table, Charts([chart], key)]
    if accuracy.notes:
        parts.append(Bullets(accuracy.notes))
    return Section(f"files{number or ''}", f"How good is each file? {accuracy.dataset}", parts)
