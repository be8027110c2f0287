"""Many outcomes become the table: consecutive versions that say the same are one row, and the same for people to read."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chordkit.export.targets.runtimes import Row, RuntimeTable
from scripts.runtimes.artifacts import Trial
from scripts.runtimes.attempts import Outcome


def rows_of(package: str, trial: Trial, outcomes: Mapping[str, Outcome]) -> list[Row]:
    """The rows of one artifact on the versions of one package.

    Args:
        package: the runtime's.
        trial: the artifact.
        outcomes: by version, oldest first.
    """
    found = []
    for (verdict, reason), group in itertools.groupby(outcomes.items(), key=lambda each: (each[1].verdict, each[1].reason)):
        members = list(group)
        errors = [outcome.error for _, outcome in members if outcome.error is not None]
        fields: dict[str, Any] = {name: getattr(trial, name) for name in ("target", "backbone", "dim", "precision", "widths")}
        fields |= {name: getattr(trial, name) for name in ("activations", "layout", "embedding_bits", "user_vector")}
        found.append(
            Row(
                package=package,
                oldest=members[0][0],
                newest=members[-1][0],
                runtime=trial.runtime or None,
                verdict=verdict,
                reason=reason,
                error=max(errors) if errors else None,
                **fields,
            )
        )
    return found


def differences(before: RuntimeTable, now: RuntimeTable) -> list[str]:
    """What the two tables say differently of an artifact on a version that both tried, a line for each; errors may differ by half."""
    found = []
    for package, version in [(each.name, version) for each in now.packages for version in each.versions]:
        old, new = ({_of(row): row for row in table.rows if row.package == package and row.covers(version)} for table in (before, now))
        for key in sorted(old.keys() & new.keys()):
            if (old[key].verdict, old[key].reason) != (new[key].verdict, new[key].reason):
                found.append(f"{package} {version}, {' '.join(map(str, key))}: {_told(old[key])}, now {_told(new[key])}")
    return found


def _of(row: Row) -> tuple[Any, ...]:
    """What tells a row's artifact from the others."""
    widths = "/".join(map(str, row.widths))
    return (
        row.target, row.backbone, row.dim, row.precision, widths, row.activations, row.layout, row.embedding_bits, row.user_vector,
        row.runtime or "",
    )  # fmt: skip


def _told(row: Row) -> str:
    return row.verdict + (f" ({row.reason})" if row.reason else "")


HEADER = """# What old and new runtimes make of the artifacts

Found by running, not by reading: `python -m scripts.try_runtimes` ([how](../targets/runtimes.md)) made every artifact below with
chordkit {chordkit} and gave it to every version of every runtime that the registry has for Python {python} on {machine}, on {date}.
The same as data: `export/targets/runtimes.json`.

- *right*: the parity gate passes, as in `chordkit validate`. *wrong*: it answers, and the gate does not pass: silently wrong, the
  worst that can happen. *refused*: no scores, with the first line of what the runtime says.
- *error*: relative root mean square of the scores' error, the largest of the row.
- Widths: those that the channels of the strategy have. `layout size` stores each channel at its width, `layout speed` all of them as int8.
"""


def markdown(table: RuntimeTable) -> str:
    """``docs/results/runtimes.md``."""
    lines = [HEADER.format(chordkit=table.chordkit, python=table.python, machine=table.machine, date=table.date)]
    for package in table.packages:
        lines += [f"## {package.name} (target `{package.target}`)", ""]
        if package.versions:
            beside = f" Beside them: {', '.join(package.beside)}." if package.beside else ""
            lines += [f"Tried: {', '.join(package.versions)}.{beside}", ""]
        if package.emulated:
            lines += [f"Of these {', '.join(package.emulated)} as aarch64 wheels under emulation (qemu-user).", ""]
        for reason, group in itertools.groupby(package.untried, key=lambda each: each.reason):
            lines += [f"Not tried: {', '.join(each.version for each in group)}: {reason}.", ""]
        rows = [row for row in table.rows if row.package == package.name]
        if rows:
            lines += ["| artifact | backbones, dim | versions | verdict | error | reason |", "|---|---|---|---|---|---|", *_lines(rows), ""]
    return "\n".join(lines)


def _lines(rows: Sequence[Row]) -> list[str]:
    """Rows of several backbones that say the same are one line."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        versions = row.oldest if row.oldest == row.newest else f"{row.oldest} to {row.newest}"
        groups.setdefault((_what(row), versions, row.verdict, row.reason), []).append(row)
    order = {what: place for place, what in enumerate(dict.fromkeys(what for what, *_ in groups))}
    lines = []
    for (what, versions, verdict, reason), members in sorted(groups.items(), key=lambda each: order[each[0][0]]):
        errors = [row.error for row in members if row.error is not None]
        error = f"{max(errors):.1e}" if errors else ""
        told = reason.replace("|", "\\|")
        lines.append(f"| {what} | {_backbones(members)} | {versions} | {verdict} | {error} | {told} |")
    return lines


def _what(row: Row) -> str:
    parts = [row.precision]
    if row.precision == "strategy":
        parts.append(f"widths {'/'.join(map(str, row.widths))}")
    if row.precision != "fp32":
        parts += [f"{row.activations} activations", f"layout {row.layout}"]
    if row.embedding_bits == 4:
        parts.append("int4 table")
    if row.user_vector:
        parts.append("user vector")
    if row.runtime is not None:
        parts.append(f"profile {row.runtime}")
    return ", ".join(parts)


def _backbones(rows: Iterable[Row]) -> str:
    dims: dict[str, list[int]] = {}
    for row in rows:
        dims.setdefault(row.backbone, []).append(row.dim)
    return "; ".join(f"{name} {', '.join(map(str, sorted(found)))}" for name, found in dims.items())
