"""How a phone fares, without a word of what its user did: a record of 32 bytes whose counts are powers of two (docs/flow.md)."""

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace

from chordkit.errors import InputError
from chordkit.strategy.record import Record

MAGIC = b"CHRH"
VERSION = 1
LARGEST = 31
_RECORD = Record("health", MAGIC, VERSION, struct.Struct("<4sB3s8s"), InputError, "make it again", "drop it")


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
HEALTH_BYTES = _RECORD.size(len(_FIELDS))


def encode_health(counts: Counts, fingerprint: bytes) -> bytes:
    """The record, version 1, of a phone with the release of this fingerprint. Of a count its bits are told: 0, 1, 2-3, 4-7, 8-15, ..."""
    bits = bytes(min(LARGEST, value.bit_length()) for value in astuple(counts))
    return _RECORD.seal(bytes(3), fingerprint, payload=bits)


def decode_health(data: bytes) -> tuple[Counts, bytes]:
    """A record's counts, each as the least that it may have been, and the fingerprint of the phone's release.

    The checks run in this order, and the message names the first that fails: length, magic, version, reserved bytes, CRC, counts.

    Raises:
        InputError: one of them failed.
    """
    data = bytes(data)
    if len(data) != HEALTH_BYTES:
        raise _RECORD.refusal("length", f"{len(data)} bytes are not the {HEALTH_BYTES} of a record; drop it")
    reserved, fingerprint = _RECORD.fields(data)
    _RECORD.check_reserved(*reserved)
    bits = _RECORD.payload(data)
    told = dict(zip(_FIELDS, bits, strict=True))
    if max(bits) > LARGEST or told["hits"] > told["clicks"] or told["adopted"] > told["trainings"]:
        raise _RECORD.refusal("counts", f"one has more than {LARGEST} bits, or a part is more than its whole; drop it")
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
