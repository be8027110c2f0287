"""From contenders to rows: measured in turns, each set against the fastest peer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chordkit.runtime_bench.results import Settings
from chordkit.runtime_bench.statistics import spread_reasons
from contest.contender import Contender
from contest.timing import Times, measure, pace

HOPELESS = 8.0
"""Peers that take this many times as long as the fastest one at first sight would only stretch the rounds."""

_LIMITS = Settings()
"""How wide a spread is still comparable: as in ``chordkit bench``."""


def rows(contenders: Sequence[Contender], missing: dict[str, str], rounds: int, cold_rounds: int = 0) -> dict[str, Any]:
    """Measure and describe: ``fastest_peer``, and per contender its percentiles in us and its ratio to that peer.

    A row's ``reasons`` say why its times should not be compared, if so. What is not measured is in ``missing``: what came in, and
    peers that are :data:`HOPELESS`. Where calls were measured cold too, ``fastest_peer_cold`` is the peer that ratios of cold calls
    are taken against.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names):
        raise ValueError(f"contenders need different names: {sorted(names)}")
    paces = [pace(contender.bound.run) for contender in contenders]
    limit = HOPELESS * min((mine.us for mine, contender in zip(paces, contenders, strict=True) if not contender.ours), default=0.0)
    slow = {contender.name: mine.us for mine, contender in zip(paces, contenders, strict=True) if not contender.ours and mine.us > limit}
    kept = [(mine, contender) for mine, contender in zip(paces, contenders, strict=True) if contender.name not in slow]
    contenders, names = [contender for _, contender in kept], [contender.name for _, contender in kept]
    times = measure([contender.bound.run for contender in contenders], [mine for mine, _ in kept], rounds, cold_rounds)
    peers = [index for index, contender in enumerate(contenders) if not contender.ours]
    warm = [mine.latency for mine in times]
    best = _fastest(peers, lambda index: warm[index].p50_us, lambda index, other: times[index].ratio(times[other]).value)
    cold_best = None
    if cold_rounds:
        cold_best = _fastest(peers, lambda index: _median(times[index]), lambda index, other: times[index].cold_ratio(times[other]).value)
    result: dict[str, Any] = {
        "fastest_peer": None if best is None else names[best],
        "missing": {**missing, **{name: f"{us:.0f} us a call at first sight: left out of the turns" for name, us in slow.items()}},
        "fastest_peer_cold": None if cold_best is None else names[cold_best],
        "contenders": [],
    }
    for contender, mine, latency in zip(contenders, times, warm, strict=True):
        row: dict[str, Any] = {
            "name": contender.name,
            "runtime": contender.runtime,
            "activations": contender.activations,
            "how": contender.bound.how,
            "latency": latency.model_dump(),
            "p10_us": _percentile(mine, 10),
            "reasons": spread_reasons(latency, _LIMITS.max_interval, _LIMITS.max_block_spread),
            "other_threads": round(mine.other_threads, 3),
            "ratio": None if best is None else mine.ratio(times[best]).model_dump(),
        }
        if cold_rounds:
            row["cold_p50_us"] = _median(mine)
            row["cold_ratio"] = None if cold_best is None else mine.cold_ratio(times[cold_best]).model_dump()
        result["contenders"].append(row)
    return result


def _fastest(peers: Sequence[int], median: Callable[[int], float], ratio: Callable[[int, int], float]) -> int | None:
    """The peer with the smallest ratio to the one with the smallest median: within a round all saw the same machine."""
    if not peers:
        return None
    first = min(peers, key=median)
    return min(peers, key=lambda index: ratio(index, first))


def _percentile(times: Times, percent: float) -> float:
    return float(np.percentile(np.concatenate(times.blocks), percent))


def _median(times: Times) -> float:
    return float(np.median(times.cold))
