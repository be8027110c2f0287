"""The pool of samples of one backbone: where they stand in which pieces of histories, and a profile of what stands before each."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from safetensors.numpy import save as to_safetensors

from chordkit.documents import parse_json
from chordkit.errors import InputError, SampleError
from chordkit.files import read_bytes, reproducible_safetensors, write_bytes
from chordkit.tensors import checksum, read_arrays

FORMAT = "chordkit.pool"
VERSION = 1
MOST_BYTES = 4 << 30
_TENSORS = {
    "flat": "int32",
    "offsets": "int64",
    "segment_sources": "int32",
    "source_names": "int64",
    "sample_segments": "int32",
    "sample_places": "int32",
    "codes": "int8",
    "scales": "float32",
}
_MEND = "make it again with 'chordkit match build'"


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples of many users, for the users of one backbone.

    Attributes:
        fingerprint: the 8 bytes of ``MasterWeights.fingerprint``.
        items: size of the catalogue; ids lie in 1..items.
        k: each two neighbours of a segment stand in the histories of at least so many users; 0 = a public set, nothing was cut.
        pools: how many of the last items each part of a profile covers, ascending.
        context: how many items before a sample are kept for it.
        flat: int32 [items of all segments].
        offsets: int64 [segments + 1]; segment s is ``flat[offsets[s]:offsets[s + 1]]``, oldest first.
        segment_sources: int32 [segments], which user's it is, as a number that rises from 0 along the segments.
        source_names: int64 [users], :func:`source_name` of each; [0] in a public pool, which travels.
        sample_segments: int32 [samples].
        sample_places: int32 [samples], place of the sample in its segment, 1 or more.
        codes: int8 [samples, width], the profile of what stands before the sample (:mod:`chordkit.coda.profiles`).
        scales: float32 [samples]: the profile is ``codes * scale``.

    Raises:
        SampleError: they do not fit each other.
    """

    fingerprint: bytes
    items: int
    k: int
    pools: tuple[int, ...]
    context: int
    flat: np.ndarray
    offsets: np.ndarray
    segment_sources: np.ndarray
    source_names: np.ndarray
    sample_segments: np.ndarray
    sample_places: np.ndarray
    codes: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise SampleError(f"pool: {problem}; {_MEND}")

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self.sample_places)

    @property
    def sources(self) -> int:
        """Of how many users they are."""
        return int(self.segment_sources[-1]) + 1

    @property
    def public(self) -> bool:
        """Whether it may travel: its histories were public before."""
        return self.k == 0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, atomically; docs/coda.md describes it."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "fingerprint": self.fingerprint.hex(),
            "settings": json.dumps({"items": self.items, "k": self.k, "pools": self.pools, "context": self.context}),
        }
        header["sha256"] = checksum(header, tensors, _TENSORS)
        write_bytes(path, reproducible_safetensors(to_safetensors(tensors, header)), private=not self.public)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Pool":
        """Read what :meth:`save` wrote, and check every byte of it.

        Raises:
            InputError: no such file.
            SampleError: it is no pool, is damaged, or is of a newer version.
        """
        try:
            tensors, header = read_arrays(read_bytes(path, "pool", MOST_BYTES))
        except ValueError as error:
            raise SampleError(f"{path}: not a pool, or damaged ({' '.join(str(error).split())[:200]}); {_MEND}") from None
        if header.get("format") != FORMAT:
            raise SampleError(f"{path}: a safetensors file, but not a pool (metadata field 'format'); {_MEND}")
        if header.get("version") != str(VERSION):
            raise SampleError(f"{path}: pool format version {header.get('version')!r} is not {VERSION}; update chordkit")
        expected = header.pop("sha256", "")
        if {name: str(tensor.dtype) for name, tensor in tensors.items()} != _TENSORS or checksum(header, tensors, _TENSORS) != expected:
            raise SampleError(f"{path}: damaged (metadata field 'sha256' does not match the content); {_MEND}")
        try:
            settings = parse_json(header["settings"])
            items, k, context = (_number(settings[name]) for name in ("items", "k", "context"))
            pools = tuple(map(_number, settings["pools"]))
            return cls(bytes.fromhex(header["fingerprint"]), items, k, pools, context, **tensors)
        except (KeyError, TypeError, ValueError) as error:
            raise SampleError(f"{path}: not a usable pool ({' '.join(str(error).split())[:200]}); {_MEND}") from None
        except InputError as error:
            raise SampleError(f"{path}: {error}") from None


def source_name(user: str) -> int:
    """What a pool calls a user, so that nobody is answered with their own samples: 63 bits of SHA-256 of the id. No secret: who knows
    the id finds the name."""
    return int.from_bytes(hashlib.sha256(user.encode("utf-8", "surrogatepass")).digest()[:8], "little") >> 1


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _problem(pool: Pool) -> str:
    """What is wrong with the numbers and arrays, in words; "" when nothing is."""
    if len(pool.fingerprint) != 8 or pool.items < 1 or pool.k < 0 or pool.context < 1:
        return "its fingerprint, items, k or context are none"
    if not pool.pools or list(pool.pools) != sorted(set(pool.pools)) or pool.pools[0] < 1:
        return f"its profile's pools {pool.pools} do not rise from 1"
    arrays = {field.name: getattr(pool, field.name) for field in fields(pool) if field.name in _TENSORS}
    return _problem_of_types(arrays) or _problem_of_segments(pool) or _problem_of_samples(pool)


def _problem_of_types(arrays: Mapping[str, np.ndarray]) -> str:
    for name, array in arrays.items():
        if str(array.dtype) != _TENSORS[name] or array.ndim != (2 if name == "codes" else 1):
            return f"{name} is {array.dtype} of shape {array.shape}"
    return ""


def _problem_of_segments(pool: Pool) -> str:
    flat, offsets, sources = pool.flat, pool.offsets, pool.segment_sources
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(flat) or offsets.min() < 0:
        return "its offsets do not rise from 0 to the number of items"
    if (np.diff(offsets) < 2).any():
        return "a segment has fewer than two items"
    if flat.min() < 1 or flat.max() > pool.items:
        return f"its items do not lie in 1..{pool.items}"
    if len(sources) != len(offsets) - 1 or sources[0] != 0 or not np.isin(np.diff(sources.astype(np.int64)), (0, 1)).all():
        return "the users of its segments are not counted from 0"
    if len(pool.source_names) != (0 if pool.public else pool.sources):
        return "it has names of other users, or, being public, any"
    return ""


def _problem_of_samples(pool: Pool) -> str:
    segments, places = pool.sample_segments, pool.sample_places
    count, lengths = len(places), np.diff(pool.offsets)
    if not count or len(segments) != count or pool.codes.shape[0] != count or len(pool.scales) != count:
        return "it has no samples, or not of each the segment, place, codes and scale"
    if segments.min() < 0 or segments.max() >= len(lengths) or (places < 1).any() or (places >= lengths[segments]).any():
        return "a sample does not stand behind an item of a segment"
    if pool.codes.shape[1] == 0 or pool.codes.shape[1] % len(pool.pools):
        return f"profiles of {pool.codes.shape[1]} numbers do not have {len(pool.pools)} parts"
    if not (np.isfinite(pool.scales).all() and (pool.scales > 0).all() and (pool.codes != -128).all()):
        return "a profile's scale is not above 0 and finite, or a code is -128"
    return ""
