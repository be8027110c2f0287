"""Tables of what became of deliberate faults, for benchmarks/mutations.py."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SEEN = ("refused when made", "refused by the runtime", "the runtime breaks down", "red", "red by its constants", "refused by the writer")


@dataclass(frozen=True)
class Verdict:
    """What became of one fault.

    Attributes:
        outcome: one of :data:`SEEN`, or ``passed``.
        margin: the largest measured error over what is allowed; above 1 the gate is red. None where it was not measured.
        by: what saw it: the criterion of that error, or who refused.
        vectors: over how many histories.
        rms, top10: the error and the overlap, as the user meets them.
    """

    number: int
    kind: str
    where: str
    how: str
    outcome: str
    margin: float | None = None
    by: str = ""
    vectors: int = 0
    rms: float | None = None
    top10: float | None = None


def summary(target: str, verdicts: Sequence[Verdict]) -> str:
    """One line."""
    outcomes = Counter(each.outcome for each in verdicts)
    return f"{target}: {len(verdicts)} faults, " + ", ".join(f"{outcomes[name]} {name}" for name in (*SEEN, "passed") if outcomes[name])


def tables(verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    """What is seen by target, by kind, and what is not, one by one."""
    head = ["target", "faults", *SEEN, "of the red: by 64 vectors", "least margin of a red one", "passed"]
    lines = [_row(head), _row(["---"] * len(head))]
    for target, found in verdicts.items():
        outcomes = Counter(each.outcome for each in found)
        red = [each for each in found if each.outcome == "red"]
        few = sum(each.vectors == min(x.vectors for x in red) for each in red) if red else 0
        least = min((each.margin for each in red if each.margin is not None), default=float("nan"))
        counts = [str(outcomes[name]) for name in SEEN]
        lines.append(_row([target, str(len(found)), *counts, f"{few} of {len(red)}", f"{least:.3g}", str(outcomes["passed"])]))
    kinds = sorted({each.kind for found in verdicts.values() for each in found})
    lines += ["", _row(["kind", *verdicts]), _row(["---"] * (len(verdicts) + 1))]
    for kind in kinds:
        lines.append(_row([kind, *(_seen([each for each in found if each.kind == kind]) for found in verdicts.values())]))
    lines += ["", _row(["passed", "kind", "where", "margin", "rms", "top-10"]), _row(["---"] * 6)]
    for target, found in verdicts.items():
        for each in sorted((x for x in found if x.outcome == "passed"), key=lambda x: -(x.margin or 0)):
            lines.append(_row([target, each.kind, each.where, f"{each.margin:.2g} ({each.by})", f"{each.rms:.1e}", f"{each.top10:.4f}"]))
    return "\n".join(lines) + "\n"


def _seen(found: Sequence[Verdict]) -> str:
    """Seen of planted, and the median margin of those that were measured."""
    if not found:
        return ""
    margins = [each.margin for each in found if each.margin is not None]
    seen = sum(each.outcome in SEEN for each in found)
    return f"{seen} of {len(found)}" + (f" ({_short(float(np.median(margins)))})" if margins else "")


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
