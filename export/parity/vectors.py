"""Test vectors: real histories and candidates with the reference's scores, to check any artifact on any device.

The same inputs serve twice: a thousand of them when an artifact is made (parity), a few dozen with their reference
scores inside the bundle, so that a phone without PyTorch can check itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import BundleError, DataError, InputError
from chordkit.export.parity.best import Best, best_of_catalogue
from chordkit.export.parity.compare import Ids, Scores, ScoresFn, Vectors
from chordkit.inputs import checked_history
from chordkit.tensors import read_arrays

_SCORES = "scores/"
_USERS = "users"
_BEST_IDS, _BEST_SCORES = "best_ids/", "best_scores/"


@dataclass(frozen=True)
class VectorSet:
    """Inputs of the re-ranker and, by name of the reference, the scores they must give.

    Attributes:
        histories: int32 ``[n, length]``, left padded with 0, each with an item.
        candidates: int32 ``[n, candidates]``, ids 1..items, no id twice in a row.
        targets: int32 ``[n]``, the column of the item that the user took next.
        scores: float32 ``[n, candidates]`` for each reference: ``fp32``, ``int8``, and one per strategy.
        best: by name of the reference, its best of the whole catalogue, for artifacts that choose among all items: more than they give.
        users: float32 ``[n, dim]``, a user vector for each row, for artifacts that take one; None for those that take none. A vector
            is an input like a history, so all references share the rows: whose strategy it is does not matter to what is computed.
    """

    histories: Ids
    candidates: Ids
    targets: Ids
    scores: Mapping[str, Scores] = field(default_factory=dict)
    users: Vectors | None = None
    best: Mapping[str, Best] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[NDArray, ...]:
        """What a scores function takes: histories, candidates and, where there are any, user vectors."""
        return (self.histories, self.candidates) if self.users is None else (self.histories, self.candidates, self.users)

    def head(self, count: int) -> "VectorSet":
        """The first ``count`` rows."""
        return self.rows(np.arange(min(count, len(self.histories))))

    def rows(self, chosen: NDArray[np.integer]) -> "VectorSet":
        """Some of the rows, by number."""
        return VectorSet(
            self.histories[chosen],
            self.candidates[chosen],
            self.targets[chosen],
            {name: scores[chosen] for name, scores in self.scores.items()},
            None if self.users is None else self.users[chosen],
            {name: Best(best.ids[chosen], best.scores[chosen]) for name, best in self.best.items()},
        )

    def with_users(self, vectors: Sequence[NDArray[np.floating]]) -> "VectorSet":
        """These rows for the users of ``vectors``, each ``[dim]``, in turn; without scores, which were those of other inputs.

        Zeros, the vector of a user who has none, have their turn too: an artifact that has one user's vector in it, instead of taking
        it, would otherwise pass where there is one user.
        """
        turns = np.stack([*vectors, np.zeros_like(vectors[0])]).astype(np.float32)
        return replace(self, scores={}, best={}, users=turns[np.arange(len(self.histories)) % len(turns)])

    def with_scores(self, references: Mapping[str, ScoresFn]) -> "VectorSet":
        """This set with the scores of each reference, computed here."""
        scores = {name: np.asarray(reference(*self.inputs), np.float32) for name, reference in references.items()}
        return replace(self, scores={**self.scores, **scores})

    def with_best(self, references: Mapping[str, ScoresFn], depth: int) -> "VectorSet":
        """This set with each reference's ``depth`` best of the whole catalogue, computed here."""
        return replace(self, best={**self.best, **best_of_catalogue(references, self.histories, self.users, depth)})

    def to_bytes(self) -> bytes:
        """The set as safetensors: ``histories``, ``candidates``, ``targets``, ``scores/<reference>``, perhaps ``users``, and perhaps
        ``best_ids/<reference>`` and ``best_scores/<reference>``."""
        from safetensors.numpy import save

        arrays: dict[str, NDArray] = {"histories": self.histories, "candidates": self.candidates, "targets": self.targets}
        arrays |= {_SCORES + name: scores for name, scores in self.scores.items()}
        if self.users is not None:
            arrays[_USERS] = self.users
        for name, best in self.best.items():
            arrays |= {_BEST_IDS + name: best.ids, _BEST_SCORES + name: best.scores}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def read_vectors(data: bytes | memoryview, label: str) -> VectorSet:
    """Read what :meth:`VectorSet.to_bytes` wrote.

    Raises:
        BundleError: not safetensors, or an array is missing or has another type or shape; the sentence starts with ``label``.
    """
    try:
        arrays, _ = read_arrays(bytes(data))
    except ValueError as error:
        raise BundleError(f"{label}: the test vectors are not a safetensors file ({error}); make the bundle anew") from None
    expected: dict[str, tuple[type[np.generic], int]] = {"histories": (np.int32, 2), "candidates": (np.int32, 2), "targets": (np.int32, 1)}
    expected |= {name: (np.float32, 2) for name in arrays if name == _USERS or name.startswith((_SCORES, _BEST_SCORES))}
    ranked = sorted({name.partition("/")[2] for name in arrays if name.startswith((_BEST_IDS, _BEST_SCORES))})
    expected |= {_BEST_IDS + name: (np.int32, 2) for name in ranked} | {_BEST_SCORES + name: (np.float32, 2) for name in ranked}
    for name, (dtype, dimensions) in expected.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.ndim != dimensions:
            raise BundleError(
                f"{label}: {name} of the test vectors is missing or is no {np.dtype(dtype).name} array of {dimensions} dimensions"
            )
    if unknown := set(arrays) - set(expected):
        raise BundleError(
            f"{label}: the test vectors hold an array {sorted(unknown)[0]!r} that this version does not know; update chordkit"
        )
    scores = {name.removeprefix(_SCORES): arrays[name] for name in sorted(arrays) if name.startswith(_SCORES)}
    best = {name: Best(arrays[_BEST_IDS + name], arrays[_BEST_SCORES + name]) for name in ranked}
    result = VectorSet(arrays["histories"], arrays["candidates"], arrays["targets"], scores, arrays.get(_USERS), best)
    if problem := problem_with(result, None):
        raise BundleError(f"{label}: the test vectors do not fit together: {problem}")
    return result


