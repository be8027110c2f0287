"""The one form every data set takes: chronological item sequences, one per user, and the way they rest on disk."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from chordkit.documents import parse_json
from chordkit.errors import DataError, InputError
from chordkit.files import read_bytes, reproducible_safetensors, write_bytes
from chordkit.tensors import checksum, read_arrays

FORMAT = "chordkit.dataset"
VERSION = 2  # 1 had no times, names and categories; it is read as ever
MINIMUM_LENGTH = 3  # one interaction each for training, validation and test

_TENSORS = {"flat": "int32", "offsets": "int64", "item_ids": "uint8", "user_ids": "uint8"}
_OPTIONAL = {"times": "int64", "item_names": "uint8", "item_categories": "uint8"}  # since version 2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Item sequences of many users, all in memory.

    Attributes:
        name: what reports call the data set.
        flat: int32 [interactions], the items of user 0, then of user 1, ...; every item lies in 1..items, 0 is padding.
        offsets: int64 [users + 1]; the sequence of user u is ``flat[offsets[u]:offsets[u + 1]]``, oldest first.
        item_ids: the original id of every item; index 0 is the padding item, "".
        user_ids: the original id of every user.
        provenance: where the data came from and what was left out on the way (JSON values).
        times: int64 [interactions], when each was: microseconds since 1970 UTC, or the file's own count where it has no dates
            (``provenance["times"]`` says which); they never fall within a user. None where only the order is known.
        item_names: what a person calls every item, by index like ``item_ids``; "" for the padding item and where there is no name.
            Empty where the data set has no names.
        item_categories: the same for what an item is among ("Drama, War").
    """

    name: str
    flat: np.ndarray
    offsets: np.ndarray
    item_ids: Sequence[str]
    user_ids: Sequence[str]
    provenance: dict[str, Any] = field(default_factory=dict)
    times: np.ndarray | None = None
    item_names: Sequence[str] = ()
    item_categories: Sequence[str] = ()

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise DataError(f"data set '{self.name}': {problem}")

    @classmethod
    def from_sequences(
        cls,
        name: str,
        sequences: Iterable[Sequence[int] | np.ndarray],
        item_ids: Sequence[str] | None = None,
        user_ids: Sequence[str] | None = None,
        provenance: dict[str, Any] | None = None,
        times: Iterable[Sequence[int] | np.ndarray] | None = None,
        item_names: Sequence[str] = (),
        item_categories: Sequence[str] = (),
    ) -> "Dataset":
        """Build a data set from one chronological sequence of items (1-based) per user.

        Without ``item_ids`` the catalogue is 1..(largest item); without ids of their own, users count from 1. ``times`` are one sequence
        per user too.

        Raises:
            DataError: no sequence, an item outside 1..items, or a sequence of fewer than three items.
        """
        arrays = [np.asarray(sequence, np.int64) for sequence in sequences]
        flat = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
        if flat.size and (flat.min() < 1 or flat.max() > np.iinfo(np.int32).max - 1):
            raise DataError(f"data set '{name}': items must lie in 1..{np.iinfo(np.int32).max - 1}; 0 is the padding item")
        if item_ids is None:
            item_ids = ["", *map(str, range(1, int(flat.max(initial=0)) + 1))]
        if user_ids is None:
            user_ids = [str(user) for user in range(1, len(arrays) + 1)]
        offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays], dtype=np.int64)]).astype(np.int64)
        flat_times = None if times is None else np.concatenate([np.asarray(sequence, np.int64) for sequence in times])
        return cls(
            name,
            flat.astype(np.int32),
            offsets,
            list(item_ids),
            list(user_ids),
            dict(provenance or {}),
            flat_times,
            list(item_names),
            list(item_categories),
        )

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.offsets) - 1

    @property
    def items(self) -> int:
        """Number of items in the catalogue, the padding item not counted."""
        return len(self.item_ids) - 1

    @property
    def interactions(self) -> int:
        """Number of (user, item) events."""
        return len(self.flat)

    @property
    def lengths(self) -> np.ndarray:
        """int64 [users], the number of interactions of every user."""
        return np.diff(self.offsets)

    @property
    def sequences(self) -> list[np.ndarray]:
        """One int32 array per user, oldest item first; views, not copies."""
        return np.split(self.flat, self.offsets[1:-1])

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the sequences and the item ids: equal for equal data, whatever file it came from."""
        digest = hashlib.sha256()
        digest.update(np.ascontiguousarray(self.offsets, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.flat, "<i4").tobytes())
        digest.update(_encode_ids(self.item_ids))
        return digest.hexdigest()

    def renamed(self, name: str) -> "Dataset":
        """The same data under another name."""
        return replace(self, name=name)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the data set to one safetensors file, atomically; ``docs/data.md`` describes its fields."""
        tensors: dict[str, np.ndarray] = {
            "flat": np.ascontiguousarray(self.flat, np.int32),
            "offsets": np.ascontiguousarray(self.offsets, np.int64),
            "item_ids": np.frombuffer(_encode_ids(self.item_ids), np.uint8),
            "user_ids": np.frombuffer(_encode_ids(self.user_ids), np.uint8),
        }
        if self.times is not None:
            tensors["times"] = np.ascontiguousarray(self.times, np.int64)
        for key, words in (("item_names", self.item_names), ("item_categories", self.item_categories)):
            if len(words):
                tensors[key] = np.frombuffer(_encode_ids(words), np.uint8)
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "name": self.name,
            "provenance": json.dumps(self.provenance, sort_keys=True, allow_nan=False),
        }
        write_bytes(path, reproducible_safetensors(to_safetensors(tensors, {**header, "sha256": _checksum(header, tensors)})))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Dataset":
        """Read what :meth:`save` wrote, and check every byte of it.

        Raises:
            DataError: the file is missing, is not a prepared data set, is damaged, or is of a newer version.
        """
        path = Path(path)
        mend = "make it again with 'chordkit data prepare'"
        if not path.is_file():
            raise DataError(f"{path}: no such data set file; {mend}")
        try:
            tensors, header = read_arrays(read_bytes(path, "data set"))
        except ValueError as error:
            raise DataError(f"{path}: not a prepared data set, or damaged ({_one_line(error)}); {mend}") from None
        except InputError as error:
            raise DataError(str(error)) from None
        if header.get("format") != FORMAT:
            raise DataError(f"{path}: a safetensors file, but not a prepared data set (metadata field 'format'); {mend}")
        version = header.get("version", "")
        if version.isascii() and version.isdigit() and len(version) < 6 and int(version) > VERSION:
            raise DataError(f"{path}: data set format version {version} is newer than this chordkit reads ({VERSION}); upgrade chordkit")
        expected = header.pop("sha256", "")
        if not _are_those_of(version, tensors) or _checksum(header, tensors) != expected:
            raise DataError(f"{path}: damaged (metadata field 'sha256' does not match the content); {mend}")
        try:
            items, users, names, categories = (
                _decode_ids(tensors[key]) if key in tensors else () for key in ("item_ids", "user_ids", "item_names", "item_categories")
            )
            provenance = parse_json(header["provenance"])
            flat, offsets, times = tensors["flat"], tensors["offsets"], tensors.get("times")
            return cls(header["name"], flat, offsets, items, users, provenance, times, names, categories)
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise DataError(f"{path}: not a usable data set ({_one_line(error)}); {mend}") from None


