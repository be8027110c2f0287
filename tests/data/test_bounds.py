"""What a small file may cost: nothing that its own bytes do not pay for."""

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from chordkit.data import Columns, Dataset, prepare, synthesize
from chordkit.data.readers.parquet_size import ImmodestError, require_modest
from chordkit.errors import DataError

ROLES = ["user", "item", "timestamp"]


def write_table(path: Path, rows: int) -> Path:
    """A table of one event, repeated: a few bytes a million rows."""
    zeros = np.zeros(rows, np.int32)
    pl.DataFrame(dict.fromkeys(ROLES, zeros)).write_parquet(path, compression="zstd")
    return path


def test_a_parquet_table_of_millions_of_rows_in_no_bytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_table(tmp_path / "bomb.parquet", 2_000_000)
    assert path.stat().st_size < 20_000
    with pytest.raises(
        DataError, match=r"bomb.parquet: far larger than its file \(\d+ bytes unpack to more than 1048576 rows.*write it as CSV"
    ):
        prepare(path)


def test_a_parquet_footer_that_lies_about_its_rows_is_held_against_the_pages(tmp_path: Path) -> None:
    path = write_table(tmp_path / "lie.parquet", 1_500_000)
    data = path.read_bytes()
    rows = (3_000_000).to_bytes(8, "little")  # the compact protocol's zigzag varint of 1,500,000
    varint = bytearray()
    value = int.from_bytes(rows, "little")
    while value > 127:
        varint.append(value & 127 | 128)
        value >>= 7
    varint.append(value)
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    assert bytes(varint) in footer
    lie = footer.replace(bytes(varint), b"\x82\x80\x80\x00"[: len(varint)])
    path.write_bytes(data[: -8 - length] + lie + data[-8:])
    with path.open("rb") as stream, pytest.raises(ImmodestError, match="more than 1048576 rows"):
        require_modest(stream, ROLES)


