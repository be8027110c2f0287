"""What matching costs and gives: bytes of answers, CPU milliseconds of requests, recall of the index. docs/coda.md has the figures.

    python benchmarks/matching.py --data ml-100k --master ml-100k.chrm [--k 5] [--samples 25] [--rows 1000000] [--requests 400] [--index]

Users of the data set are drawn by the seed, each asks with the whole history and is not answered with samples of their own. ``--rows``
searches among so many profiles instead of the pool's own: those, repeated with noise of a tenth of a row's length, for the times and the
recall of pools that are larger than the data set; answers are the pool's all the same. One thread, whatever the machine
has, and its CPU time, so that what else runs there is not in it but for the memory that it shares.
"""

import argparse
import json
import time

import numpy as np
import torch

from chordkit.coda.building import EVERYBODY, PoolOptions, build_pool
from chordkit.coda.matching import Matcher
from chordkit.coda.pool import Pool
from chordkit.coda.profiles import directions, history_profile
from chordkit.coda.search import Search, brute_force, indexed
from chordkit.data import load_named
from chordkit.quantization import MasterWeights
from chordkit.strategy import quantize_user_vectors

NOISE = 0.1


def larger(pool: Pool, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and scales of ``rows`` profiles: the pool's, over and over, each with noise of its own."""
    codes, scales = np.empty((rows, pool.codes.shape[1]), np.int8), np.empty(rows, np.float32)
    for start in range(0, rows, 50_000):
        chosen = np.arange(start, min(start + 50_000, rows)) % pool.samples
        exact = pool.codes[chosen] * pool.scales[chosen, None]
        noise = generator.normal(size=exact.shape) * NOISE / exact.shape[1] ** 0.5
        codes[start : start + len(chosen)], scales[start : start + len(chosen)] = quantize_user_vectors((exact + noise).astype(np.float32))
    return codes, scales


def times_of(search: Search, asked: np.ndarray, count: int) -> dict[str, float]:
    """CPU milliseconds of searches, each for a direction of its own."""
    spent = []
    for direction in asked:
        began = time.thread_time_ns()
        search(direction, count)
        spent.append((time.thread_time_ns() - began) / 1e6)
    return summary(spent)


def summary(spent: list[float]) -> dict[str, float]:
    return {"min": min(spent)} | {f"p{share}": float(np.percentile(spent, share)) for share in (50, 90, 99)} | {"n": len(spent)}


def recall(found: Search, truth: Search, asked: np.ndarray, count: int) -> float:
    return float(np.mean([len(np.intersect1d(found(row, count), truth(row, count))) / count for row in asked]))


def main() -> None:
    """Build, ask, search; print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--master", required=True)
    parser.add_argument("--k", type=int, default=5, help="0: a public pool")
    parser.add_argument("--samples", type=int, default=25, help="of one user")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--index", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(options.seed)
    data, master = load_named(options.data), MasterWeights.load(options.master)
    began = time.perf_counter()
    settings = PoolOptions(k=options.k, samples=options.samples)
    pool = build_pool(data.sequences, data.user_ids, master, consent=EVERYBODY, options=settings)
    told = {"pool": {"samples": pool.samples, "users": pool.sources, "items": len(pool.flat), "built_s": time.perf_counter() - began}}
    users = generator.choice(data.users, min(data.users, options.requests), replace=False)
    profiles = [history_profile(master, data.sequences[user], pool.pools) for user in users]
    matcher = Matcher(pool)
    answers, spent = [], []
    for profile, user in zip(profiles, users, strict=True):
        began_ns = time.thread_time_ns()
        answers.append(matcher.answer(profile, options.count, exclude=data.user_ids[user]))
        spent.append((time.thread_time_ns() - began_ns) / 1e6)
    sizes, contexts = np.array([len(each.data) for each in answers]), np.array([each.context for each in answers])
    told["answers"] = {
        "cpu_ms": summary(spent),
        "bytes": {"mean": sizes.mean(), "p50": float(np.median(sizes)), "max": int(sizes.max())},
        "samples": {"min": min(each.segments.samples for each in answers)},
        "users": {"mean": np.mean([each.sources for each in answers])},
        "items": {"mean": np.mean([each.segments.items for each in answers])},
        "context": {"mean": contexts.mean(), "min": int(contexts.min()), "whole": float(np.mean(contexts == pool.context))},
    }
    codes, scales = (pool.codes, pool.scales) if options.rows is None else larger(pool, options.rows, generator)
    asked = directions(np.stack(profiles), len(pool.pools))
    exact = brute_force(codes, scales)
    told["brute_force"] = {"rows": len(codes), "width": codes.shape[1], "cpu_ms": times_of(exact, asked, options.count)}
    if options.index:
        began = time.perf_counter()
        index = indexed(codes, scales)
        built, few = time.perf_counter() - began, asked[:100]
        told["index"] = {
            "built_s": built,
            "cpu_ms": times_of(index, asked, options.count),
            f"recall@{options.count}": recall(index, exact, few, options.count),
        }
    print(json.dumps(told, indent=2, default=float))


if __name__ == "__main__":
    main()
