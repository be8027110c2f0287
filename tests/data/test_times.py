"""The times that a data set keeps: when it was, in one unit, wherever the file says so; and what they count, where it does not."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chordkit.data import FILE_ORDER, Columns, Dataset, prepare

SECOND = 1_400_000_000  # 2014-05-13T16:53:20Z
EPOCH = "microseconds since 1970"


def of(times: list[str], header: str = "time") -> Dataset:
    fields = header.count(",") + 1
    columns = dict(zip(header.split(","), zip(*(row.split(",") for row in times), strict=True), strict=True))
    assert len(columns) == fields
    return prepare({"user": ["u"] * len(times), "item": list("abcdef"[: len(times)]), **columns}, columns=Columns(timestamp=header))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([f"{SECOND}", f"{SECOND + 2}", f"{SECOND + 1}"], [0, 10**6, 2 * 10**6]),
        ([f"{SECOND}.5", f"{SECOND}.25", f"{SECOND}"], [0, 250_000, 500_000]),
        ([f"{SECOND}000", f"{SECOND}001", f"{SECOND}002"], [0, 1000, 2000]),
        ([f"{SECOND}000000", f"{SECOND}000001", f"{SECOND}000002"], [0, 1, 2]),
        ([f"{SECOND}000000999", f"{SECOND}000001999", f"{SECOND}000001000"], [0, 1, 1]),
        (["2014-05-13", "2014-05-13T16:53:20.000007", "2014-05-13T18:53:20+02:00"], [-(16 * 3600 + 53 * 60 + 20) * 10**6, 0, 7]),
        # A float64 cannot tell these apart: their order is exact, their times are the nearest microsecond.
        ([f"{SECOND}.1234567891", f"{SECOND}.1234567892", f"{SECOND}.1234567893"], [123_457] * 3),
    ],
)
def test_dates_and_numbers_of_every_unit_are_microseconds_since_1970(times: list[str], wanted: list[int]) -> None:
    dataset = of(times)
    assert dataset.provenance["times"] == EPOCH
    assert dataset.times is not None and (dataset.times - SECOND * 10**6).tolist() == wanted


@pytest.mark.parametrize(
    ("times", "clock", "wanted"),
    [
        (["7", "5", "-6"], "as the file counts", [-6, 5, 7]),
        (["7.0", "5.0", "6.0"], "as the file counts", [5, 6, 7]),
        # One of them is before 1980: what they count cannot be told.
        (["0", f"{SECOND}", f"{SECOND + 1}"], "as the file counts", [0, SECOND, SECOND + 1]),
        (["0.5", "0.25", "0.75"], "ranks of the file's times", [0, 1, 2]),
        ([f"{10**20}", f"{10**20 + 1}", "3"], "ranks of the file's times", [0, 1, 2]),
    ],
)
def test_other_numbers_are_kept_as_counts_or_ranks_and_the_data_set_says_so(times: list[str], clock: str, wanted: list[int]) -> None:
    dataset = of(times)
    assert dataset.provenance["times"] == clock
    assert dataset.times is not None and dataset.times.tolist() == wanted


def test_times_follow_their_events_through_order_and_filters(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [("b", "x", 9), ("a", "x", 5), ("a", "y", 2), ("b", "y", 1), ("c", "x", 4), ("a", "x", 3), ("b", "x", 8), ("b", "z", 7)]
    path.write_text("user,item,time\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    dataset = prepare(path, dedupe="consecutive", k_core=1)
    assert dataset.times is not None and dataset.times.tolist() == [1, 7, 8]
    dataset = prepare(path)
    assert dataset.times is not None and dataset.times.tolist() == [2, 3, 5, 1, 7, 8, 9]


def test_of_two_columns_the_first_is_the_time() -> None:
    dataset = of(["2014-05-13,300", "2014-05-12,500", "2014-05-13,200"], "day,second")
    assert [dataset.item_ids[item] for item in dataset.flat] == ["b", "c", "a"]
    day = 86_400 * 10**6
    assert dataset.times is not None and (dataset.times // day - SECOND // 86_400).tolist() == [-1, 0, 0]


def test_dates_of_parquet_are_dates(tmp_path: Path) -> None:
    days = [date(2014, 5, 15), date(2014, 5, 13), date(2014, 5, 14)]
    pl.DataFrame({"user": [1] * 3, "item": [1, 2, 3], "date": days}).write_parquet(tmp_path / "d.parquet")
    pl.DataFrame({"user": [1], "item": [[1, 2, 3]], "date": [days]}).write_parquet(tmp_path / "lists.parquet")
    for name in ("d.parquet", "lists.parquet"):
        dataset = prepare(tmp_path / name)
        assert dataset.provenance["times"] == EPOCH
        assert dataset.times is not None
        assert dataset.times.astype("datetime64[us]").astype("datetime64[D]").astype(str).tolist() == [
            f"2014-05-{day}" for day in (13, 14, 15)
        ]


def test_where_only_the_order_is_known_there_are_no_times(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("1 1 2 3\n")
    for dataset in (
        prepare(tmp_path / "s.txt"),
        prepare({"user": [1] * 3, "item": [1, 2, 3]}, columns=Columns(timestamp=FILE_ORDER)),
    ):
        assert dataset.times is None and "times" not in dataset.provenance


def test_two_units_in_one_column_are_refused_though_they_have_many_digits() -> None:
    with pytest.raises(Exception, match="write all times in one unit"):
        of([f"{SECOND}.1234567891", f"{SECOND}000.1234567", f"{SECOND}"])


def test_what_is_kept_rises_with_what_orders() -> None:
    random = np.random.default_rng(0)
    seconds = SECOND + random.integers(0, 50, 40) / 7
    dataset = prepare({"user": ["u"] * 40, "item": list(range(40)), "time": [repr(float(each)) for each in seconds]})
    assert dataset.times is not None and (np.diff(dataset.times) >= 0).all()
    assert np.allclose(dataset.times / 1e6, np.sort(seconds), atol=1e-6)
