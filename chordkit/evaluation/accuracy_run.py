"""From files to the document of their accuracy: all are asked about the same held-out items, nothing is trained."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from chordkit.data import Dataset, Split, SplitPart, split
from chordkit.errors import InputError
from chordkit.estimate import Estimate
from chordkit.evaluation.accuracy import MEASURES, Accuracy, AccuracyLine, Measure
from chordkit.evaluation.baselines import EASE_ITEMS, baselines
from chordkit.evaluation.contenders import Contender, of_baseline
from chordkit.evaluation.experiment import per_user
from chordkit.evaluation.retrieval import CANDIDATES, random_candidates
from chordkit.progress import Progress
from chordkit.training import bootstrap

Values = NDArray[np.float64]


def measure_accuracy(
    dataset: Dataset,
    make: Callable[[SplitPart], Sequence[Contender]],
    *,
    held_out: int = 1,
    validation: int = 1,
    split_at: str | None = None,
    users: int = 0,
    few_users: int = 200,
    seed: int = 0,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> Accuracy:
    """Ask every contender, and the simple baselines, for the held-out items of the same users.

    Args:
        dataset: the data.
        make: the contenders, given the test items; the first is what the others are compared with.
        held_out: the last so many items of each user test.
        validation: the items before them; EASE's penalty is chosen by them.
        split_at: two moments for a split by time, as in :func:`chordkit.data.split`.
        users: so many, drawn at random, are asked about; 0 = all.
        few_users: of these so many are asked of what is slow.
        seed: of the draws and of the random candidates.
        notes: what has to be known beside the numbers.
        progress: called with (phase, done, total).

    Raises:
        InputError: two contenders have one name.
        DataError: the data cannot be split so.
    """
    parts = split(dataset, 1, held_out, validation, split_at)
    everybody = np.unique(parts.test.users)
    drawn = np.random.default_rng(seed).permutation(everybody)
    part = parts.test if not users else parts.test.of_users(drawn[:users])
    few = part.of_users(drawn[: min(few_users, users or few_users)])
    candidates = {"n100": random_candidates(part, dataset.items, seed=seed)}
    contenders = [*make(part), *map(of_baseline, baselines(parts))]
    if len({each.name for each in contenders}) != len(contenders):
        names = [each.name for each in contenders]
        raise InputError(f"evaluate accuracy: two of the files are called {max(names, key=names.count)!r}; rename one")
    among_few = np.isin(part.users, few.users)
    found: list[tuple[Contender, NDArray[np.int32], Values]] = []
    for done, contender in enumerate(contenders):
        asked = few if contender.few else part
        measured = contender.ask(asked, {"n100": candidates["n100"][among_few]} if contender.few else candidates)
        values = per_user(measured, asked)
        found.append((contender, np.unique(asked.users), np.stack([values[measure] for measure in MEASURES], axis=1).astype(np.float64)))
        if progress:
            progress("asking", done + 1, len(contenders))
    return Accuracy(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        users=dataset.users,
        items=dataset.items,
        interactions=dataset.interactions,
        protocol=_protocol(parts, part, held_out, split_at),
        seed=seed,
        lines=[_line(*each, found[0]) for each in found],
        notes=[*notes, *_notes(dataset, contenders, few)],
    )


def _line(
    contender: Contender, users: NDArray[np.int32], values: Values, first: tuple[Contender, NDArray[np.int32], Values]
) -> AccuracyLine:
    minus_first: dict[Measure, Estimate] = {}
    if contender is not first[0]:
        _, mine, theirs = np.intersect1d(users, first[1], assume_unique=True, return_indices=True)
        minus_first = dict(zip(MEASURES, bootstrap(values[mine] - first[2][theirs]), strict=True))
    return AccuracyLine(
        name=contender.name,
        label=contender.label,
        group=contender.group,
        runtime=contender.runtime,
        users=len(users),
        bits=contender.bits,
        values=dict(zip(MEASURES, bootstrap(values), strict=True)),
        minus_first=minus_first,
    )


def _protocol(parts: Split, part: SplitPart, held_out: int, split_at: str | None) -> str:
    users = len(np.unique(part.users))
    last = "The last item" if held_out == 1 else f"At most the last {held_out} items"
    if split_at is not None:
        last = f"Split by time at {split_at}: at most the first {held_out} items after the second moment"
    some = "" if len(part) == len(parts.test) else f" (drawn from {len(np.unique(parts.test.users)):,})"
    return (
        f"{last} of each of {users:,} users{some}: everything before is the history, of which each file looks at as much as it can. Ranked "
        f"among all items, among those that the user has not seen, and among {CANDIDATES} random unseen ones; ties count against what "
        "answers. Nothing was trained; 95 % intervals over users."
    )


def _notes(dataset: Dataset, contenders: Sequence[Contender], few: SplitPart) -> list[str]:
    found = []
    if any(each.few for each in contenders):
        found.append(
            f"Artifacts were asked for {len(np.unique(few.users)):,} users: their intervals are wider, and differences are over these."
        )
    if dataset.items > EASE_ITEMS:
        found.append(f"EASE is left out: it inverts a matrix of items x items, and there are more than {EASE_ITEMS:,}.")
    return found
