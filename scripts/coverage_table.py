"""Prints what the last ``make test COVERAGE=1`` covered, a line for each folder. Nothing depends on the figures.

Processes that tests start (the command line, killed trainings, benchmarks) are not measured, so the figures are lower bounds.
"""

from collections import Counter
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]


def table(measured: coverage.Coverage) -> str:
    """Statements, and the share of them that ran, by folder; folders below the second level count with the one above."""
    statements: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for file in measured.get_data().measured_files():
        folder = "/".join(Path(file).relative_to(ROOT).parent.parts[:2])
        _, lines, _, missing, _ = measured.analysis2(file)
        for name in (folder, "all"):
            statements[name] += len(lines)
            missed[name] += len(missing)
    rows = [f"{'folder':<24}{'statements':>12}{'covered':>10}"]
    for name in [*sorted(statements.keys() - {"all"}), "all"]:
        if statements[name]:
            rows.append(f"{name:<24}{statements[name]:>12,}{1 - missed[name] / statements[name]:>10.0%}")
    return "\n".join(rows)


if __name__ == "__main__":
    measured = coverage.Coverage()
    measured.load()
    print(table(measured))