def _problem(dataset: Dataset) -> str:
    """What is wrong with the arrays, in words; "" when nothing is."""
    flat, offsets = dataset.flat, dataset.offsets
    if flat.dtype != np.int32 or flat.ndim != 1 or offsets.dtype != np.int64 or offsets.ndim != 1:
        return "flat must be int32 [interactions] and offsets int64 [users + 1]"
    if len(offsets) < 2:
        return f"it is empty; a data set needs at least one user with {MINIMUM_LENGTH} interactions"
    # Within the range first: the difference of two offsets far apart overflows, and a wrapped one looks like a good one.
    inside = offsets[0] == 0 and offsets[-1] == len(flat) and offsets.min() >= 0 and offsets.max() <= len(flat)
    if not inside or (np.diff(offsets) < MINIMUM_LENGTH).any():
        return f"offsets must rise from 0 to the number of interactions, by at least {MINIMUM_LENGTH} per user"
    if len(dataset.user_ids) != dataset.users:
        return f"{len(dataset.user_ids)} user ids for {dataset.users} users"
    if not len(dataset.item_ids) or dataset.item_ids[0] != "":
        return "item_ids[0] must be the padding item, ''"
    if flat.min() < 1 or flat.max() > dataset.items:
        return f"items must lie in 1..{dataset.items}; 0 is the padding item"
    for key, words in (("item_names", dataset.item_names), ("item_categories", dataset.item_categories)):
        if len(words) and (len(words) != len(dataset.item_ids) or words[0] != ""):
            return f"{key} must be empty, or one for each of {len(dataset.item_ids)} item ids, '' for the padding item"
    return _problem_of_times(dataset)


def _problem_of_times(dataset: Dataset) -> str:
    times = dataset.times
    if times is None:
        return ""
    if times.dtype != np.int64 or times.shape != dataset.flat.shape:
        return f"times must be int64 [{dataset.interactions}], one for each interaction"
    falling = times[1:] < times[:-1]  # a difference of two that lie far apart would overflow
    falling[dataset.offsets[1:-1] - 1] = False
    return "times must not fall within a user" if falling.any() else ""


def _are_those_of(version: str, tensors: dict[str, np.ndarray]) -> bool:
    """Whether a file of this version has such tensors."""
    types = {name: str(tensor.dtype) for name, tensor in tensors.items()}
    present = {name: kind for name, kind in _OPTIONAL.items() if name in types and version != "1"}
    return types == _TENSORS | present


def _checksum(header: dict[str, str], tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 over everything that :meth:`Dataset.load` believes."""
    return checksum(header, tensors, (name for name in _TENSORS | _OPTIONAL if name in tensors))


def _encode_ids(ids: Sequence[str]) -> bytes:
    # JSON, because an id may hold any character, a newline too.
    return json.dumps(list(ids), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _decode_ids(encoded: np.ndarray) -> list[str]:
    # As long as the file is; the ids of a catalogue are most of it.
    ids = parse_json(encoded.tobytes().decode("utf-8", "surrogatepass"), None)
    if not isinstance(ids, list) or not all(isinstance(entry, str) for entry in ids):
        raise ValueError("ids must be a list of strings")
    return ids


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
