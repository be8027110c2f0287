"""Bundles as an owner makes them one after the other, for benchmarks/delta.py: a model, after a night, and with a larger catalogue.

A twentieth of the items, at random, comes later and has the last numbers. A SASRec learns the others from the first four fifths of all
interactions in time (bundle A). In one night it learns for an epoch more, with a lower rate, from the histories of those who clicked in the
week after (B). The new items get rows in A's table from the clicks of that week (C). And it is trained again from nothing (D).
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import Backbone, BackboneConfig, default_config, make_master
from chordkit.catalogue import grow, with_items
from chordkit.data import Dataset, load_named
from chordkit.errors import DataError
from chordkit.export import bundle
from chordkit.export.assembly import assemble
from chordkit.export.collection import Sources, export_artifacts
from chordkit.quantization import MasterWeights
from chordkit.training import TrainingOptions, default_options, load_backbone, save_backbone, train_backbone
from chordkit.training.loss import Rows, catalogue_loss
from chordkit.training.run import decay_groups
from chordkit.training.windows import TrainingWindows

PAST, NIGHT_DAYS, NEW_ITEMS, NIGHT_RATE = 0.8, 7, 0.05, 0.1
_DAY = 86_400 * 1_000_000


@dataclass(frozen=True)
class Histories:
    """What was clicked until the first release, and until the second; the second time with new items and without."""

    before: Dataset
    after: Dataset
    grown: Dataset
    clicked: np.ndarray
    """Users of ``after`` who clicked between the two."""


def histories(data: Dataset, seed: int) -> Histories:
    """Cut a data set in time, with the items that come later numbered last.

    Raises:
        DataError: it has no times.
    """
    if data.times is None:
        raise DataError(f"data set '{data.name}' has no times; take another")
    new = np.random.default_rng(seed).permutation(np.arange(1, data.items + 1))[: int(NEW_ITEMS * data.items)]
    order = np.concatenate([[0], np.setdiff1d(np.arange(1, data.items + 1), new), new])
    items, known = np.argsort(order)[data.flat], data.items - len(new)
    moment = np.sort(data.times)[int(PAST * data.interactions)]
    ids = [data.item_ids[each] for each in order]
    past, week = data.times < moment, data.times < moment + NIGHT_DAYS * _DAY
    old = items <= known

    def cut(mask: np.ndarray, last: int) -> tuple[Dataset, np.ndarray]:
        rows = [np.flatnonzero(mask[start:stop]) + start for start, stop in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
        users = [number for number, row in enumerate(rows) if len(row) >= 3]
        sequences = [items[rows[number]] for number in users]
        return Dataset.from_sequences(data.name, sequences, item_ids=ids[: last + 1]), np.array(users)

    before, _ = cut(past & old, known)
    after, users = cut(week & old, known)
    grown, _ = cut(week, data.items)
    owners = np.repeat(np.arange(data.users), np.diff(data.offsets))
    return Histories(before, after, grown, np.flatnonzero(np.isin(users, owners[week & ~past & old])))


def one_night(backbone: Backbone, told: Histories, options: TrainingOptions, rate: float = NIGHT_RATE) -> Backbone:
    """The backbone after an epoch more over the histories of those who clicked."""
    torch.manual_seed(options.seed)
    windows = TrainingWindows([told.after.sequences[user] for user in told.clicked], backbone.config.max_length, 0, options.stride)
    optimizer = torch.optim.AdamW(decay_groups(backbone.parameters(), options.lr * rate, options.weight_decay))
    backbone.train()
    order, sizes = windows.shuffle(options.batch, options.bucketing)
    for numbers in order.split(sizes.tolist()):
        batch = windows.batch(numbers)
        hidden = backbone.window_states(batch.inputs).flatten(0, 1).index_select(0, batch.indices)
        loss = catalogue_loss(backbone, hidden, Rows(batch.targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return backbone.eval()


def trained(path: Path, dataset: Dataset, config: BackboneConfig, options: TrainingOptions) -> Backbone:
    """A backbone, kept in ``path``."""
    if not path.exists():
        save_backbone(path, train_backbone(dataset, config, options).backbone, {})
    return load_backbone(path)[0]


def make(folder: Path, data: str, epochs: int, targets: list[str], vectors: int) -> dict[str, Path]:
    """Bundles by name, with so many test vectors; those that ``folder`` has are taken as they are."""
    paths = {name: folder / f"{name}.chord" for name in "ABCD"}
    if all(path.exists() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    told = histories(load_named(data), 0)
    options = default_options("sasrec", epochs=epochs)
    config = default_config("sasrec", told.before.items)
    first = trained(folder.parent / f"{data}-{epochs}-first.safetensors", told.before, config, options)
    growth = grow(first, told.grown)
    second = one_night(copy.deepcopy(first), told, options)
    again = trained(folder.parent / f"{data}-{epochs}-again.safetensors", told.after, config, replace(options, seed=1))
    master = make_master(first)
    made: dict[str, tuple[MasterWeights, Backbone, Dataset]] = {
        "A": (master, first, told.before),
        "B": (make_master(second), second, told.after),
        "C": (master.grown(growth.rows, growth.biases), with_items(first, growth.rows, growth.biases), told.grown),
        "D": (make_master(again), again, told.after),
    }
    key = folder / "key.pem"
    if not key.exists():
        bundle.generate_key_pair(key, folder / "key.pub.pem")
    for counter, (name, (weights, _, dataset)) in enumerate(made.items(), 1):
        sources = Sources(weights, None, {})
        artifacts = export_artifacts(targets, sources)
        contents = assemble("shop", sources, dataset, artifacts, histories=100, vectors=vectors, names=False)
        bundle.write(paths[name], replace(contents, counter=counter), key)
    return paths
