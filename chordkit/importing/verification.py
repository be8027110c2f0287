"""Equal scores on given histories: the proof that a checkpoint was understood."""

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from chordkit.backbones import Backbone
from chordkit.errors import CheckFailed, InputError
from chordkit.files import read_bytes
from chordkit.tensors import read_arrays

SLACK = 16.0
"""How many times our own rounding theirs may be. Both compute the same sums in float32, in other orders: n terms added in a tree leave the
error of some log2 n roundings, one after the other of some sqrt(n), which for n = 1,024 is a factor of 3; and the largest of other errors
of one distribution may be a few times as large."""
_CHUNK = 256


@dataclass(frozen=True)
class Agreement:
    """Scores of an owner's framework beside those of the imported backbone.

    Attributes:
        histories: compared ones.
        left_out: histories with an item that the data set has not.
        items: whose scores were compared, for each history.
        max_error: largest difference from the imported backbone's scores in float64.
        tolerance: what rounding explains: :data:`SLACK` times the largest difference between our own float32 and float64 scores.
        worst: the history (its row in the file) and the item (its id) with the largest difference.
    """

    histories: int
    left_out: int
    items: int
    max_error: float
    tolerance: float
    worst: tuple[int, str]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def require(self, name: str) -> None:
        """Refuse scores that rounding does not explain.

        Raises:
            CheckFailed: they differ by more.
        """
        if not self.max_error <= self.tolerance:
            history, item = self.worst
            raise CheckFailed(
                f"{name}: scores differ by up to {self.max_error:.2g}, rounding explains {self.tolerance:.2g} (row {history}, {item!r}): "
                "check the settings that weights do not tell, and that these scores were made on the CPU, in eval mode, with these weights"
            )


def read_scores(path: str | os.PathLike[str], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Histories int64 [n, slots] and scores float64 [n, rows] of another framework, in the rows of its own item table.

    Raises:
        InputError: no such file, another content, or sizes that are not those of a table with ``rows`` rows.
    """
    mend = "save 'histories' (whole numbers [n, slots]) and 'scores' (float32 [n, rows of the item table]) as docs/your-model.md shows"
    try:
        arrays, _ = read_arrays(read_bytes(path, "scores"))
    except ValueError as error:
        raise InputError(f"{path}: not a file of scores ({error}); {mend}") from None
    histories, scores = arrays.get("histories"), arrays.get("scores")
    if histories is None or scores is None or histories.ndim != 2 or histories.dtype.kind != "i" or scores.dtype.kind != "f":
        raise InputError(f"{path}: not a file of scores; {mend}")
    if scores.shape != (len(histories), rows) or not len(histories):
        raise InputError(f"{path}: 'scores' has the shape {list(scores.shape)}, not {[len(histories), rows]}; {mend}")
    if histories.size and not (histories.min() >= 0 and histories.max() < rows):
        raise InputError(f"{path}: 'histories' names a row that the item table has not (0 to {rows - 1}); {mend}")
    if not np.isfinite(scores).all():
        raise InputError(f"{path}: 'scores' holds NaN or infinity; {mend}")
    return histories.astype(np.int64), scores.astype(np.float64)


@torch.no_grad()
def compare(backbone: Backbone, rows: np.ndarray, item_ids: list[str], histories: np.ndarray, scores: np.ndarray) -> Agreement:
    """The imported backbone's scores of all items beside the framework's.

    Args:
        backbone: the imported one.
        rows: the checkpoint's row of every item, int64 [items + 1].
        item_ids: by item.
        histories: rows of the checkpoint [n, slots], the newest last; zeros on either side are empty slots.
        scores: float [n, rows of the checkpoint].

    Raises:
        InputError: no history has only items that the data set has.
    """
    item_of = np.full(scores.shape[1], -1)
    item_of[rows] = np.arange(len(rows))
    item_of[0] = 0
    length = backbone.config.max_length
    known = (item_of[histories] >= 0).all(1)
    if not known.any():
        raise InputError("--verify: every history has an item that the data set has not: nothing could be compared; give others")
    windows = np.zeros((int(known.sum()), length), np.int64)
    for window, history in zip(windows, histories[known], strict=True):
        items = item_of[history[history != 0]][-length:]
        window[length - len(items) :] = items
    theirs = scores[known][:, rows[1:]]
    precise = type(backbone)(backbone.config)
    precise.load_state_dict(backbone.state_dict())
    precise = precise.double().eval()
    error = noise = 0.0
    worst = (0, 0)
    for start in range(0, len(windows), _CHUNK):
        part = torch.from_numpy(windows[start : start + _CHUNK])
        exact = precise.score_all(precise.encode(part))[:, 1:].numpy()
        noise = max(noise, float(np.abs(backbone.score_all(backbone.encode(part))[:, 1:].double().numpy() - exact).max()))
        difference = np.abs(theirs[start : start + _CHUNK] - exact)
        if difference.max() >= error:
            error = float(difference.max())
            row, column = np.unravel_index(int(difference.argmax()), difference.shape)
            worst = (int(np.flatnonzero(known)[start + row]), int(column) + 1)
    return Agreement(len(windows), len(histories) - len(windows), len(rows) - 1, error, SLACK * noise, (worst[0], item_ids[worst[1]]))
