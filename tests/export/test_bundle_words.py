"""Names and categories of items travel in a bundle, and whatever else is in their place is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chordkit.data import Dataset
from chordkit.errors import BundleError
from chordkit.export import bundle
from chordkit.export.assembly import assemble
from chordkit.export.bundle import fitting_words
from chordkit.export.bundle.catalogue import problem_with_words, read_words
from chordkit.export.collection import Sources

ITEMS = 3
LONG, WIDE = "a" * 200, "\U0001f9e6" * 200

ACCEPTED = {
    "plain": ["", "Sock", "Shoe", "Hat"],
    "some": ["", "", "Shoe", ""],
    "none": ["", "", "", ""],
    "quoted": ["", 'a "b" \\ c', "\\\\", '"'],
    "far": ["", "é \u200d \u200f \ufeff", "جورب", "日本 \U0001f9e6\U0010ffff\ud7ff\ue000"],
    "long": ["", LONG, WIDE, '"' * 200],
}
"""Texts by index of three items; Java reads the same."""


def spelled(words: object) -> bytes:
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()


REFUSED = {
    "nothing": b"",
    "an object": b"{}",
    "no text": b'["","a","b",1]',
    "null": b'["","a","b",null]',
    "one less": spelled(["", "a", "b"]),
    "one more": spelled(["", "a", "b", "c", "d"]),
    "padding has one": spelled(["x", "a", "b", "c"]),
    "cut": spelled(["", "a", "b", "c"])[:-1],
    "cut in an escape": b'["","a","b","c\\',
    "more behind": spelled(["", "a", "b", "c"]) + b"\n",
    "spaces": b'["", "a", "b", "c"]',
    "escaped without need": b'["","a","b","\\u0063"]',
    "a slash escaped": b'["","a","b","\\/"]',
    "an unknown escape": b'["","a","b","\\x"]',
    "another quote": b"['','a','b','c']",
    "a control, escaped": spelled(["", "a", "b", "\x1b[31m"]),
    "a control": b'["","a","b","\x1b"]',
    "a new line": spelled(["", "a", "b\n", "c"]),
    "DEL": spelled(["", "a", "\x7f", "c"]),
    "a control of 8 bits": spelled(["", "\x9b", "b", "c"]),
    "a separator of lines": spelled(["", "a\u2028", "b", "c"]),
    "turned": spelled(["", "a\u202e", "b", "c"]),
    "isolated": spelled(["", "a\u2066", "b", "c"]),
    "too long": spelled(["", LONG + "a", "b", "c"]),
    "too wide": spelled(["", "a", WIDE + "a", "c"]),
    "too long by far": spelled(["", "a" * 5000, "b", "c"]),
    "no UTF-8": b'["","a","b","\xff"]',
    "a second spelling of UTF-8": b'["","a","b","\xc1\xa1"]',
    "half a pair": b'["","a","b","\xed\xa0\x80"]',
}


@pytest.mark.parametrize("words", ACCEPTED.values(), ids=ACCEPTED)
def test_words_are_read_as_they_were_written(words: list[str]) -> None:
    assert read_words(spelled(words), ITEMS) == words
    assert problem_with_words(words, ITEMS) is None and fitting_words(words) in (words, [" ".join(text.split()) for text in words])


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_of_words_is_refused_with_the_member_and_the_mend(data: bytes, toy, signed: Path) -> None:
    with pytest.raises(ValueError, match=r"^(is not a list of 4 texts|cannot be used: |is not written the way)"):
        read_words(data, ITEMS)
    with toy.read(toy.rehashed({**toy.members(signed), "names.json": data})) as opened:
        with pytest.raises(BundleError, match=r"^x\.chord: names\.json (is not|cannot be used).*; make the bundle anew$"):
            opened.item_names()
        assert opened.item_categories() == toy.contents().item_categories


def test_a_long_member_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    with pytest.raises(ValueError, match="is not a list of 4 texts"):
        read_words(spelled(["", "a" * 5000, "b", "c"]), ITEMS)


def test_a_bundle_gives_them_by_the_index_of_its_items(toy, signed: Path) -> None:
    contents = toy.contents()
    with bundle.open(signed, toy.PUBLIC) as opened:
        assert (opened.item_names(), opened.item_categories()) == (contents.item_names, contents.item_categories)
        assert len(opened.item_names()) == len(opened.item_ids())
    assert {"names", "categories"} < set(bundle.verify(signed, toy.PUBLIC).checks)
    words = bundle.inspect(signed).words
    assert words is not None and words.members == {"names.json", "categories.json"}


def test_where_there_are_none_nothing_is_said_of_them(toy, tmp_path: Path) -> None:
    for names, categories in (((), ()), ([""] * 10, ()), ((), ["", *["wool"] * 9])):
        path = tmp_path / "x.chord"
        bundle.write(path, toy.contents(item_names=names, item_categories=categories), toy.KEY)
        members = toy.members(path)
        with bundle.open(path, toy.PUBLIC) as opened:
            assert (opened.item_names(), opened.item_categories()) == ([], list(categories))
        assert ("names.json" in members, "categories.json" in members) == (False, bool(categories))
        assert (json.loads(members["manifest.json"]).get("words")) == ({"categories": "categories.json"} if categories else None)
        checks = bundle.verify(path, toy.PUBLIC).checks
        assert "names" not in checks and ("categories" in checks) is bool(categories)


def test_what_no_reader_takes_is_not_written(toy, tmp_path: Path) -> None:
    for wrong, why in [
        (["", "a"], "it has 2 entries, and there is one for each of 9 items after the padding's"),
        (["x"] * 10, "its first entry, which is padding's, is not empty"),
        (["", "a" * 201, *[""] * 8], "that of item 1 has 201 characters, where 200 are possible"),
        (["", "", "\x1b[2J", *[""] * 7], r"that of item 2 holds the character U\+001B, which is not shown"),
        (["", "", "\ud800", *[""] * 7], r"that of item 2 holds the character U\+D800"),
    ]:
        with pytest.raises(BundleError, match=f"names.json cannot be written: {why}.*fitting_words"):
            bundle.write(tmp_path / "x.chord", toy.contents(item_names=wrong), toy.KEY)
    assert not (tmp_path / "x.chord").exists()


def test_verifying_reads_them(toy, signed: Path, tmp_path: Path) -> None:
    path, members = tmp_path / "x.chord", toy.members(signed)
    for member in ("names.json", "categories.json"):
        path.write_bytes(toy.rehashed({**members, member: b"[]"}))
        with pytest.raises(BundleError, match=f"{member} is not a list of 10 texts"):
            bundle.verify(path, toy.PUBLIC)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({}, "neither names nor categories"),
        ({"names": "items.json"}, "words.names"),
        ({"names": "names.json", "more": 1}, "words.more"),
        ({"names": None, "categories": "categories.json"}, "'names.json' is listed but used by nothing"),
        ({"names": "names.json"}, "'categories.json' is listed but used by nothing"),
    ],
)
def test_the_manifest_announces_those_that_are_there(value: object, why: str, toy, signed: Path) -> None:
    assert why in toy.refused(toy.with_manifest(toy.members(signed), toy.setting("words", value)), toy.PUBLIC)


def test_a_member_that_is_announced_and_not_there_is_refused(toy, tmp_path: Path) -> None:
    bundle.write(tmp_path / "x.chord", toy.contents(item_names=()), toy.KEY)
    both = {"names": "names.json", "categories": "categories.json"}
    data = toy.with_manifest(toy.members(tmp_path / "x.chord"), toy.setting("words", both))
    assert "'names.json' is not listed" in toy.refused(data, toy.PUBLIC)


def test_they_came_with_version_4(toy, signed: Path) -> None:
    said = toy.refused(toy.with_manifest(toy.members(signed), toy.setting("format_version", 3)), toy.PUBLIC)
    assert "format_version: 3, and words for items and the temperature came with 4" in said


def test_words_of_a_data_set_are_made_to_fit() -> None:
    assert fitting_words(["", " a\tb\n\nc ", "\x1b[2J", "x\u202ey", "b" * 300, "\ud800é"]) == [
        "", "a b c", "[2J", "x y", "b" * 199 + "…", "é"
    ]  # fmt: skip


@pytest.mark.parametrize("names", [True, False])
def test_a_bundle_is_assembled_with_the_words_of_its_data_set_unless_its_owner_says_otherwise(
    names: bool, toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 1]]
    words: dict[str, Callable[[int], str]] = {"item_names": lambda item: f"Sock\n{item}", "item_categories": lambda item: "wool"}
    lists = {key: ["", *map(word, range(1, 10))] for key, word in words.items()}
    dataset = Dataset.from_sequences("shop", sequences, **lists)
    artifact = toy.contents().artifacts[1].model_copy(update={"strategy": "user-1", "reference": "user-1"})
    contents = toy.contents()
    sources = Sources(contents.master, None, contents.strategies, {})
    monkeypatch.setattr("chordkit.export.assembly.references", lambda *_: {"user-1": toy.scores})
    monkeypatch.setattr("chordkit.export.assembly.check_artifact", lambda *_: None)
    monkeypatch.setattr("chordkit.export.assembly.fitted_temperature", lambda *_: 0.75)
    made = assemble("x", sources, dataset, [artifact], histories=2, vectors=2, names=names)
    assert list(made.item_names) == (["", *(f"Sock {item}" for item in range(1, 10))] if names else [])
    assert list(made.item_categories) == (["", *["wool"] * 9] if names else [])
    assert made.temperature == 0.75


def test_a_master_that_has_grown_takes_the_strategies_of_before_and_words_for_what_is_new(toy, grown: Path) -> None:
    with bundle.open(grown, toy.PUBLIC) as opened:
        assert opened.manifest.backbone.fingerprint == toy.master().fingerprint.hex() != opened.master().digest.hex()
        assert opened.strategy("user-1") == toy.contents().strategies["user-1"]
        assert (opened.item_ids()[-1], opened.item_names()[-1]) == ("new", "New")
    assert bundle.verify(grown, toy.PUBLIC).passed


def test_a_master_that_did_not_grow_out_of_what_it_says_is_refused(toy, grown: Path, tmp_path: Path) -> None:
    members = toy.members(grown)
    master = toy.with_lineage(members["master.chrm"], b"stranger")
    path = tmp_path / "x.chord"
    path.write_bytes(toy.rehashed({**members, "master.chrm": master}, toy.setting("backbone.fingerprint", b"stranger".hex())))
    with bundle.open(path, toy.PUBLIC):  # takes the owner's word
        pass
    with pytest.raises(BundleError, match=r"master\.chrm: master: its first 9 items and its layers are not those of the master"):
        bundle.verify(path, toy.PUBLIC)
