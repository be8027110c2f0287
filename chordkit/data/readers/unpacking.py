"""Compressed files, unpacked as far as interactions can be packed and no further."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from chordkit.data.readers.parquet_size import most_bytes
from chordkit.data.readers.table import in_one_line
from chordkit.errors import DataError

SUFFIXES = {".gz", ".bz2", ".xz", ".zst"}
_PIECE = 1 << 20
_ZSTD_PIECE = 1 << 10
"""A block of 4 bytes may be 128 KiB of one letter: of this much come 32 MiB at most."""
_ZSTD_WINDOW = 1 << 27
_REFUSED = {b"PK\x03\x04": "zip", b"x\x01": "zlib", b"x\x5e": "zlib", b"x\x9c": "zlib", b"x\xda": "zlib"}
_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def plain_name(path: Path) -> Path:
    """The name without the ending of a compression: "log.csv.gz" is a "log.csv"."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def read_unpacked(path: Path, limit: int | None = None) -> bytes:
    """The content of a file, unpacked where it begins as gzip, bzip2, xz and Zstandard files do.

    Args:
        path: the file.
        limit: only the first so many bytes.

    Raises:
        DataError: it is an archive, is damaged or cannot be read, or unpacks to more than 64 bytes for each of its own, and 64 MiB.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
            for magic, what in _REFUSED.items():
                if head.startswith(magic):
                    raise DataError(f"{path}: a {what} file; unpack it first, or pack it with gzip or zstd")
            unpack = next((unpack for magic, unpack in _UNPACK.items() if head.startswith(magic)), None)
            if unpack is None:
                stream.seek(0)
                return stream.read(-1 if limit is None else limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    most = most_bytes(path.stat().st_size)
    pieces, taken = [], 0
    try:
        for piece in unpack(path):
            pieces.append(piece)
            taken += len(piece)
            if taken > most:
                raise DataError(f"{path}: unpacks to more than {most} bytes, as no real interactions do; unpack it first if these do")
            if limit is not None and taken >= limit:
                break
    except _ERRORS as error:
        raise DataError(f"{path}: damaged, or cut off: it cannot be unpacked ({in_one_line(error)}); download or pack it again") from None
    return b"".join(pieces)[:limit]


def _with(opener: Callable[..., Any]) -> Callable[[Path], Iterator[bytes]]:
    def unpack(path: Path) -> Iterator[bytes]:
        with opener(path, "rb") as stream:
            yield from iter(lambda: stream.read(_PIECE), b"")

    return unpack


def _unpack_zstd(path: Path) -> Iterator[bytes]:
    """Frame after frame; the library's own streams say nothing of a frame that breaks off."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with path.open("rb") as stream:
        frame, given = decompressor.decompressobj(), b""
        while given := given or stream.read(_ZSTD_PIECE):
            if frame.eof:
                frame = decompressor.decompressobj()
            yield frame.decompress(given)
            given = frame.unused_data if frame.eof else b""
        if not frame.eof:
            raise EOFError("it ends within a frame")


_UNPACK: dict[bytes, Callable[[Path], Iterator[bytes]]] = {
    b"\x1f\x8b": _with(gzip.open),
    **{f"BZh{level}1AY".encode(): _with(bz2.open) for level in range(1, 10)},
    b"\xfd7zXZ": _with(lzma.open),
    b"\x28\xb5\x2f\xfd": _unpack_zstd,
}
