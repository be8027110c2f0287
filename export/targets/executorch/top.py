"""The k best of a row in ExecuTorch, the earlier place first where scores are equal.

Its ``topk`` keeps no order among equal scores, and which of them are among the k depends on what else is in the row. So it is asked for
the best of keys that are all different: float64 has 29 bits more than a float32 score, room for a place.
"""

import torch
from torch import Tensor

_STEP = 2.0**-50
"""What one place takes from a score, relative to it: 2^24 places take less than half of what two float32 numbers differ by."""
_LEAST = 2.0**-900
"""What a score of zero counts for, far below the smallest float32 number."""


def later_by(columns: int) -> Tensor:
    """What each place of a row of ``columns`` scores takes from its score, relative to it: float64 ``[1, columns]``."""
    return torch.arange(columns, dtype=torch.float64)[None] * _STEP


def top_places(scores: Tensor, top: int, later: Tensor) -> Tensor:
    """Places int64 ``[batch, top]`` of the best of ``scores`` float32 ``[batch, columns]``, best first.

    Args:
        scores: finite.
        top: how many.
        later: :func:`later_by` of the columns.
    """
    exact = scores.to(torch.float64)
    keys = exact - (torch.abs(exact) + _LEAST) * later
    return torch.topk(keys, top)[1]
