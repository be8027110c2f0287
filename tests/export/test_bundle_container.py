"""The container: a ZIP for every tool, and of all the files that those tools would accept exactly one for us."""

import io
import subprocess
import zipfile
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import BundleError
from chordkit.export.bundle import container as bundle_zip
from chordkit.export.bundle.container import ALIGNMENT, name_problem

MEMBERS = [("manifest.json", b"{}"), ("a/b/c.bin", bytes(range(256))), ("empty", b""), ("artifacts/x.tflite", b"tfl3" * 33)]


def _file(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    bundle_zip.write(stream, members)
    return stream.getvalue()


def _members(data: bytes) -> list[tuple[str, bytes]]:
    view = memoryview(data)
    return [(located.entry.name, bytes(bundle_zip.check_data(view, located, "x"))) for located in bundle_zip.read(view, "x")]


NAMES = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_+.\-]{0,12}(/[a-z0-9_][a-z0-9.]{0,5}){0,3}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=200)), min_size=1, max_size=6, unique_by=lambda member: member[0].lower()))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_by_us_and_by_zipfile_and_is_aligned(members: list[tuple[str, bytes]]) -> None:
    data = _file(members)
    assert _members(data) == members
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == members
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    assert all(located.offset % ALIGNMENT == 0 for located in bundle_zip.read(memoryview(data), "x"))
    assert _file(members) == data


@pytest.mark.skipif(which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_nothing_to_remark(tmp_path: Path) -> None:
    (tmp_path / "x.chord").write_bytes(_file(MEMBERS))
    done = subprocess.run(["unzip", "-t", str(tmp_path / "x.chord")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No errors detected" in done.stdout


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a\\b",
        "C:x",
        "a b",
        "ä",
        "a\0b",
        "a\n",
        "-rf",
        "a/b/c/d/e",
        "x" * 101,
        "a/..",
        "~",
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused_on_both_sides(name: str) -> None:
    assert name_problem(name) is not None
    with pytest.raises(BundleError, match="is not allowed"):
        _file([(name, b"x")])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "x"), b"x")
    with pytest.raises(BundleError):
        _members(stream.getvalue())


def test_a_name_that_differs_only_in_case_is_a_duplicate() -> None:
    for names in (("a", "a"), ("a/B", "A/b")):
        with pytest.raises(BundleError, match="comes twice"):
            _file([(name, b"") for name in names])


def test_every_byte_that_is_not_data_is_fixed() -> None:
    data = _file(MEMBERS)
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= flip
            with pytest.raises(BundleError):
                _members(bytes(changed))


def test_a_truncated_or_extended_file_is_refused_at_every_length() -> None:
    data = _file(MEMBERS)
    for length in range(len(data)):
        with pytest.raises(BundleError):
            _members(data[:length])
    for extra in (b"\0", b"PK\x05\x06" + bytes(18), data):
        for changed in (data + extra, extra + data):
            with pytest.raises(BundleError):
                _members(changed)


def _by_zipfile(**options: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:  # type: ignore[arg-type]
        for name, data in MEMBERS:
            archive.writestr(zipfile.ZipInfo(name), data, options.get("compression"))
    return stream.getvalue()


def test_other_ways_to_write_the_same_zip_are_refused() -> None:
    data = _file(MEMBERS)
    with pytest.raises(BundleError, match="disagrees"):
        _members(_by_zipfile())  # not aligned
    with pytest.raises(BundleError, match="compressed"):
        _members(_by_zipfile(compression=zipfile.ZIP_DEFLATED))
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"hidden"
    with pytest.raises(BundleError, match="end is missing or something follows"):
        _members(stream.getvalue())
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("extra", b"hidden")
    with pytest.raises(BundleError):
        _members(stream.getvalue())
    # Two members exchanged in the directory only: lenient readers take the directory's word.
    directory = data.index(b"PK\x01\x02")
    records = data[directory:-22].split(b"PK\x01\x02")[1:]
    swapped = b"".join(b"PK\x01\x02" + record for record in [records[1], records[0], *records[2:]])
    with pytest.raises(BundleError):
        _members(data[:directory] + swapped + data[-22:])


def test_random_bytes_and_random_damage_only_ever_raise_bundle_errors() -> None:
    generator = np.random.default_rng(7)
    data = np.frombuffer(_file(MEMBERS), np.uint8)
    refused = 0
    for _ in range(6000):
        changed = data.copy()
        if generator.random() < 0.1:
            changed = generator.integers(0, 256, generator.integers(0, 400), np.uint8)
            changed[:4] = np.frombuffer(b"PK\x03\x04", np.uint8)[: len(changed)]
        # Headers are where a parser can be led astray: half of the damage goes to the last 300 bytes.
        for _ in range(generator.integers(1, 6)):
            if len(changed):
                low = max(0, len(changed) - 300) if generator.random() < 0.5 else 0
                changed[generator.integers(low, len(changed))] = generator.choice([0, 1, 0x7F, 0x80, 0xFF, int(generator.integers(256))])
        if np.array_equal(changed, data):
            continue
        refused += 1
        with pytest.raises(BundleError):
            _members(changed.tobytes())
    assert refused > 5500


def test_more_than_four_gigabytes_are_refused_before_anything_is_written() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**32

    stream = io.BytesIO()
    with pytest.raises(BundleError, match="4 GiB"):
        bundle_zip.write(stream, [("a", Huge())])
    assert stream.getvalue() == b""
