"""Is one attention head as good as two? SASRec with the library's defaults but for ``heads``, several seeds each, paired over users.

    python benchmarks/heads.py --folder build/heads --data ml-100k amazon-beauty

The last five items of each user test. A user's value is the mean over the seeds; the intervals are of the paired difference over users
(percentile bootstrap, 95 %), of the even users, who may choose, and of the odd ones, who confirm. Each run leaves a file in ``--folder``;
the same command goes on after a kill.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from chordkit.backbones import SASRecConfig
from chordkit.data import prepare
from chordkit.files import write_json
from chordkit.training import default_options, paired_difference, train_backbone

MEASURES = {
    "NDCG@10": ("test", "ndcg10"),
    "HR@10": ("test", "hr10"),
    "NDCG@10 masked": ("test_masked", "ndcg10"),
    "NDCG@10 of 100 negatives": ("test_negatives", "ndcg10"),
}
HELD_OUT = 5


def run(folder: Path, data: str, heads: int, seed: int) -> dict[str, list[float]]:
    """Each user's measures of one trained backbone, from its file or by training it."""
    path = folder / f"{data}-{heads}-{seed}.json"
    if not path.exists():
        dataset = prepare(Path(os.environ.get("CHORDKIT_DATA", "../shared/data")) / data)
        config = SASRecConfig(items=dataset.items, heads=heads)
        checkpoints = folder / path.stem
        result = train_backbone(dataset, config, default_options("sasrec", seed=seed), checkpoints, held_out=HELD_OUT)
        values = {name: result.metrics[part].per_user[key].tolist() for name, (part, key) in MEASURES.items()}
        write_json(path, values | {"epochs": len(result.history)})
    found: dict[str, list[float]] = json.loads(path.read_text())
    return found


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", nargs="+", default=["ml-100k", "amazon-beauty"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--heads", type=int, nargs=2, default=[1, 2])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    few, many = arguments.heads
    print(f"| data | measure | {few} | {many} | {few} less {many}, even users | odd users |")
    print("|---|---|---:|---:|---:|---:|", flush=True)
    for data in arguments.data:
        runs = {heads: [run(arguments.folder, data, heads, seed) for seed in range(arguments.seeds)] for heads in arguments.heads}
        for measure in MEASURES:
            a, b = (np.mean([each[measure] for each in runs[heads]], axis=0) for heads in arguments.heads)
            halves = [paired_difference(a[half::2], b[half::2]) for half in (0, 1)]
            shown = " | ".join(f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]" for each in halves)
            print(f"| {data} | {measure} | {a.mean():.4f} | {b.mean():.4f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
