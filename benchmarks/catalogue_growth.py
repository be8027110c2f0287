"""What new items are worth in a model that is not trained again: ``python -m benchmarks.catalogue_growth --data ml-100k --seeds 0,1,2``.

A tenth of the items, at random, is new: what was clicked of them before the last fifth of all interactions in time is taken out of the
data (where the data set has no times nothing is), and a backbone is trained without them. Then they are added, and the last five clicks of
each user are asked for, items that the user has seen masked: those on new items, those on known ones, and all. Beside it stand the average
item's row, the row that an item begins with, and a backbone trained again with all items.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from chordkit.backbones import Backbone, default_config
from chordkit.catalogue import grow, with_items
from chordkit.catalogue.beginnings import beginnings
from chordkit.data import Dataset, load_named, split
from chordkit.training import default_options, evaluate, paired_difference, train_backbone

HELD_OUT = 5
NEW = 0.1
RECENT = 0.2


@dataclass(frozen=True)
class Worlds:
    """The data with all items, new ones last, without what tests; and the same without the new items."""

    whole: Dataset
    seen: Dataset
    before: Dataset


def worlds(data: Dataset, seed: int) -> Worlds:
    """Draw the new items and renumber, known ones first."""
    new = np.random.default_rng(seed).permutation(np.arange(1, data.items + 1))[: int(NEW * data.items)]
    order = np.concatenate([[0], np.setdiff1d(np.arange(1, data.items + 1), new), new])
    number = np.argsort(order)
    known = data.items - len(new)
    items, keep = number[data.flat], np.ones(data.interactions, bool)
    if data.times is not None:
        keep = (items <= known) | (data.times >= np.quantile(data.times, 1 - RECENT))
    ids = [data.item_ids[each] for each in order]

    def of(mask: np.ndarray, last: int, name: str) -> Dataset:
        users = [np.flatnonzero(mask[start:stop]) + start for start, stop in zip(data.offsets[:-1], data.offsets[1:], strict=True)]
        users = [each for each in users if len(each) >= 3 + HELD_OUT]
        cut = [each[: len(each) - last] for each in users]
        times = None if data.times is None else [data.times[each] for each in cut]
        return Dataset.from_sequences(name, [items[each] for each in cut], item_ids=ids, times=times)

    whole = of(keep, 0, data.name)
    seen = of(keep, HELD_OUT, data.name)
    known_only = [sequence[sequence <= known] for sequence in seen.sequences]
    before = Dataset.from_sequences(data.name, [each for each in known_only if len(each) >= 3], item_ids=ids[: known + 1])
    return Worlds(whole, seen, before)


def main() -> None:
    """Print a table a seed, and the means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--architecture", default="sasrec")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--k-core", type=int, default=0)
    arguments = parser.parse_args()
    data = load_named(arguments.data, k_core=arguments.k_core)
    print(f"{data.name}: {data.users:,} users, {data.items:,} items, {data.interactions:,} interactions, times: {data.times is not None}")
    gathered: dict[str, list[np.ndarray]] = {}
    for seed in map(int, arguments.seeds.split(",")):
        made = worlds(data, seed)
        changes = {} if arguments.epochs is None else {"epochs": arguments.epochs}
        options = default_options(arguments.architecture, seed=seed, **changes)

        def trained(dataset: Dataset, options: object = options) -> Backbone:
            return train_backbone(dataset, default_config(arguments.architecture, dataset.items), options).backbone  # type: ignore[arg-type]

        model = trained(made.before)
        table, known = model.item_embedding.weight.detach().numpy(), made.before.items
        added = grow(model, made.seen, seed=seed)
        begun = beginnings(made.seen, table, None, seed).rows
        biases = added.biases
        contenders = {
            "average item": with_items(model, np.repeat(table[1:].mean(0)[None], len(begun), 0), biases),
            "where rows begin": with_items(model, begun, biases),
            "grown": with_items(model, added.rows, biases),
            "trained again": trained(made.seen),
        }
        part = split(made.whole, model.config.max_length, HELD_OUT).test
        new = part.targets > known
        print(f"seed {seed}: {len(begun)} new items, median {np.median(added.clicks):.0f} clicks, {(added.clicks == 0).sum()} without any; "
              f"{new.sum()} of {len(new)} targets are new")  # fmt: skip
        found = {name: evaluate(each, part, masked=True) for name, each in contenders.items()}
        for name, each in found.items():
            gain = (each.ranks <= 10) / np.log2(each.ranks + 1.0)
            row = np.array([gain[new].mean(), gain[~new].mean(), gain.mean()])
            gathered.setdefault(name, []).append(row)
            less = "" if name == "grown" else f", grown - this {paired_difference(found['grown'], each):+}"
            print(f"  {name:17} new {row[0]:.4f}  known {row[1]:.4f}  all {row[2]:.4f}  (users: {each.ndcg10}{less})", flush=True)
    for name, rows in gathered.items():
        mean = np.mean(rows, 0)
        print(f"mean of {len(rows)}: {name:17} new {mean[0]:.4f}  known {mean[1]:.4f}  all {mean[2]:.4f}")


if __name__ == "__main__":
    main()