def test_columns_that_nobody_asked_for_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    sequences = synthesize(0, users=20, items=30).sequences
    events = [(user, int(item), time) for user, sequence in enumerate(sequences) for time, item in enumerate(sequence)]
    reviews = [f"{number}" + "x" * (80_000_000 // len(events)) for number in range(len(events))]
    frame = pl.DataFrame(events, schema=ROLES, orient="row").with_columns(pl.Series("review", reviews))
    frame.write_parquet(path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    assert prepare(path).users == 20


def test_one_long_text_that_all_rows_of_a_dictionary_share_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    user = pl.Series("user", ["a" * 20_000]).new_from_index(0, 5_000).alias("user")
    pl.DataFrame([user, pl.Series("item", range(5_000)), pl.Series("timestamp", range(5_000))]).write_parquet(path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="far larger than its file"):
        prepare(path)


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "uncompressed"])
def test_a_real_table_is_modest_under_every_compression(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "real.parquet"
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(0, 2_000, 50_000)).astype(str)
    frame = pl.DataFrame({"user": users, "item": rng.zipf(1.5, 50_000) % 900, "timestamp": np.sort(rng.integers(0, 10**9, 50_000))})
    frame.write_parquet(path, compression=compression, statistics="full")
    with path.open("rb") as stream:
        require_modest(stream, ROLES)


def test_a_parquet_file_of_random_footers_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = write_table(tmp_path / "x.parquet", 1_000)
    data, rng = path.read_bytes(), np.random.default_rng(1)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for _ in range(300):
        changed = bytearray(data)
        for place in rng.integers(start, len(data) - 8, 3):
            changed[place] = rng.integers(256)
        path.write_bytes(changed)
        with path.open("rb") as stream:
            try:
                require_modest(stream, ROLES)
            except ValueError as error:
                assert str(error)


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_is_read_whole_in_one_stream_or_several(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.csv.{suffix}"
    rows = [b"u%d,i%d,%d\n" % (number % 50, number % 31, number) for number in range(40_000)]
    half = b"user,item,timestamp\n" + b"".join(rows[:20_000]), b"".join(rows[20_000:])
    for packed in (PACK[suffix](b"".join(half)), b"".join(map(PACK[suffix], half))):
        path.write_bytes(packed)
        for format in ("auto", "csv"):
            assert prepare(path, format).interactions == 40_000
    assert prepare(path).name == "x"


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_of_far_more_than_its_bytes_is_refused_without_the_memory(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.csv.{suffix}"
    path.write_bytes(PACK[suffix](b"user,item,timestamp\n" + b"1,1,1\n" * 170_000) * 70)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"unpacks to more than 67108864 bytes"):
        prepare(path)
    assert tracemalloc.get_traced_memory()[1] < 80 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_that_is_damaged_or_cut_off_is_refused_in_a_sentence(suffix: str, tmp_path: Path) -> None:
    whole = PACK[suffix](b"user,item,timestamp\n" + b"".join(b"u,i%d,%d\n" % (number, number) for number in range(200)))
    random = np.random.default_rng(0)
    path = tmp_path / f"x.csv.{suffix}"
    for cut in range(1, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"x\.csv\."):
            prepare(path)
    for _ in range(100):
        changed = bytearray(whole)
        changed[random.integers(len(changed))] ^= 1 << random.integers(8)
        path.write_bytes(changed)
        try:
            prepare(path)
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(("head", "what"), [(b"PK\x03\x04", "zip"), (zlib.compress(b"user,item"), "zlib")])
def test_an_archive_is_not_unpacked(head: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(head + b"user,item,timestamp\n")
    with pytest.raises(DataError, match=rf"x\.csv: a {what} file; unpack it first"):
        prepare(path)


def test_a_line_of_a_million_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_bytes(b"user,item,timestamp" + b",x" * 10_000 + b"\n" + b"1,1,1" + b",0" * 10_000 + b"\n")
    with pytest.raises(DataError, match=r"wide\.csv: 10003 columns in the first line, more than 4096; keep"):
        prepare(path)


THIRD = (2**64 + 9) // 3  # three steps of it are 9 again, modulo 2**64


@pytest.mark.parametrize("middle", [[THIRD, 2 * THIRD - 2**64], [2**63 - 1, -(2**63)], [7, 3], [-3, 3], [2**63 - 1]])
def test_offsets_that_leave_the_range_are_refused_although_their_differences_wrap_around(middle: list[int]) -> None:
    offsets = np.array([0, *middle, 9], np.int64)
    with pytest.raises(DataError, match="offsets must rise from 0"):
        Dataset("x", np.ones(9, np.int32), offsets, ["", "a"], [str(user) for user in range(len(offsets) - 1)])


# --- times, exactly ---------------------------------------------------------------------------------------------------

NS = 1_700_000_000_000_000_000
CSV = {
    "whole": [f"{NS + 1}", f"{NS + 2}", f"{NS + 3}", f"{NS + 4}"],
    "mixed": [f"{NS}.5", f"{NS + 1}", f"{NS + 1}.25", f"{NS + 2}"],
    "fractions of a nanosecond": ["1700000000.1234567891", "1700000000.1234567892", "1700000000.1234567893", "1700000000.12345678935"],
    "beyond int64": [f"{2**64 + 1}", f"{2**64 + 2}", f"{2**64 + 3}", f"{2**64 + 4}"],
    "negative": [f"-{NS + 2}", f"-{NS + 1}.5", f"-{NS + 1}", f"{NS}.5"],
    "exponents": ["1.700000000000000001e18", "1700000000000000002", "17000000000000000.03e2", "1700000000000000004.0"],
}


@pytest.mark.parametrize("kind", CSV)
def test_times_are_ordered_by_their_exact_values(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    order = [2, 0, 3, 1]
    path.write_text("user,item,timestamp\n" + "".join(f"1,i{place},{CSV[kind][place]}\n" for place in order))
    assert prepare(path).item_ids[1:] == ["i0", "i1", "i2", "i3"]
    assert list(prepare(path).flat) == [1, 2, 3, 4]


def test_equal_times_in_other_words_keep_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"user,item,timestamp\n1,c,{NS}\n1,b,{NS}.0\n1,a,{NS}.00\n1,d,{NS}.000001\n")
    dataset = prepare(path)
    assert [dataset.item_ids[item] for item in dataset.flat] == ["c", "b", "a", "d"]


@pytest.mark.parametrize(
    "times",
    [
        pl.Series([NS + 3, NS + 1, NS + 4, NS + 2], dtype=pl.Int64),
        pl.Series([2**63 + 3, 2**63 + 1, 2**63 + 4, 2**63 + 2], dtype=pl.UInt64),
        pl.Series([0.3, 0.1, 0.4, 0.2], dtype=pl.Float64),
        pl.Series([1.7e18 + 768, 1.7e18 + 256, 1.7e18 + 1024, 1.7e18 + 512], dtype=pl.Float64),
        pl.Series([NS + 3, NS + 1, NS + 4, NS + 2], dtype=pl.Int64).cast(pl.Datetime("ns")),
        pl.Series([f"{NS}.3", f"{NS}.1", f"{NS}.4", f"{NS}.2"]).str.to_decimal(scale=1),
        pl.Series([f"{NS}.3", f"{NS}", f"{NS + 1}", f"{NS}.4"])[[0, 1, 2, 3]],
    ],
    ids=["int", "unsigned", "float", "large float", "datetime", "decimal", "text"],
)
def test_times_of_parquet_are_ordered_by_their_exact_values(times: pl.Series, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    items = ["i2", "i0", "i3", "i1"]
    if times.dtype == pl.String:
        items = ["i1", "i0", "i3", "i2"]
    pl.DataFrame([pl.Series("user", [1] * 4), pl.Series("item", items), times.alias("timestamp")]).write_parquet(path)
    dataset = prepare(path, columns=Columns())
    assert [dataset.item_ids[item] for item in dataset.flat] == ["i0", "i1", "i2", "i3"]
