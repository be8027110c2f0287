"""Readers: every format, the rules of order and numbering, the filters, and a sentence for every kind of bad file."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.data import Columns, Dataset, load_named, prepare, statistics, synthesize
from chordkit.data.assembly import k_core
from chordkit.data.readers import delimited
from chordkit.errors import DataError

HEADER = "user_id,item_id,rating,timestamp\n"
# Two users, four items; user "b" has two events at time 5, of which "y" comes first in the file.
ROWS = "b,y,5,5\na,x,1,1\nb,x,4,5\na,z,2,3\na,y,5,2\nb,w,1,1\n"
EXPECTED = {"a": ["x", "y", "z"], "b": ["w", "y", "x"]}


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_read(dataset: Dataset) -> dict[str, list[str]]:
    return {user: [dataset.item_ids[item] for item in row] for user, row in zip(dataset.user_ids, dataset.sequences, strict=True)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.csv", HEADER + ROWS),
        ("amazon.csv", re.sub(r"(\d)\n", r"140000000\1\n", ROWS)),
        ("tabs.tsv", (HEADER + ROWS).replace(",", "\t")),
        ("windows.csv", "\ufeff" + (HEADER + ROWS).replace(",", ";").replace("\n", "\r\n")),
        ("blank_lines.csv", "\n" + HEADER + "\n" + ROWS.replace("\n", "\n\n")),
        ("recbole.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + ROWS.replace(",", "\t")),
        ("names.csv", "userId,movieId,Rating,unixReviewTime\n" + ROWS),
        ("quoted.csv", HEADER + ROWS.replace("a,", '"a",')),
    ],
)
def test_the_format_is_found_by_looking_inside(tmp_path: Path, name: str, text: str) -> None:
    assert as_read(prepare(write(tmp_path, name, text))) == EXPECTED


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("sessions.csv", "s1,2014-04-07T10:51:09.277Z,2145365{n},0", "--user column_1 --item column_3 --time column_2"),
        ("unix-sessions.csv", "s1,139686666{n},2145365{n},0", "--user column_1 --item column_3 --time column_2"),
        ("time-first.csv", "u1,i{n},140000000{n},5", "--user column_1 --item column_2 --time column_3"),
        ("milliseconds.csv", "u1,i{n},140000000{n}000,5", "--user column_1 --item column_2 --time column_3"),
        ("counts.csv", "u1,i{n},117,140000000{n}", "--user column_1 --item column_2 --time column_4 --rating column_3"),
        ("no-times.csv", "u1,i{n},5,{n}", "--user column_1 --item column_2 --time column_4 --rating column_3"),
        ("shares.csv", "u1,i{n},0.731,140000000{n}", "name them"),
        ("tabs.txt", "1\t{n}\t140000000{n}\t5", "--user column_1 --item column_2 --time column_3"),
    ],
)
def test_four_columns_that_may_be_something_else_are_asked_about(tmp_path: Path, name: str, row: str, words: str) -> None:
    path = write(tmp_path, name, "".join(row.format(n=n) + "\n" for n in range(1, 6)))
    with pytest.raises(DataError, match="which of its columns is what cannot be told") as raised:
        prepare(path)
    assert words in str(raised.value)
    if "column_3 --time column_2" not in words:  # what is named is believed
        assert prepare(path, columns=Columns("column_1", "column_2", "column_4")).users == 1


def test_a_file_whose_first_part_ends_within_a_line_is_read(tmp_path: Path) -> None:
    rows = "".join(f"u{number % 50},i{number % 40},{number % 5 + 1},{1_400_000_000 + number}\n" for number in range(5_000))
    assert prepare(write(tmp_path, "long.csv", rows)).interactions == 5_000


def test_a_data_set_says_which_columns_it_took(tmp_path: Path) -> None:
    taken = prepare(write(tmp_path, "plain.csv", HEADER + ROWS)).provenance["columns"]
    assert taken == {"user": "user_id", "item": "item_id", "timestamp": "timestamp"}
    again = write(tmp_path, "one.csv", re.sub(r"(\d)\n", r"140000000\1\n", ROWS))
    assert prepare(again).provenance["columns"] == {"user": "column_1", "item": "column_2", "timestamp": "column_4"}


@pytest.mark.parametrize("header", ["", HEADER, "reviewerID,asin,overall,unixReviewTime\n"])
def test_amazon_ratings_are_read_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, "ratings.csv", header + ROWS)
    assert as_read(prepare(path, "amazon")) == EXPECTED
    assert prepare(path, "amazon").name == tmp_path.name


def test_movielens_folder_file_and_double_colons(tmp_path: Path) -> None:
    rows = [(7, 30, 5, 9), (7, 4, 5, 9), (7, 100, 1, 2)]
    write(tmp_path, "u.data", "".join("\t".join(map(str, row)) + "\n" for row in rows))
    write(tmp_path, "u.item", "4|no interactions||||0")
    assert as_read(prepare(tmp_path)) == as_read(prepare(tmp_path / "u.data")) == {"7": ["100", "30", "4"]}
    # Numbered in numeric order: 4, 30, 100.
    assert prepare(tmp_path).item_ids == ["", "4", "30", "100"]
    other = write(tmp_path, "ml1m.dat", "".join("::".join(map(str, row)) + "\n" for row in rows))
    assert as_read(prepare(other)) == {"7": ["100", "30", "4"]}


def test_sequence_ids_that_are_dense_keep_their_values(tmp_path: Path) -> None:
    dataset = prepare(write(tmp_path, "s.txt", "2 3 1 3\n1 1 2 4 2\n"))
    assert [list(row) for row in dataset.sequences] == [[1, 2, 4, 2], [3, 1, 3]]
    assert dataset.item_ids == ["", "1", "2", "3", "4"]


def test_sequence_ids_with_gaps_are_renumbered_in_order(tmp_path: Path) -> None:
    dataset = prepare(write(tmp_path, "s.txt", "9 1000 0 5\n4 5 5 5\n3 8\n"))
    assert as_read(dataset) == {"4": ["5", "5", "5"], "9": ["1000", "0", "5"]}
    assert dataset.items == 3


@pytest.mark.parametrize("unit", ["integer", "datetime", "float"])
def test_parquet_is_read_with_named_columns(tmp_path: Path, unit: str) -> None:
    rows = [row.split(",") for row in ROWS.split()]
    time = pl.Series([int(row[3]) for row in rows])
    time = {"integer": time, "datetime": time.cast(pl.Datetime("ms")), "float": time.cast(pl.Float64) / 10}[unit]
    pl.DataFrame({"who": [row[0] for row in rows], "what": [row[1] for row in rows], "when": time}).write_parquet(tmp_path / "t.parquet")
    assert as_read(prepare(tmp_path, columns=Columns("who", "what", "when"))) == EXPECTED


def test_columns_can_be_named_by_position(tmp_path: Path) -> None:
    swapped = "".join("{1},{0},{2},{3}\n".format(*row.split(",")) for row in ROWS.split())
    dataset = prepare(write(tmp_path, "s.csv", swapped), "csv", columns=Columns("column_2", "column_1", "column_4"))
    assert as_read(dataset) == EXPECTED


def test_nanosecond_times_are_compared_exactly(tmp_path: Path) -> None:
    start = 1_700_000_000_000_000_000  # float64 is 256 apart here
    rows = "".join(f"u,{name},{start + offset}\n" for name, offset in [("c", 3), ("a", 1), ("b", 2)])
    assert as_read(prepare(write(tmp_path, "ns.csv", "user,item,time\n" + rows))) == {"u": ["a", "b", "c"]}


def test_equal_times_keep_the_order_of_the_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    events = [(int(random.integers(20)), item, int(random.integers(4))) for item in range(2_000)]
    text = "".join(f"{user},{item},{time}\n" for user, item, time in events)
    dataset = prepare(write(tmp_path, "ties.csv", "user,item,time\n" + text))
    for user, found in as_read(dataset).items():
        assert found == [str(item) for owner, item, _ in sorted(events, key=lambda event: event[2]) if owner == int(user)]


def test_min_rating_drops_events_and_counts_the_users_it_empties(tmp_path: Path) -> None:
    path = write(tmp_path, "r.csv", HEADER + ROWS + "b,v,4.5,9\n")
    dataset = prepare(path, min_rating=4)
    assert as_read(dataset) == {"b": ["y", "x", "v"]}
    found = statistics(dataset)
    assert (found["dropped_users"], found["dropped_users_too_short"]) == (1, 1)
    assert dataset.provenance["interactions_read"] == 7
    others = statistics(prepare(path, where=["user_id=b"]))
    assert (others["dropped_users"], others["dropped_users_too_short"]) == (1, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=80), st.integers(1, 5))
def test_k_core_is_the_largest_part_that_satisfies_both_sides(pairs: list[tuple[int, int]], k: int) -> None:
    users, items = np.array(pairs).T
    mask = k_core(users, items, k, np.full(7, k))
    kept = set(range(len(pairs)))
    while True:  # one event at a time, in any order: the k-core is unique
        bad = next((e for e in kept for side in (0, 1) if sum(pairs[o][side] == pairs[e][side] for o in kept) < k), None)
        if bad is None:
            break
        kept.remove(bad)
    assert set(np.flatnonzero(mask)) == kept


def test_k_core_zero_is_off_and_keeps_rare_items(tmp_path: Path) -> None:
    path = write(tmp_path, "s.txt", "1 1 2 3\n2 2 3 1\n3 1 2 3 4\n")
    assert prepare(path).items == 4
    assert as_read(prepare(path, k_core=3)) == {"1": ["1", "2", "3"], "2": ["2", "3", "1"], "3": ["1", "2", "3"]}


BAD_FILES = [
    ("a.csv", HEADER + ROWS + "b,y,5,abc\n", r"a\.csv:8: timestamp 'abc' is not a number"),
    ("b.csv", HEADER + ROWS + "\n\nb,y,5,inf\n", r"b\.csv:10: timestamp 'inf' is not a number"),
    ("c.csv", HEADER + ROWS + "b,,5,3\n", r"c\.csv:8: item .* is empty"),
    ("d.csv", HEADER + ROWS + "b,y,5\n", r"d\.csv:8: timestamp .* is empty"),
    ("e.csv", HEADER + ROWS + "b,y,5,3,4\n", r"e\.csv:8: 5 fields where the first line has 4"),
    ("f.csv", HEADER + '"b\nc",x,1,1\n' + ROWS + "b,y,5,-\n", r"f\.csv:10: timestamp '-'"),
    ("g.csv", (HEADER + ROWS).encode() + b"\xe9,y,5,3\n", r"g\.csv:8: byte 0xe9 is not UTF-8"),
    ("h.csv", HEADER + ROWS + 'b,"y,5,3\n', r"h\.csv:8: a quotation mark is never closed"),
    ("i.csv", "client,thing,hour\n1,2,3\n", r"no column for the user .* present are 'client', 'thing', 'hour'"),
    ("j.csv", HEADER, "holds no interactions"),
    ("k.csv", "", "the file is empty"),
    ("l.txt", " \n\n", "the file is empty"),
    ("m.txt", "1 2 3 4\n2 3 four 5\n", r"m\.txt:2: 'four' is not a whole number"),
    ("n.txt", "1 2 3 4\n\n1 3 4 5\n", r"n\.txt:3: user 1 already has line 1"),
    ("o.txt", "1 2 3 4\n2 1 99999999999999999999 3\n", r"o\.txt:2: id 9+ is too large"),
    ("o2.txt", f"1 2 3 {'9' * 9999}\n", r"o2\.txt:1: id 9+ is too large"),
    ("p.txt", "1 2 3\n2 4\n", r"none of 2 users has 3 interactions left; give longer"),
    ("q.txt", "once upon a time\n", r"cannot tell the format from the first line 'once upon a time'"),
    ("r.csv", "B00ABCDEFG,A12345678901234,5.0,123\n", "column_2"),
    ("s.gz", b"\x1f\x8b\x08\x00", "damaged, or cut off"),
    ("s.zip", b"PK\x03\x04 and more", "a zip file; unpack it first"),
    ("t.parquet", b"PAR1 and then nothing", "not a whole Parquet file"),
    ("u.parquet", b"PAR1abcdefghPAR1", "damaged Parquet"),
    ("v.safetensors", b"", "already prepared"),
    ("u.data", "1\t2\t3\tnoon\n", r"u\.data:1: timestamp 'noon' is not a number"),
    (
        "array.json",
        '[{"user": 1, "item": 2, "time": 3}]',
        r"array\.json: this is one JSON array; write an object a line, as 'jq -c \.\[\]'",
    ),
    ("pretty.json", '[\n {"user": 1, "item": 2, "time": 3}\n]', r"pretty\.json: this is one JSON array; write an object a line"),
    ("w16.dat", "1\t2\t3\t4\n".encode("utf-16"), r"this is UTF-16; convert the file with 'iconv -f UTF-16 -t UTF-8'"),
    ("zeros.csv", bytes(100), "cannot tell the format from the first line"),
    ("w16.csv", "user,item,timestamp\n1,2,3\n".encode("utf-16"), r"this is UTF-16; convert the file with 'iconv -f UTF-16 -t UTF-8'"),
    ("w16be.csv", "user,item,timestamp\n1,2,3\n".encode("utf-16-be"), r"this is UTF-16; convert the file with 'iconv -f UTF-16"),
    ("twice.csv", "user,item,time,time\n1,2,3,4\n", r"twice\.csv:1: two columns are called 'time'; rename one of them"),
    ("latin.csv", "user,item,timestamp\n1,caf\xe9,3\n".encode("latin-1"), r"latin\.csv:2: byte 0xe9 is not UTF-8; .* 'iconv -f LATIN1 -t"),
    ("w.csv", "user,item,timestamp\n1,2,3\n1,1_0,3\n1,3,1_000\n", r"w\.csv:4: timestamp '1_000'"),
]


@pytest.mark.parametrize(("name", "text", "says"), BAD_FILES, ids=[row[0] for row in BAD_FILES])
def test_a_bad_file_gives_one_sentence_with_file_and_line(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(DataError, match=says) as caught:
        prepare(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", HEADER + ROWS)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"format": "xml"}, "unknown data format 'xml'; use auto or one of: movielens"),
        ({"k_core": -1}, "k_core"),
        ({"k_core": 9}, "k_core=9; lower"),
        ({"min_rating": 6.0, "k_core": 2}, "after rating is at least 6, k_core=2; lower"),
        ({"columns": Columns(user="who")}, "no column 'who'; present are 'user_id'"),
        ({"columns": Columns(user="item_id")}, "one column cannot be two things"),
    ]
    for options, says in cases:
        with pytest.raises(DataError, match=says):
            prepare(path, **options)
    sequences = write(tmp_path, "s.txt", "1 1 2 3\n")
    with pytest.raises(DataError, match="no ratings"):
        prepare(sequences, min_rating=3)
    with pytest.raises(DataError, match=r"several data files: s\.txt, x\.csv; name one file"):
        prepare(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        prepare(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no data file"):
        prepare(tmp_path / "empty")
    (tmp_path / "empty" / "date=2026-01-01").mkdir()
    with pytest.raises(DataError, match=r"or a pattern of those in its folders, '.*/empty/\*\*/\*\.parquet'"):
        prepare(tmp_path / "empty")


def test_parquet_rows_and_types_are_checked(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [1, 1, 1], "item": [5, None, 7], "timestamp": [1, 2, 3]})
    frame.write_parquet(tmp_path / "null.parquet")
    with pytest.raises(DataError, match=r"null\.parquet: row 2: item .* is empty"):
        prepare(tmp_path / "null.parquet")
    frame.with_columns(user=pl.Series([[1], [2], [3]])).write_parquet(tmp_path / "list.parquet")
    with pytest.raises(DataError, match="column 'user' holds lists; only items may"):
        prepare(tmp_path / "list.parquet")
    frame.with_columns(item=pl.Series([{"a": 1}] * 3)).write_parquet(tmp_path / "struct.parquet")
    with pytest.raises(DataError, match="unusable type"):
        prepare(tmp_path / "struct.parquet")
    frame.with_columns(item=pl.Series([1, 2, 3]), timestamp=pl.Series(["1", "x", "2"])).write_parquet(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="row 2: timestamp 'x' is not a number"):
        prepare(tmp_path / "text.parquet")


def test_damaged_files_never_end_in_anything_but_a_sentence(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pl.DataFrame({"user": [1] * 40, "item": list(range(40)), "timestamp": list(range(40))}).write_parquet(tmp_path / "z.parquet")
    wholes = [
        ("f.csv", (HEADER + ROWS).encode()),
        ("f.txt", b"1 2 3 4\n2 3 4 5 6\n3 1 2 3\n"),
        ("u.data", b"1\t2\t3\t4\n1\t3\t3\t5\n1\t4\t3\t5\n"),
        ("f.parquet", (tmp_path / "z.parquet").read_bytes()),
    ]
    for name, whole in wholes:
        for _ in range(150):
            data = bytearray(whole)
            for position in random.integers(len(data), size=random.integers(1, 4)):
                data[position] = random.integers(256)
            path = write(tmp_path, name, bytes(data[: random.integers(len(data)) if random.random() < 0.3 else None]))
            try:
                prepare(path)
            except DataError as error:
                assert str(path) in str(error)


def test_named_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_named("synthetic", seed=3).fingerprint == synthesize(3).fingerprint
    (tmp_path / "yelp").mkdir()
    write(tmp_path / "yelp", "Yelp.txt", "1 1 2 3\n")
    monkeypatch.setenv("CHORDKIT_DATA", str(tmp_path))
    dataset = load_named("yelp")
    assert (dataset.name, dataset.users) == ("yelp", 1)
    dataset.save(tmp_path / "y.safetensors")
    assert load_named(tmp_path / "y.safetensors").fingerprint == dataset.fingerprint
    assert load_named(tmp_path / "yelp").name == "Yelp"
    with pytest.raises(DataError, match=r"Beauty\.txt"):
        load_named("beauty")
    with pytest.raises(DataError, match="known names are synthetic, ml-100k, yelp, cds, beauty"):
        load_named("netflix")
    for asked in ({"k_core": 5}, {"min_rating": 0.0}, {"where": ["a=b"]}, {"columns": Columns()}, {"format": "csv"}):
        with pytest.raises(DataError, match="only apply to raw files"):
            load_named("synthetic", **asked)
    assert load_named("synthetic", k_core=0, where=[], min_rating=None).users == synthesize(0).users
    monkeypatch.delenv("CHORDKIT_DATA")
    with pytest.raises(DataError, match="set CHORDKIT_DATA"):
        load_named("yelp")


def test_progress_is_reported(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    prepare(write(tmp_path, "x.csv", HEADER + ROWS), progress=lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "odd", ["9,7,5,100", "007,7,5,100", "9, 7,5,1e2", "9,,5,100", "9,7,5", "9,7,5,100,1", "9,7,5,soon", "9,seven,4.5,1.25"]
)
def test_a_file_read_in_pieces_is_the_file_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, end: str, odd: str
) -> None:
    lines = [f"{user},{item},{item % 5},{user * 10 + item}" for user in (1, 2, 3) for item in range(1, 9)]
    text = header + "".join(line + "\n" for line in [*lines, odd, *lines[::-1]])
    path = write(tmp_path, "log.csv", text.replace("\n", end))

    def read() -> Any:
        columns = None if header else Columns("column_1", "column_2", "column_4", "column_3")
        try:
            found = prepare(path, columns=columns, min_rating=1)
        except DataError as error:
            return str(error)
        return found.fingerprint, found.user_ids, None if found.times is None else found.times.tolist(), found.provenance

    whole = read()
    monkeypatch.setattr(delimited, "_PIECE", 100)
    assert read() == whole
