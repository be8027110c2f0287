"""Where do widths say more than a user vector? The pieces of docs/results/regimes.md that `chordkit evaluate` does not have.

    python benchmarks/regimes.py merge ml-100k cds:20 yelp:10 --out mixed.safetensors
    python benchmarks/regimes.py parts build/evaluation --data ml-100k --budget 2.0:0,8
    python benchmarks/regimes.py compare build/large/0.5-of-0.8 own build/small/8-of-8 uniform8
    python benchmarks/regimes.py shops build/evaluation/mixed/2-of-0.8 own static --data mixed.safetensors

`merge` makes one catalogue and one population of several data sets, each with its k-core. `parts` takes the personal models of an
evaluation and lets only some layers be a user's own, the others everybody's. `compare` holds rows of two evaluations side
by side, `shops` two rows for the users of each merged source.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chordkit.backbones import attach_widths, from_master
from chordkit.cli.options import parse_budgets
from chordkit.data import Dataset, SplitPart, load_named, split
from chordkit.evaluation import HEADLINE, ExperimentOptions
from chordkit.evaluation.experiment import per_user, train_models
from chordkit.evaluation.measure import fit_temperatures, measure
from chordkit.evaluation.retrieval import candidate_sets
from chordkit.evaluation.summary import halves
from chordkit.hypernetwork import TrainedHypernetwork, default_hypernetwork_options, make_importance, personal_states
from chordkit.strategy import allocate
from chordkit.training import bootstrap
from chordkit.training.checkpoint import read_tensors

Values = dict[str, NDArray[np.float64]]

# What the names of SASRec's layers have in them.
PARTS = {
    "everything": ("",),
    "nothing": (),
    "attention": ("query", "key", "value", "output"),
    "feed-forward": ("ffn",),
    "first block": ("blocks.0",),
    "second block": ("blocks.1",),
}


def merge(arguments: argparse.Namespace) -> None:
    """One catalogue and one population of several data sets: a super-app whose users each know one of its shops."""
    sequences, ids, first = [], [""], 0
    for source in arguments.sources:
        name, _, core = source.partition(":")
        dataset = load_named(name, k_core=int(core or 0))
        sequences += [sequence + first for sequence in dataset.sequences]
        ids += [f"{name}:{item}" for item in dataset.item_ids[1:]]
        first += dataset.items
    merged = Dataset.from_sequences(arguments.out.stem, sequences, ids)
    merged.save(arguments.out)
    print(f"{arguments.out}: {merged.users:,} users, {merged.items:,} items, {merged.interactions:,} interactions")


def parts(arguments: argparse.Namespace) -> None:
    """How much of the personal gain is left when only some layers are the user's own."""
    dataset = load_named(arguments.data)
    bits, widths = parse_budgets([arguments.budget], "2,4,8")[0]
    personal = default_hypernetwork_options("joint", seen_masked=True, threads=1, average_bits=bits, widths=widths)
    seeds: dict[str, list[Values]] = {name: [] for name in PARTS}
    for seed in range(arguments.seeds):
        # From the checkpoints of the evaluation: nothing is trained again.
        trained = train_models(dataset, ExperimentOptions(personal=personal), seed, arguments.folder).personal
        held = split(dataset, trained.backbone.config.max_length, 5, 5)
        candidates = candidate_sets(held.test, held.train, dataset.items)
        for name, layers in PARTS.items():
            seeds[name].append(_personal_in(trained, layers, held.valid, held.test, candidates))
    everybody = np.ones(dataset.users, np.bool_)
    for name in PARTS:
        print(_line(f"own in {name} - own in nothing", seeds[name], seeds["nothing"], everybody))


