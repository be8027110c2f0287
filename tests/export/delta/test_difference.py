"""Differences between bundles: what comes of one is the other byte for byte, or nothing comes of it."""

import io
import tracemalloc
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import BundleError, CheckFailed, InputError
from chordkit.export import bundle
from chordkit.export.bundle.delta import writer
from chordkit.export.bundle.delta.coding import decode_block, encode
from chordkit.export.bundle.delta.format import BLOCK, Coding, Kind, Segment

CODINGS = [Coding(word, bits) for word in (1, 2, 4) for bits in (2, 4, 8)]


def _check(data: bytes, base: bytes, largest: int = 1 << 32) -> str:
    """The check that refuses, or "" where none does."""
    stream = io.BytesIO()
    try:
        bundle.apply_difference_to(stream, base, data, largest=largest)
    except BundleError as error:
        kind, check, sentence = str(error).split(": ", 2)
        assert kind == "difference" and sentence
        # Nothing is written before all is checked that can be.
        assert check in ("stream", "result") or stream.getvalue() == b""
        return check
    return ""


# --- identity ------------------------------------------------------------------------------------------------------


@st.composite
def _edited(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Bytes, and the same with pieces moved, changed, put in and left out."""
    base = draw(
        st.one_of(
            st.binary(max_size=300),
            st.builds(lambda seed, size: np.random.default_rng(seed).bytes(size), st.integers(0, 9), st.integers(0, 5000)),
        )
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(base)), max_size=4)))
    pieces = [base[start:stop] for start, stop in pairwise([0, *cuts, len(base)])]
    changes = {
        "keep": lambda x: x,
        "drop": lambda x: b"",
        "shift": lambda x: bytes((each + 1) % 256 for each in x),
        "twice": lambda x: x + x,
    }
    made = [changes[draw(st.sampled_from(sorted(changes)))](piece) for piece in draw(st.permutations(pieces))]
    return base, draw(st.binary(max_size=40)).join(made)


@settings(max_examples=60, deadline=None)
@given(_edited())
def test_the_result_of_any_two_files_is_the_second(files: tuple[bytes, bytes]) -> None:
    base, result = files
    data = bundle.difference(base, result)
    assert bundle.apply_difference(base, data) == result
    assert bundle.read_difference(data).to_bytes() == data


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 2 * BLOCK // 4),
    st.sampled_from(CODINGS),
    st.booleans(),
)
def test_every_coding_gives_back_what_it_was_given(seed: int, words: int, coding: Coding, added: bool) -> None:
    generator = np.random.default_rng(seed)
    result, base = (generator.integers(0, 256, words * coding.word).astype(np.uint8) for _ in range(2))
    under = base if added else None
    coded = encode(result, under, coding)
    assert len(coded) == coding.size(len(result))
    found, at = b"", 0
    for start in range(0, len(result), BLOCK):
        length = min(BLOCK, len(result) - start)
        size = coding.size(length)
        found += decode_block(coded[at : at + size], length, None if under is None else under[start : start + length], coding)
        at += size
    assert found == result.tobytes() and at == len(coded)


def test_a_signed_bundle_is_that_bundle_with_its_signature(toy: Any, signed: Path, grown: Path, tmp_path: Path) -> None:
    written = bundle.difference_files(signed, grown, tmp_path / "d.chordd")
    assert (written.base_size, written.result_size) == (signed.stat().st_size, grown.stat().st_size)
    bundle.apply_difference_file(signed, tmp_path / "d.chordd", tmp_path / "new.chord")
    assert (tmp_path / "new.chord").read_bytes() == grown.read_bytes()
    with bundle.open(tmp_path / "new.chord", toy.PUBLIC) as opened:
        assert opened.signature_checked and opened.manifest.dataset.items == toy.ITEMS + 1


# --- what the writer finds ------------------------------------------------------------------------------------------


def test_a_night_of_training_costs_a_quarter_of_its_codes_and_its_floats(shop: Any) -> None:
    base, result = shop.first(), shop.next_morning()
    data = bundle.difference(base, result)
    assert bundle.apply_difference(base, data) == result
    # Steps of -1, 0 and 1 take the lowest plane of two bits. A scale that moved by 1 % is all new but for its upper byte. 600 bytes are for
    # the segments and the manifest. The codes alone do not compress.
    assert len(data) <= shop.table.codes.size / 4 + 3.2 * len(shop.table.scales) + 600
    assert len(zlib.compress(result, 9)) > 0.9 * (shop.table.codes.size + 6000)
    ways = {(segment.kind, segment.coding) for segment in bundle.read_difference(data).segments}
    assert (Kind.ADD, Coding(1, 2)) in ways


def test_a_catalogue_that_grew_costs_its_new_rows_and_what_was_put_in(shop: Any) -> None:
    base, result = shop.first(), shop.grown()
    data = bundle.difference(base, result)
    assert bundle.apply_difference(base, data) == result
    assert len(data) <= 20 * (shop.DIM + 4) + 900


def test_rows_are_found_again_by_the_ids_of_their_items(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base, result = shop.first(), shop.renumbered()
    data = bundle.difference(base, result)
    assert bundle.apply_difference(base, data) == result
    assert len(data) < 900
    # Nothing but the ids tells of it.
    monkeypatch.setattr("chordkit.export.bundle.delta.alignment._rows", lambda ours, theirs: None)
    assert len(bundle.difference(base, result)) > shop.table.codes.size / 2


def test_numbers_in_an_artifact_of_unknown_kind_are_added(shop: Any) -> None:
    codes = np.random.default_rng(5).integers(-120, 120, 20_000).astype(np.int8)
    steps = np.random.default_rng(6).choice([-1, 0, 1], len(codes), p=[0.1, 0.8, 0.1]).astype(np.int8)
    old, new = codes.tobytes(), (codes + steps).tobytes()
    for inserted in (b"", b"a header that grew by more than a few bytes"):
        base = shop.bundle(shop.table.codes, shop.table.scales, shop.ids, bytes(range(250)) * 2 + old)
        result = shop.bundle(shop.table.codes, shop.table.scales, shop.ids, bytes(range(250)) + inserted + bytes(range(250)) + new)
        data = bundle.difference(base, result)
        assert bundle.apply_difference(base, data) == result
        assert len(data) < len(new) / 4 + 800


def test_what_an_artifact_has_of_the_master_is_told_once(shop: Any) -> None:
    base, result = shop.first(), shop.next_morning()
    once = bundle.difference(base, result)
    base, result = shop.with_artifact_of_it(base), shop.with_artifact_of_it(result)
    twice = bundle.difference(base, result)
    assert bundle.apply_difference(base, twice) == result
    again = [segment for segment in bundle.read_difference(twice).segments if segment.kind is Kind.AGAIN]
    assert sum(segment.length for segment in again) > 0.99 * shop.ITEMS * shop.DIM
    assert len(twice) < len(once) + 200


def test_the_result_is_read_back_from_where_it_began(shop: Any) -> None:
    base, result = shop.with_artifact_of_it(shop.first()), shop.with_artifact_of_it(shop.next_morning())
    stream = io.BytesIO()
    stream.write(b"before")
    bundle.apply_difference_to(stream, base, bundle.difference(base, result))
    assert stream.getvalue() == b"before" + result


# --- what is refused ------------------------------------------------------------------------------------------------


def test_every_changed_bit_and_every_cut_is_refused(shop: Any, golden: dict[str, Any]) -> None:
    case = next(each for each in golden["accepted"] if each["case"] == "copied, added, literal")
    base, data = bytes.fromhex(case["base"]), bytes.fromhex(case["bytes"])
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert _check(bytes(changed), base) != ""
    assert all(_check(data[:size], base) for size in range(len(data)))


def test_with_a_checksum_made_right_a_changed_bit_is_refused_or_changes_nothing(golden: dict[str, Any]) -> None:
    case = next(each for each in golden["accepted"] if each["case"] == "copied, added, literal")
    base, body = bytes.fromhex(case["base"]), bytes.fromhex(case["bytes"])[:-4]
    checks = set()
    for place in range(8 * len(body)):
        changed = bytearray(body)
        changed[place // 8] ^= 1 << place % 8
        data = bytes(changed) + zlib.crc32(changed).to_bytes(4, "little")
        check = _check(data, base)
        checks.add(check)
        assert check or bundle.apply_difference(base, data).hex() == case["result"]
    assert checks >= {"magic", "version", "reserved", "sizes", "length", "base", "segments", "stream", "result"}


def test_another_base_is_refused_before_anything_is_written(golden: dict[str, Any]) -> None:
    refused = golden["refused"]
    case = next(each for each in golden["accepted"] if each["case"] == "copied")
    for base in (bytes.fromhex(refused["other base"]), bytes.fromhex(refused["base"])[:-1], b""):
        assert _check(bytes.fromhex(case["bytes"]), base) == "base"


def test_a_larger_result_than_is_allowed_is_refused(golden: dict[str, Any]) -> None:
    case = next(each for each in golden["accepted"] if each["case"] == "copied")
    data, base = bytes.fromhex(case["bytes"]), bytes.fromhex(case["base"])
    assert _check(data, base, largest=len(base)) == "" and _check(data, base, largest=len(base) - 1) == "sizes"


def test_what_fails_leaves_no_file_and_the_old_one_as_it_was(shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, result = shop.with_artifact_of_it(shop.first()), shop.with_artifact_of_it(shop.next_morning())
    (tmp_path / "old.chord").write_bytes(base)
    data = bundle.read_difference(bundle.difference(base, result))
    # A promise that is not kept: found at the very end.
    wrong = type(data)(data.base_sha256, data.base_size, bytes(32), data.result_size, data.segments, data.stream)
    (tmp_path / "d.chordd").write_bytes(wrong.to_bytes())
    for out in ("new.chord", "old.chord"):
        with pytest.raises(BundleError, match=r"^difference: result: "):
            bundle.apply_difference_file(tmp_path / "old.chord", tmp_path / "d.chordd", tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.chordd", "old.chord"]
    assert (tmp_path / "old.chord").read_bytes() == base
    (tmp_path / "d.chordd").write_bytes(data.to_bytes())
    bundle.apply_difference_file(tmp_path / "old.chord", tmp_path / "d.chordd", tmp_path / "old.chord")
    assert (tmp_path / "old.chord").read_bytes() == result


def test_a_difference_that_is_no_smaller_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(np.random.default_rng(0).bytes(2000))
    (tmp_path / "b").write_bytes(np.random.default_rng(1).bytes(2000))
    with pytest.raises(CheckFailed, match=r"ship .*b whole"):
        bundle.difference_files(tmp_path / "a", tmp_path / "b", tmp_path / "d.chordd")
    with pytest.raises(InputError, match="no such bundle file"):
        bundle.difference_files(tmp_path / "a", tmp_path / "c", tmp_path / "d.chordd")
    assert not (tmp_path / "d.chordd").exists()


def test_the_writer_does_not_give_away_what_does_not_come_back(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_coded", lambda old, new, start, segment: bytes(segment.coded))
    with pytest.raises(BundleError, match=r"^difference: result: "):
        bundle.difference(shop.first(), shop.next_morning())


def test_a_bomb_is_not_inflated(golden: dict[str, Any]) -> None:
    base = bytes.fromhex(golden["refused"]["base"])
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = bomb.compress(bytes(1 << 24)) + bomb.flush()
    case = bundle.read_difference(bytes.fromhex(next(each for each in golden["accepted"] if each["case"] == "copied")["bytes"]))
    data = type(case)(case.base_sha256, case.base_size, case.result_sha256, case.result_size, [Segment(Kind.ADD, 96)], stream).to_bytes()
    tracemalloc.start()
    assert _check(data, base) == "stream"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
