"""Part of a batch: the rows that one of several processes computes, with the random numbers that these rows have in the whole batch."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

_drawn: "ContextVar[Part | None]" = ContextVar("drawn", default=None)


@dataclass(frozen=True)
class Part:
    """Consecutive rows of a batch.

    Attributes:
        first: of the rows.
        stop: behind the last one.
        whole: rows of the batch.
        idle: the rows are another process's and count nothing here; they are computed to draw what the others draw.
    """

    first: int
    stop: int
    whole: int
    idle: bool = False

    def of(self, rows: Tensor) -> Tensor:
        """Those of ``rows`` [whole, ...] that are in this part."""
        return rows if self.stop - self.first == self.whole else rows[self.first : self.stop]

    def share(self, own: int, whole: int) -> float:
        """What a mean over ``own`` values of this part counts in the mean over all ``whole`` values of the batch."""
        return 0.0 if self.idle else own / whole

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Inside the block, :func:`chordkit.backbones.layers.dropout` draws for the whole batch and takes what falls on this part."""
        token = _drawn.set(self)
        try:
            yield
        finally:
            _drawn.reset(token)


def drawn_shape(shape: Sequence[int]) -> tuple[list[int], slice]:
    """The shape to draw random numbers of for a tensor of ``shape``, the sample's rows first, and which rows of them are the tensor's."""
    part = _drawn.get()
    if part is None or part.stop - part.first == part.whole:
        return list(shape), slice(None)
    # A sample may have several rows, its histories or heads, which stand together.
    each = shape[0] // (part.stop - part.first)
    first = part.first * each
    return [max(part.whole * each, first + shape[0]), *shape[1:]], slice(first, first + shape[0])
