"""Quality against microseconds: models of several sizes with all channels on, and with some of them, chosen for each user.

    python benchmarks/off_channels.py train --out build/off          # ml-100k, one seed: each size with 8, 3 and 2 bits of {off, 8}
    python benchmarks/off_channels.py time --out build/off --svg docs/results/off-channels.svg

Of each user the last 5 items test and the 5 before them validate; seen items masked in everybody's loss. All rivals of a size begin with one
FP32 backbone. Times are of the native engine, 100 candidates, a user's own history and strategy, warm: of 64 users the mean of each one's
shortest call. Models take turns, in an order drawn anew in each round.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

DIMS = (32, 64, 128)
BITS = (8.0, 3.0, 2.0)
USERS, CANDIDATES = 64, 100
PLACES = {"held_out": 5, "validation": 5}


def train(arguments: argparse.Namespace) -> None:
    """Every model, its quality, and what timing needs of it."""
    from chordkit.backbones import attach_widths, default_config, from_master
    from chordkit.data import load_named, split
    from chordkit.evaluation.experiment import per_user
    from chordkit.evaluation.measure import fit_temperatures, measure
    from chordkit.evaluation.retrieval import candidate_sets
    from chordkit.hypernetwork import default_hypernetwork_options, make_strategies, personal_states, train_hypernetwork
    from chordkit.training import default_options, train_backbone

    dataset = load_named(arguments.data)
    for dim in DIMS:
        config = default_config("sasrec", dataset.items, dim=dim, max_length=50)
        start = train_backbone(dataset, config, default_options("sasrec", seed=0), arguments.out / f"start-{dim}", **PLACES).backbone
        for bits in BITS:
            folder = arguments.out / f"{dim}-{bits:g}"
            own = bits < 8
            options = default_hypernetwork_options(
                "joint", personal=own, seen_masked=True, seed=0, widths=(0, 8) if own else (8,), average_bits=bits, epochs=arguments.epochs
            )
            trained = train_hypernetwork(dataset, start, None, options, folder, **PLACES)
            master, length = trained.master, trained.backbone.config.max_length
            backbone, parts = attach_widths(from_master(master), master), split(dataset, length, *PLACES.values())
            widths = [make_strategies(trained.hypernetwork, part.recent(options.pools[-1])) for part in (parts.valid, parts.test)]
            states = [
                personal_states(backbone, master.channel_table, part.histories, chosen, None)
                for part, chosen in zip((parts.valid, parts.test), widths, strict=True)
            ]
            candidates = candidate_sets(parts.test, parts.train, dataset.items)
            found = per_user(measure(backbone, states[1], parts.test, candidates, fit_temperatures(backbone, states[0], parts.valid)), parts.test)
            quality = {name: float(found[name].mean()) for name in ("masked_ndcg10", "n100_ndcg10", "masked_likelihood")}
            (folder / "master.chrm").write_bytes(master.to_bytes())
            np.savez(folder / "users.npz", widths=np.asarray(widths[1])[:USERS], histories=np.asarray(parts.test.histories)[:USERS])
            (folder / "quality.json").write_text(json.dumps(quality))
            print(dim, bits, quality, f"epoch {trained.best_epoch} of {len(trained.history)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["train", "time"])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("build/off"))
    parser.add_argument("--svg", type=Path)
    {"train": train}[parser.parse_args().do](parser.parse_args())
