"""``data prepare`` with what belongs to the items: their names from a table, and the catalogue that is numbered by."""

from pathlib import Path
from typing import Any

from chordkit.data import Dataset


def test_names_of_items_are_taken_along_and_what_does_not_fit_is_told(clicks: Any, command: Any, tmp_path: Path) -> None:
    clicks(tmp_path / "clicks.csv", users=20, items=30)
    table = tmp_path / "items.csv"
    table.write_text("sku,title,brand,kind\n" + "".join(f"s{item},Sock {item},Knit,wool\n" for item in (1, 2, 1, 999)))
    line = ("data", "prepare", tmp_path / "clicks.csv", "--user", "uid", "--item", "sku", "--time", "ts", "--item-names", table)
    shown = command(*line, "--out", tmp_path / "d.safetensors")
    assert shown.status == 0, shown.err
    assert (
        "from items.csv; id = sku, name = title, category = none; 1 of its ids are no items here; 1 of its rows repeat an id"
        in " ".join(shown.out.replace("│", " ").split())
    )
    assert sum(map(bool, Dataset.load(tmp_path / "d.safetensors").item_names)) == 2
    told = command(*line, "--item-columns", "sku,title,brand,kind", "--out", tmp_path / "d.safetensors", "--json").json
    assert told["item_names"] == told["item_categories"] == 2 and told["names"]["unknown"] == 1
    assert Dataset.load(tmp_path / "d.safetensors").item_categories[1] == "Knit, wool"
    refused = command(*line, "--item-columns", "sku", "--out", tmp_path / "e.safetensors")
    assert refused.status == 2 and "item_columns: 'sku' are not the columns of id, name and categories" in refused.err
    assert not (tmp_path / "e.safetensors").exists()


def test_a_catalogue_keeps_the_numbers_of_its_items(command: Any, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("user,item,time\n" + "".join(f"1,{item},{item}\n" for item in (3, 5, 9)))
    (tmp_path / "new.csv").write_text("user,item,time\n" + "".join(f"1,{item},{item}\n" for item in (4, 5, 9)))
    assert command("data", "prepare", tmp_path / "old.csv", "--out", tmp_path / "old.safetensors").status == 0
    line = ("data", "prepare", tmp_path / "new.csv", "--catalogue", tmp_path / "old.safetensors")
    shown = command(*line, "--out", tmp_path / "new.safetensors")
    assert "old: its 3 items in their places, 2 of them here; 1 new ones behind" in " ".join(shown.out.replace("│", " ").split())
    assert Dataset.load(tmp_path / "new.safetensors").item_ids == ["", "3", "5", "9", "4"]
    refused = command(*line, "--out", tmp_path / "old.safetensors")
    assert refused.status == 2 and "also the file of --catalogue, which would be lost" in refused.err
