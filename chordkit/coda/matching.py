"""From a profile to the samples that are most like it, as pieces of histories that fit a budget of bytes."""

from dataclasses import dataclass

import numpy as np

from chordkit.coda.pool import Pool, source_name
from chordkit.coda.profiles import directions, history_profile
from chordkit.coda.samples import MOST_ITEMS, Segments, encode_samples
from chordkit.coda.search import Search, brute_force
from chordkit.errors import SampleError
from chordkit.quantization import MasterWeights

MOST_ANSWER_BYTES = 3072
LEAST_CONTEXT = 10
"""Where not everything fits, pieces are shortened until so many items stand before each sample; then samples are left out."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What one request gets.

    Attributes:
        segments: the samples; which pieces are of one user is not told.
        data: the same on the wire.
        sources: of how many users they are.
        context: how many items before a sample stand in its piece at least, where the pool has them.
        found: how many samples matched; more than ``segments.samples`` where the bytes did not hold all.
    """

    segments: Segments
    data: bytes
    sources: int
    context: int
    found: int


class Matcher:
    """A pool that is asked.

    Args:
        pool: what is searched.
        search: how; the default is the product with every row. :func:`chordkit.coda.search.make_search` has an index for large pools.
    """

    def __init__(self, pool: Pool, search: Search | None = None) -> None:
        self.pool = pool
        self._owners = pool.segment_sources[pool.sample_segments]
        self._search = brute_force(pool.codes, pool.scales) if search is None else search

    def nearest(self, direction: np.ndarray, count: int, exclude: str | None = None) -> np.ndarray:
        """int64 numbers of the ``count`` samples most like a direction float32 [width], best first; ties by their number.

        ``exclude`` is the id of a user whose own samples are left out; a public pool, which knows no users, leaves out none.
        """
        own = self._samples_of(exclude)
        found = self._search(direction, count + len(own))
        return found[~np.isin(found, own)][:count]

    def _samples_of(self, user: str | None) -> np.ndarray:
        if user is None or self.pool.public:
            return np.zeros(0, np.int64)
        source = np.flatnonzero(self.pool.source_names == source_name(user))
        return np.flatnonzero(np.isin(self._owners, source))

    def answer(self, profile: np.ndarray, count: int = 200, *, exclude: str | None = None, most_bytes: int = MOST_ANSWER_BYTES) -> Answer:
        """The samples most like a profile.

        Args:
            profile: float ``[len(pools) * dim + 1]``, as ``hypernetwork.profile`` and the phone's ``Profile.of`` make it.
            count: how many samples.
            exclude: id of the user who asks, if the pool may have samples of this user.
            most_bytes: what the answer may weigh on the wire.

        Raises:
            SampleError: the profile is of another backbone, or not finite; there are samples of nobody else; not even one fits.
        """
        profile = np.asarray(profile, np.float32)
        if profile.shape != (self.pool.codes.shape[1] + 1,) or not np.isfinite(profile).all():
            raise SampleError(
                f"match: a profile of shape {list(profile.shape)} does not fit a pool of {self.pool.codes.shape[1]} numbers and a count, "
                "or is not finite; make it with the pool's backbone"
            )
        found = self.nearest(directions(profile[None], len(self.pool.pools))[0], count, exclude)
        if not len(found):
            raise SampleError("match: the pool has samples of nobody else; bring more users")
        segments, data, context = _fit(self.pool, found, most_bytes)
        sources = len(np.unique(self._owners[found[: segments.samples]]))
        return Answer(segments, data, sources, context, len(found))


def match(pool: Pool, master: MasterWeights, history: np.ndarray, count: int = 200, *, exclude: str | None = None) -> Segments:
    """The samples of a pool most like a history, int32 items oldest first: one request, with what it takes by default.

    Raises:
        SampleError: the pool is not for this backbone.
    """
    require_backbone(pool, master)
    return Matcher(pool).answer(history_profile(master, history, pool.pools), count, exclude=exclude).segments


def require_backbone(pool: Pool, master: MasterWeights) -> None:
    """Hold that a pool is for the users of a backbone.

    Raises:
        SampleError: it is for another.
    """
    if pool.fingerprint != master.fingerprint:
        raise SampleError(
            f"pool: fingerprint: it is for backbone {pool.fingerprint.hex()}, not {master.fingerprint.hex()}; "
            "build it again for this backbone"
        )


def pieces(pool: Pool, samples: np.ndarray, context: int) -> Segments:
    """The pieces of histories that hold these samples and the ``context`` items before each, where the pool has them.

    Windows that touch are one piece. Pieces are in the order of their items, so that it does not tell which were one user's.
    """
    places: dict[int, list[int]] = {}
    for segment, place in sorted(zip(pool.sample_segments[samples].tolist(), pool.sample_places[samples].tolist(), strict=True)):
        places.setdefault(segment, []).append(place)
    found: list[tuple[list[int], np.ndarray, np.ndarray]] = []
    for segment, targets in places.items():
        history = pool.flat[pool.offsets[segment] : pool.offsets[segment + 1]]
        start = stop = 0
        for place in targets:
            begin = max(0, place - context)
            if stop and begin > stop:
                found.append(_piece(history, start, stop, targets))
                start = begin
            elif not stop:
                start = begin
            stop = place + 1
        found.append(_piece(history, start, stop, targets))
    found.sort(key=lambda piece: piece[0])
    return Segments([history for _, history, _ in found], [marks for _, _, marks in found])


def _piece(history: np.ndarray, start: int, stop: int, targets: list[int]) -> tuple[list[int], np.ndarray, np.ndarray]:
    marks = np.zeros(stop - start, np.bool_)
    marks[[place - start for place in targets if start < place < stop]] = True
    return history[start:stop].tolist(), history[start:stop], marks


def _fit(pool: Pool, samples: np.ndarray, most_bytes: int) -> tuple[Segments, bytes, int]:
    """The samples with as much context as ``most_bytes`` hold; the least alike are left out where that is too little."""
    while len(samples):
        fitting = _longest(pool, samples, most_bytes)
        if fitting is not None:
            return fitting
        samples = samples[: len(samples) * 7 // 8]
    raise SampleError(f"match: {most_bytes} bytes do not hold one sample and what stands before it; allow more")


def _longest(pool: Pool, samples: np.ndarray, most_bytes: int) -> tuple[Segments, bytes, int] | None:
    """All samples with the longest context that fits, if one does."""
    fitting, low, high = None, min(LEAST_CONTEXT, pool.context), pool.context
    context = high  # which is mostly good enough
    while low <= high:
        segments = pieces(pool, samples, context)
        data = encode_samples(segments, pool.fingerprint) if segments.items <= MOST_ITEMS else None
        if data is not None and len(data) <= most_bytes:
            fitting, low = (segments, data, context), context + 1
        else:
            high = context - 1
        context = (low + high) // 2
    return fitting
