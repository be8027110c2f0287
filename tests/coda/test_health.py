"""The record of a phone's health: what it tells, what it cannot tell, and what a reader refuses."""

import zlib
from dataclasses import astuple, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chordkit.coda.health import HEALTH_BYTES, Counts, decode_health, encode_health, fleet
from chordkit.errors import InputError

PRINT = bytes(range(8))
SOME = Counts(clicks=30, hits=4, requests=3, strategies=3, trainings=3, adopted=1, milliseconds=31)
NAMES = [each.name for each in fields(Counts)]


def test_a_record_is_these_32_bytes() -> None:
    """For implementations in other languages: the counts are numbers of bits, in the order of ``Counts``."""
    assert HEALTH_BYTES == 32
    assert encode_health(SOME, PRINT).hex() == "4348524801000000" + PRINT.hex() + "050300020200000201000005" + "91a11ede"


@given(st.lists(st.integers(0, 2**40), min_size=len(NAMES), max_size=len(NAMES)))
def test_of_a_count_only_its_size_is_told(values: list[int]) -> None:
    counts = dict(zip(NAMES, values, strict=True))
    counts["hits"], counts["adopted"] = min(counts["hits"], counts["clicks"]), min(counts["adopted"], counts["trainings"])
    told, fingerprint = decode_health(encode_health(Counts(**counts), PRINT))
    assert fingerprint == PRINT
    for least, value in zip(astuple(told), counts.values(), strict=True):
        assert least == (0 if value == 0 else 1 << min(30, value.bit_length() - 1))


def damaged(at: int, value: int, *, resealed: bool = True) -> bytes:
    data = bytearray(encode_health(SOME, PRINT))
    data[at] = value
    return bytes(data[:-4]) + (zlib.crc32(data[:-4]).to_bytes(4, "little") if resealed else bytes(data[-4:]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "length: 0 bytes"),
        (encode_health(SOME, PRINT) + b"\0", "length: 33 bytes"),
        (damaged(0, 0), "magic"),
        (damaged(4, 2), "version: 2 is not 1"),
        (damaged(7, 1), "reserved"),
        (damaged(16, 9, resealed=False), "CRC"),
        (damaged(16, 32), "counts"),
        (damaged(17, 6), "counts"),
        (damaged(24, 3), "counts"),
    ],
)
def test_a_record_that_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=f"health: {words}"):
        decode_health(data)


def test_few_phones_are_not_told_of() -> None:
    records = [encode_health(SOME, PRINT)] * 19 + [encode_health(Counts(refused=1), b"another!")] * 21
    found = fleet(records)
    assert list(found) == [b"another!"]
    assert (found[b"another!"].reports, found[b"another!"].refusing, found[b"another!"].totals.refused) == (21, 1.0, 21)
    both = fleet(records, least=19)[PRINT]
    assert (both.totals.clicks, both.totals.milliseconds, both.refusing) == (19 * 16, 16, 0.0)
