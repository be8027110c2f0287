"""What a pooled profile tells whoever has the bundle: the items behind the means, found again. docs/privacy.md has the figures.

    python benchmarks/profile_inversion.py --data ml-100k [--backbone backbone.safetensors] [--users 200] [--deep 16]

The attacker knows what everybody with the bundle knows, the item table of the master, and sees one profile: float32 means over the last
5, 25 and 200 items. A mean of five times five is a sum of five rows; the search looks for five whose sum it is, two of them at a time over
all pairs of the catalogue, until it fits. What the last 25 hold besides is then a sum of twenty, found in the same way from where
non-negative least squares begin.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from chordkit.backbones import default_config, from_master, make_master
from chordkit.data import load_named, split
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.training import default_options, load_backbone, train_backbone

POOLS = (5, 25, 200)
SWEEPS = 4
FITS = 1e-4
"""A sum of float32 means is right to 1e-6; a wrong one has never been nearer than 0.1."""


class Search:
    """Looks for rows of ``table [items, dim]`` that sum up to a vector."""

    def __init__(self, table: np.ndarray, generator: np.random.Generator) -> None:
        self._table, self._generator = table, generator
        self._gram = 2 * table @ table.T
        self._squares = (table**2).sum(1)

    def find(self, wanted: np.ndarray, first: np.ndarray, rounds: int) -> tuple[np.ndarray, float]:
        """The best rows that were met, as many as ``first`` has, and how far their sum is from ``wanted``. Starts at ``first``; each round
        after that throws a third of the best ones away."""
        best, nearest = first, np.inf
        for number in range(rounds):
            chosen = best.copy()
            if number:
                thrown = self._generator.choice(len(chosen), -(-len(chosen) // 3), replace=False)
                chosen[thrown] = self._generator.integers(0, len(self._table), len(thrown))
            distance = self._improve(chosen, wanted)
            if distance < nearest:
                best, nearest = chosen, distance
            if nearest < FITS:
                break
        return best, nearest

    def _improve(self, chosen: np.ndarray, wanted: np.ndarray) -> float:
        """Put the best pair of all into two places, for all two places, until that changes nothing."""
        distance = np.inf
        for _ in range(SWEEPS):
            before = distance
            for places in self._generator.permutation([(i, j) for i in range(len(chosen)) for j in range(i)]):
                rest = wanted - self._table[np.delete(chosen, places)].sum(0)
                own = self._squares - 2 * self._table @ rest
                chosen[places] = np.divmod((self._gram + own[:, None] + own[None, :]).argmin(), len(self._table))
                distance = float(np.linalg.norm(wanted - self._table[chosen].sum(0)))
                if distance < FITS:
                    return distance
            if distance > 0.999 * before:
                break
        return distance


def rounded(means: np.ndarray, bits: int | None) -> np.ndarray:
    """Means ``[dim]`` as sent: float32, or codes of so many bits with one scale."""
    if bits is None:
        return means
    scale = np.abs(means).max() / (2 ** (bits - 1) - 1)
    return np.round(means / scale) * scale


def attack(table: np.ndarray, histories: np.ndarray, bits: int | None, deep: int, seed: int) -> dict[str, float]:
    """Shares over users with at least 25 items; what the first ``deep`` of them took before their last 5 is looked for as well."""
    rows_of = table[1:].astype(np.float64)
    search = Search(rows_of, np.random.default_rng(seed))
    profiles = pooled_profile(torch.from_numpy(table), torch.from_numpy(histories), POOLS).numpy().astype(np.float64)
    dim, lengths = table.shape[1], np.linalg.norm(rows_of, axis=1)
    shares: dict[str, list[float]] = {}
    for number, (history, profile) in enumerate(zip(histories, profiles, strict=True)):
        few, more = (rounded(profile[k * dim : (k + 1) * dim], bits) for k in (0, 1))
        last, before = set(history[-POOLS[0] :] - 1), set(history[-POOLS[1] : -POOLS[0]] - 1)
        near = np.argsort(-(rows_of @ few) / lengths)[: POOLS[0]]
        found, distance = search.find(POOLS[0] * few, near, 12)
        said = {
            "by_nearness": len(last & set(near)) / 5,
            "of_the_last_5": len(last & set(found)) / 5,
            "all_of_the_last_5": last == set(found),
        }
        said["known_to_be_right"] = distance < FITS
        if number < deep:
            rest = POOLS[1] * more - rows_of[found].sum(0)
            likely = np.argsort(-nnls(rows_of.T, rest)[0])[: POOLS[1] - POOLS[0]]
            guessed, _ = search.find(rest, likely, 10)
            said |= {"of_the_20_before": len(before & set(guessed)) / 20, "all_of_the_20_before": before == set(guessed)}
        for name, share in said.items():
            shares.setdefault(name, []).append(float(share))
    return {name: round(float(np.mean(values)), 4) for name, values in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--backbone", type=Path, help="trained on it; without, one is trained with the library's defaults")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--deep", type=int, default=16, help="of these, whose 20 items before the last 5 are looked for (20 s each)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dataset = load_named(arguments.data)
    if arguments.backbone is None:
        backbone = train_backbone(dataset, default_config("sasrec", dataset.items), default_options("sasrec")).backbone
    else:
        backbone, _ = load_backbone(arguments.backbone)
    table = from_master(make_master(backbone)).item_embedding.weight.detach().numpy()
    recent = split(dataset).test.recent(POOLS[-1])
    long = recent[(recent != 0).sum(1) >= POOLS[1]]
    chosen = np.random.default_rng(arguments.seed).permutation(len(long))[: arguments.users]
    for bits in (None, 8, 4):
        start = time.perf_counter()
        found = attack(table, long[chosen], bits, arguments.deep if bits is None else 0, arguments.seed)
        sent = "float32" if bits is None else f"{bits} bits"
        print(json.dumps({"sent": sent, "users": len(chosen), "seconds": round(time.perf_counter() - start), **found}), flush=True)


if __name__ == "__main__":
    main()
