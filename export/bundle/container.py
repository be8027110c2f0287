"""The bundle's container: a ZIP of which every byte is determined by its members (contract 3, docs/bundle.md).

A general ZIP reader forgives a lot: bytes before, between and after the members, two directories that disagree,
compressed or encrypted members, comments, dates. Each of these is a place to hide something in a signed file. Here
the writer has no freedom at all, and the reader rebuilds, from the members' names, sizes and CRCs, the bytes that the
writer would have produced around the data and compares. Nothing has to be interpreted leniently, and no byte of the
file is outside the comparison or outside a member.

Layout (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16): per member a local header whose extra field pads the
data to 64 bytes, then the data; after the last member the central directory and its end record. Stored, no dates
(1980-01-01), no comments, no data descriptors, no ZIP64.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from chordkit.errors import BundleError

ALIGNMENT = 64
MAX_MEMBERS = 4096
MAX_BYTES = 2**32 - 2  # 0xFFFFFFFF announces ZIP64, which is not used here

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_PADDING = struct.Struct("<3H")  # extra field of Android's zipalign: identifier, length, alignment; then zeros
_PADDING_ID = 0xD935
_VERSION_NEEDED = 10
_VERSION_MADE_BY = 3 << 8 | 20  # Unix, so that the mode below is read as one
_MODE = 0o100644 << 16
_DATE = 1 << 5 | 1  # 1 January 1980, the zero of the format

_PART = r"[A-Za-z0-9_][A-Za-z0-9_+.-]{0,99}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,3}}")
_MAX_NAME = 4 * 100 + 3


@dataclass(frozen=True)
class Entry:
    """One member as the container sees it: name, size in bytes, CRC-32 of the data."""

    name: str
    size: int
    crc: int


@dataclass(frozen=True)
class Located:
    """An entry and the offset of its data in the file."""

    entry: Entry
    offset: int


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot name a member, or None.

    Names are relative paths of at most four parts of ASCII letters, digits and ``_ + . -``; no part starts with a dot
    or a dash, so neither a traversal, an absolute path, a drive nor an option of a command line can be spelled.
    """
    if not _NAME.fullmatch(name):
        return "only ASCII letters, digits and _ + . - in at most four parts separated by / are allowed, no part starting with . + or -"
    return None


def write(stream: BinaryIO, members: Sequence[tuple[str, bytes | memoryview]]) -> None:
    """Write ``members`` to ``stream`` in the order given; the same members always give the same bytes.

    Raises:
        BundleError: a name is not allowed or comes twice, or the file would need ZIP64 (4 GiB or more).
    """
    entries = [Entry(name, len(data), zlib.crc32(data)) for name, data in members]
    _check_names([entry.name for entry in entries], "bundle")
    if sum(entry.size for entry in entries) + 512 * len(entries) > MAX_BYTES:
        raise BundleError("bundle: the members add up to 4 GiB or more, which one bundle cannot hold; leave out some artifacts")
    frame, tail = _frame(entries)
    for (header, _), (_, data) in zip(frame, members, strict=True):
        stream.write(header)
        stream.write(data)
    stream.write(tail)


def read(buffer: memoryview, label: str) -> list[Located]:
    """Locate the members of ``buffer``, in file order; every byte outside the members' data is checked here.

    The data is not: compare it with :func:`check_data` or with the manifest's SHA-256.

    Raises:
        BundleError: the bytes are not exactly what :func:`write` makes; the sentence starts with ``label``.
    """
    entries = list(_directory(buffer, label))
    _check_names([entry.name for entry in entries], label)
    frame, tail = _frame(entries)
    located = []
    for entry, (header, offset) in zip(entries, frame, strict=True):
        if buffer[offset - len(header) : offset] != header:
            raise _damaged(label, f"the local header of member {entry.name!r} disagrees with the directory")
        located.append(Located(entry, offset))
    end = located[-1].offset + located[-1].entry.size
    if buffer[end:] != tail:
        raise _damaged(label, "the ZIP directory is not the one that chordkit writes for these members")
    return located


