"""Data whose items are numbered as in an earlier data set: nothing moves, what is new comes after it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.data import Dataset, load_named, prepare
from chordkit.data.assembly import k_core
from chordkit.errors import DataError

BEFORE = {"user": ["a"] * 4 + ["b"] * 3, "item": ["10", "9", "30", "9", "30", "7", "10"], "time": list(range(7))}
AFTER = {
    "user": ["c"] * 4 + ["d"] * 4,
    "item": ["30", "8", "9", "40", "8", "40", "5", "30"],
    "time": list(range(8)),
}


def before(**options: Any) -> Dataset:
    return prepare(BEFORE, name="shop", **options)


def test_items_keep_their_numbers_and_new_ones_come_after_them() -> None:
    shop = before()
    assert shop.item_ids == ["", "7", "9", "10", "30"]
    later = prepare(AFTER, catalogue=shop)
    # 7 and 10 are not there any more; 5, 8 and 40 are new, in the order of their ids.
    assert later.item_ids == ["", "7", "9", "10", "30", "5", "8", "40"]
    assert [[later.item_ids[item] for item in row] for row in later.sequences] == [["30", "8", "9", "40"], ["8", "40", "5", "30"]]
    assert later.provenance["catalogue"] == {"name": "shop", "fingerprint": shop.fingerprint, "items": 4, "present": 2, "new": 3}
    assert later.user_ids == ["c", "d"]


def test_a_core_of_items_is_asked_of_new_ones_alone() -> None:
    later = prepare(AFTER, catalogue=before(), k_core=2)
    # 9 occurs once and is known; 5 occurs once and is not.
    assert later.item_ids == ["", "7", "9", "10", "30", "8", "40"]
    assert [[later.item_ids[item] for item in row] for row in later.sequences] == [["30", "8", "9", "40"], ["8", "40", "30"]]
    assert later.provenance["dropped"][-1]["kept"] == "users of at least 3 interactions, new items of at least 2"
    assert later.provenance["dropped_items"] == 1


def test_the_same_data_beside_itself_is_the_same_data() -> None:
    shop = before()
    assert prepare(BEFORE, catalogue=shop).fingerprint == shop.fingerprint
    assert prepare(BEFORE, catalogue=prepare(AFTER, catalogue=shop)).items == 7  # and what was once added stays


def test_names_are_taken_over_and_filled_up(tmp_path: Path) -> None:
    before(item_names={"7": "Seven", "9": "Nine"}).save(tmp_path / "shop.safetensors")
    later = load_named(AFTER, catalogue=tmp_path / "shop.safetensors")
    assert later.item_names == ["", "Seven", "Nine", "", "", "", "", ""] and later.item_categories == []
    later = prepare(AFTER, catalogue=tmp_path / "shop.safetensors", item_names={"8": "Eight", "9": "New nine"})
    assert later.item_names == ["", "Seven", "New nine", "", "", "", "Eight", ""]


def test_a_catalogue_of_other_items_is_refused(tmp_path: Path) -> None:
    other = Dataset.from_sequences("other", [[1, 2, 3]], ["", "x", "y", "z"])
    with pytest.raises(
        DataError, match=r"none of its items \('5', '8', '9'\) is in the catalogue of 'other' \('x', 'y', 'z'\); give the data"
    ):
        prepare(AFTER, catalogue=other)
    with pytest.raises(DataError, match="no such data set file"):
        prepare(AFTER, catalogue=tmp_path / "none.safetensors")
    other.save(tmp_path / "ready.safetensors")
    with pytest.raises(DataError, match="only apply to raw files"):
        load_named(tmp_path / "ready.safetensors", catalogue=other)


def test_items_may_have_a_minimum_each() -> None:
    users, items = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 2, 3, 3])
    assert k_core(users, items, 2, np.array([0, 2, 2, 0])).tolist() == [True, False, True, True, True, True]
    assert k_core(users, items, 2, np.array([2, 2, 2, 0])).tolist() == [False] * 3 + [False, True, True]
