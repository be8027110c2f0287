"""Strategies a second on one core: allocation alone, and allocation with encoding. ``python benchmarks/strategy_throughput.py``."""

import argparse
import json
import platform
import time
from collections.abc import Callable

import numpy as np

from chordkit.quantization import ChannelTable
from chordkit.strategy import Budget, Strategy, allocate, average_bits_each, encode

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


def measure(run: Callable[[], object], users: int, rounds: int) -> dict[str, float]:
    """Users a second: best round, and the median with its spread."""
    run()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    p10, p50, p90 = np.percentile(seconds, [10, 50, 90])
    return {"best": users / min(seconds), "p50": users / p50, "p90": users / p90, "p10": users / p10, "n": rounds}


def main() -> None:
    """Print one JSON line per table and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    users = arguments.users
    print(json.dumps({"machine": platform.processor() or platform.machine(), "numpy": np.__version__, "users": users}))
    for name, table in TABLES.items():
        importance = np.random.default_rng(0).standard_normal((users, table.channels)).astype(np.float32)
        for budget in (Budget(3.0, (0.7, 0.2, 0.1)), Budget(3.0)):

            def all_encoded(importance: np.ndarray = importance, table: ChannelTable = table, budget: Budget = budget) -> list[bytes]:
                return [encode(Strategy(widths, FINGERPRINT)) for widths in allocate(importance, table, budget)]

            widths = allocate(importance, table, budget)
            error = float(np.abs(average_bits_each(widths, table) / budget.average_bits - 1).max())
            result = {
                "table": name,
                "channels": table.channels,
                "shares": budget.shares,
                "largest_budget_error": error,
                "allocate": measure(lambda i=importance, t=table, b=budget: allocate(i, t, b), users, arguments.rounds),  # type: ignore[misc]
                "allocate_and_encode": measure(all_encoded, users, arguments.rounds),
            }
            print(json.dumps({key: _rounded(value) for key, value in result.items()}))


def _rounded(value: object) -> object:
    return {key: round(number) for key, number in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    main()