def check_data(buffer: memoryview, member: Located, label: str) -> memoryview:
    """The data of ``member``, after its CRC-32 has been compared.

    Raises:
        BundleError: the CRC is wrong.
    """
    data = buffer[member.offset : member.offset + member.entry.size]
    if zlib.crc32(data) != member.entry.crc:
        raise _damaged(label, f"the CRC of member {member.entry.name!r} is wrong")
    return data


def _frame(entries: Sequence[Entry]) -> tuple[list[tuple[bytes, int]], bytes]:
    """Everything around the data: per entry its local header and the offset of its data, then the tail."""
    frame, directory, position = [], [], 0
    for entry in entries:
        name = entry.name.encode("ascii")
        fields = (_VERSION_NEEDED, 0, 0, 0, _DATE, entry.crc, entry.size, entry.size, len(name))
        start = position + _LOCAL.size + len(name) + _PADDING.size
        offset = (start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        zeros = offset - start
        extra = _PADDING.pack(_PADDING_ID, 2 + zeros, ALIGNMENT) + bytes(zeros)
        frame.append((_LOCAL.pack(b"PK\x03\x04", *fields, len(extra)) + name + extra, offset))
        directory.append(_CENTRAL.pack(b"PK\x01\x02", _VERSION_MADE_BY, *fields, 0, 0, 0, 0, _MODE, position) + name)
        position = offset + entry.size
    central = b"".join(directory)
    return frame, central + _END.pack(b"PK\x05\x06", 0, 0, len(entries), len(entries), len(central), position, 0)


def _directory(buffer: memoryview, label: str) -> Iterator[Entry]:
    """The entries of the central directory; what is not used here is compared by :func:`read`."""
    if len(buffer) < _END.size or buffer[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise BundleError(
            f"{label}: this is not a chordkit bundle (it does not start like a ZIP file); give a file made by `chordkit bundle make`"
        )
    magic, _, _, _, count, size, offset, _ = _END.unpack(buffer[-_END.size :])
    if magic != b"PK\x05\x06" or offset + size + _END.size != len(buffer):
        raise _damaged(label, "its end is missing or something follows it")
    if not 1 <= count <= MAX_MEMBERS:
        raise _damaged(label, f"it lists {count} members, where 1 to {MAX_MEMBERS} are possible")
    position, end, room = offset, offset + size, offset
    for _ in range(count):
        if position + _CENTRAL.size > end:
            raise _damaged(label, "its directory is shorter than the number of members it announces")
        fields = _CENTRAL.unpack(buffer[position : position + _CENTRAL.size])
        method, crc, stored, length, name_length = fields[4], fields[7], fields[8], fields[9], fields[10]
        if method != 0 or stored != length:
            raise _damaged(label, "a member is compressed, and the members of a bundle never are")
        room -= length
        if room < 0:
            raise _damaged(label, "its members would be longer than the file")
        if name_length > _MAX_NAME:
            raise _damaged(label, f"a member's name is {name_length} bytes long, where {_MAX_NAME} are possible")
        position += _CENTRAL.size
        name = bytes(buffer[position : min(position + name_length, end)]).decode("ascii", "replace")
        position += name_length
        yield Entry(name, length, crc)


def _check_names(names: Sequence[str], label: str) -> None:
    seen: set[str] = set()
    for name in names:
        if problem := name_problem(name):
            raise BundleError(f"{label}: the member name {name!r} is not allowed: {problem}")
        if name.lower() in seen:  # a phone's file system may not tell A from a
            raise BundleError(f"{label}: the member name {name!r} comes twice")
        seen.add(name.lower())


def _damaged(label: str, reason: str) -> BundleError:
    return BundleError(f"{label}: the bundle is damaged or was altered: {reason}; fetch it again or make it anew")
