"""Words for items: from a table that the owner has, from MovieLens' own lists, interests of the synthetic world, and none made up."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from chordkit.data import Columns, Dataset, ItemColumns, load_named, prepare, statistics, synthesize, world_behind
from chordkit.errors import DataError

RATINGS = "".join(f"{user}\t{item}\t5\t{item}\n" for user in (1, 2) for item in (1, 2, 3))
CLICKS = {"user": ["a"] * 3 + ["b"] * 3, "sku": ["x", "y", "z"] * 2, "time": [1, 2, 3] * 2}
TABLE = {"sku": ["z", "x", "q"], "title": ["Zebra", "  Xylo   phone ", "Quince"], "genres": ["Animal|Toy", "", "Fruit"]}


def words(dataset: Dataset) -> dict[str, tuple[str, str]]:
    names, categories = (each or [""] * len(dataset.item_ids) for each in (dataset.item_names, dataset.item_categories))
    return dict(zip(dataset.item_ids[1:], zip(names[1:], categories[1:], strict=True), strict=True))


WANTED = {"x": ("Xylo phone", ""), "y": ("", ""), "z": ("Zebra", "Animal, Toy")}


def clicks(**options: Any) -> Dataset:
    return prepare(CLICKS, columns=Columns(item="sku"), **options)


@pytest.mark.parametrize("kind", ["csv", "tsv", "gz", "jsonl", "parquet", "frame", "dictionary", "recbole", "by position"])
def test_a_table_of_items_is_read_in_every_form(kind: str, tmp_path: Path) -> None:
    frame, source, columns = pl.DataFrame(TABLE), tmp_path / f"items.{kind}", None
    if kind in ("csv", "tsv"):
        frame.write_csv(source, separator="," if kind == "csv" else "\t")
    elif kind == "gz":
        source.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif kind == "jsonl":
        rows = [{**row, "genres": row["genres"].split("|"), "more": {"a": 1}} for row in frame.to_dicts()]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "parquet":
        frame.write_parquet(source)
    elif kind == "recbole":
        source.write_text("item_id:token\tmovie_title:token_seq\tclass:token_seq\nx\tXylo phone\t\nz\tZebra\tAnimal Toy\n")
    elif kind == "by position":
        source.write_text("z;Animal|Toy;Zebra\nx;;Xylo phone\n")
        columns = ItemColumns.parse("column_1,column_3,column_2")
    given: Any = {"frame": frame, "dictionary": TABLE}.get(kind, source)
    dataset = clicks(item_names=given, item_columns=columns)
    assert words(dataset) == WANTED
    told = statistics(dataset)
    assert (told["item_names"], told["item_categories"]) == (2, 1)


def test_names_by_id_are_enough() -> None:
    dataset = clicks(item_names={"x": "Xy\nlo", "y": "Ypsilon", "w": "not here"})
    assert dataset.item_names == ["", "Xy lo", "Ypsilon", ""] and dataset.item_categories == []
    assert dataset.provenance["item_names"] == {"source": "the names", "columns": {}, "unknown": 1, "repeated": 0}


def test_what_does_not_fit_is_counted_and_the_first_of_two_rows_counts() -> None:
    table = {"sku": ["x", "q", "x", "y"], "title": ["first", "of nobody", "second", "Y"]}
    dataset = clicks(item_names=table)
    assert words(dataset)["x"] == ("first", "")
    told = dataset.provenance["item_names"]
    assert (told["unknown"], told["repeated"], told["columns"]) == (1, 1, {"id": "sku", "name": "title", "category": "none"})


def test_the_column_called_as_that_of_the_interactions_holds_the_ids() -> None:
    table = {"id": ["1", "2", "3"], "sku": ["x", "y", "z"], "title": list("XYZ")}
    assert words(clicks(item_names=table))["y"] == ("Y", "")
    with pytest.raises(DataError, match="the table of items: which column holds the id of an item cannot be told; present are 'id', 'sku'"):
        prepare({"user": ["a"] * 3, "item": list("xyz"), "time": [1, 2, 3]}, item_names=table)


@pytest.mark.parametrize(
    ("table", "columns", "says"),
    [
        ({"sku": ["x"], "title": ["X"], "name": ["Y"]}, None, "which column holds the name of an item cannot be told.*--item-columns"),
        ({"sku": ["x"], "words": ["X"]}, None, "which column holds the name of an item cannot be told; present are 'sku', 'words'"),
        ({"sku": ["x"], "title": ["X"], "genre": ["a"], "category": ["b"]}, None, "which column holds the category"),
        ({"sku": ["x"], "title": ["X"]}, "sku,titel", "no column 'titel'; present are 'sku', 'title'"),
        ({"sku": ["X", "Y"], "title": ["a", "b"]}, None, r"none of its 2 ids \('X', 'Y'\) is an item of the data set \('x', 'y', 'z'\)"),
        ({"sku": ["x", None], "title": ["a", "b"]}, None, r"row 2: the id \(column 'sku'\) is empty"),
        ({"sku": ["x"], "title": ["a" * 1001]}, None, "item 'x' has a name or category of 1,001 characters"),
    ],
)
def test_what_cannot_be_told_is_asked(table: dict[str, list[Any]], columns: str | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        clicks(item_names=table, item_columns=None if columns is None else ItemColumns.parse(columns))


def test_columns_are_named_as_id_name_and_categories() -> None:
    table = {"sku": ["x"], "title": ["X"], "brand": ["B"], "kind": ["K|B"]}
    assert words(clicks(item_names=table, item_columns=ItemColumns.parse("sku, title, brand, kind")))["x"] == ("X", "B, K")
    assert words(clicks(item_names=table, item_columns=ItemColumns.parse("sku,,kind")))["x"] == ("", "K, B")
    assert words(clicks(item_names={**table, "genre": ["G"]}, item_columns=ItemColumns.parse("sku,title")))["x"] == ("X", "")
    for text in ("sku", "", ",title", "sku,", "sku,title,,brand"):
        with pytest.raises(DataError, match="are not the columns of id, name and categories, such as sku,title,brand"):
            ItemColumns.parse(text)
    with pytest.raises(DataError, match="item_columns: there is no table of items"):
        clicks(item_columns=ItemColumns("sku"))


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("\n")
    for name, says in (("none.csv", "no such file of item names"), ("empty.csv", "the file is empty; give a table of items")):
        with pytest.raises(DataError, match=rf"{name}: {says}"):
            clicks(item_names=tmp_path / name)


def test_prepared_data_takes_names_later_and_keeps_those_it_has(tmp_path: Path) -> None:
    clicks(item_names=TABLE).save(tmp_path / "d.safetensors")
    dataset = load_named(tmp_path / "d.safetensors", item_names={"x": "Xenon", "y": "Ypsilon"})
    assert words(dataset) == {"x": ("Xenon", ""), "y": ("Ypsilon", ""), "z": ("Zebra", "Animal, Toy")}
    assert dataset.fingerprint == clicks().fingerprint


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    (tmp_path / "u.data").write_text(RATINGS)
    lines = ["1|Alpha (1995)|01-Jan-1995||http://a|1|0|1", "2|Bêta (1996)|||http://b|0|1|0", "3|Gamma\x85||||0|0|0", ""]
    (tmp_path / "u.item").write_bytes("\n".join(lines).encode("iso-8859-1"))
    (tmp_path / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n\n")
    return tmp_path


def test_movielens_has_titles_and_genres_beside_its_ratings(movielens: Path) -> None:
    wanted = {"1": ("Alpha (1995)", "unknown, Drama"), "2": ("Bêta (1996)", "Action"), "3": ("Gamma", "")}
    for source in (movielens, movielens / "u.data"):
        assert words(load_named(source)) == wanted
    (movielens / "u.item").rename(movielens / "titles.txt")
    assert load_named(movielens).item_names == ()
    (movielens / "titles.txt").rename(movielens / "u.item")
    (movielens / "u.genre").unlink()
    assert words(load_named(movielens))["1"] == ("Alpha (1995)", "")


def test_a_list_of_movielens_may_be_called_otherwise(movielens: Path, tmp_path: Path) -> None:
    flags = "|".join(["0", "1", *["0"] * 17])
    (tmp_path / "titles.txt").write_bytes(f"1|Bêta|01-Jan-1995||http://a|{flags}\n".encode("iso-8859-1"))
    assert words(load_named(movielens, item_names=tmp_path / "titles.txt"))["1"] == ("Bêta", "Action")


def test_larger_movielens_archives_have_their_titles_too(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text(RATINGS.replace("\t", "::"))
    (tmp_path / "movies.dat").write_bytes('1::Alpha, "the" (1995)::Drama|War\n2::Bêta::\n'.encode("iso-8859-1"))
    assert words(load_named(tmp_path)) == {"1": ('Alpha, "the" (1995)', "Drama, War"), "2": ("Bêta", ""), "3": ("", "")}
    (tmp_path / "ratings.dat").unlink()
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + RATINGS.replace("\t", ","))
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n1,"Alpha, the (1995)",Drama|War\n')
    assert words(load_named(tmp_path / "ratings.csv"))["1"] == ("Alpha, the (1995)", "Drama, War")
    (tmp_path / "ratings.csv").write_text("user,item,rating,timestamp\n" + RATINGS.replace("\t", ","))
    assert load_named(tmp_path / "ratings.csv").item_names == ()  # somebody else's file of that name
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + RATINGS.replace("\t", ","))
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n17,Of others,War\n")
    assert load_named(tmp_path / "ratings.csv").item_names == ()


def test_a_list_of_items_that_is_something_else_is_refused_by_file_and_line(movielens: Path) -> None:
    (movielens / "u.item").write_text("1|Alpha|1995||http://a|0\n2;Beta\n")
    with pytest.raises(DataError, match=r"u\.item:2: 1 fields are too few for MovieLens' items .*; take it from the archive, or remove it"):
        load_named(movielens)


def test_titles_of_another_data_set_in_the_same_folder_are_not_taken(movielens: Path) -> None:
    (movielens / "shop.csv").write_text("user,item,timestamp\n" + RATINGS.replace("\t5\t", ",").replace("\t", ","))
    assert load_named(movielens / "shop.csv").item_names == ()


def test_synthetic_items_have_the_interest_they_were_drawn_from_and_no_title() -> None:
    dataset = synthesize(1, users=20, items=30, mean_length=12)
    world = world_behind(dataset)
    assert world is not None and dataset.item_names == ()
    assert dataset.item_categories == ["", *(f"interest {interest + 1}" for interest in world.interest)]
