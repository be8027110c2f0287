"""What every part of a master must be, whoever makes it (docs/formats.md, "Master weights"); libchord's ``master.c`` checks the same."""

import numpy as np

from chordkit.errors import MasterError
from chordkit.quantization.grid import RANGES, QuantizedRows


def check_name(entry: str, name: str) -> None:
    """Refuse a module path that cannot stand inside an entry's name.

    Raises:
        MasterError: it is empty or has a ``/``.
    """
    if not name or "/" in name:
        raise MasterError(f"master: entry '{entry}' has no name of its own, or one with a '/': rename the module")


def check_layer(name: str, rows: QuantizedRows, bias: np.ndarray | None) -> None:
    """Refuse a layer whose numbers no reader takes.

    Raises:
        MasterError: names the entry.
    """
    entry = f"layers/{name}"
    check_name(entry, name)
    if 0 in rows.codes.shape:
        raise MasterError(f"master: entry '{entry}/codes' has not the shape [out, in]")
    if rows.codes.min() < RANGES[8][0]:
        raise MasterError(f"master: entry '{entry}/codes' holds -128, which is outside the grid")
    if rows.ratios.min() < 1:
        raise MasterError(f"master: entry '{entry}/ratios' holds a ratio below 1")
    _check_scales(f"{entry}/scales", rows.scales)
    if bias is not None:
        if bias.dtype != np.float32 or bias.shape != (len(rows.codes),):
            raise MasterError(f"master: entry '{entry}/bias' is not float32 [{len(rows.codes)}]")
        _check_finite(f"{entry}/bias", bias)


def check_table(name: str, codes: np.ndarray, scales: np.ndarray, bits: int) -> None:
    """Refuse an embedding table whose numbers no reader takes.

    Raises:
        MasterError: names the entry.
    """
    entry = f"embeddings/{name}"
    check_name(entry, name)
    if bits not in (4, 8):
        raise MasterError(f"master: entry '{entry}/bits' is not [4 or 8, dim]")
    low, high = RANGES[bits]
    if codes.dtype != np.int8 or codes.ndim != 2 or 0 in codes.shape or codes.min() < low or codes.max() > high:
        raise MasterError(f"master: entry '{entry}/codes' is not int8 [rows, dim] on the grid of {bits} bits")
    if scales.dtype != np.float32 or scales.shape != (len(codes),):
        raise MasterError(f"master: entry '{entry}/scales' is not float32 [{len(codes)}]")
    _check_scales(f"{entry}/scales", scales)


def check_tensor(key: str, tensor: np.ndarray) -> None:
    """Refuse a free tensor whose numbers no reader takes.

    Raises:
        MasterError: names the entry.
    """
    entry = f"tensors/{key}"
    if not key:
        raise MasterError("master: a tensor has no name: give it one")
    if tensor.dtype != np.float32:
        raise MasterError(f"master: entry '{entry}' is {tensor.dtype}; float32 is needed")
    _check_finite(entry, tensor)


def _check_finite(entry: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise MasterError(f"master: entry '{entry}' holds NaN or infinity: the model diverged, train it again with a lower learning rate")


def _check_scales(entry: str, values: np.ndarray) -> None:
    # Written so that NaN fails too.
    if not ((values > 0) & (values < np.inf)).all():
        raise MasterError(f"master: entry '{entry}' holds a scale that is not positive and finite")
