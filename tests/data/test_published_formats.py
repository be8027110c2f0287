"""What people bring: each row of the table in docs/data.md, on a small file in the form in which it is published."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from chordkit.data import FILE_ORDER, Columns, Dataset, load_named, prepare
from chordkit.errors import DataError

WANTED = {"1": ["10", "30", "20"], "2": ["20", "30", "10"]}
"""In the order of time; every file below has its rows in another order, but for those that say that theirs is that of time."""
EVENTS = [
    (2, 10, 1400000300, 5),
    (1, 30, 1400000020, 4),
    (1, 10, 1400000010, 3),
    (2, 20, 1400000100, 1),
    (2, 30, 1400000200, 2),
    (1, 20, 1400000030, 5),
]
SECONDS = {time: f"2014-05-13T{16 + (time - 1400000000) // 3600}:{time % 3600 // 60:02d}:{time % 60:02d}" for _, _, time, _ in EVENTS}


def as_read(dataset: Dataset) -> dict[str, list[str]]:
    return {user: [dataset.item_ids[item] for item in row] for user, row in zip(dataset.user_ids, dataset.sequences, strict=True)}


def lines(form: str, header: str = "") -> str:
    """A line an event; ``form`` names user, item, time (seconds), date and rating."""
    rows = [form.format(user=user, item=item, time=time, date=SECONDS[time], rating=rating) for user, item, time, rating in EVENTS]
    return header + "\n".join(rows) + "\n"


TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "MovieLens-100K": ("u.data", lines("{user}\t{item}\t{rating}\t{time}"), {}),
    "MovieLens-1M, 10M": ("ratings.dat", lines("{user}::{item}::{rating}::{time}"), {}),
    "MovieLens-20M, 25M, 32M": ("ratings.csv", lines("{user},{item},{rating}.0,{time}", "userId,movieId,rating,timestamp\n"), {}),
    "Amazon 2014, ratings only": ("ratings_Beauty.csv", lines("{user},{item},{rating}.0,{time}"), {}),
    "Amazon 2018, ratings only": (
        "Beauty.csv", lines("{item},{user},{rating}.0,{time}"), {"columns": Columns("column_2", "column_1", "column_4", "column_3")},
    ),
    "Amazon 2023, ratings only": (
        "All_Beauty.csv", lines("{user},{item},{rating}.0,{time}000", "user_id,parent_asin,rating,timestamp\n"), {},
    ),
    "Amazon 2014, reviews": (
        "reviews_Beauty_5.json",
        lines(
            '{{"reviewerID": "{user}", "asin": "{item}", "helpful": [0, 0], "reviewText": "so, \\"so\\"", "overall": {rating}.0, '
            '"unixReviewTime": {time}}}'
        ), {},
    ),
    "Amazon 2023, reviews": (
        "All_Beauty.jsonl",
        lines(
            '{{"rating": {rating}.0, "images": [{{"a": 1}}], "asin": "x", "parent_asin": "{item}", "user_id": "{user}", '
            '"timestamp": {time}123}}'
        ),
        {"columns": Columns(item="parent_asin")},
    ),
    "Steam": (
        "steam_reviews.json",
        lines("{{u'username': u'{user}', u'product_id': u'{item}', u'text': u'it\\'s \"so\"', u'date': u'{date}', u'x': False}}"), {},
    ),
    "SASRec, BERT4Rec: pairs": ("ml-1m.txt", "1 10\n1 30\n1 20\n2 20\n2 30\n2 10\n", {}),
    "pairs with tabs": ("pairs.tsv", "1\t10\n1\t30\n1\t20\n2\t20\n2\t30\n2\t10\n", {}),
    "S3-Rec, HGN: sequences": ("Beauty.txt", "1 10 30 20\n2 20 30 10\n", {}),
    "RecBole": (
        "ml.inter", lines("{user}\t{item}\t{rating}\t{time}", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"), {},
    ),
    "RecBole without times": ("x.inter", "user_id:token\titem_id:token\n1\t10\n2\t20\n1\t30\n1\t20\n2\t30\n2\t10\n", {}),
    "RecBole with lists": ("s.inter", "session_id:token\titem_id_list:token_seq\n1\t10 30 20\n2\t20 30 10\n", {}),
    "Gowalla, Brightkite": (
        "loc-gowalla_totalCheckins.txt", lines("{user}\t{date}Z\t30.2359\t-97.7951\t{item}"),
        {"columns": Columns("column_1", "column_5", "column_2")},
    ),
    "Yoochoose": (
        "yoochoose-clicks.dat", lines("{user},{date}.277Z,{item},0"), {"columns": Columns("column_1", "column_3", "column_2")},
    ),
    "Retailrocket": (
        "events.csv",
        lines("{time}000,{user},view,{item},") + "1400000999000,1,transaction,999,7\n",
        {"where": ["event=view"]},
    ),
    "Last.fm 1K": (
        "userid-timestamp-artid-artname-traid-traname.tsv",
        lines('{user}\t{date}Z\t{item}\t"Weird Al\tt\tname'), {"columns": Columns("column_1", "column_3", "column_2")},
    ),
    "H&M": ("transactions_train.csv", lines("{date},{user},{item},0.05,2", "t_dat,customer_id,article_id,price,sales_channel_id\n"), {}),
    "Tmall, Taobao": (
        "UserBehavior.csv", lines("{user},{item},7,pv,{time}") + "1,999,7,buy,1400000999\n",
        {"columns": Columns("column_1", "column_2", "column_5"), "where": ["column_4=pv"]},
    ),
}  # fmt: skip
TABLES["Retailrocket"] = (
    "events.csv", "timestamp,visitorid,event,itemid,transactionid\n" + TABLES["Retailrocket"][1], TABLES["Retailrocket"][2],
)  # fmt: skip


@pytest.mark.parametrize("published", TABLES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_published_form_is_read(published: str, packed: bool, tmp_path: Path) -> None:
    name, text, options = TABLES[published]
    path = tmp_path / (f"{name}.gz" if packed and name != "u.data" else name)
    path.write_bytes(gzip.compress(text.encode()) if packed and name != "u.data" else text.encode())
    assert as_read(prepare(path, **options)) == WANTED


def test_diginetica_orders_by_its_day_and_then_by_the_time_in_it(tmp_path: Path) -> None:
    path = tmp_path / "train-item-views.csv"
    rows = [
        "1;NA;30;200;2016-05-09",
        "1;NA;10;100;2016-05-09",
        "1;NA;20;3;2016-05-10",
        "2;7;30;9;2016-01-02",
        "2;7;20;1000;2016-01-01",
        "2;7;10;10;2016-01-02",
    ]
    path.write_text("sessionId;userId;itemId;timeframe;eventdate\n" + "\n".join(rows) + "\n")
    assert as_read(prepare(path, columns=Columns(user="sessionId", timestamp="eventdate,timeframe"))) == WANTED


def test_mind_gives_a_users_first_history_and_then_the_clicks(tmp_path: Path) -> None:
    rows = [
        ("3", "U2", "11/11/2019 1:10:00 PM", "N1 N2", "N7-1 N8-0 N9-1"),
        ("1", "U2", "11/11/2019 9:05:58 AM", "N1", "N3-0 N2-1"),
        ("2", "U5", "11/12/2019 12:00:01 AM", "", "N4-1 N1-1 N2-1"),
    ]
    path = tmp_path / "behaviors.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    assert as_read(prepare(path)) == {"U2": ["N1", "N2", "N7", "N9"], "U5": ["N4", "N1", "N2"]}
    path.write_text("\t".join((*rows[0][:2], "2019-11-11", *rows[0][3:])) + "\n")
    with pytest.raises(DataError, match=r"behaviors\.tsv:1: time '2019-11-11' is not written as MIND's are"):
        prepare(path, "mind")


def test_nested_fields_of_json_are_named_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [{"who": {"id": user}, "product": {"id": f"{item}", "n": 1}, "at": SECONDS[time]} for user, item, time, _ in EVENTS]
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    columns = Columns("who.id", "product.id", "at")
    assert as_read(prepare(path, columns=columns)) == WANTED
    with pytest.raises(DataError, match=r"no column for the user; present are 'who\.id', 'product\.id', 'product\.n', 'at'"):
        prepare(path, columns=Columns(item="product.id", timestamp="at"))
    path.write_text(path.read_text() + '{"who": {"id": 1}, "product": {"id": null}, "at": 3}\n')
    with pytest.raises(DataError, match=r"log\.jsonl:13: item \(column 'product.id'\) is empty"):
        prepare(path, columns=columns)
    path.write_text(path.read_text() + "[1, 2]\n")
    with pytest.raises(DataError, match=r"log\.jsonl:14: not a JSON object but list"):
        prepare(path, columns=columns)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl.gz"])
def test_parts_in_a_folder_or_of_a_pattern_are_one_data_set(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for part in range(3):
        frame = pl.DataFrame(EVENTS[2 * part : 2 * part + 2], schema=["user", "item", "timestamp", "rating"], orient="row")
        path = folder / f"part-{part:05d}.{suffix}"
        if suffix == "parquet":
            frame.write_parquet(path)
        else:
            text = frame.write_csv() if suffix == "csv" else frame.write_ndjson()
            path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    (folder / "_SUCCESS").write_text("")
    for source in (folder, tmp_path / "sh*" / "*"):
        if source is not folder:
            (folder / "_SUCCESS").unlink()
        dataset = prepare(source)
        assert as_read(dataset) == WANTED and dataset.name == ("shop" if source is folder else "sh*")
    frame = pl.DataFrame({"user": [1], "thing": [2], "timestamp": [3]})
    (frame.write_parquet if suffix == "parquet" else frame.write_csv)(
        folder / f"part-00003.{suffix.removesuffix('.gz').replace('jsonl', 'csv')}"
    )
    with pytest.raises(DataError, match=r"other columns|several data files"):
        prepare(folder)


def test_a_row_may_hold_a_whole_user(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    frame = pl.DataFrame({"user": [1, 2], "items": [[10, 30, 20], [10, 20, 30]], "times": [[1, 2, 3], [30, 10, 20]]})
    frame.write_parquet(path)
    assert as_read(prepare(path, columns=Columns(item="items", timestamp="times"))) == WANTED
    in_order = frame.with_columns(items=pl.Series([[10, 30, 20], [20, 30, 10]]))
    in_order.write_parquet(path)
    assert as_read(prepare(path, columns=Columns(item="items", timestamp=FILE_ORDER))) == WANTED
    frame.with_columns(times=pl.Series([[1, 2, 3], [30, 10]])).write_parquet(path)
    with pytest.raises(DataError, match=r"users\.parquet: row 2: 'times' has another number of parts than 'items'"):
        prepare(path, columns=Columns(item="items", timestamp="times"))


def test_tables_in_memory_are_read_as_files_are() -> None:
    names = ["user", "item", "timestamp", "rating"]
    columns = {name: [event[place] for event in EVENTS] for place, name in enumerate(names)}
    frame = pl.DataFrame(columns)
    for table in (columns, frame, frame.lazy(), HuggingFaceLike(columns)):
        dataset = prepare(table, min_rating=1, name="shop")
        assert as_read(dataset) == WANTED and dataset.name == "shop"
    with pytest.raises(DataError, match=r"row 2: item .* is empty"):
        prepare({**columns, "item": [1, None, 3, 4, 5, 6]})
    with pytest.raises(DataError, match="columns of different lengths"):
        prepare({**columns, "item": [1, 2]})
    with pytest.raises(DataError, match="the table: no column for the user"):
        prepare({"who": [1]})
    assert as_read(load_named(frame, min_rating=1)) == WANTED


@pytest.mark.parametrize("missing", [[1.0, float("nan"), 2.0], ["a", float("nan"), "b"], np.array([1.0, np.nan, 2.0])])
def test_not_a_number_is_no_user(missing: Any) -> None:
    rows = {"item": list(range(9)), "time": list(range(9))}
    with pytest.raises(DataError, match=r"row 2: user \(column 'user'\) is empty"):
        prepare({"user": [*missing] * 3, **rows})
    with pytest.raises(DataError, match=r"row 2: user \(column 'user'\) is empty"):
        prepare(pl.DataFrame({"user": pl.Series([1.0, float("nan"), 2.0] * 3), **rows}))


def test_a_pandas_frame_is_read_with_its_missing_values() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(EVENTS, columns=["user", "item", "timestamp", "rating"])
    frame["timestamp"] = pandas.to_datetime(frame["timestamp"], unit="s")
    assert as_read(prepare(frame)) == WANTED
    frame["item"] = frame["item"].astype("float64")
    assert as_read(prepare(frame)) == WANTED
    with pytest.raises(DataError, match="the table: two columns are called 'item'; rename one"):
        prepare(pandas.concat([frame, frame[["item"]]], axis=1))
    frame.loc[1, "item"] = None
    with pytest.raises(DataError, match=r"row 2: item .* is empty"):
        prepare(frame)


class HuggingFaceLike:
    """As ``datasets.Dataset`` gives its columns."""

    def __init__(self, columns: dict[str, list[int]]) -> None:
        self.column_names = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> list[int]:
        return self._columns[name]


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (["1400000001", "1400000002000", "1400000003"], r":3: timestamp '1400000002000' is in milliseconds and '1400000001' in seconds"),
        (["1400000001000000", "1400000002", "1"], "is in microseconds and '1400000002' in seconds"),
        (["2014-05-13", "13.05.2014", "2014-05-14"], r":3: timestamp '13\.05\.2014' is not a date as the first row has one"),
        (["13/05/2014", "1", "2"], r":2: timestamp '13/05/2014' is not a number; give seconds since 1970, or a date"),
        (["2014-05-13", "", "2014-05-14"], r":3: timestamp .* is empty"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_ordered_together_are_refused(times: list[str], says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{item},{time}\n" for item, time in enumerate(times)))
    with pytest.raises(DataError, match=says):
        prepare(path)


@pytest.mark.parametrize(
    "times",
    [
        ["2014-05-13", "2014-05-13T00:00:01Z", "2014-05-13 00:00:01.5", "2014-05-13T02:00:02+02:00"],
        ["2014-05-13T10:00:00.001Z", "2014-05-13T10:00:00.002Z", "2014-05-13T10:00:01Z", "2014-05-13T10:00:02Z"],
    ],
)
def test_dates_are_ordered_however_iso_8601_writes_them(times: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    order = [0, 3, 1, 2]
    path.write_text("user,item,time\n" + "".join(f"1,{place},{times[place]}\n" for place in order))
    assert as_read(prepare(path)) == {"1": ["0", "1", "2", "3"]}


def test_dates_in_another_form_are_read_with_their_format(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("user,item,time\n1,b,02/04/2014 10:00\n1,a,03/03/2014 10:00\n1,c,01/05/2014 09:00\n")
    assert as_read(prepare(path, columns=Columns(time_format="%d/%m/%Y %H:%M"))) == {"1": ["a", "b", "c"]}
    assert as_read(prepare(path, columns=Columns(time_format="%m/%d/%Y %H:%M"))) == {"1": ["c", "b", "a"]}
    with pytest.raises(DataError, match=r"x\.csv:2: timestamp '02/04/2014 10:00' is not a date"):
        prepare(path, columns=Columns(time_format="%Y/%d/%m"))
