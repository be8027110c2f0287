"""The measures of parity, vectorised over histories: Kendall's tau-b, overlap of the top k, NDCG."""

import numpy as np
from numpy.typing import NDArray


def kendall_tau(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Kendall's tau-b of each row of ``a`` and ``b`` (both ``[n, candidates]``), in O(candidates^2).

    Two rows that are both constant agree (1); a constant row against another one does not (0).
    """
    n, width = a.shape
    result = np.empty(n, np.float64)
    chunk = max(1, 2_000_000 // (width * width))
    for start in range(0, n, chunk):
        rows = slice(start, start + chunk)
        order_a = np.sign(a[rows, :, None] - a[rows, None, :]).astype(np.int8)
        order_b = np.sign(b[rows, :, None] - b[rows, None, :]).astype(np.int8)
        agreement = (order_a * order_b).sum((1, 2), dtype=np.int64)  # twice the sum over pairs, like the two counts below
        untied_a = np.count_nonzero(order_a, (1, 2))
        untied_b = np.count_nonzero(order_b, (1, 2))
        norm = np.sqrt(untied_a.astype(np.float64) * untied_b)
        both_constant = (untied_a == 0) & (untied_b == 0)
        result[rows] = np.where(norm > 0, agreement / np.maximum(norm, 1), both_constant)
    return result


def top_k(scores: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Columns of the ``k`` best scores of each row, best first; among equal scores the first column comes first."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def top_k_overlap(a: NDArray[np.floating], b: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """Share of the top ``k`` of ``a`` that is in the top ``k`` of ``b``, for each row."""
    k = min(k, a.shape[1])
    best_a, best_b = top_k(a, k), top_k(b, k)
    return (best_a[:, :, None] == best_b[:, None, :]).sum((1, 2)) / k


def ndcg_of_target(scores: NDArray[np.floating], targets: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """NDCG@k of one relevant column per row: 1 / log2(2 + rank), 0 below the top k."""
    hits = top_k(scores, min(k, scores.shape[1])) == targets[:, None]
    discounts = 1 / np.log2(2 + np.arange(hits.shape[1]))
    return hits @ discounts


def ndcg_of_ranks(scores: NDArray[np.floating], reference: NDArray[np.floating], k: int) -> NDArray[np.float64]:
    """NDCG@k of ``scores`` when the reference's own top k are what is relevant, k for its first to 1 for its k-th."""
    k = min(k, scores.shape[1])
    gains = np.zeros(scores.shape)
    np.put_along_axis(gains, top_k(reference, k), np.arange(k, 0, -1, dtype=np.float64)[None, :], axis=1)
    discounts = 1 / np.log2(2 + np.arange(k))
    return np.take_along_axis(gains, top_k(scores, k), axis=1) @ discounts / (np.arange(k, 0, -1) @ discounts)
