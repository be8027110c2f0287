"""Constants that a target can store in fewer bytes than they take."""

import numpy as np


def future_value(array: np.ndarray) -> float | None:
    """The number above the diagonal of a float32 causal mask ``[n, n]``, which is zero elsewhere; None for any other array."""
    if array.dtype != np.float32 or array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
        return None
    number = float(array[0, 1])
    causal = number != 0 and np.isfinite(number) and np.array_equal(array, np.triu(np.full_like(array, number), 1))
    return number if causal else None
