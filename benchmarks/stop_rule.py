"""How often the automatic stop is wrong, and after how many reports it is right, looked at after every single report; beside it the bound
of Clopper and Pearson at 99 %, which is right for one look.

    python benchmarks/stop_rule.py
"""

import argparse
import math
import time
from collections.abc import Callable

import numpy as np

from chordkit.release.stop import _GROUPS, USUAL, _log_above, failing

CELLS = 6
"""Of runtime and ABI, with phones in equal parts."""
RATES = (0.001, 0.003, 0.004, 0.005, 0.006, 0.0075, 0.01, 0.02, 0.05, 0.3)


def clopper_pearson(failed: int, reports: int) -> bool:
    """Whether the one-sided lower bound at 99 % is above the threshold: whether so many failures have a probability below 1 % there."""
    if not failed or reports < USUAL.reports:
        return False
    return 1 - math.exp(_log_above(failed, reports - failed + 1, USUAL.threshold)) < USUAL.error


def limits(stops: Callable[[int, int], bool], most: int) -> np.ndarray:
    """int [most + 1]: by number of reports, how many failures stop."""
    failed, found = 0, np.full(most + 1, most + 1)
    for reports in range(USUAL.reports, most + 1):
        while failed <= reports and not stops(failed, reports):
            failed += 1
        found[reports] = failed
    return found


def failure_times(chance: np.random.Generator, rate: float, most: int, times: int) -> np.ndarray:
    """int [times, n]: which reports are failures, the first ``most`` reports of each run; most + 1 stands for later ones."""
    columns = int(rate * most + 8 * math.sqrt(rate * most) + 8)
    return np.minimum(np.cumsum(chance.geometric(rate, (times, columns)), axis=1), most + 1)


def stopped(limit: np.ndarray, at: np.ndarray, most: int) -> np.ndarray:
    """float [times]: after how many reports each run is stopped; inf = never. Between two failures nothing that stops can come about but
    by the least number of reports, and that is waited for."""
    failed = np.arange(1, at.shape[1] + 1)
    padded = np.append(limit, most + 2)
    crossed = failed >= padded[at]
    early = (at < USUAL.reports).sum(axis=1)
    first = np.where(crossed.any(axis=1), at[np.arange(len(at)), crossed.argmax(axis=1)], np.inf)
    return np.where(early >= limit[USUAL.reports], USUAL.reports, first)


def in_cells(chance: np.random.Generator, at: np.ndarray, whole: np.ndarray, cell: np.ndarray, most: int) -> np.ndarray:
    """bool [times]: whether all phones or one cell stop a run, each report being of a cell by chance."""
    found = np.isfinite(stopped(whole, at, most))
    for run, times in enumerate(at):
        cells = chance.integers(0, CELLS, most)
        for number in range(CELLS):
            mine = cells == number
            reports = np.cumsum(mine)
            failures = times[times <= most]
            failures = failures[mine[failures - 1]]
            counted = reports[failures - 1]
            found[run] |= bool((np.arange(1, len(counted) + 1) >= cell[counted]).any())
    return found


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    most, begun = options.reports, time.perf_counter()
    whole = limits(lambda failed, reports: failing(failed, reports, USUAL, groups=2), most)
    cell = limits(lambda failed, reports: failing(failed, reports, USUAL, groups=2 * _GROUPS), most)
    rules = {"this rule": whole, "Clopper-Pearson": limits(clopper_pearson, most)}
    print(f"threshold {USUAL.threshold:g}, {options.runs} runs of {most} reports, a look after every report\n")
    print("| of a hundred phones fail | " + " | ".join(f"{name}: stopped; median reports until then" for name in rules) + " |")
    print("|---" * (len(rules) + 1) + "|")
    for rate in RATES:
        at = failure_times(np.random.default_rng(options.seed), rate, most, options.runs)
        row = []
        for limit in rules.values():
            after = stopped(limit, at, most)
            right = np.isfinite(after)
            row.append(f"{right.mean():.2%}; {np.median(after[right]):,.0f}" if right.any() else "0.00%; -")
        print(f"| {100 * rate:g} | " + " | ".join(row) + " |")
    chance = np.random.default_rng(options.seed + 1)
    runs = min(options.runs, 1000)
    for rate in (0.001, USUAL.threshold):
        wrong = in_cells(chance, failure_times(chance, rate, most, runs), whole, cell, most)
        print(f"\nall phones and {CELLS} cells of runtime and ABI, {rate:.1%} of all fail: {wrong.sum()} of {runs} runs are stopped")
    for part in (0.3, 0.05):
        after = stopped(cell, failure_times(chance, part, most, options.runs), most)
        middle, late = np.quantile(after, [0.5, 0.99])
        print(f"\none cell of which {part:.0%} fail: stopped after {middle:,.0f} of its reports in half of the runs, {late:,.0f} in 99 %")
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
