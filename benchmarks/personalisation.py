"""What personal strategies are worth: trains hypernetworks and compares their strategies with all that could replace them.

    python benchmarks/personalisation.py --data ml-100k-folder --modes random trained --seeds 0 --held-out 5
    python benchmarks/personalisation.py --demo               # the demo's options on the synthetic data set, with times

Prints Markdown tables; ``--output`` writes the same as JSON. Nothing but the seeds and the data decides the figures.
"""

import argparse
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import ARCHITECTURES, Backbone, default_config
from chordkit.data import Dataset, prepare, split, synthesize
from chordkit.files import write_json
from chordkit.hypernetwork import Comparison, HypernetworkOptions, compare_strategies, demo_options, make_strategies, train_hypernetwork
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.training import default_options, train_backbone


def shortened(dataset: Dataset, by: int) -> Dataset:
    """``dataset`` without every user's last ``by`` items, so that an ordinary leave-one-out training never sees them."""
    sequences = [sequence[: len(sequence) - by] for sequence in dataset.sequences]
    return Dataset.from_sequences(dataset.name, sequences, dataset.item_ids, dataset.user_ids)


def train_reference(dataset: Dataset, arguments: argparse.Namespace, seed: int) -> Backbone:
    """The backbone trained the ordinary way, blind to all held-out items."""
    config = default_config(arguments.architecture, dataset.items)
    options = default_options(arguments.architecture, seed=seed, threads=arguments.threads)
    if arguments.backbone_epochs:
        options = default_options(arguments.architecture, seed=seed, threads=arguments.threads, epochs=arguments.backbone_epochs)
    return train_backbone(shortened(dataset, arguments.held_out - 1), config, options).backbone


def table(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    lines = ["| strategy | bits | NDCG@10 | HR@10 | own minus this, NDCG@10 |", "|---|---|---|---|---|"]
    for row in comparison.rows:
        difference = ""
        if row.key != "own":
            each = comparison.difference(row.key)
            difference = f"{each.value:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"
        lines.append(f"| {row.label} | {row.average_bits:.2f} | {row.metrics.ndcg10} | {row.metrics.hr10} | {difference} |")
    spread = comparison.diversity
    lines.append("")
    lines.append(
        f"Hamming distance between users {spread.between_users:.3f} (chance {spread.chance:.3f}), between two moments of one user "
        f"({spread.gap} items apart) {spread.between_moments:.3f}; entropy per channel {spread.channel_entropy:.3f} bits; channels with "
        f"one width for everybody {spread.fixed_channels:.1%}; {comparison.users} users, {comparison.targets_per_user:.1f} items each."
    )
    return "\n".join(lines)


def throughput(hypernetwork: Hypernetwork, histories: np.ndarray, runs: int = 5) -> float:
    """Strategies per second of CPU time (all threads together), from histories to widths: the best run over 8,192 users.

    CPU time and not wall clock, so that a busy machine does not count against it.
    """
    many = np.resize(histories, (8192, histories.shape[1]))
    best = 0.0
    for _ in range(runs):
        start = time.process_time()
        make_strategies(hypernetwork, many)
        best = max(best, len(many) / (time.process_time() - start))
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="data set; the synthetic one if not given")
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), default="sasrec")
    parser.add_argument("--modes", nargs="+", choices=["random", "warm", "trained"], default=["random", "trained"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--held-out", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="at most so many epochs of the hypernetwork")
    parser.add_argument("--backbone-epochs", type=int, help="at most so many epochs of the fp32 reference")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-static", action="store_true", help="leave the separately trained static strategy out")
    parser.add_argument("--demo", action="store_true", help="the demo's options, without static")
    parser.add_argument("--output", type=Path, help="JSON file")
    parsed = parser.parse_args(arguments)
    dataset = prepare(parsed.data) if parsed.data else synthesize(0)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout.strip()
    print(
        f"{dataset.name}: {dataset.users} users, {dataset.items} items; commit {commit}; {platform.machine()}, {parsed.threads} thread(s)\n"
    )
    torch.set_num_threads(parsed.threads)
    part = split(dataset, 50, parsed.held_out).test
    results = []
    for seed in parsed.seeds:
        start = time.perf_counter()
        reference = train_reference(dataset, parsed, seed)
        print(f"fp32 reference, seed {seed}: {time.perf_counter() - start:.0f} s\n")
        for mode in ["warm"] if parsed.demo else parsed.modes:
            init = "trained" if mode == "trained" else "random"
            changes = {"epochs": parsed.epochs} if parsed.epochs else {}
            options = HypernetworkOptions(backbone_init=init, warm_start=mode == "warm", seed=seed, threads=parsed.threads, **changes)
            if parsed.demo:
                options = demo_options(seed=seed, threads=parsed.threads, **changes)
            start = time.perf_counter()
            trained = train_hypernetwork(dataset, reference, options=options, held_out=parsed.held_out)
            trained_s = time.perf_counter() - start
            static = None
            if not (parsed.no_static or parsed.demo):
                fixed = HypernetworkOptions(**{**options.to_json(), "personal": False})
                static = train_hypernetwork(dataset, reference, options=fixed, held_out=parsed.held_out)
            start = time.perf_counter()
            comparison = compare_strategies(trained, part, static=static, reference=reference, seed=seed)
            compared_s = time.perf_counter() - start
            rate = throughput(trained.hypernetwork, part.histories)
            print(f"### {parsed.architecture}, {mode} backbone, seed {seed}\n\n{table(comparison)}\n")
            print(
                f"Training {trained_s:.0f} s ({len(trained.history)} epochs, best {trained.best_epoch + 1}), "
                f"comparison {compared_s:.0f} s, {rate:,.0f} strategies per CPU second.\n",
                flush=True,
            )
            record = {"mode": mode, "seed": seed, "training_s": trained_s, "comparison_s": compared_s, "strategies_per_cpu_second": rate}
            results.append(record | {"history": trained.history, "options": options.to_json(), "comparison": comparison.to_json()})
    if parsed.output:
        write_json(parsed.output, {"dataset": dataset.name, "commit": commit, "results": results})


if __name__ == "__main__":
    main()
