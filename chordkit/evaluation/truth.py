"""How much there is to gain where the truth is known: what synthetic users do next, asked of one who knows them and of one who does not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.data import SplitPart, World
from chordkit.estimate import Estimate
from chordkit.evaluation import SeedResult
from chordkit.evaluation.experiment import per_user
from chordkit.evaluation.measure import Measured
from chordkit.training import bootstrap

_ROWS_AT_ONCE = 1024
_TOP = 10


@dataclass(frozen=True)
class Attainable:
    """What knowing a user's taste is worth, and how much of that a personal strategy gives.

    Attributes:
        measure: ``masked_likelihood`` or ``masked_ndcg10``: what the user has seen competes for nobody.
        taste: the oracle that knows each user's taste and the last item: nothing is better.
        context: the oracle that knows the last item alone.
        own: the personal strategy.
        static: the one for all.
        share: (own - static) / (taste - context).
    """

    measure: str
    taste: Estimate
    context: Estimate
    own: Estimate
    static: Estimate
    share: Estimate


def oracles(world: World, part: SplitPart) -> dict[str, Measured]:
    """Measure the true distribution of the held-out items: ``taste`` = given user and last item, ``context`` = given the last item.

    Of the values of :class:`Measured` it has ``masked_likelihood`` and ``masked_ndcg10``.
    """
    anybody = world.next_item_of_anybody()
    found: dict[str, list[Measured]] = {"taste": [], "context": []}
    for start in range(0, len(part), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        last = part.flat[part.stops[rows] - 1].astype(np.int64) - 1
        for name, likely in (("taste", world.next_item(part.users[rows].astype(np.int64), last)), ("context", anybody[last])):
            found[name].append(_measured(likely, part, rows))
    return {
        name: Measured(
            {each: np.concatenate([one.values[each] for one in parts]) for each in parts[0].values},
            np.concatenate([one.top for one in parts]),
        )
        for name, parts in found.items()
    }


def _measured(likely: NDArray[np.float64], part: SplitPart, rows: slice) -> Measured:
    row, seen = part.seen(rows)
    likely[row, seen - 1] = 0.0
    own = likely[np.arange(len(likely)), part.targets[rows] - 1]
    ranks = (likely >= own[:, None]).sum(axis=1)
    values = {
        "masked_likelihood": np.log(own) - np.log(likely.sum(axis=1)),
        "masked_ndcg10": (ranks <= _TOP) / np.log2(ranks + 1.0),
    }
    return Measured(values, (np.argsort(-likely, axis=1)[:, :_TOP] + 1).astype(np.int32))


def attainable(result: SeedResult, world: World, part: SplitPart) -> tuple[Attainable, ...]:
    """What the strategies of ``result`` reach of what there is to reach, on the test items ``part``; users are resampled for intervals."""
    known = {name: per_user(measured, part) for name, measured in oracles(world, part).items()}
    rows = {row.key: row.test for row in result.rows}
    return tuple(_attainable(measure, known, rows) for measure in ("masked_likelihood", "masked_ndcg10"))


def _attainable(measure: str, known: Mapping[str, Mapping[str, NDArray]], rows: Mapping[str, Mapping[str, NDArray]]) -> Attainable:
    columns = [known["taste"], known["context"], rows["own"], rows["static"]]
    values = np.stack([np.asarray(each[measure], np.float64) for each in columns], axis=1)
    taste, context, own, static = bootstrap(values)
    reached, there_is = values[:, 2] - values[:, 3], values[:, 0] - values[:, 1]
    ratio = reached.mean() / there_is.mean()
    # A ratio of two means varies as the mean of what each user adds to it (linearisation).
    noise = bootstrap(((reached - ratio * there_is) / there_is.mean())[:, None])[0]
    share = Estimate(value=float(ratio), low=float(ratio + noise.low), high=float(ratio + noise.high))
    return Attainable(measure, taste, context, own, static, share)
