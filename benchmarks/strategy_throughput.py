"""Strategies a second on one core: allocation alone, allocation with encoding, in turns; and the whole way from histories to the wire.

python benchmarks/strategy_throughput.py [--users 5000] [--rounds 9]
"""

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from chordkit.backbones import build, default_config, make_master
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, StrategyMaker
from chordkit.quantization import ChannelTable
from chordkit.runtime_bench.interleave import interleave, last_processor, no_collection, one_processor
from chordkit.strategy import Budget, Strategy, allocate, average_bits_each, encode_each, to_wire

FINGERPRINT = bytes(8)
TABLES = {
    "sasrec": ChannelTable.from_sizes((f"layer{i}", 64, 64) for i in range(12)),
    # ffn_dim = 128: two sizes of channels, 768 in all.
    "sasrec_wide": ChannelTable.from_sizes(
        (f"block{b}.{name}", out, features)
        for b in range(2)
        for name, out, features in [*((n, 64, 64) for n in "qkv"), ("ffn1", 128, 64), ("ffn2", 64, 128)]
    ),
    "caser": ChannelTable.from_sizes([(f"horizontal.{h}", 16, 64 * h) for h in range(1, 5)] + [("vertical", 4, 50), ("fc", 64, 320)]),
}


def measure(runs: Sequence[Callable[[], object]], users: int, rounds: int) -> list[dict[str, float]]:
    """Users a second of each of ``runs``, which take turns: best round, and the median with its spread."""
    for run in runs:
        run()
    with one_processor(last_processor()), no_collection():
        blocks = interleave([[run] for run in runs], [1] * len(runs), rounds, np.random.default_rng(0))
    return [_rates(np.concatenate([block.calls for block in mine]) / 1e6, users) for mine in blocks]


def _rates(seconds: np.ndarray, users: int) -> dict[str, float]:
    p10, p50, p90 = np.percentile(seconds, [10, 50, 90])
    return {"best": users / seconds.min(), "p50": users / p50, "p90": users / p90, "p10": users / p10, "n": len(seconds)}


def allocate_and_encode(importance: np.ndarray, table: ChannelTable, budget: Budget) -> list[bytes]:
    """Strategies on the wire."""
    return encode_each(allocate(importance, table, budget), FINGERPRINT)


def encode_one_by_one(widths: np.ndarray) -> list[bytes]:
    """The same bytes, a strategy at a time."""
    return [to_wire(Strategy(each, FINGERPRINT)) for each in widths]


def from_histories(users: int) -> Callable[[], object]:
    """Strategies on the wire from full histories; a hypernetwork with random weights takes as long as a trained one."""
    options = HypernetworkOptions()
    config = default_config("sasrec", 2000)
    network = Hypernetwork(make_master(build(config), options.scale_policy), options).eval()
    histories = np.random.default_rng(0).integers(1, config.items + 1, (users, options.pools[-1])).astype(np.int32)
    maker = StrategyMaker(network)
    return lambda: maker.strategies(maker.profiles(histories), maker.budget(None))


def main() -> None:
    """Print one JSON line per table and budget, and one for the whole way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    users = arguments.users
    print(json.dumps({"machine": platform.processor() or platform.machine(), "numpy": np.__version__, "users": users}))
    for name, table in TABLES.items():
        importance = np.random.default_rng(0).standard_normal((users, table.channels)).astype(np.float32)
        for budget in (Budget(3.0, (0.7, 0.2, 0.1)), Budget(3.0)):
            widths = allocate(importance, table, budget)
            error = float(np.abs(average_bits_each(widths, table) / budget.average_bits - 1).max())
            if encode_one_by_one(widths) != encode_each(widths, FINGERPRINT):
                raise SystemExit(f"{name}: one by one the strategies are other bytes than together")
            runs = {
                "allocate": partial(allocate, importance, table, budget),
                "allocate_and_encode": partial(allocate_and_encode, importance, table, budget),
                "encode": partial(encode_each, widths, FINGERPRINT),
                "encode_one_by_one": partial(encode_one_by_one, widths),
            }
            rates = dict(zip(runs, measure(list(runs.values()), users, arguments.rounds), strict=True))
            result = {
                "table": name,
                "channels": table.channels,
                "shares": budget.shares,
                "largest_budget_error": error,
                **rates,
            }
            print(json.dumps({key: _rounded(value) for key, value in result.items()}))
    (whole,) = measure([from_histories(users)], users, arguments.rounds)
    print(json.dumps({"architecture": "sasrec", "from_histories": _rounded(whole)}))


def _rounded(value: object) -> object:
    return {key: round(number) for key, number in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
