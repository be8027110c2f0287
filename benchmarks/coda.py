"""What training on the phone is worth, with and without other people's samples: the tables of docs/coda.md, whatever they say.

    python benchmarks/coda.py --data ml-100k
    python benchmarks/coda.py --data ml-100k --stale
    python benchmarks/coda.py --data beauty --k-core 8
    python benchmarks/coda.py --data synthetic --epochs 20

A SASRec learns from 70 % of the users; the phone has its int8 weights. The others, whom it never saw, and as many of those it saw, each
train an adapter on their own history and 200 samples of the 70 %, chosen in one way or another, and are tested on their last five items.
With ``--stale`` the model has learned from the first half of all interactions in time, and phones train, with samples of the last week's
pool, weeks later. How an adapter learns is chosen, for every way, on one half of the users; the tables are of the other half. Seen items
do not compete. Samples travel as CHRS bytes, and are matched with what is older than the gate's exam.

A cell is the change against the cloud's model with its paired bootstrap interval over users. "Adopted (and worse)": for how many the gate
opened, and for how many of all it opened although the test items became less likely.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from coda_cloud import Phone
from coda_scenes import Fresh, Stale
from coda_tables import comparisons, describe_setting, drift, table
from coda_ways import FRESH, GRID, WAYS, grid_of, later, log_probabilities, marks, try_way

from chordkit.data import Dataset, load_named
from chordkit.files import write_bytes

LATER, LATER_WAYS = 20, ("local", "nearest")
"""Clicks after which an adapter in use is judged again, and the ways for which that is measured."""


def told(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def choose(phones: Sequence[Phone], ways: Sequence[str]) -> dict[str, Any]:
    """For every way the setting under which the users of the choice half have the best likelihood, without a gate."""
    best: dict[str, Any] = {}
    for way in ways:
        if way == "users":  # what it chooses costs too much to try all
            continue
        grid = grid_of(way)
        tried = [[try_way(way, each, setting, gate=False).likelihood for each in phones] for setting in grid]
        best[way] = grid[int(np.argmax(np.mean(tried, axis=1)))]
        told(f"{way}: {describe_setting(best[way])}")
    return best | {"users": best["coarse"]}


def halves(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choice and confirmation; the order of the users is a draw already."""
    return users[::2], users[1::2]


def run_seed(dataset: Dataset, seed: int, arguments: argparse.Namespace, setting: dict[str, Any] | None) -> tuple[dict[str, Any], Any]:
    """Outcomes of every user of the confirmation half, by group; and the settings, chosen where none are given."""
    make, ways = (Stale, {**WAYS, **FRESH}) if arguments.stale else (Fresh, WAYS)
    scene = make(dataset, seed, arguments.folder / f"{dataset.name}{'-stale' * arguments.stale}" / f"seed{seed}", arguments.epochs)
    cloud = scene.cloud
    told(f"seed {seed}: a backbone with test NDCG@10 {cloud.metrics['test'].ndcg10.value:.4f}, temperature {cloud.temperature:.3f}")
    groups = {name: halves(users) for name, users in scene.groups.items()}
    if setting is None:
        deciding = [user for choice, _ in groups.values() for user in choice[: arguments.deciding // 2]]
        setting = choose([scene.phone(int(user)) for user in deciding], list(ways))
    found: dict[str, Any] = {}
    for name, (_, users) in groups.items():
        phones = [scene.phone(int(user)) for user in users[: arguments.users]]
        found[name] = {"cloud": [marks(log_probabilities(cloud.head, each.test), each.test.targets) for each in phones]}
        for way in ways:
            found[name][way] = [asdict(try_way(way, each, setting[way])) for each in phones]
            told(f"seed {seed}, {name}, {way}: done")
        long = [int(user) for user in users[: arguments.users] if len(dataset.sequences[user]) >= 2 * LATER + arguments.least]
        aged = [scene.phone(user, LATER) for user in long]
        found[name]["later"] = {way: [later(way, each, setting[way]) for each in aged] for way in LATER_WAYS}
    return found, setting


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--k-core", type=int, default=0, help="leave out users and items with fewer interactions, repeatedly")
    parser.add_argument("--stale", action="store_true", help="the cloud's model is weeks old, the pool is of last week")
    parser.add_argument("--folder", type=Path, default=Path("build/coda"), help="checkpoints of the backbones, and all figures as JSON")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60, help="of a backbone, at most")
    parser.add_argument("--deciding", type=int, default=100, help="users of the choice half that choose, of both groups together")
    parser.add_argument("--users", type=int, default=100, help="of each group's confirmation half, at most")
    parser.add_argument("--least", type=int, default=20, help="items before the clicks by which an adapter is judged again")
    parser.add_argument("--steps", type=int, default=10, help="of an adapter")
    parser.add_argument("--others", type=int, default=256, help="items that compete in a training besides the targets")
    arguments = parser.parse_args()
    GRID[:] = [replace(setting, steps=replace(setting.steps, count=arguments.steps), others=arguments.others) for setting in GRID]
    torch.set_num_threads(1)
    dataset = load_named(arguments.data, k_core=arguments.k_core) if arguments.k_core else load_named(arguments.data)
    seeds, setting, begun = [], None, time.perf_counter()
    for seed in range(arguments.seeds):
        found, setting = run_seed(dataset, seed, arguments, setting)
        seeds.append(found)
        write_bytes(arguments.folder / f"{dataset.name}{'-stale' * arguments.stale}.json", json.dumps(seeds).encode())
    assert setting is not None
    print("\n".join(f"- {({**WAYS, **FRESH})[name]}: {describe_setting(each)}" for name, each in setting.items()))
    for group in seeds[0]:
        print(f"\n{table(group, seeds)}\n\n{comparisons(group, seeds)}\n\n{drift(group, seeds)}")
    print(f"\n{time.perf_counter() - begun:.0f} seconds, {time.process_time():.0f} of the processor's")


if __name__ == "__main__":
    main()
