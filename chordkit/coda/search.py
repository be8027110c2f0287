"""The rows of a pool nearest to a direction: the product with all of them, or an index where there are more than half a million."""

from collections.abc import Callable

import numpy as np

from chordkit.errors import MissingRuntimeError

Search = Callable[[np.ndarray, int], np.ndarray]
"""(direction float32 [width], count) -> int64 numbers of the rows with the largest product, best first, ties by number."""

MOST_BY_BRUTE_FORCE = 500_000
_ROWS_A_CELL = 256
_PROBED = 8  # one cell in so many is looked into
_CANDIDATES = 3  # so many times what is asked for is compared exactly
_TRAINED_ON_A_CELL = 64
_CONVERTED_AT_ONCE = 65_536


def brute_force(codes: np.ndarray, scales: np.ndarray) -> Search:
    """Compare with every row of int8 codes [rows, width] and float32 scales [rows]; 4 bytes a number in memory, for the speed of BLAS."""
    table = np.empty(codes.shape, np.float32)
    for start in range(0, len(codes), _CONVERTED_AT_ONCE):
        part = slice(start, start + _CONVERTED_AT_ONCE)
        np.multiply(codes[part], scales[part, None], out=table[part])

    def search(direction: np.ndarray, count: int) -> np.ndarray:
        return _best(table @ direction, count)

    return search


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    if count < len(scores):
        # All that tie with the last, so that which of them are taken does not depend on how the partition fell.
        limit = np.partition(scores, len(scores) - count)[len(scores) - count]
        rows = np.flatnonzero(scores >= limit)
    else:
        rows = np.arange(len(scores))
    return rows[np.argsort(-scores[rows], kind="stable")][:count]


def make_search(codes: np.ndarray, scales: np.ndarray, tell: Callable[[str], None]) -> Search:
    """For a service that asks often: brute force up to half a million rows (some 15 ms each time, on one thread), beyond an index, which
    takes a minute or more to make. ``tell`` is called with a sentence where there should be an index and faiss is not installed: then
    every row is compared all the same."""
    if len(codes) <= MOST_BY_BRUTE_FORCE:
        return brute_force(codes, scales)
    try:
        return indexed(codes, scales)
    except MissingRuntimeError as error:
        tell(f"{len(codes):,} samples are more than {MOST_BY_BRUTE_FORCE:,}, and all are compared for every request: {error}")
        return brute_force(codes, scales)


def indexed(codes: np.ndarray, scales: np.ndarray) -> Search:
    """An inverted file of faiss with 8 bits a number: cells of some 256 rows, of which one in 8 is looked into; what it finds is compared
    exactly.

    Raises:
        MissingRuntimeError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingRuntimeError(
            "an index needs the package faiss-cpu; pip install 'chordkit[match]', or compare with every row"
        ) from None
    cells = max(1, len(codes) // _ROWS_A_CELL)
    index = faiss.index_factory(codes.shape[1], f"IVF{cells},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(_rows(codes, scales, np.linspace(0, len(codes) - 1, min(len(codes), cells * _TRAINED_ON_A_CELL)).astype(np.int64)))
    for start in range(0, len(codes), _CONVERTED_AT_ONCE):
        index.add(_rows(codes, scales, np.arange(start, min(start + _CONVERTED_AT_ONCE, len(codes)))))
    index.nprobe = max(1, cells // _PROBED)

    def search(direction: np.ndarray, count: int) -> np.ndarray:
        rows = np.sort(index.search(direction[None], min(count * _CANDIDATES, len(codes)))[1][0])
        rows = rows[rows >= 0]  # fewer where the cells did not hold as many
        return rows[_best(_rows(codes, scales, rows) @ direction, count)]

    return search


def _rows(codes: np.ndarray, scales: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return codes[rows].astype(np.float32) * scales[rows, None]