def _personal_in(
    trained: TrainedHypernetwork, layers: Sequence[str], valid: SplitPart, test: SplitPart, candidates: dict[str, NDArray[np.int32]]
) -> Values:
    """The measures of every user when the channels of some layers have the user's importance, and all others the mean of the users."""
    table, budget, options = trained.master.channel_table, trained.options.budget, trained.options
    own = np.concatenate([np.full(layer.out_channels, any(part in layer.name for part in layers)) for layer in table.layers])
    backbone = attach_widths(from_master(trained.master), trained.master)
    states = []
    for part in (valid, test):
        importance = make_importance(trained.hypernetwork, part.recent(options.pools[-1]))
        mixed = np.where(own, importance, importance.mean(axis=0))
        widths = allocate(mixed, table, budget, allow_off=budget.may_switch_off)
        states.append(personal_states(backbone, table, part.histories, widths, None))
    return _doubles(per_user(measure(backbone, states[1], test, candidates, fit_temperatures(backbone, states[0], valid)), test))


def compare(arguments: argparse.Namespace) -> None:
    """Paired differences of two rows, each of an evaluation's folder of one budget, over the users and the seeds that both have."""
    first, second = (
        [_row(path, row) for path in sorted(folder.glob("seed*.safetensors"))]
        for folder, row in ((arguments.first, arguments.first_row), (arguments.second, arguments.second_row))
    )
    users = len(first[0][HEADLINE[0]])
    title = f"{arguments.first_row} - {arguments.second_row}"
    for name, kept in (("all", np.ones(users, np.bool_)), ("choice", halves(users)), ("confirmation", ~halves(users))):
        print(_line(f"{title}, {name}", first, second, kept))


def shops(arguments: argparse.Namespace) -> None:
    """What two rows of an evaluation of a merged data set differ in, for the users of each of its sources."""
    files = sorted(arguments.folder.glob("seed*.safetensors"))
    first, second = ([_row(path, row) for path in files] for row in (arguments.first_row, arguments.second_row))
    dataset = load_named(arguments.data)
    source = np.array([dataset.item_ids[sequence[0]].partition(":")[0] for sequence in dataset.sequences])
    for name in dict.fromkeys(source.tolist()):
        print(_line(f"{arguments.first_row} - {arguments.second_row}, {name}", first, second, source == name))


def _row(path: Path, key: str) -> Values:
    tensors, metadata = read_tensors(path, "result")
    figures = {row["key"]: row for row in metadata["rows"]}[key]
    found = _doubles({name.split("/")[2]: each.numpy() for name, each in tensors.items() if name.startswith(f"{key}/test/")})
    means = ", ".join(f"{measured} {found[measured].mean():.4f}" for measured in HEADLINE)
    print(f"{path} {key}: {figures['bits']:.2f} bits, {figures['products']:.1%} of its products, {figures['phone_bytes']:,} bytes, {means}")
    return found


def _doubles(values: dict[str, NDArray[np.float32]]) -> Values:
    return {name: each.astype(np.float64) for name, each in values.items()}


def _line(title: str, first: Sequence[Values], second: Sequence[Values], users: NDArray[np.bool_]) -> str:
    columns = np.stack([np.mean([a[name] - b[name] for a, b in zip(first, second, strict=True)], axis=0) for name in HEADLINE], axis=1)
    cells = [f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in bootstrap(columns[users])]
    return f"| {title} | " + " | ".join(cells) + " |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("merge", help="several data sets as one")
    one.add_argument("sources", nargs="+", help="names or files, each with ':K' for its K-core")
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=merge)
    one = commands.add_parser("parts", help="own strategies in some layers only")
    one.add_argument("folder", type=Path, help="of an evaluation with seen items masked")
    one.add_argument("--data", required=True)
    one.add_argument("--budget", default="2.0:0,8")
    one.add_argument("--seeds", type=int, default=3)
    one.set_defaults(run=parts)
    one = commands.add_parser("compare", help="rows of two evaluations of one data set")
    one.add_argument("first", type=Path, help="an evaluation's folder of one budget")
    one.add_argument("first_row")
    one.add_argument("second", type=Path)
    one.add_argument("second_row")
    one.set_defaults(run=compare)
    one = commands.add_parser("shops", help="rows of an evaluation of a merged data set, source by source")
    one.add_argument("folder", type=Path, help="an evaluation's folder of one budget")
    one.add_argument("first_row")
    one.add_argument("second_row")
    one.add_argument("--data", required=True)
    one.set_defaults(run=shops)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
