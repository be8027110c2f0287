"""From the file that is there and a difference to the file that is wanted, block by block, and proven before it is one."""

import hashlib
import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from chordkit.errors import ChordkitError, InputError
from chordkit.export.bundle.container import MAX_BYTES
from chordkit.export.bundle.delta.coding import blocks, decode_block
from chordkit.export.bundle.delta.format import RECORD, Difference, Kind, read_difference
from chordkit.files import atomic_writer, read_bytes

_FED = 4096


def apply_difference(base: bytes | memoryview, data: bytes, *, largest: int = MAX_BYTES) -> bytes:
    """The bundle that comes of ``base`` and a difference; see :func:`apply_difference_to`."""
    result = io.BytesIO()
    apply_difference_to(result, base, data, largest=largest)
    return result.getvalue()


def apply_difference_to(stream: BinaryIO, base: bytes | memoryview, data: bytes, *, largest: int = MAX_BYTES) -> Difference:
    """Write the bundle that comes of ``base`` and a difference; what was written counts only if this returns.

    All of :func:`read_difference` is checked, then the base's size and SHA-256, before the first byte is written; then that the stream
    inflates to what the segments take and no more, and last the result's SHA-256. Memory is bounded whatever the sizes.

    Args:
        stream: where the result goes, from where it stands; it is read back where the result says something again.
        base: the file that is there.
        data: the difference.
        largest: a result of more bytes is refused.

    Raises:
        BundleError: one of the checks failed: the difference is damaged or for another file.
    """
    found = read_difference(data, largest=largest)
    begin, end = stream.tell(), 0

    def again(start: int, length: int) -> bytes:
        stream.seek(begin + start)
        said = stream.read(length)
        stream.seek(begin + end)
        return said

    for piece in _pieces(memoryview(base), found, again):
        stream.write(piece)
        end += len(piece)
    return found


def apply_difference_file(
    base: str | os.PathLike[str], difference: str | os.PathLike[str], out: str | os.PathLike[str], *, largest: int = MAX_BYTES
) -> Difference:
    """Likewise from files to a file, which is complete under its name or not there (``out`` may be ``base``).

    Raises:
        BundleError: as :func:`apply_difference_to`.
        InputError: a file cannot be read.
        OSError: the result cannot be written.
    """
    data = read_bytes(difference, "difference", MAX_BYTES)
    with mapped(base) as whole, atomic_writer(out) as stream:
        return apply_difference_to(stream, whole, data, largest=largest)


def mapped(path: str | os.PathLike[str]) -> memoryview:
    """A file without reading it into memory.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise InputError(f"{path}: no such bundle file") from None
    except OSError as error:
        raise InputError(f"{path}: the bundle cannot be read: {error.strerror}") from None


def _pieces(base: memoryview, difference: Difference, again: Callable[[int, int], bytes]) -> Iterator[bytes]:
    if len(base) != difference.base_size or hashlib.sha256(base).digest() != difference.base_sha256:
        raise RECORD.refusal("base", f"it is for another file of {difference.base_size:,} bytes; {RECORD.remake}")
    inflate, digest = _Inflate(difference.stream), hashlib.sha256()
    for segment in difference.segments:
        for start, length in blocks(segment.length):
            if segment.kind is Kind.AGAIN:
                piece = again(segment.base + start, length)
            else:
                piece = bytes(base[segment.base + start : segment.base + start + length])
            if segment.kind.is_coded:
                coded = inflate.take(segment.coding.size(length))
                under = None if segment.kind is Kind.LITERAL else np.frombuffer(piece, np.uint8)
                piece = decode_block(coded, length, under, segment.coding)
            digest.update(piece)
            yield piece
    inflate.end()
    if digest.digest() != difference.result_sha256:
        raise RECORD.refusal("result", f"it is not the file that was promised; {RECORD.remake}")


class _Inflate:
    """A raw deflate stream of which so many bytes are taken at a time, and no more than that inflated."""

    def __init__(self, deflated: bytes) -> None:
        self._stream, self._left = zlib.decompressobj(-15), memoryview(deflated)

    def take(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            last = not self._left and not self._stream.unconsumed_tail
            piece = self._inflated(size - len(found))
            if not piece and (last or self._stream.eof):
                raise self._broken("it ends early")
            found += piece
        return bytes(found)

    def end(self) -> None:
        """Refuse what comes after the last byte that was taken."""
        while not self._stream.eof:
            last = not self._left and not self._stream.unconsumed_tail
            if self._inflated(1):
                raise self._broken("it goes on behind the last segment")
            if last and not self._stream.eof:
                raise self._broken("it has no end")
        if self._stream.unused_data or self._left:
            raise self._broken("something follows it")

    def _inflated(self, most: int) -> bytes:
        fed = self._stream.unconsumed_tail
        if not fed:
            fed, self._left = bytes(self._left[:_FED]), self._left[_FED:]
        try:
            return self._stream.decompress(fed, most)
        except zlib.error as error:
            raise self._broken(f"it cannot be inflated ({error})") from None

    @staticmethod
    def _broken(why: str) -> ChordkitError:
        return RECORD.refusal("stream", f"{why}; {RECORD.remake}")
