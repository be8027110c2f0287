"""Markdown of benchmarks/coda.py: means over seeds, paired bootstrap over users."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from coda_ways import FRESH, PAIRS, WAYS

from chordkit.coda.personal import PersonalOptions
from chordkit.training import bootstrap

_COLUMNS = ("ndcg", "likelihood", "gated_ndcg", "gated_likelihood")


def table(group: str, seeds: Sequence[dict[str, Any]]) -> str:
    """What each way changes against the cloud's model, over the users and the means of the seeds."""
    cloud = np.mean([each[group]["cloud"] for each in seeds], axis=0)
    means = [f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for each in bootstrap(cloud)]
    lines = [
        f"{len(cloud)} {group} users, {len(seeds)} seeds; the cloud's model: NDCG@10 {means[0]}, log likelihood {means[1]}",
        "",
        "| learned from | NDCG@10 | log likelihood | adopted (and worse) | NDCG@10, gated | log likelihood, gated | bytes | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in _ways(seeds[0][group]):
        rows = [each[group][way] for each in seeds]
        changes = np.stack([_means(rows, name) - cloud[:, at % 2] for at, name in enumerate(_COLUMNS)], axis=1)
        cells = _cells(changes)
        adopted = np.array([[row["adopted"] for row in seed] for seed in rows])
        before = np.array([each[group]["cloud"] for each in seeds])[..., 1]
        worse = adopted & (np.array([[row["likelihood"] for row in seed] for seed in rows]) < before)
        cells.insert(2, f"{adopted.mean():.0%} ({worse.mean():.0%})")
        costs = f"{_means(rows, 'sent').mean():,.0f} | {np.median(_means(rows, 'milliseconds')):.0f}"
        lines.append(f"| {({**WAYS, **FRESH})[way]} | {' | '.join(cells)} | {costs} |")
    return "\n".join(lines)


def comparisons(group: str, seeds: Sequence[dict[str, Any]]) -> str:
    """What one way of choosing samples has over another, paired, in the four columns of :func:`table`."""
    lines = []
    for pair in PAIRS:
        if set(pair) <= set(_ways(seeds[0][group])):
            one, other = (np.stack([_means([each[group][way] for each in seeds], name) for name in _COLUMNS], axis=1) for way in pair)
            lines.append(f"| {pair[0]} - {pair[1]} | {' | '.join(_cells(one - other))} |")
    return "\n".join(lines)


def drift(group: str, seeds: Sequence[dict[str, Any]]) -> str:
    """What adapters that were adopted some clicks ago change, as they were and judged again by these clicks."""
    lines = ["| adopted 20 clicks ago | users | in use | NDCG@10 | log likelihood |", "|---|---|---|---|---|"]
    for way, first in seeds[0][group]["later"].items():
        count = len(first)
        for name in ("as it was", "judged again", "proven again"):
            every = np.zeros((len(seeds), count, 2))
            in_use = 0
            for at, seed in enumerate(seeds):
                for user, row in enumerate(seed[group]["later"][way]):
                    if row is not None:
                        every[at, user] = np.subtract(row[name], row["cloud"])
                        in_use += int(every[at, user].any())
            if count:
                lines.append(
                    f"| {WAYS[way]}, {name} | {count} | {in_use / count / len(seeds):.0%} | {' | '.join(_cells(every.mean(axis=0)))} |"
                )
    return "\n".join(lines)


def describe_setting(setting: Any) -> str:
    """Of :data:`coda_ways.GRID` or of the neighbours."""
    if isinstance(setting, PersonalOptions):
        return f"{'+'.join(setting.steps.parts)}, rate {setting.steps.rate:g}, weight {setting.weight:g}"
    return f"share {setting[0]:g}, temperature {setting[1]:g}"


def _ways(found: dict[str, Any]) -> list[str]:
    return [way for way in {**WAYS, **FRESH} if way in found]


def _means(rows: Sequence[Sequence[Any]], name: str) -> np.ndarray:
    return np.mean([[float(row[name]) for row in seed] for seed in rows], axis=0)


def _cells(changes: np.ndarray) -> list[str]:
    return [f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in bootstrap(changes)]
