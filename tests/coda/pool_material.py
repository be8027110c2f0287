"""A small world of users, a backbone that is not trained, and a pool of them."""

from functools import cache

import numpy as np
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.pool import Pool
from chordkit.data import Dataset, synthesize
from chordkit.quantization import MasterWeights

OPTIONS = PoolOptions(k=3, samples=6, context=4, pools=(2, 5, 20))


@cache
def world() -> Dataset:
    return synthesize(5, users=60, items=40, mean_length=15, max_length=30)


@cache
def master(seed: int = 0) -> MasterWeights:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make_master(build(SASRecConfig(items=world().items, dim=16, max_length=10, blocks=1, heads=1)))


@cache
def pool(k: int = 3) -> Pool:
    options = PoolOptions(k=k, samples=OPTIONS.samples, context=OPTIONS.context, pools=OPTIONS.pools)
    return build_pool(world().sequences, world().user_ids, master(), consent=EVERYBODY, options=options)


def segments_of(pool: Pool) -> list[np.ndarray]:
    return np.split(pool.flat, pool.offsets[1:-1])
