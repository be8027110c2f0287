"""What answers in ``chordkit evaluate accuracy``: backbones, strategies and the artifacts of a bundle, each as it runs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone, attach_widths, from_master, make_master
from chordkit.data import SplitPart
from chordkit.errors import CheckFailed, InputError
from chordkit.evaluation.accuracy import Group
from chordkit.evaluation.baselines import Baseline
from chordkit.evaluation.measure import Measured, measure, measure_scores
from chordkit.evaluation.rivals import Rival, model_rival, personal_rival, static_rival
from chordkit.export.bundle import ArtifactEntry, Bundle
from chordkit.export.targets import Runner
from chordkit.hypernetwork import Hypernetwork, make_importance, make_static_strategy, make_strategies, make_user_vectors
from chordkit.hypernetwork.diversity import derangement
from chordkit.quantization import ChannelTable, MasterWeights, ScalePolicy
from chordkit.strategy import allocate, average_bits

Candidates = Mapping[str, NDArray[np.int32]]
_ROWS_AT_ONCE = 256
_WIDTHS = (2, 4, 8)


@dataclass(frozen=True)
class Contender:
    """One way to answer.

    Attributes:
        name: unique among all that are asked.
        label: what it is, in words.
        group: what kind of thing.
        runtime: that answers.
        bits: average bits of the channel layers, or None.
        few: whether it is so slow that only some users are asked.
        ask: measures it on the rows of a part, among candidates of these rows.
    """

    name: str
    label: str
    group: Group
    runtime: str
    bits: float | None
    ask: Callable[[SplitPart, Candidates], Measured]
    few: bool = False


def of_baseline(baseline: Baseline) -> Contender:
    """A simple baseline."""

    def ask(part: SplitPart, candidates: Candidates) -> Measured:
        return measure_scores(baseline.batches(part), part, candidates)

    return Contender(baseline.name, baseline.label, "baseline", "", None, ask)


def of_backbone(name: str, backbone: Backbone) -> list[Contender]:
    """A backbone as it is, and quantised evenly when training is over; at 8 bits also with its tables in int4."""
    config = backbone.config
    master = make_master(backbone, ScalePolicy.MSE)
    full = model_rival(name, f"{config.architecture}, FP32, the last {config.max_length} items", backbone)
    small = make_master(backbone, ScalePolicy.MSE, embedding_bits=4)
    everywhere = np.full(small.channel_table.channels, 8, np.uint8)
    tables = static_rival(f"{name}: 8 bits, int4 tables", "quantised afterwards, 8 bits everywhere, embedding tables 4", small, everywhere)
    even = [*_uniform(name, master, "quantised afterwards"), _of_rival(tables, small.channel_table, "strategy")]
    return [_of_rival(full, master.channel_table, "backbone"), *even]


def of_hypernetwork(name: str, hypernetwork: Hypernetwork, master: MasterWeights, part: SplitPart, seed: int) -> list[Contender]:
    """A user's own strategy, another user's, the mean one and uniform widths, all of one master; or the one of a static hypernetwork.

    Raises:
        InputError: it is the FP32 rival, which makes no strategies.
    """
    options, table = hypernetwork.options, hypernetwork.table
    if not options.quantised:
        raise InputError(f"{name}: this hypernetwork was trained with --fp32 and makes no strategies; give its FP32 backbone as --backbone")
    budget, even = options.budget, _uniform(name, master, "the same master")
    beside = " and a user vector" if options.user_vector else ""

    def vectors(asked: SplitPart) -> NDArray[np.float32] | None:
        return make_user_vectors(hypernetwork, asked.recent(options.pools[-1])) if options.user_vector else None

    def for_all(key: str, label: str, widths: NDArray[np.uint8]) -> Contender:
        bits = float(average_bits(widths, table))
        return _later(f"{name}: {key}", label + beside, table, bits, lambda asked: static_rival(key, "", master, widths, vectors(asked)))

    if not options.personal:
        return [for_all("static", "one learned strategy for all", make_static_strategy(hypernetwork)), *even]
    choosing = attach_widths(from_master(master), master)

    def own(asked: SplitPart) -> NDArray[np.uint8]:
        return make_strategies(hypernetwork, asked.recent(options.pools[-1]))

    def others(asked: SplitPart) -> NDArray[np.uint8]:
        owner = np.unique(asked.users, return_inverse=True)[1]
        return own(asked)[asked.first_rows[derangement(len(asked.first_rows), seed)][owner]]

    def for_each(key: str, label: str, widths: Callable[[SplitPart], NDArray[np.uint8]]) -> Contender:
        def make(asked: SplitPart) -> Rival:
            return personal_rival(key, "", choosing, master, widths(asked), vectors(asked))

        return _later(f"{name}: {key}", label + beside, table, budget.average_bits, make)

    importance = make_importance(hypernetwork, part.recent(options.pools[-1])[part.first_rows], budget.average_bits)
    mean = allocate(importance.mean(axis=0), table, budget, allow_off=budget.may_switch_off)
    another = [for_each("another's", "another user's strategy", others)] if len(part.first_rows) > 1 else []
    return [
        for_each("own", "each user's own strategy", own),
        *another,
        for_all("mean", "one strategy for all, from the mean importance", mean),
        *even,
    ]


def of_artifact(bundle: Bundle, entry: ArtifactEntry) -> Contender:
    """An artifact on its own runtime, which is loaded when it is asked.

    An artifact of a user's strategy answers for everybody: what another user's strategy is worth, in the very file that ships.
    """
    whose = {"fp32": "FP32", "int8": "int8 everywhere"}.get(entry.precision, f"strategy {entry.strategy!r}, for everybody")
    bits = {each.name: each.average_bits for each in bundle.manifest.strategies}
    fixed = {"fp32": 32.0, "int8": 8.0}.get(entry.precision)

    def ask(part: SplitPart, candidates: Candidates) -> Measured:
        return measure_scores(_runner_batches(bundle, entry, part), part, candidates)

    return Contender(entry.name, whose, "artifact", entry.target, fixed if entry.strategy is None else bits[entry.strategy], ask, few=True)


def _uniform(name: str, master: MasterWeights, how: str) -> list[Contender]:
    table = master.channel_table
    rivals = [
        static_rival(f"{name}: {width} bits", f"{how}, {width} bits everywhere", master, np.full(table.channels, width, np.uint8))
        for width in _WIDTHS
    ]
    return [_of_rival(rival, table, "strategy") for rival in rivals]


def _of_rival(rival: Rival, table: ChannelTable, group: Group) -> Contender:
    def ask(part: SplitPart, candidates: Candidates) -> Measured:
        return measure(rival.backbone, rival.states(part, table), part, candidates)

    return Contender(rival.key, rival.label, group, "PyTorch", rival.bits, ask)


def _later(name: str, label: str, table: ChannelTable, bits: float, make: Callable[[SplitPart], Rival]) -> Contender:
    """A rival that is made for the rows that are asked about."""

    def ask(part: SplitPart, candidates: Candidates) -> Measured:
        rival = make(part)
        return measure(rival.backbone, rival.states(part, table), part, candidates)

    return Contender(name, label, "strategy", "PyTorch", bits, ask)


def _runner_batches(bundle: Bundle, entry: ArtifactEntry, part: SplitPart) -> Iterator[tuple[slice, Tensor]]:
    runner, items = bundle.runner(entry), bundle.manifest.dataset.items
    histories = part.recent(runner.length)
    for start in range(0, len(part), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        scores = np.stack([_catalogue(runner, history, items) for history in histories[rows]])
        if not np.isfinite(scores[:, 1:]).all():
            raise CheckFailed(f"{bundle.label}: artifact {entry.name} gives scores that are not finite; run `chordkit validate`")
        yield rows, torch.from_numpy(scores)


def _catalogue(runner: Runner, history: NDArray[np.int32], items: int) -> NDArray[np.float32]:
    """float32 [items + 1]: every item's score, as many at a time as the artifact takes; the last call is filled up with item 1."""
    asked = np.ones((-(-items // runner.candidates), runner.candidates), np.int32)
    asked.reshape(-1)[:items] = np.arange(1, items + 1)
    scores = np.concatenate([runner.scores(history, row) for row in asked])[:items]
    return np.concatenate([np.full(1, -np.inf, np.float32), scores])
