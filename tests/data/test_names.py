"""Words for items: MovieLens' own, interests of the synthetic world, and none made up."""

from pathlib import Path

import pytest

from chordkit.data import ItemName, item_names, load_named, synthesize, world_behind
from chordkit.errors import DataError

RATINGS = "".join(f"{user}\t{item}\t5\t{item}\n" for user in (1, 2) for item in (1, 2, 3))


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    (tmp_path / "u.data").write_text(RATINGS)
    lines = ["1|Alpha (1995)|01-Jan-1995||http://a|1|0|1", "2|Bêta (1996)|||http://b|0|1|0", "3|Gamma||||0|0|0", ""]
    (tmp_path / "u.item").write_bytes("\n".join(lines).encode("iso-8859-1"))
    (tmp_path / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n\n")
    return tmp_path


def test_movielens_has_titles_and_genres_beside_its_ratings(movielens: Path) -> None:
    wanted = {"1": ItemName("Alpha (1995)", "unknown, Drama"), "2": ItemName("Bêta (1996)", "Action"), "3": ItemName("Gamma", "")}
    for source in (movielens, movielens / "u.data"):
        assert item_names(load_named(source), source) == wanted
    (movielens / "u.genre").unlink()
    assert item_names(load_named(movielens), movielens)["1"] == ItemName("Alpha (1995)", "")
    (movielens / "u.item").unlink()
    assert item_names(load_named(movielens), movielens) == {}


def test_a_list_of_items_that_is_something_else_is_refused_by_file_and_line(movielens: Path) -> None:
    (movielens / "u.item").write_text("1|Alpha|1995||http://a|0\n2;Beta\n")
    with pytest.raises(DataError, match=r"u\.item:2: 1 fields are too few for MovieLens' items .*; take it from the archive, or remove it"):
        item_names(load_named(movielens), movielens)
    (movielens / "u.item").write_bytes(b"x" * ((4 << 20) + 1))
    with pytest.raises(DataError, match=r"u\.item: the list of items file is larger than 4194304 bytes"):
        item_names(load_named(movielens), movielens)


def test_titles_of_another_data_set_in_the_same_folder_are_not_taken(movielens: Path) -> None:
    (movielens / "shop.csv").write_text("user,item,timestamp\n" + RATINGS.replace("\t5\t", ",").replace("\t", ","))
    assert item_names(load_named(movielens / "shop.csv"), movielens / "shop.csv") == {}


def test_synthetic_items_have_the_interest_they_were_drawn_from_and_no_title() -> None:
    dataset = synthesize(1, users=20, items=30, mean_length=12)
    world, names = world_behind(dataset), item_names(dataset, "synthetic")
    assert world is not None and set(names) == set(dataset.item_ids[1:])
    assert all(name.title == "" for name in names.values())
    assert [names[str(item + 1)].group for item in range(30)] == [f"interest {interest + 1}" for interest in world.interest]


def test_prepared_data_of_unknown_origin_has_no_words(movielens: Path, tmp_path: Path) -> None:
    dataset = load_named(movielens)
    dataset.save(tmp_path / "data.safetensors")
    assert item_names(load_named(tmp_path / "data.safetensors"), tmp_path / "data.safetensors") == {}
