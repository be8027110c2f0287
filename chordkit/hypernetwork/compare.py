"""What a personal strategy is worth: the same users, the same items, under every strategy that could replace it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chordkit.backbones import Backbone, attach_widths, from_master
from chordkit.data import SplitPart
from chordkit.estimate import Estimate
from chordkit.hypernetwork.diversity import Diversity, derangement, diversity
from chordkit.hypernetwork.inference import make_importance, rank_personal
from chordkit.hypernetwork.selection import Widths
from chordkit.hypernetwork.trainer import TrainedHypernetwork
from chordkit.progress import Progress
from chordkit.quantization import ChannelTable, MasterWeights, dequantize_rows
from chordkit.strategy import Budget, allocate, average_bits_each
from chordkit.training import Metrics, evaluate, paired_difference, summarise
from chordkit.training.metrics import mean_to_json


@dataclass(frozen=True)
class ComparisonRow:
    """One way to choose the widths.

    Attributes:
        key: short name: ``own``, ``other``, ``mean``, ``static``, ``weight_norm``, ``random_mix``, ``uniform2``, ``uniform4``,
            ``uniform8``, ``fp32`` or ``reference``.
        label: what it is, in words.
        average_bits: bits per weight of the strategy's layers.
        personal: whether users have different widths.
        metrics: ``ndcg10`` and ``hr10`` with intervals; full ranking, nothing masked.
    """

    key: str
    label: str
    average_bits: float
    personal: bool
    metrics: Metrics


@dataclass(frozen=True)
class Comparison:
    """The table, own minus each other row, and how much users differ.

    Attributes:
        rows: one a way to choose the widths, the user's own first.
        differences: own minus another row over the same users with its paired interval, by (row, metric).
        diversity: how much users' strategies differ.
        users: how many were compared.
        targets_per_user: held-out items, on average.
    """

    rows: tuple[ComparisonRow, ...]
    differences: Mapping[tuple[str, str], Estimate]
    diversity: Diversity
    users: int
    targets_per_user: float

    def row(self, key: str) -> ComparisonRow:
        """The row called ``key``; KeyError when there is none."""
        return {row.key: row for row in self.rows}[key]

    def difference(self, key: str, metric: str = "ndcg10") -> Estimate:
        """Own minus the row called ``key``; KeyError when there is none."""
        return self.differences[key, metric]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for reports, without per-user arrays."""
        rows = [
            {"key": row.key, "label": row.label, "average_bits": row.average_bits, "personal": row.personal}
            | {"ndcg10": mean_to_json(row.metrics.ndcg10), "hr10": mean_to_json(row.metrics.hr10)}
            for row in self.rows
        ]
        return {
            "protocol": "full ranking, unmasked",
            "users": self.users,
            "targets_per_user": self.targets_per_user,
            "rows": rows,
            "own_minus": [{"key": key, "metric": metric} | mean_to_json(mean) for (key, metric), mean in self.differences.items()],
            "diversity": asdict(self.diversity),
        }


def compare_strategies(
    trained: TrainedHypernetwork,
    part: SplitPart,
    budget: Budget | None = None,
    *,
    static: TrainedHypernetwork | None = None,
    reference: Backbone | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Rank every held-out item under the user's own strategy and under everything it should beat.

    Every row of ``part`` gets the strategy of its own history; a user with several rows may so have several. Rows at widths go
    through the master's dequantised weights (the reference semantics), ``fp32`` through the weights behind the master.
    "Uniform at 3 bits" does not exist, as no width is 3: the two non-personal rows of the same size give the same shares of widths
    to the channels with the largest weight norm within the whole model (``weight_norm``), or to random ones (``random_mix``).

    Args:
        trained: hypernetwork, master and backbone.
        part: held-out items, one or several per user.
        budget: None = the one trained for.
        static: trained with ``personal=False``: one learned strategy for all; adds the row ``static``.
        reference: a backbone trained the ordinary way in fp32; adds the row ``reference``.
        seed: of who the other user is, the random mix and the bootstrap.
        progress: called as (``"comparison"``, rows done, rows).
    """
    hypernetwork, table = trained.hypernetwork, trained.hypernetwork.table
    budget = budget or trained.options.budget
    first_rows = np.unique(part.users, return_index=True)[1]
    owner = np.unique(part.users, return_inverse=True)[1]
    histories = part.recent(trained.options.pools[-1])
    importance = make_importance(hypernetwork, histories, budget.average_bits)
    own = allocate(importance, table, budget)
    other = own[first_rows[derangement(len(first_rows), seed)][owner]]
    mean = allocate(importance[first_rows].mean(axis=0), table, budget)
    mix = allocate(np.random.default_rng(seed).random(table.channels, np.float32), table, budget)
    norms = allocate(weight_norms(trained.master), table, budget)
    plan: list[tuple[str, str, TrainedHypernetwork, Widths]] = [
        ("own", "the user's own strategy", trained, own),
        ("other", "another user's strategy", trained, other),
        ("mean", "one strategy for all, from the mean importance", trained, mean),
    ]
    if static is not None:
        fixed = allocate(make_importance(static.hypernetwork, histories[:1])[0], static.hypernetwork.table, budget)
        plan.append(("static", "one strategy for all, learned as such", static, fixed))
    plan += [
        ("weight_norm", "one strategy for all, by weight norm", trained, norms),
        ("random_mix", "one strategy for all, at random", trained, mix),
        *((f"uniform{width}", f"{width} bits everywhere", trained, _uniform(table, width)) for width in (2, 4, 8)),
    ]
    total = len(plan) + 1 + (reference is not None)
    rows: list[ComparisonRow] = []

    def add(key: str, label: str, bits: float, personal: bool, metrics: Metrics) -> None:
        rows.append(ComparisonRow(key, label, bits, personal, metrics))
        if progress:
            progress("comparison", len(rows), total)

    choosing = attach_widths(from_master(trained.master), trained.master)
    for key, label, source, widths in plan:
        bits = float(np.mean(average_bits_each(widths, source.hypernetwork.table)))
        if widths.ndim == 2:
            ranks = rank_personal(choosing, table, part, widths)
            add(key, label, bits, True, summarise(ranks, part.users, "full", seed=seed))
        else:
            add(key, label, bits, False, evaluate(from_master(source.master, widths), part, seed=seed))
    add("fp32", "the same backbone in fp32", 32.0, False, evaluate(trained.backbone, part, seed=seed))
    if reference is not None:
        add("reference", "a backbone trained in fp32", 32.0, False, evaluate(reference, part, seed=seed))
    differences = {
        (row.key, metric): paired_difference(rows[0].metrics, row.metrics, metric, seed=seed)
        for row in rows[1:]
        for metric in ("ndcg10", "hr10")
    }
    spread = diversity(hypernetwork, histories[first_rows], budget, seed=seed)
    return Comparison(tuple(rows), differences, spread, len(first_rows), len(part) / len(first_rows))


def weight_norms(master: MasterWeights) -> np.ndarray:
    """Root mean square weight of every channel, float32 [channels], of the int8 master."""
    each = [dequantize_rows(layer.rows, np.full(len(layer.rows.codes), 8, np.uint8)) for layer in master.layers.values()]
    return np.concatenate([np.sqrt(np.square(weight).mean(axis=1)) for weight in each]).astype(np.float32)


def _uniform(table: ChannelTable, width: int) -> Widths:
    return np.full(table.channels, width, np.uint8)
