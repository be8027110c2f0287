"""What teachers say of every training target, computed once and kept in a file that is read where it lies.

A lesson is a teacher's logits for its best items and one for all the others together. The file has one for each interaction of the
training sequences, so students of every kind and size share it, whatever windows they cut.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chordkit.documents import parse_json
from chordkit.errors import CheckpointError
from chordkit.files import atomic_writer
from chordkit.tensors import header_of, map_tensors
from chordkit.training.checkpoint import require_same

TAUGHT_ITEMS = 100
"""The items of a lesson, those that a teacher gives most to."""
_IDENTITY, _DIGEST = "chordkit", "sha256"
# Lessons that are checked at once: 10 MB.
_BLOCK = 16_384

Lesson = tuple[Tensor, Tensor]
"""``items`` int32 [rows, 100], item ids, best first; ``logits`` float16 [rows, 101], less the best one's, the last log-sum-exp of all other
items."""


class Lessons:
    """The lessons of a file, mapped into memory: what is not asked for is not kept there."""

    def __init__(self, path: Path, identity: Mapping[str, Mapping[str, Any]], count: int, items: int) -> None:
        """Open a file that :func:`write_lessons` wrote, and look at all of it once.

        Args:
            path: the file.
            identity: what the lessons must have been made of, as JSON values by kind.
            count: how many lessons there must be.
            items: of the catalogue.

        Raises:
            CheckpointError: the file is damaged, no such file, or made of something else.
        """
        again = "delete it and they are made again"
        try:
            tensors, metadata = map_tensors(path)
            self.items, self.logits, text, expected = tensors["items"], tensors["logits"], metadata[_IDENTITY], metadata[_DIGEST]
            found = parse_json(text)
        except (ValueError, KeyError):
            raise CheckpointError(f"{path}: this is no whole file of a teacher's lessons: {again}") from None
        except OSError as error:
            raise CheckpointError(f"{path}: the file of lessons cannot be read: {error.strerror}") from None
        for kind, wanted in _plain(identity).items():
            own = found.get(kind) if isinstance(found, dict) else None
            require_same(path, kind, own, wanted, "file of lessons", "name another one in --lessons, or delete this one")
        fit = self.items.shape == (count, TAUGHT_ITEMS) and self.logits.shape == (count, TAUGHT_ITEMS + 1)
        if not (fit and self.items.dtype == torch.int32 and self.logits.dtype == torch.float16):
            raise CheckpointError(f"{path}: this is no whole file of a teacher's lessons: {again}")
        digest = _Digest(text)
        for some, logits in zip(self.items.split(_BLOCK), self.logits.split(_BLOCK), strict=True):
            digest.add(some, logits)
            if some.min() < 1 or some.max() > items or not logits.isfinite().all():
                raise CheckpointError(f"{path}: a lesson is about no item, or no number: {again}")
        if digest.hex() != expected:
            raise CheckpointError(f"{path}: the file of lessons is damaged (its SHA-256 does not match): {again}")

    def of(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Items int64 [places, 100] and logits float32 [places, 101] of the targets at ``places`` of the training sequences."""
        return self.items[places].long(), self.logits[places].float()


def write_lessons(path: Path, identity: Mapping[str, Mapping[str, Any]], count: int, parts: Iterable[Lesson]) -> None:
    """Write ``count`` lessons, which come in ``parts``, so that the file appears whole or not at all; no more than a part is in memory."""
    text = json.dumps(_plain(identity), sort_keys=True)
    digest = _Digest(text)
    sizes = {"items": ("I32", (count, TAUGHT_ITEMS)), "logits": ("F16", (count, TAUGHT_ITEMS + 1))}
    shapes = {name: (kind, shape, math.prod(shape) * int(kind[1:]) // 8) for name, (kind, shape) in sizes.items()}
    nothing_yet = header_of(shapes, {_IDENTITY: text, _DIGEST: "0" * 64})
    with atomic_writer(path) as stream:
        places = {"items": len(nothing_yet), "logits": len(nothing_yet) + shapes["items"][2]}
        for items, logits in parts:
            digest.add(items, logits)
            for name, tensor in (("items", items), ("logits", logits)):
                data = tensor.numpy().tobytes()
                stream.seek(places[name])
                stream.write(data)
                places[name] += len(data)
        stream.seek(0)
        stream.write(header_of(shapes, {_IDENTITY: text, _DIGEST: digest.hex()}))


class _Digest:
    """SHA-256 over a file of lessons, whatever the parts it is seen in."""

    def __init__(self, text: str) -> None:
        self._text, self._sums = text, (hashlib.sha256(), hashlib.sha256())

    def add(self, *tensors: Tensor) -> None:
        for each, tensor in zip(self._sums, tensors, strict=True):
            each.update(tensor.numpy().tobytes())

    def hex(self) -> str:
        return hashlib.sha256(self._text.encode() + b"".join(each.digest() for each in self._sums)).hexdigest()


def _plain(identity: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(identity)))