def problem_with(vectors: VectorSet, items: int | None) -> str | None:
    """What is wrong with ``vectors`` for a catalogue of ``items`` (None: unknown), or None."""
    n, columns = vectors.candidates.shape
    if len(vectors.histories) != n or len(vectors.targets) != n or any(scores.shape != (n, columns) for scores in vectors.scores.values()):
        return "histories, candidates, targets and scores have different lengths"
    if vectors.users is not None and (len(vectors.users) != n or vectors.users.shape[1] == 0 or not np.isfinite(vectors.users).all()):
        return "the user vectors are not one vector of finite numbers for each history"
    if n == 0 or columns == 0 or vectors.histories.shape[1] == 0:
        return "there are none"
    if vectors.targets.min() < 0 or vectors.targets.max() >= columns:
        return f"a target lies outside the columns 0..{columns - 1}"
    if not all(np.isfinite(scores).all() for scores in vectors.scores.values()):
        return "a reference score is not finite"
    if problem := _problem_with_best(vectors.best, n, items):
        return problem
    highest = max(vectors.candidates.max(), vectors.histories.max())
    if vectors.candidates.min() < 1 or vectors.histories.min() < 0 or (items is not None and highest > items):
        return "an item id lies outside the catalogue" + (f" 1..{items}" if items is not None else "")
    try:
        checked_history(vectors.histories, items)
    except InputError as error:
        return str(error)
    return None


def _problem_with_best(best: Mapping[str, Best], n: int, items: int | None) -> str | None:
    for name, (ids, scores) in best.items():
        if ids.shape != scores.shape or len(ids) != n or ids.shape[1] == 0:
            return f"the best of {name} are not as many ids as scores for each history"
        if not np.isfinite(scores).all() or (np.diff(scores, axis=1) > 0).any():
            return f"the best of {name} are not scores that fall"
        if ids.min() < 1 or (items is not None and ids.max() > items) or (np.diff(np.sort(ids, axis=1), axis=1) == 0).any():
            return f"the best of {name} are not items of the catalogue, each once"
    return None


def draw(histories: Sequence[Ids] | Ids, targets: Ids, items: int, *, count: int = 1000, candidates: int = 100, seed: int = 0) -> VectorSet:
    """Choose ``count`` real histories, and for each the held-out item among ``candidates - 1`` others drawn uniformly.

    Args:
        histories: int32 ``[users, length]``, left padded (``split.test.histories``).
        targets: int32 ``[users]``, the item that followed; it takes a random column.
        items: catalogue size; ids are 1..items.
        count: histories wanted; with fewer users each is taken several times with other candidates, which is the only
            repetition there is.
        candidates: ids per history, all different.
        seed: of the choice.

    Raises:
        DataError: the catalogue is smaller than the number of candidates, or there is no user.
    """
    histories = np.asarray(histories, np.int32)
    targets = np.asarray(targets, np.int32)
    if items < candidates:
        raise DataError(
            f"the catalogue has {items} items, fewer than the {candidates} candidates asked for; ask for at most {items} candidates"
        )
    if len(histories) == 0:
        raise DataError("the split has no user with a held-out item; use a data set with longer sequences")
    generator = np.random.default_rng(seed)
    rounds = -(-count // len(histories))
    users = np.concatenate([generator.permutation(len(histories)) for _ in range(rounds)])[:count]
    wanted = targets[users]
    ids = np.empty((count, candidates), np.int32)
    for row, target in enumerate(wanted):
        others = generator.choice(items - 1, candidates - 1, replace=False) + 1
        ids[row, 1:] = others + (others >= target)  # 1..items without the target
    columns = generator.integers(0, candidates, count).astype(np.int32)
    rows = np.arange(count)
    ids[:, 0] = ids[rows, columns]
    ids[rows, columns] = wanted
    return VectorSet(np.ascontiguousarray(histories[users]), ids, columns)
