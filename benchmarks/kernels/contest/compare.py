"""From contenders to rows: measured in turns, each set against the fastest peer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chordkit.runtime_bench.interleave import calls_that_fill, fastest_call, interleave, no_collection, other_threads, read_over_caches
from chordkit.runtime_bench.results import Settings
from chordkit.runtime_bench.statistics import Calls, paired_ratio, spread_reasons, summarise
from contest.contender import Contender

HOPELESS = 3.0
"""Peers that take this many times as long as the fastest one at first sight would only stretch the rounds."""

LEAST_ROUNDS = 20

_BLOCK_MS, _MIN_CALLS, _MAX_CALLS = 0.3, 3, 20
_WARMUP_MS, _WARMUP_CALLS = 50.0, 1
"""Blocks are short, so that 300 rounds of twenty contenders stay within minutes; one call brings code and weights back into the caches."""

_LIMITS = Settings()
"""How wide a spread is still comparable: as in ``chordkit bench``."""


def rows(
    contenders: Sequence[Contender], missing: dict[str, str], rounds: int, cold_rounds: int = 0, *, seconds: float = float("inf")
) -> dict[str, Any]:
    """Measure in turns and describe: ``fastest_peer``, and per contender its percentiles in us and its ratio to that peer.

    A row's ``reasons`` say why its times should not be compared, if so. What is not measured is in ``missing``: what came in, and
    peers that are :data:`HOPELESS`. Where calls were measured cold too, ``fastest_peer_cold`` is the peer that ratios of cold calls
    are taken against. ``seconds``: about how long all warm turns together may take, and all cold ones; there are at least
    :data:`LEAST_ROUNDS`.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) != len(names):
        raise ValueError(f"contenders need different names: {sorted(names)}")
    paces = [fastest_call([contender.bound.run_anew], _MIN_CALLS, _WARMUP_MS) for contender in contenders]
    limit = HOPELESS * min((us for us, contender in zip(paces, contenders, strict=True) if not contender.ours), default=0.0)
    slow = {contender.name: us for us, contender in zip(paces, contenders, strict=True) if not contender.ours and us > limit}
    kept = [(us, contender) for us, contender in zip(paces, contenders, strict=True) if contender.name not in slow]
    contenders, names = [contender for _, contender in kept], [contender.name for _, contender in kept]
    walks = [[contender.bound.run] for contender in contenders]
    calls = [calls_that_fill(_BLOCK_MS, us, _MIN_CALLS, _MAX_CALLS) for us, _ in kept]
    vary = [contender.bound.vary for contender in contenders]
    once_s = sum((count + _WARMUP_CALLS) * us for count, (us, _) in zip(calls, kept, strict=True)) / 1e6
    flush, generator = read_over_caches(), np.random.default_rng(0)
    cold_once_s = len(walks) * fastest_call([flush], 3, 0) / 1e6
    with no_collection():
        blocks = interleave(walks, calls, _within(rounds, once_s, seconds), generator, warmup_calls=_WARMUP_CALLS, vary=vary)
        few = _within(cold_rounds, cold_once_s, seconds) if cold_rounds else 0
        cold_blocks = interleave(walks, [1] * len(walks), few, generator, before_call=flush, vary=vary)
    warm, cold = [[[block.calls for block in mine] for mine in each] for each in (blocks, cold_blocks)]
    peers = [index for index, contender in enumerate(contenders) if not contender.ours]
    latencies = [summarise(mine) for mine in warm]
    best = _fastest(peers, lambda index: latencies[index].p50_us, lambda index, other: paired_ratio(warm[index], warm[other]).value)
    cold_best = None
    if cold_rounds:
        cold_best = _fastest(
            peers, lambda index: _percentile(cold[index], 50), lambda index, other: paired_ratio(cold[index], cold[other]).value
        )
    result: dict[str, Any] = {
        "fastest_peer": None if best is None else names[best],
        "missing": {**missing, **{name: f"{us:.0f} us a call at first sight: left out of the turns" for name, us in slow.items()}},
        "fastest_peer_cold": None if cold_best is None else names[cold_best],
        "contenders": [],
    }
    for index, (contender, latency) in enumerate(zip(contenders, latencies, strict=True)):
        row: dict[str, Any] = {
            "name": contender.name,
            "runtime": contender.runtime,
            "activations": contender.activations,
            "how": contender.bound.how,
            "latency": latency.model_dump(),
            "p10_us": _percentile(warm[index], 10),
            "reasons": spread_reasons(latency, _LIMITS.max_interval, _LIMITS.max_block_spread),
            "other_threads": round(other_threads(blocks[index]), 3),
            "ratio": None if best is None else paired_ratio(warm[index], warm[best]).model_dump(),
        }
        if contender.over in names:
            over = names.index(contender.over)
            row["over"] = {"name": contender.over, "warm": paired_ratio(warm[index], warm[over]).model_dump()}
            if cold_rounds:
                row["over"]["cold"] = paired_ratio(cold[index], cold[over]).model_dump()
        if cold_rounds:
            row["cold_p50_us"] = _percentile(cold[index], 50)
            row["cold_ratio"] = None if cold_best is None else paired_ratio(cold[index], cold[cold_best]).model_dump()
        result["contenders"].append(row)
    return result


def _within(rounds: int, once_s: float, seconds: float) -> int:
    return rounds if rounds * once_s <= seconds else max(min(rounds, LEAST_ROUNDS), int(seconds / once_s))


def _fastest(peers: Sequence[int], median: Callable[[int], float], ratio: Callable[[int, int], float]) -> int | None:
    """The peer with the smallest ratio to the one with the smallest median: within a round all saw the same machine."""
    if not peers:
        return None
    first = min(peers, key=median)
    return min(peers, key=lambda index: ratio(index, first))


def _percentile(blocks: Sequence[Calls], percent: float) -> float:
    return float(np.percentile(np.concatenate(blocks), percent))
