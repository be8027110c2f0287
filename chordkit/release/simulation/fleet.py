"""Who the simulated phones are, when they are awake, and what is wrong with them."""

import random
from dataclasses import dataclass
from typing import TypeVar

from chordkit.release.words import PhoneFacts

Value = TypeVar("Value")
DAY = 86_400
YEAR = 365 * DAY
_ABIS = (("arm64-v8a", 80), ("armeabi-v7a", 15), ("x86_64", 5))
_RUNTIMES = ((("native", "litert"), 65), (("litert",), 25), (("native",), 10))
_DEVICES = (("small", 30), ("medium", 50), ("large", 20))
_APPS = (("3.4.0", 20), ("3.5.1", 60), ("4.0.0", 20))


@dataclass(frozen=True)
class Owner:
    """One phone and its habits.

    Attributes:
        facts: what decides which releases are for it.
        install: its 16 bytes.
        visits: the true times at which it looks for an update, rising.
        clock: seconds that its clock is ahead of the true time; where it ``jumps``, at every other visit.
        jumps: whether it has the wrong time only now and then.
        loses_power: how probably power is lost during a visit.
    """

    facts: PhoneFacts
    install: bytes
    visits: tuple[int, ...]
    clock: int
    jumps: bool
    loses_power: float

    def clock_at(self, visit: int, time: int) -> int:
        """What its clock says at its n-th visit."""
        return time if self.jumps and visit % 2 else time + self.clock


def make_fleet(count: int, begin: int, days: int, visits: float, seed: int) -> list[Owner]:
    """Phones for ``days`` days from ``begin`` on that look for an update ``visits`` times on average.

    A tenth is away for a month or longer. A tenth has a clock that is wrong by years, in the past or in the future, half of these now and
    then only. A third loses power in every second visit.
    """
    return [_owner(random.Random(f"{seed}/{number}"), begin, days, visits) for number in range(count)]


def _owner(chance: random.Random, begin: int, days: int, visits: float) -> Owner:
    facts = PhoneFacts(_drawn(chance, _APPS), _drawn(chance, _ABIS), _drawn(chance, _RUNTIMES), _drawn(chance, _DEVICES))
    times, time = [], begin + chance.expovariate(visits / (days * DAY))
    away = begin + chance.uniform(0, days * DAY) if chance.random() < 0.1 else None
    until = 0.0 if away is None else away + chance.uniform(30, days) * DAY
    while time < begin + days * DAY:
        if away is None or not away <= time < until:
            times.append(int(time))
        time += chance.expovariate(visits / (days * DAY))
    wrong = chance.random() < 0.1
    clock = chance.choice((-1, 1)) * int(chance.uniform(1, 20) * YEAR) if wrong else int(chance.gauss(0, 120))
    return Owner(facts, chance.randbytes(16), tuple(times), clock, wrong and chance.random() < 0.5, 0.5 if chance.random() < 0.33 else 0.0)


def _drawn(chance: random.Random, weighted: tuple[tuple[Value, int], ...]) -> Value:
    return chance.choices([value for value, _ in weighted], [weight for _, weight in weighted])[0]
