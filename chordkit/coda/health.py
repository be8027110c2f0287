"""How a phone fares, without a word of what its user did: a record of 32 bytes whose counts are powers of two (docs/flow.md)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace

from chordkit.errors import InputError

MAGIC = b"CHRH"
VERSION = 1
LARGEST = 31
_FINGERPRINT = 8
_HEADER = struct.Struct("<4sB3s8s")
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Counts:
    """What happened since the last report. No item, no time, no score, no name of a user.

    Attributes:
        clicks: that the stream took in.
        hits: of these, those that stood among the ten best of what had not been seen.
        unknown: clicks on items that the catalogue does not have.
        requests: sent to the cloud.
        strategies: adopted.
        samples: sets of other people's samples taken in.
        refused: answers, or parts of them, that a check kept out.
        trainings: of an adapter.
        adopted: of these, those that the gate let in.
        undone: adapters that later clicks spoke against.
        stale: most clicks that a strategy or adapter was old when a new one came.
        milliseconds: of the longest training.
    """

    clicks: int = 0
    hits: int = 0
    unknown: int = 0
    requests: int = 0
    strategies: int = 0
    samples: int = 0
    refused: int = 0
    trainings: int = 0
    adopted: int = 0
    undone: int = 0
    stale: int = 0
    milliseconds: int = 0

    def plus(self, **more: int) -> "Counts":
        """With these counted."""
        return replace(self, **{name: getattr(self, name) + value for name, value in more.items()})

    def at_least(self, **least: int) -> "Counts":
        """With these raised to no less than that."""
        return replace(self, **{name: max(getattr(self, name), value) for name, value in least.items()})


_FIELDS = tuple(each.name for each in fields(Counts))
HEALTH_BYTES = _HEADER.size + len(_FIELDS) + _CRC.size


def encode_health(counts: Counts, fingerprint: bytes) -> bytes:
    """The record, version 1, of a phone with the release of this fingerprint. Of a count its bits are told: 0, 1, 2-3, 4-7, 8-15, ..."""
    body = _HEADER.pack(MAGIC, VERSION, bytes(3), fingerprint) + bytes(min(LARGEST, value.bit_length()) for value in astuple(counts))
    return body + _CRC.pack(zlib.crc32(body))


def decode_health(data: bytes) -> tuple[Counts, bytes]:
    """A record's counts, each as the least that it may have been, and the fingerprint of the phone's release.

    The checks run in this order, and the message names the first that fails: length, magic, version, reserved bytes, CRC, counts.

    Raises:
        InputError: one of them failed.
    """
    data = bytes(data)
    if len(data) != HEALTH_BYTES:
        raise InputError(f"health: length: {len(data)} bytes are not the {HEALTH_BYTES} of a record; drop it")
    magic, version, reserved, fingerprint = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise InputError("health: magic: the data does not begin with CHRH; it is no record, drop it")
    if version != VERSION:
        raise InputError(f"health: version: {version} is not {VERSION}; update chordkit")
    if any(reserved):
        raise InputError(f"health: reserved: bytes 5 to 7 are not zero, which version {VERSION} does not know; update chordkit")
    if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack_from(data, HEALTH_BYTES - _CRC.size)[0]:
        raise InputError("health: CRC: the checksum does not match; the record is damaged, drop it")
    bits = data[_HEADER.size : -_CRC.size]
    told = dict(zip(_FIELDS, bits, strict=True))
    if max(bits) > LARGEST or told["hits"] > told["clicks"] or told["adopted"] > told["trainings"]:
        raise InputError(f"health: counts: one has more than {LARGEST} bits, or a part is more than its whole; drop it")
    return Counts(*(1 << each >> 1 for each in bits)), fingerprint


@dataclass(frozen=True)
class Fleet:
    """What the records of many phones with one release say together.

    Attributes:
        reports: how many.
        totals: sums of the counts' least values; ``stale`` and ``milliseconds`` are the largest.
        refusing: share of the reports in which anything was refused: what a bad release shows by first.
    """

    reports: int
    totals: Counts
    refusing: float


def fleet(records: Sequence[bytes], least: int = 20) -> dict[bytes, Fleet]:
    """The records of a fleet by fingerprint; of releases with fewer than ``least`` reports nothing is told.

    Raises:
        InputError: a record is none; whoever receives them from strangers drops those that :func:`decode_health` refuses.
    """
    found: dict[bytes, list[Counts]] = {}
    for counts, fingerprint in map(decode_health, records):
        found.setdefault(fingerprint, []).append(counts)
    return {name: _together(each) for name, each in found.items() if len(each) >= least}


def _together(reports: list[Counts]) -> Fleet:
    highest = {"stale", "milliseconds"}
    totals = {name: (max if name in highest else sum)(getattr(each, name) for each in reports) for name in _FIELDS}
    return Fleet(len(reports), Counts(**totals), sum(each.refused > 0 for each in reports) / len(reports))
