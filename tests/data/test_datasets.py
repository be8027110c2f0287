"""The data set itself: its rules, its file, and what happens to a damaged one."""

from pathlib import Path

import numpy as np
import pytest

from chordkit.data import Dataset, readable, statistics, synthesize
from chordkit.errors import DataError


@pytest.fixture
def small() -> Dataset:
    return Dataset.from_sequences(
        "small",
        [[1, 2, 3], [3, 3, 2, 4]],
        item_ids=["", "a", "b\nc", "d", "ü\x00"],
        user_ids=["x", "y"],
        provenance={"k_core": 2},
        times=[[-7, 5, 5], [1, 2, 3, 2**60]],
        item_names=["", "Apfel", "", "Düne", "x"],
        item_categories=["", "fruit", "fruit, red", "", ""],
    )


def test_saving_and_loading_changes_nothing(small: Dataset, tmp_path: Path) -> None:
    small.save(tmp_path / "small.safetensors")
    again = Dataset.load(tmp_path / "small.safetensors")
    assert [list(sequence) for sequence in again.sequences] == [[1, 2, 3], [3, 3, 2, 4]]
    assert (again.item_ids, again.user_ids, again.name, again.provenance) == (small.item_ids, ["x", "y"], "small", {"k_core": 2})
    assert again.times is not None and again.times.tolist() == [-7, 5, 5, 1, 2, 3, 2**60]
    assert (again.item_names, again.item_categories) == (small.item_names, small.item_categories)
    assert again.fingerprint == small.fingerprint


def test_a_data_set_without_times_and_names_has_none_when_read_again(tmp_path: Path) -> None:
    Dataset.from_sequences("bare", [[1, 2, 3]]).save(tmp_path / "bare.safetensors")
    again = Dataset.load(tmp_path / "bare.safetensors")
    assert (again.times, len(again.item_names), len(again.item_categories)) == (None, 0, 0)


def test_golden_files_of_every_version_are_read_as_ever() -> None:
    golden = Path(__file__).parents[1] / "golden"
    first, second = (Dataset.load(golden / f"dataset_v{version}.safetensors") for version in (1, 2))
    for dataset in (first, second):
        assert [list(sequence) for sequence in dataset.sequences] == [[1, 2, 3], [3, 3, 2, 4]]
        assert (dataset.item_ids, dataset.user_ids) == (["", "a", "b\nc", "d", "ü\x00"], ["x", "y"])
        assert dataset.provenance == {"k_core": 2, "source": "golden.csv"}
        assert dataset.fingerprint == "0e133da260b070ee0918a3986d3b8c81336095b3d6d3ef56c92d2881563dfebb"
    assert (first.times, len(first.item_names), len(first.item_categories)) == (None, 0, 0)
    assert second.times is not None and second.times.tolist() == [-7, 5, 5, 1, 2, 3, 2**60]
    assert (second.item_names, second.item_categories) == (["", "Apfel", "", "Düne", "x"], ["", "fruit", "fruit, red", "", ""])


