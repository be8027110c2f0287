"""Does another way of computing a step leave hypernetworks as good? Trained by two versions of chordkit on one backbone, paired over users.

    python benchmarks/hypernetwork_quality.py --folder build/quality --label before     (in a checkout of the one version)
    python benchmarks/hypernetwork_quality.py --folder build/quality --label after      (in the other; the folder is the same)
    python benchmarks/hypernetwork_quality.py --folder build/quality --compare before after

The last five items of each user test. A user's value is the mean over the seeds; the intervals are of the paired difference over users
(percentile bootstrap, 95 %), of the even users, who may choose, and of the odd ones, who confirm. Likelihoods are in nats, at the
temperature that suits a model on the validation items. Each run leaves a file in ``--folder``; the same command goes on after a kill.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import Backbone, attach_widths, default_config, from_master
from chordkit.data import Dataset, SplitPart, prepare, split
from chordkit.files import write_json
from chordkit.hypernetwork import default_hypernetwork_options, make_strategies, train_hypernetwork
from chordkit.hypernetwork.inference import personal_states, rank_states
from chordkit.hypernetwork.likelihood import best_temperature, mean_likelihood
from chordkit.training import default_options, load_backbone, paired_difference, save_backbone, train_backbone

HELD_OUT = 5
MEASURES = ("NDCG@10", "NDCG@10 masked", "log likelihood")


def source(folder: Path, dataset: Dataset, epochs: int) -> Backbone:
    """The FP32 backbone that all runs start from."""
    path = folder / "backbone.safetensors"
    if not path.exists():
        options = default_options("sasrec", epochs=epochs)
        save_backbone(path, train_backbone(dataset, default_config("sasrec", dataset.items), options, held_out=HELD_OUT).backbone)
    return load_backbone(path)[0]


def measured(backbone: Backbone, dataset: Dataset, seed: int, epochs: int | None) -> dict[str, list[float]]:
    """Each user's measures of one hypernetwork."""
    options = default_hypernetwork_options(seed=seed, **({"epochs": epochs} if epochs else {}))
    trained = train_hypernetwork(dataset, backbone, options=options, held_out=HELD_OUT)
    choosing = attach_widths(from_master(trained.master), trained.master)
    parts = split(dataset, trained.backbone.config.max_length, HELD_OUT)

    def states(part: SplitPart) -> torch.Tensor:
        widths = make_strategies(trained.hypernetwork, part.recent(options.pools[-1]))
        return personal_states(choosing, trained.hypernetwork.table, part.histories, widths, None)

    temperature, found = best_temperature(choosing, states(parts.valid), parts.valid), states(parts.test)
    rows = {
        name: 1.0 / np.log2(ranks + 1.0) * (ranks <= 10)
        for name, ranks in (
            ("NDCG@10", rank_states(choosing, found, parts.test)),
            ("NDCG@10 masked", rank_states(choosing, found, parts.test, masked=True)),
        )
    }
    users = np.unique(parts.test.users, return_inverse=True)[1]
    values = {name: (np.bincount(users, each) / np.bincount(users)).tolist() for name, each in rows.items()}
    each_user = [parts.test.users == user for user in np.unique(parts.test.users)]
    values["log likelihood"] = [
        mean_likelihood(choosing, found[torch.from_numpy(own)], parts.test.of_users(parts.test.users[own]), temperature=temperature)
        for own in each_user
    ]
    return values


def main() -> None:
    """Train what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--label", help="of this version")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="of the hypernetwork; 0 = the default")
    parser.add_argument("--backbone-epochs", type=int, default=12)
    parser.add_argument("--compare", nargs=2)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.label:
        dataset = prepare(Path(os.environ.get("CHORDKIT_DATA", "../shared/data")) / arguments.data)
        backbone = source(arguments.folder, dataset, arguments.backbone_epochs)
        for seed in range(arguments.seeds):
            path = arguments.folder / f"{arguments.label}-{seed}.json"
            if not path.exists():
                write_json(path, measured(backbone, dataset, seed, arguments.epochs or None))
    if arguments.compare:
        before, after = (
            [json.loads((arguments.folder / f"{label}-{seed}.json").read_text()) for seed in range(arguments.seeds)]
            for label in arguments.compare
        )
        print(f"| measure | {' | '.join(arguments.compare)} | difference, even users | odd users |\n|---|---|---|---|---|")
        for measure in MEASURES:
            a, b = (np.mean([each[measure] for each in runs], axis=0) for runs in (before, after))
            halves = [paired_difference(b[half::2], a[half::2]) for half in (0, 1)]
            told = " | ".join(f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in halves)
            print(f"| {measure} | {a.mean():.4f} | {b.mean():.4f} | {told} |")


if __name__ == "__main__":
    main()
