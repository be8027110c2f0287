"""How many phones a bad release reaches before it is stopped, by how often it fails and how much of the fleet it was staged to.

Only what decides that is simulated: when phones look, when their reports come, and what the automatic stop makes of these.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Stops = Callable[[int, int], bool]
"""(failures, reports) -> whether a release is stopped."""


@dataclass(frozen=True)
class Reach:
    """What became of one roll-out.

    Attributes:
        meant: phones that it was staged to.
        reached: phones that fetched it before it was stopped, or all that it was meant for.
        reports: that had come by then.
        hours: after which it was stopped; None = it was not.
    """

    meant: int
    reached: int
    reports: int
    hours: float | None


class Rollouts:
    """Roll-outs of a release that some phones cannot run.

    Args:
        stops: the rule; where it says yes for some reports, it does for fewer with as many failures, down to the fewest that it wants.
        every_h: hours between two looks of a phone, on average.
        delay_h: hours from a self-check to its report, on average; 0 = at once.
    """

    def __init__(self, stops: Stops, every_h: float = 24.0, delay_h: float = 24.0) -> None:
        self._every_h, self._delay_h = every_h, delay_h
        self._most = lru_cache(maxsize=None)(lambda failures: self._most_reports(stops, failures))
        self._fewest = next(reports for reports in range(1, 1 << 20) if stops(reports, reports))

    def run(self, phones: int, rate: float, random: np.random.Generator) -> Reach:
        """One roll-out to ``phones`` phones, each of which cannot run it with probability ``rate``."""
        fetched = random.exponential(self._every_h, phones)
        told = fetched + (random.exponential(self._delay_h, phones) if self._delay_h else 0.0)
        told = np.sort(told)
        failed = np.flatnonzero(random.random(phones) < rate) + 1  # the how-manieth reports tell of a failure
        stop = None
        for failures, report in enumerate(failed.tolist(), 1):
            # As soon as there are reports enough, if no more come between that are good.
            at = max(report, self._fewest)
            following = int(failed[failures]) if failures < len(failed) else phones + 1
            if at <= min(self._most(failures), phones) and at < following:
                stop = at
                break
        if stop is None:
            return Reach(phones, phones, phones, None)
        hours = float(told[stop - 1])
        return Reach(phones, int((fetched <= hours).sum()), stop, hours)

    def _most_reports(self, stops: Stops, failures: int) -> int:
        """The most reports at which so many failures stop a release; below ``failures`` = there are none."""
        first = max(failures, self._fewest)
        return first + bisect_left(range(first, 1 << 24), True, key=lambda reports: not stops(failures, reports)) - 1
