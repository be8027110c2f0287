"""From a history in the owner's own ids to the best items, on any runtime that a bundle has an artifact for."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, InputError, MissingRuntimeError
from chordkit.export.bundle.manifest import ArtifactEntry
from chordkit.export.targets import Runner
from chordkit.inputs import pad_history

if TYPE_CHECKING:
    from chordkit.export.bundle.reader import Bundle


@dataclass(frozen=True)
class Recommendation:
    """An item by its owner's id, what people call it and what it is among ("" where the bundle has no word), and its score."""

    item: str
    score: float
    name: str = ""
    category: str = ""


@dataclass(frozen=True)
class Recommendations:
    """The best items, best first, ties in the order of the catalogue.

    Attributes:
        items: at most as many as were asked for.
        artifact: which of the bundle's artifacts scored them.
        user_vector: whose user vector it had; None = nobody's.
        unknown: items of the history that the catalogue does not have, and that were left out.
    """

    items: tuple[Recommendation, ...]
    artifact: str
    user_vector: str | None
    unknown: tuple[str, ...]


def recommend(
    bundle: "Bundle",
    history: Iterable[str | int],
    k: int = 10,
    *,
    strategy: str | None = None,
    artifact: str | None = None,
    seen: bool = False,
) -> Recommendations:
    """See :meth:`chordkit.export.bundle.Bundle.recommend`."""
    if k < 1:
        raise InputError(f"k = {k} items cannot be recommended; ask for at least one")
    ids = bundle.item_ids()
    places = {name: place for place, name in enumerate(ids) if place}
    wanted = _as_ids(history)
    known = [places[item] for item in wanted if item in places]
    if not known:
        what = f"none of the {len(wanted)} items of the history is in the catalogue" if wanted else "the history is empty"
        raise InputError(f"{bundle.label}: {what}; its ids look like {ids[1]!r}")
    entry, runner = _load(bundle, _entries(bundle, strategy, artifact))
    named = {each.name for each in bundle.manifest.user_vectors}
    whose = next((name for name in (strategy, entry.strategy) if name in named), None) if runner.dim else None
    vector = None if whose is None else bundle.user_vector(whose).values
    scores = _catalogue_scores(runner, pad_history(known, runner.length), len(ids) - 1, vector)
    if not np.isfinite(scores).all():
        raise CheckFailed(f"{bundle.label}: artifact {entry.name} gives scores that are not finite; run `chordkit validate`")
    if not seen:
        scores[np.array(known) - 1] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    names, categories = (words or [""] * len(ids) for words in (bundle.item_names(), bundle.item_categories()))
    found = [(place + 1, float(scores[place])) for place in best if np.isfinite(scores[place])]
    items = tuple(Recommendation(ids[item], score, names[item], categories[item]) for item, score in found)
    return Recommendations(items, entry.name, whose, tuple(item for item in wanted if item not in places))


def _as_ids(history: Iterable[str | int]) -> list[str]:
    """Ids as catalogues hold them, as texts; a text itself is no history, although it is a sequence of texts."""
    items = [history] if isinstance(history, str | bytes) else list(history)
    wrong = [item for item in items if not isinstance(item, str | int | np.integer) or isinstance(item, bool)]
    if isinstance(history, str | bytes) or wrong:
        raise InputError(
            f"history: {(wrong or items)[0]!r:.40} is no list of item ids, nor one of them; give a list such as ['SKU-1', 'SKU-2']"
        )
    return [str(item) for item in items]


def _entries(bundle: "Bundle", strategy: str | None, artifact: str | None) -> list[ArtifactEntry]:
    """The artifacts that will do, in the bundle's order."""
    if artifact is not None:
        entry = bundle.artifact_entry(artifact)
        if strategy is not None and entry.strategy not in (None, strategy):
            raise InputError(
                f"{bundle.label}: artifact {artifact} is of strategy {entry.strategy!r}, not {strategy!r}; give one of the two"
            )
        return [entry]
    found = [entry for entry in bundle.manifest.artifacts if entry.strategy == strategy]
    if not found:
        known = ", ".join(sorted({entry.strategy for entry in bundle.manifest.artifacts if entry.strategy is not None})) or "none"
        missing = "every artifact is of somebody's strategy" if strategy is None else f"no artifact is of the strategy {strategy!r}"
        raise InputError(f"{bundle.label}: {missing}; name one of: {known}")
    return found


def _load(bundle: "Bundle", entries: Sequence[ArtifactEntry]) -> tuple[ArtifactEntry, Runner]:
    """The first whose runtime is installed."""
    *others, last = entries
    for entry in others:
        with suppress(MissingRuntimeError):
            return entry, bundle.runner(entry)
    return last, bundle.runner(last)


def _catalogue_scores(runner: Runner, history: NDArray[np.int32], items: int, user: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """float32 [items]: the whole catalogue, as many at a time as the artifact takes; the last call is filled up with item 1."""
    rows = np.ones((-(-items // runner.candidates), runner.candidates), np.int32)
    rows.reshape(-1)[:items] = np.arange(1, items + 1)
    return np.concatenate([runner.scores(history, row, user) for row in rows])[:items]
