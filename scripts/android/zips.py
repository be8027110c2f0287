"""Zip files of which every byte is decided here: no times, members where a phone can map them.

Android reads libraries and assets where they lie in the APK when they are stored, not compressed, at a multiple of the page size; the
extra field 0xd935 says that multiple to apksigner, which moves members when it signs and aligns them anew.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_TIME, _DATE = 0, 0x21
"""Midnight of 1 January 1980, the first time that a zip file can say."""

_ALIGNMENT = 0xD935
_UTF8 = 0x800


@dataclass(frozen=True)
class Member:
    """A file of the archive. ``alignment`` of a stored one: its data begin at a multiple of that."""

    name: str
    data: bytes
    stored: bool = False
    alignment: int = 4


def write(path: Path, members: Iterable[Member]) -> Path:
    """Write ``members`` to ``path`` in their order."""
    with open(path, "wb") as stream:
        write_to(stream, members)
    return path


def write_to(stream: BinaryIO, members: Iterable[Member]) -> None:
    """Write ``members`` to an empty stream in their order."""
    directory = bytearray()
    count = 0
    for member in members:
        offset = stream.tell()
        name = member.name.encode()
        body = member.data if member.stored else _deflated(member.data)
        method = 0 if member.stored else 8
        about = struct.pack("<HHHHIII", _UTF8, method, _TIME, _DATE, zlib.crc32(member.data), len(body), len(member.data))
        extra = _padding(offset + 30 + len(name), member.alignment) if member.stored else b""
        stream.write(struct.pack("<IH", 0x04034B50, 20) + about + struct.pack("<HH", len(name), len(extra)) + name + extra + body)
        directory += struct.pack("<IHH", 0x02014B50, 20, 20) + about
        directory += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name
        count += 1
    start = stream.tell()
    stream.write(directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), start, 0))


def _deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush()


def _padding(start: int, alignment: int) -> bytes:
    """An extra field behind which data that would begin at ``start`` begin at a multiple of ``alignment``."""
    zeros = -(start + 6) % alignment
    return struct.pack("<HHH", _ALIGNMENT, 2 + zeros, alignment) + bytes(zeros)


def read(path: Path) -> Iterator[Member]:
    """Members of a zip file that another tool made, each stored or compressed as it was there."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield Member(info.filename, archive.read(info), info.compress_type == zipfile.ZIP_STORED)


def of_folder(folder: Path, pattern: str = "*") -> list[Member]:
    """The files below ``folder`` that match, in the order of their names."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return [Member(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]


def offsets(path: Path) -> dict[str, int]:
    """Where the data of each stored member begin in the file."""
    found = {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
        for info in archive.infolist():
            if info.compress_type == zipfile.ZIP_STORED:
                stream.seek(info.header_offset + 26)
                name, extra = struct.unpack("<HH", stream.read(4))
                found[info.filename] = info.header_offset + 30 + name + extra
    return found
