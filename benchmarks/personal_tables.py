"""The tables of docs/results/personal.md over several evaluations, from what `chordkit evaluate` left in their folders.

python benchmarks/personal_tables.py build/evaluation/*
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SHOWN = {
    "masked_ndcg10": "masked NDCG@10",
    "n100_ndcg10": "rerank-100 NDCG@10",
    "hard_ndcg10": "hard rerank-100 NDCG@10",
    "masked_likelihood": "masked log likelihood",
}
AGAINST = ("uniform2", "fp32", "fp32_long", "start")
EQUAL = (("own", "static_vector"), ("own_vector", "static_vector"), ("own_vector", "fp32_vector"), ("own_vector", "duet"))


class Cell:
    """One budget of one evaluation."""

    def __init__(self, evaluation: dict[str, Any], case: dict[str, Any]) -> None:
        options, self.summary = case["options"], case["summary"]
        widths = ",".join("off" if width == 0 else str(width) for width in options["widths"])
        self.bits = options["average_bits"]
        self.head = [evaluation["dataset"], evaluation["architecture"], f"{self.bits:g} {{{widths}}}"]
        self.lines = {line["key"]: line for line in self.summary["lines"]}
        self.differences = {
            (each["first"], each["second"], each["measure"], each["users"]): each["estimate"] for each in self.summary["differences"]
        }

    def difference(self, first: str, second: str, measures: Iterable[str], users: str = "all") -> list[str]:
        """Cells of a table, bold where the interval excludes 0."""
        return [signed(self.differences[first, second, measure, users]) for measure in measures]


def signed(estimate: dict[str, float]) -> str:
    """A difference with its interval, bold where that excludes 0."""
    text = f"{estimate['value']:+.4f} [{estimate['low']:+.4f}, {estimate['high']:+.4f}]"
    return f"**{text}**" if estimate["low"] > 0 or estimate["high"] < 0 else text


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print one, if it has rows."""
    found = [f"| {' | '.join(row)} |" for row in rows]
    if found:
        print(f"## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n" + "\n".join(found) + "\n")


def main() -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    evaluations = [json.loads((folder / "evaluation.json").read_text()) for folder in parser.parse_args().folders]
    budgets = [[Cell(evaluation, case) for case in evaluation["cases"]] for evaluation in evaluations]
    cells = [cell for each in budgets for cell in each]
    tightest = [min(each, key=lambda cell: cell.bits) for each in budgets]
    where, names = ["data set", "backbone", "bits"], list(SHOWN.values())
    most = [measure for measure in SHOWN if measure != "hard_ndcg10"]
    table(
        "Own strategy against the static one, learned with equal care",
        [*where, "seeds", *names],
        [[*cell.head, str(cell.summary["seeds"]), *cell.difference("own", "static", SHOWN)] for cell in cells],
    )
    table(
        "The same on users who had no say in any choice",
        [*where, *names],
        [[*cell.head, *cell.difference("own", "static", SHOWN, "confirmation")] for cell in cells],
    )
    table(
        "Own strategy against FP32, and against FP32 quantised afterwards",
        [*where, "own -", *(SHOWN[each] for each in most)],
        [[*cell.head, f"`{key}`", *cell.difference("own", key, most)] for cell in cells for key in AGAINST if key in cell.lines],
    )
    table(
        "Equal information",
        [*where, "difference", "users", *(SHOWN[each] for each in most)],
        [
            [*cell.head, f"`{first}` - `{second}`", users, *cell.difference(first, second, most, users)]
            for cell in cells
            for first, second in EQUAL
            if {first, second} <= set(cell.lines)
            for users in ("all", "confirmation")
        ],
    )
    table(
        "By length of history, at the tightest budget",
        [*where, "items in the history", "users", *(f"own - static, {SHOWN[each]}" for each in ("masked_ndcg10", "masked_likelihood"))],
        [
            [
                *cell.head,
                f"{group['shortest']} to {group['longest']}",
                str(group["users"]),
                *(signed(group["differences"][each]) for each in ("masked_ndcg10", "masked_likelihood")),
            ]
            for cell in tightest
            for group in cell.summary["lengths"]
        ],
    )
    table(
        "Age of the strategy: own as it was - static",
        [*where, "fresh", *(f"{age} interactions old" for age in (5, 20, 50))],
        [
            [
                *cell.head,
                *(
                    ", ".join(
                        f"{cell.lines[key]['values'][each]['value'] - cell.lines['static']['values'][each]['value']:+.4f}"
                        for each in ("masked_ndcg10", "masked_likelihood")
                    )
                    for key in ("own", "own_age5", "own_age20", "own_age50")
                ),
            ]
            for cell in cells
        ],
    )
    table("What the tool says", [*where, "verdict"], [[*cell.head, cell.summary["verdict"]["sentence"]] for cell in cells])


if __name__ == "__main__":
    main()
