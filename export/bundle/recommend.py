"""From a history in the owner's own ids to the best items, on any runtime that a bundle has an artifact for."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, InputError, MissingRuntimeError
from chordkit.export.bundle.manifest import ArtifactEntry
from chordkit.export.targets import Best, Runner
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
    most = k if seen else k + len(set(known))
    entry, runner = _load(bundle, _able(bundle, _entries(bundle, strategy, artifact), most, k))
    named = {each.name for each in bundle.manifest.user_vectors}
    whose = next((name for name in (strategy, entry.strategy) if name in named), None) if runner.dim else None
    vector = None if whose is None else bundle.user_vector(whose).values
    best = _best(runner, pad_history(known, runner.length), len(ids) - 1, vector, most)
    if not np.isfinite(best.scores).all():
        raise CheckFailed(f"{bundle.label}: artifact {entry.name} gives scores that are not finite; run `chordkit validate`")
    shown = [(int(item), float(score)) for item, score in zip(*best, strict=True) if seen or item not in known][:k]
    names, categories = (words or [""] * len(ids) for words in (bundle.item_names(), bundle.item_categories()))
    items = tuple(Recommendation(ids[item], score, names[item], categories[item]) for item, score in shown)
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


def _able(bundle: "Bundle", entries: Sequence[ArtifactEntry], most: int, k: int) -> list[ArtifactEntry]:
    """Those that give the ``most`` best of all items, or the scores of all; the first of them in one call."""
    catalogue = [entry for entry in entries if entry.catalogue and (entry.top or 0) >= min(most, entry.candidates)]
    found = catalogue + [entry for entry in entries if entry.top is None]
    if not found:
        first = entries[0]
        of = "all items" if first.catalogue else f"the {first.candidates} candidates that it is given"
        raise InputError(
            f"{bundle.label}: artifact {first.name} gives the {first.top} best of {of}, and {k} that were not seen are asked for; "
            "choose an artifact that gives all scores, or export with --catalogue and a larger --top"
        )
    return found


def _load(bundle: "Bundle", entries: Sequence[ArtifactEntry]) -> tuple[ArtifactEntry, Runner]:
    """The first whose runtime is installed."""
    *others, last = entries
    for entry in others:
        with suppress(MissingRuntimeError):
            return entry, bundle.runner(entry)
    return last, bundle.runner(last)


def _best(runner: Runner, history: NDArray[np.int32], items: int, user: NDArray[np.float32] | None, most: int) -> Best:
    """The ``most`` best of all items. A batch is filled with the one history."""
    lead = (runner.batch,) if runner.batch > 1 else ()
    asked = np.broadcast_to(history, (*lead, runner.length))
    if runner.catalogue:
        found = runner.best(asked, None, user, min(most, items))
        return Best(*(each.reshape(-1, each.shape[-1])[0] for each in found))
    # As many items at a time as the artifact takes; the last call is filled up with item 1.
    size = runner.candidates * runner.batch
    rows = np.ones((-(-items // size), *lead, runner.candidates), np.int32)
    rows.reshape(-1)[:items] = np.arange(1, items + 1)
    scores = np.concatenate([runner.scores(asked, row, user).reshape(-1) for row in rows])[:items]
    # What is no number comes first, where it is seen.
    order = np.argsort(-np.where(np.isfinite(scores), scores, np.inf), kind="stable")[:most]
    return Best(order.astype(np.int32) + 1, scores[order])
