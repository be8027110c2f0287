"""From histories to a pool: whose, cut where, which of their items are samples."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from chordkit.coda.anonymity import shared_runs
from chordkit.coda.pool import Pool, source_name
from chordkit.coda.profiles import history_directions
from chordkit.errors import SampleError
from chordkit.inputs import left_pad
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights, dequantize_table
from chordkit.strategy import quantize_user_vectors

EVERYBODY = "everybody"
"""As ``consent``: all users have agreed, or their histories are public."""
_USERS_AT_ONCE = 256


@dataclass(frozen=True)
class PoolOptions:
    """What goes into a pool.

    Attributes:
        k: each two neighbours of a segment stand in the histories of at least so many of the users; 0 = the histories are public,
            nothing is cut, and the pool may travel.
        samples: of one user at most so many, the newest.
        context: of a segment no more is kept than so many items before its first sample.
        pools: how many of the last items each part of a profile covers.

    Raises:
        SampleError: a number out of range.
    """

    k: int = 5
    samples: int = 25
    context: int = 50
    pools: tuple[int, ...] = (5, 25, 200)

    def __post_init__(self) -> None:
        if self.k < 0 or self.k == 1:
            raise SampleError(f"pool: k = {self.k} hides nobody; give 2 or more, or say that the histories are public")
        if self.samples < 1 or self.context < 1:
            raise SampleError(f"pool: samples = {self.samples} and context = {self.context} must be at least 1")


@dataclass(frozen=True, eq=False)
class _Picked:
    """One user's part of a pool: pieces of the history, (piece, place) of every sample, and what stood before each."""

    segments: list[np.ndarray]
    samples: list[tuple[int, int]]
    before: list[np.ndarray]


def build_pool(
    sequences: Sequence[np.ndarray],
    user_ids: Sequence[str],
    master: MasterWeights,
    *,
    consent: Collection[str],
    options: PoolOptions | None = None,
    progress: Progress | None = None,
) -> Pool:
    """The pool of the users who agreed to be in it. Of the others nothing is looked at: they do not count among the k either.

    Histories are cut first, and all that follows sees only what was left: samples, what stands before them, and their profiles.

    Args:
        sequences: int32 items of each user, oldest first, in 1..items of ``master``.
        user_ids: the id of each.
        master: the backbone, whose item table embeds the items as phones do.
        consent: ids of the users who agreed, or :data:`EVERYBODY`.
        options: the default is ``PoolOptions()``.
        progress: called with (phase, done, total).

    Raises:
        SampleError: nobody agreed, an item is not in the catalogue, or nothing is left after cutting.
    """
    options = options or PoolOptions()
    agreed = None if consent == EVERYBODY else frozenset(consent)
    users = [user for user, name in enumerate(user_ids) if agreed is None or name in agreed]
    if not users:
        raise SampleError(f"pool: none of {len(user_ids):,} users has agreed; give the ids of those who have")
    histories = [sequences[user] for user in users]
    largest = max(int(history.max(initial=0)) for history in histories)
    if largest > master.items:
        raise SampleError(f"pool: item {largest} is none of the {master.items} that the backbone knows; give its own data set")
    if options.k:
        runs = shared_runs(histories, options.k, progress)
    else:
        runs = [[(0, len(history))] if len(history) > 1 else [] for history in histories]
    parts = [(user, _pick(history, pieces, options)) for user, history, pieces in zip(users, histories, runs, strict=True)]
    parts = [(user, part) for user, part in parts if part.samples]
    if not parts:
        raise SampleError(
            f"pool: no two neighbours stand in the histories of {options.k} of {len(users):,} users; lower k, or bring more users"
        )
    codes, scales = _profiles([part for _, part in parts], master, options, progress)
    segments = [segment for _, part in parts for segment in part.segments]
    firsts = np.cumsum([0, *(len(part.segments) for _, part in parts)])
    places = [(first + piece, place) for first, (_, part) in zip(firsts, parts, strict=False) for piece, place in part.samples]
    return Pool(
        fingerprint=master.fingerprint,
        items=master.items,
        k=options.k,
        pools=options.pools,
        context=options.context,
        flat=np.concatenate(segments).astype(np.int32),
        offsets=np.cumsum([0, *map(len, segments)], dtype=np.int64),
        segment_sources=np.repeat(np.arange(len(parts), dtype=np.int32), np.diff(firsts)),
        source_names=np.array([source_name(user_ids[user]) for user, _ in parts] if options.k else [], np.int64),
        sample_segments=np.array([segment for segment, _ in places], np.int32),
        sample_places=np.array([place for _, place in places], np.int32),
        codes=codes,
        scales=scales,
    )


def _pick(history: np.ndarray, pieces: list[tuple[int, int]], options: PoolOptions) -> _Picked:
    """The newest samples of one user, and of every piece what they need."""
    kept = np.concatenate([history[start:stop] for start, stop in pieces]) if pieces else history[:0]
    picked = _Picked([], [], [])
    room, end = options.samples, len(kept)
    for start, stop in reversed(pieces):
        begin = end - (stop - start)
        first = max(1, stop - start - room)  # of the piece's places, the first that is a sample
        dropped = max(0, first - options.context)
        if room:
            picked.segments.append(history[start + dropped : stop])
            for place in range(first, stop - start):
                picked.samples.append((len(picked.segments) - 1, place - dropped))
                picked.before.append(kept[max(0, begin + place - options.pools[-1]) : begin + place])
            room -= stop - start - first
        end = begin
    return picked


def _profiles(
    parts: list[_Picked], master: MasterWeights, options: PoolOptions, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    table = dequantize_table(master.embeddings["item_embedding"])
    found = []
    for start in range(0, len(parts), _USERS_AT_ONCE):
        before = [items for part in parts[start : start + _USERS_AT_ONCE] for items in part.before]
        found.append(quantize_user_vectors(history_directions(table, left_pad(before, options.pools[-1]), options.pools)))
        if progress is not None:
            progress("profiles", min(start + _USERS_AT_ONCE, len(parts)), len(parts))
    return np.concatenate([codes for codes, _ in found]), np.concatenate([scales for _, scales in found])