def test_version_1_has_no_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Dataset) -> None:
    monkeypatch.setattr("chordkit.data.dataset.VERSION", 1)
    small.save(tmp_path / "small.safetensors")
    with pytest.raises(DataError, match="damaged"):
        Dataset.load(tmp_path / "small.safetensors")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"times": [[3, 2, 1]]}, "must not fall"),
        ({"times": [[0, 2**63 - 1, -(2**63)]]}, "must not fall"),
        ({"times": [[1, 2]]}, "one for each interaction"),
        ({"item_names": ["", "a"]}, "item_names must be empty, or one for each of 4"),
        ({"item_categories": ["a", "b", "c", "d"]}, "item_categories .* padding"),
    ],
)
def test_impossible_times_and_names_are_refused(given: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Dataset.from_sequences("bad", [[1, 2, 3]], **given)


def test_times_may_fall_from_one_user_to_the_next() -> None:
    assert Dataset.from_sequences("two", [[1, 2, 3], [1, 2, 3]], times=[[7, 8, 9], [1, 2, 3]]).times is not None


def test_fingerprint_follows_the_content_not_the_name(small: Dataset) -> None:
    assert small.renamed("other").fingerprint == small.fingerprint
    assert Dataset.from_sequences("small", [[1, 2, 4], [3, 3, 2, 4]], small.item_ids).fingerprint != small.fingerprint
    # The same items, cut at another place between the users, are other data.
    first = Dataset.from_sequences("a", [[1, 2, 3], [3, 3, 2, 4]])
    assert first.fingerprint != Dataset.from_sequences("a", [[1, 2, 3, 3], [3, 2, 4]]).fingerprint


@pytest.mark.parametrize(
    ("sequences", "item_ids", "says"),
    [
        ([], None, "empty"),
        ([[1, 2, 3], [1, 2]], None, "at least 3"),
        ([[0, 1, 2]], None, "padding"),
        ([[1, 2, 2**31]], ["", "a"], "must lie in"),
        ([[1, 2, 5]], ["", "a", "b"], "1..2"),
        ([[1, 1, 1]], ["a", "b"], "item_ids"),
    ],
)
def test_impossible_content_is_refused(sequences: list[list[int]], item_ids: list[str] | None, says: str) -> None:
    with pytest.raises(DataError, match=says):
        Dataset.from_sequences("bad", sequences, item_ids)


def test_every_changed_byte_of_a_saved_file_is_refused_or_harmless(small: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    small.save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            again = Dataset.load(path)
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
        else:  # white space between the fields of the header
            assert again.fingerprint == small.fingerprint
            assert (again.name, again.user_ids, again.provenance) == (small.name, small.user_ids, small.provenance)
    assert refused > 0.95 * len(whole)


def test_a_cut_or_random_file_is_refused(small: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    small.save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for data in [whole[:length] for length in range(0, len(whole), 7)] + [random.bytes(length) for length in range(64)]:
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"small\.safetensors.*chordkit data prepare"):
            Dataset.load(path)


def test_a_missing_or_foreign_or_newer_file_is_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(DataError, match="no such data set"):
        Dataset.load(tmp_path / "none.safetensors")
    save_file({"weight": np.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="not a prepared data set"):
        Dataset.load(tmp_path / "model.safetensors")
    save_file({"flat": np.zeros(3)}, tmp_path / "new.safetensors", {"format": "chordkit.dataset", "version": "3"})
    with pytest.raises(DataError, match="newer"):
        Dataset.load(tmp_path / "new.safetensors")


def test_statistics_count_what_a_hand_counts(small: Dataset) -> None:
    found = statistics(small)
    expected = {
        "users": 2,
        "items": 4,
        "interactions": 7,
        "length_min": 3,
        "length_median": 3.5,
        "length_mean": 3.5,
        "length_max": 4,
        "item_count_min": 1,
        "repeated": 1,
        "times": "microseconds since 1970",
        "first": "1969-12-31T23:59:59.999993Z",
        "last": "38504-08-17T21:30:06.846976Z",
        "density": 6 / 8,
        "dropped_users": 0,
    }
    assert {key: found[key] for key in expected} == expected


def test_a_large_file_is_read_as_written(tmp_path: Path) -> None:
    dataset = synthesize(1, users=200, items=100)
    dataset.save(tmp_path / "d.safetensors")
    assert statistics(Dataset.load(tmp_path / "d.safetensors")) == statistics(dataset)


def test_people_read_how_dense_a_data_set_is() -> None:
    sparse = Dataset.from_sequences("sparse", [[1, 2, 3], [195, 2, 3]])
    assert readable(statistics(sparse))["density"] == "1 of 65 possible pairs of a user and an item"
    shown = readable(statistics(Dataset.from_sequences("dense", [[1, 2, 3], [3, 2, 1, 4]])))
    assert shown["density"] == "88 % of all pairs of a user and an item" and shown["length_mean"] == "3.5" and shown["users"] == 2
