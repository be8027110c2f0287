"""A small served model that nobody trained, with a pool, and what it answers."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.data import synthesize
from chordkit.hypernetwork import HypernetworkOptions, save_hypernetwork
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.quantization import MasterWeights

ITEMS, DIM, POOLS = 40, 16, (2, 5, 20)
WIDTH = len(POOLS) * DIM + 1


@cache
def master(seed: int = 0) -> MasterWeights:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make_master(build(SASRecConfig(items=ITEMS, dim=DIM, max_length=10, blocks=1, heads=1)))


def write_model(folder: Path, seed: int = 0, *, with_pool: bool = False, **options: object) -> MasterWeights:
    """A model's folder, which appears whole."""
    weights = master(seed)
    filling = folder.with_name(f".{folder.name}")
    filling.mkdir(parents=True)
    weights.save(filling / "master.chrm")
    network = Hypernetwork(weights, HypernetworkOptions(**{"pools": POOLS, "hidden": 16, **options}))
    save_hypernetwork(filling / "hypernetwork.safetensors", network.initialise(torch.Generator().manual_seed(seed)))
    if with_pool:
        data = synthesize(5, users=60, items=ITEMS, mean_length=15, max_length=30)
        settings = PoolOptions(k=3, samples=6, context=4, pools=POOLS)
        build_pool(data.sequences, data.user_ids, weights, consent=EVERYBODY, options=settings).save(filling / "pool.safetensors")
    if folder.exists():
        shutil.rmtree(folder)
    filling.rename(folder)
    return weights


def profiles(count: int, seed: int = 0) -> np.ndarray:
    """float32 [count, WIDTH]."""
    found = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    found[:, -1] = 0.7
    return found


Make = Callable[..., MasterWeights]
