"""What all small files of chordkit share: magic and version in front, the backbone they are for, a CRC-32 over all of it at the end."""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.errors import ChordkitError

FINGERPRINT_BYTES = 8
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Record:
    """One kind of file: little-endian, ``layout`` in front, then what belongs to the kind, then the CRC-32 of all bytes before.

    Attributes:
        noun: what it is, as a reader calls it.
        magic: its first 4 bytes.
        version: its fifth, the only one known.
        layout: of the header: magic, version, and the fields of the kind.
        error: raised when it is not as it should be.
        remake: what helps when it is for something else.
        fetch: what helps when it was damaged on its way.
    """

    noun: str
    magic: bytes
    version: int
    layout: struct.Struct
    error: type[ChordkitError]
    remake: str
    fetch: str

    def size(self, payload: int) -> int:
        """Bytes in all, with ``payload`` bytes between header and checksum."""
        return self.layout.size + payload + _CRC.size

    def seal(self, *fields: object, payload: bytes) -> bytes:
        """The whole: header with ``fields`` after magic and version, payload, checksum."""
        body = self.layout.pack(self.magic, self.version, *fields) + payload
        return body + _CRC.pack(zlib.crc32(body))

    def seal_each(self, headers: np.ndarray, payloads: np.ndarray) -> np.ndarray:
        """:meth:`seal` of many at once: uint8 ``[n, size]`` of packed headers uint8 ``[n, layout.size]`` and payloads uint8 ``[n, p]``."""
        bodies = np.concatenate([headers, payloads], axis=1)
        size = bodies.shape[1]
        view = memoryview(bodies.tobytes())
        checksums = np.fromiter((zlib.crc32(view[at : at + size]) for at in range(0, len(view), size)), "<u4", len(bodies))
        return np.concatenate([bodies, checksums.view(np.uint8).reshape(-1, _CRC.size)], axis=1)

    def header(self, *fields: object) -> np.ndarray:
        """The header with ``fields`` after magic and version, uint8 ``[layout.size]``."""
        return np.frombuffer(self.layout.pack(self.magic, self.version, *fields), np.uint8)

    def fields(self, data: bytes) -> tuple[Any, ...]:
        """What the header says after magic and version; checked are its length and these two."""
        if len(data) < self.size(0):
            raise self.refusal("length", f"{len(data)} bytes cannot hold a header and a checksum; {self.fetch}")
        magic, version, *fields = self.layout.unpack_from(data)
        if magic != self.magic:
            raise self.refusal("magic", f"the data does not begin with {self.magic.decode()}, as every {self.noun} does; give another file")
        if version != self.version:
            raise self.refusal("version", f"{version} is not {self.version}; update chordkit or {self.remake}")
        return tuple(fields)

    def check_backbone(self, theirs: bytes, ours: bytes) -> None:
        """Refuse what was made for another backbone."""
        if theirs != ours:
            why = f"it is for backbone {theirs.hex()}, not {bytes(ours).hex()}; {self.remake} for this backbone"
            raise self.refusal("fingerprint", why)

    def check_reserved(self, *reserved: int) -> None:
        """Refuse what a later version has a meaning for."""
        if any(reserved):
            raise self.refusal("reserved", f"not all are zero, which version {self.version} does not know; update chordkit")

    def payload(self, data: bytes, size: int | None = None) -> bytes:
        """What stands between header and checksum: of ``size`` bytes where the header gives it away, and undamaged."""
        if size is not None and len(data) != self.size(size):
            raise self.refusal("length", f"{len(data)} bytes instead of the {self.size(size)} that its header announces; {self.fetch}")
        body, (checksum,) = data[: -_CRC.size], _CRC.unpack_from(data, len(data) - _CRC.size)
        if zlib.crc32(body) != checksum:
            raise self.refusal("CRC", f"the checksum does not match; the bytes are damaged, {self.fetch}")
        return body[self.layout.size :]

    def check_fingerprint(self, fingerprint: bytes) -> None:
        """Refuse to write for something that is no fingerprint."""
        if len(fingerprint) != FINGERPRINT_BYTES:
            raise self.error(f"{self.noun}: the fingerprint has {len(fingerprint)} bytes instead of {FINGERPRINT_BYTES}")

    def refusal(self, field: str, why: str) -> ChordkitError:
        """The error that names a field."""
        return self.error(f"{self.noun}: {field}: {why}")
