"""Words against words: their differences, with the sign in the lowest bit, in planes that deflate finds more in."""

from collections.abc import Iterator

import numpy as np

from chordkit.export.bundle.delta.format import BLOCK, Coding


def encode(result: np.ndarray, base: np.ndarray | None, coding: Coding) -> bytes:
    """The coded bytes of uint8 ``result``, block by block; without a base they are those of the result itself."""
    return b"".join(
        _encode_block(result[start : start + BLOCK], None if base is None else base[start : start + BLOCK], coding)
        for start in range(0, len(result), BLOCK)
    )


def _encode_block(result: np.ndarray, base: np.ndarray | None, coding: Coding) -> bytes:
    words = np.ascontiguousarray(result).view(f"<u{coding.word}")
    if base is not None:
        words = words - np.ascontiguousarray(base).view(f"<u{coding.word}")
    signed = words.view(f"<i{coding.word}")
    zigzag = (words << 1 ^ (signed >> 8 * coding.word - 1).view(words.dtype)).astype(words.dtype, copy=False)
    planes = zigzag.view(np.uint8).reshape(-1, coding.word).T
    if coding.bits == 8:
        return planes.tobytes()
    mask, in_byte = (1 << coding.bits) - 1, 8 // coding.bits
    packed = []
    for plane in planes:
        for shift in range(0, 8, coding.bits):
            digits = np.zeros(-(-len(plane) // in_byte) * in_byte, np.uint8)
            digits[: len(plane)] = plane >> shift & mask
            shifts = np.arange(0, 8, coding.bits, dtype=np.uint8)
            packed.append(np.bitwise_or.reduce(digits.reshape(-1, in_byte) << shifts, axis=1).astype(np.uint8).tobytes())
    return b"".join(packed)


def decode_block(coded: bytes, length: int, base: np.ndarray | None, coding: Coding) -> bytes:
    """The ``length`` bytes of the result that :func:`encode` made a block of."""
    count = length // coding.word
    planes = np.frombuffer(coded, np.uint8).reshape(coding.planes, -1)
    if coding.bits < 8:
        shifts = np.arange(0, 8, coding.bits, dtype=np.uint8)
        digits = (planes[:, :, None] >> shifts & (1 << coding.bits) - 1).reshape(coding.word, 8 // coding.bits, -1)[:, :, :count]
        planes = np.bitwise_or.reduce(digits << shifts[:, None], axis=1)
    zigzag = np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{coding.word}")
    words = zigzag >> 1 ^ (~(zigzag & 1) + 1)
    if base is not None:
        words = words + np.ascontiguousarray(base).view(f"<u{coding.word}")
    return words.astype(f"<u{coding.word}", copy=False).tobytes()


def blocks(length: int) -> Iterator[tuple[int, int]]:
    """Begin and length of each block of a segment."""
    for start in range(0, length, BLOCK):
        yield start, min(BLOCK, length - start)
