"""The user vector on the wire: what the cloud may send beside, or instead of, a strategy (docs/formats.md).

A strategy says at which widths the frozen weights run; a user vector is an input of the model, ``dim`` numbers in int8 with one scale.
"""

import math
import struct
from dataclasses import dataclass

import numpy as np

from chordkit.errors import UserVectorError
from chordkit.strategy.record import Record

MAGIC = b"CHRU"
VERSION = 1
LARGEST_CODE = 127
LARGEST_SCALE = 100.0
"""Scales beyond this are refused: hidden states are normalised, a vector a thousand times as long as they are is none."""
_RECORD = Record("user vector", MAGIC, VERSION, struct.Struct("<4sBBH8sIf"), UserVectorError, "make it again", "fetch it again")


@dataclass(frozen=True, eq=False)
class UserVector:
    """What one backbone adds for one user: ``values = codes * scale``, float32 ``[dim]``.

    Attributes:
        codes: int8 ``[dim]`` in [-127, 127]. Copied, read-only.
        scale: positive, a float32; 1 where all codes are 0.
        fingerprint: the 8 bytes of ``MasterWeights.fingerprint``.

    Raises:
        UserVectorError: no codes, a code or scale outside its range, or a fingerprint that is not 8 bytes.
    """

    codes: np.ndarray
    scale: float
    fingerprint: bytes

    def __post_init__(self) -> None:
        given = np.asarray(self.codes)
        if given.ndim != 1 or given.size == 0 or given.dtype != np.int8:
            raise UserVectorError(f"user vector: codes are {given.dtype} of shape {given.shape}; int8 [dim] is needed")
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            scale = float(np.float32(self.scale))
        if not (math.isfinite(scale) and 0.0 < scale <= LARGEST_SCALE):
            raise UserVectorError(f"user vector: scale: {self.scale} is not a positive number up to {LARGEST_SCALE:g}; make it again")
        if (given == -128).any():
            raise UserVectorError(f"user vector: code: number {int((given == -128).argmax())} is -128, which is outside the grid")
        _RECORD.check_fingerprint(self.fingerprint)
        codes = given.copy()
        codes.flags.writeable = False
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "fingerprint", bytes(self.fingerprint))

    @property
    def values(self) -> np.ndarray:
        """What the model adds, float32 ``[dim]``."""
        return self.codes.astype(np.float32) * np.float32(self.scale)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserVector):
            return NotImplemented
        return encode_user_vector(self) == encode_user_vector(other)

    def __hash__(self) -> int:
        return hash(encode_user_vector(self))


def quantize_user_vector(values: np.ndarray, fingerprint: bytes) -> UserVector:
    """The user vector nearest to float ``[dim]`` values: scale = absmax / 127.

    Raises:
        UserVectorError: the values are not finite, not a vector, or too large.
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise UserVectorError("user vector: the values are no vector of finite numbers; the hypernetwork diverged, train it again")
    codes, scales = quantize_user_vectors(values[None])
    return UserVector(codes[0], float(scales[0]), fingerprint)


def quantize_user_vectors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes ``[users, dim]`` and float32 scales ``[users]`` (absmax / 127) of float32 ``[users, dim]``; zeros get scale 1."""
    absmax = np.abs(values).max(axis=1)
    alive = absmax >= np.float32(2.0**-100)
    scales = np.where(alive, absmax / np.float32(LARGEST_CODE), np.float32(1))
    codes = np.rint(np.where(alive[:, None], values, np.float32(0)) / scales[:, None])
    return np.clip(codes, -LARGEST_CODE, LARGEST_CODE).astype(np.int8), scales


def user_vector_bytes(dim: int) -> int:
    """Bytes of an encoded user vector: 28 + dim; 92 for dim = 64."""
    return _RECORD.size(dim)


def encode_user_vector(vector: UserVector) -> bytes:
    """The wire bytes, version 1."""
    return _RECORD.seal(0, 0, vector.fingerprint, len(vector.codes), vector.scale, payload=vector.codes.tobytes())


def encode_user_vectors(codes: np.ndarray, scales: np.ndarray, fingerprint: bytes) -> np.ndarray:
    """:func:`encode_user_vector` of many users at once, uint8 ``[users, user_vector_bytes(dim)]``.

    Args:
        codes: int8 ``[users, dim]``, as :func:`quantize_user_vectors` gives them.
        scales: float32 ``[users]``, likewise.
        fingerprint: of the backbone.

    Raises:
        UserVectorError: a scale is not finite or too large, or the fingerprint is not 8 bytes.
    """
    _RECORD.check_fingerprint(fingerprint)
    if not (scales <= LARGEST_SCALE).all():  # false for NaN too
        user = int(np.flatnonzero(~(scales <= LARGEST_SCALE))[0])
        raise UserVectorError(f"user vector: scale: {scales[user]} of user {user} is not a number up to {LARGEST_SCALE:g}; train it again")
    headers = np.tile(_RECORD.header(0, 0, fingerprint, codes.shape[1], 0.0), (len(codes), 1))
    headers[:, -4:] = scales.astype("<f4").view(np.uint8).reshape(-1, 4)
    return _RECORD.seal_each(headers, codes.view(np.uint8))


def decode_user_vector(data: bytes | bytearray | memoryview, *, fingerprint: bytes, dim: int) -> UserVector:
    """Read a user vector that is meant for one backbone.

    The checks run in this order, as in the C engine, and the message names the first that fails: length of the header, magic,
    version, reserved bytes, fingerprint, dim, length, CRC, scale, codes.

    Args:
        data: the wire bytes, no more and no less.
        fingerprint: of the master weights in use.
        dim: of the master weights in use.

    Raises:
        UserVectorError: one of the checks failed.
    """
    data = bytes(data)
    first, second, theirs, count, scale = _RECORD.fields(data)
    _RECORD.check_reserved(first, second)
    _RECORD.check_backbone(theirs, fingerprint)
    if count != dim:
        raise UserVectorError(f"user vector: dim: {count} numbers instead of the backbone's {dim}")
    return UserVector(np.frombuffer(_RECORD.payload(data, count), np.int8), scale, theirs)
