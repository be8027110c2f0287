"""From a bundle and a history in the owner's ids to the best items of the catalogue, on every runtime."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import Reranker
from chordkit.backbones.master import from_master
from chordkit.errors import BundleError, InputError, MissingRuntimeError
from chordkit.export import bundle
from chordkit.inputs import pad_history
from chordkit.kernels import Engine
from tests.conftest import ITEMS, Project

HISTORY = ["s7", "s101", "s7", "s22"]


@pytest.fixture(scope="module")
def shop(project: Project) -> Any:
    with bundle.open(project / "shop.chord", project / "key.pub.pem") as opened:
        yield opened


def _reference(shop: bundle.Bundle, strategy: str | None) -> tuple[list[str], np.ndarray]:
    """Every item that is not in the history, by falling score of the PyTorch reference, and the scores of all."""
    ids, master = shop.item_ids(), shop.master()
    reranker = Reranker(from_master(master, None if strategy is None else shop.strategy(strategy).widths))
    history = pad_history([ids.index(item) for item in HISTORY], int(master.config["max_length"]))
    with torch.no_grad():
        scores = reranker(torch.from_numpy(history)[None], torch.arange(1, len(ids))[None])[0].numpy()
    order = np.argsort(-scores, kind="stable") + 1
    return [ids[place] for place in order if ids[place] not in HISTORY], scores


@pytest.mark.parametrize("kind", ["int8", "u5"])
@pytest.mark.parametrize("target", ["litert", "onnx"])
def test_the_best_items_are_those_of_the_reference(target: str, kind: str, shop: bundle.Bundle) -> None:
    strategy = None if kind == "int8" else kind
    expected, scores = _reference(shop, strategy)
    found = shop.recommend(HISTORY, 12, artifact=f"{target}-{kind}")
    assert [each.item for each in found.items] == expected[:12] and found.artifact == f"{target}-{kind}"
    places = [shop.item_ids().index(each.item) for each in found.items]
    np.testing.assert_allclose([each.score for each in found.items], scores[np.array(places) - 1], rtol=1e-4, atol=1e-4)


def test_the_native_artifact_gives_what_the_engine_finds(shop: bundle.Bundle) -> None:
    engine = Engine(bytes(shop.member(bundle.MASTER)))
    engine.adopt(shop.strategy_bytes("u5"))
    ids = shop.item_ids()
    items, scores = engine.top_k(np.array([ids.index(item) for item in HISTORY]), 9, exclude_history=True)
    found = shop.recommend(HISTORY, 9, artifact="native-u5")
    assert [each.item for each in found.items] == [ids[item] for item in items]
    np.testing.assert_array_equal(np.array([each.score for each in found.items], np.float32), scores)


def test_the_whole_catalogue_comes_back_without_the_history_or_with_it(shop: bundle.Bundle) -> None:
    expected = _reference(shop, None)[0]
    assert [each.item for each in shop.recommend(HISTORY, 10_000, artifact="onnx-int8").items] == expected
    every = shop.recommend(HISTORY, 10_000, artifact="onnx-int8", seen=True)
    assert sorted(each.item for each in every.items) == sorted(shop.item_ids()[1:]) and len(every.items) == ITEMS


def test_an_item_that_is_not_in_the_catalogue_is_left_out_and_named(shop: bundle.Bundle) -> None:
    found = shop.recommend(["gone", *HISTORY, "new"], 5)
    assert found.unknown == ("gone", "new") and found.items == shop.recommend(HISTORY, 5).items


def test_the_artifact_is_nobodys_unless_a_strategy_is_named(shop: bundle.Bundle) -> None:
    assert shop.artifact_entry(shop.recommend(HISTORY, 1).artifact).strategy is None
    assert shop.artifact_entry(shop.recommend(HISTORY, 1, strategy="u5").artifact).strategy == "u5"


def test_a_runtime_that_is_not_installed_is_passed_over(shop: bundle.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = bundle.Bundle.runner

    def without(*targets: str) -> None:
        def load(self: bundle.Bundle, entry: Any, threads: int = 1) -> Any:
            if entry.target in targets:
                raise MissingRuntimeError(f"{entry.target} is not installed")
            return runner(self, entry, threads)

        monkeypatch.setattr(bundle.Bundle, "runner", load)

    for targets, left in (((), "litert"), (("litert",), "onnx"), (("litert", "onnx"), "native")):
        without(*targets)
        assert shop.recommend(HISTORY, 1, strategy="u5").artifact == f"{left}-u5"
    without("litert", "onnx", "native")
    with pytest.raises(MissingRuntimeError):
        shop.recommend(HISTORY, 1, strategy="u5")


def test_whole_numbers_are_ids_by_their_digits(shop: bundle.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle.Bundle, "item_ids", lambda self: ["", *map(str, range(1, ITEMS + 1))])
    wanted = shop.recommend(["7", "101", "999"], 5)
    assert shop.recommend((item for item in (7, np.int64(101), 999)), 5) == wanted and wanted.unknown == ("999",)


def test_what_cannot_be_recommended_is_refused_in_a_sentence(shop: bundle.Bundle) -> None:
    for history, options, words in (
        ([], {}, "the history is empty"),
        (["x", "y"], {}, "none of the 2 items of the history is in the catalogue; its ids look like"),
        (HISTORY, {"k": 0}, "k = 0"),
        ("s7", {}, r"history: 's7' is no list of item ids, .* give a list such as"),
        ([*HISTORY, None], {}, "history: None is no list of item ids, nor one of them"),
        ([1.5], {}, r"history: 1\.5 is no list of item ids, nor one of them"),
        (HISTORY, {"strategy": "u77"}, "no artifact is of the strategy 'u77'; name one of: u5"),
        (HISTORY, {"strategy": "u6", "artifact": "onnx-u5"}, "is of strategy 'u5', not 'u6'"),
    ):
        with pytest.raises(InputError, match=words):
            shop.recommend(history, **options)
    with pytest.raises(BundleError, match="no artifact 'onnx-u77'"):
        shop.recommend(HISTORY, artifact="onnx-u77")


def test_the_command_takes_a_history_or_a_user_of_a_data_set(project: Project, command: Any, shop: bundle.Bundle) -> None:
    key = ("--public-key", project / "key.pub.pem")
    said = command("recommend", project / "shop.chord", "--history", " s7,s101 ,s7,s22, gone", "--k", 4, *key, "--json")
    assert [each["item"] for each in said.json["items"]] == [each.item for each in shop.recommend(HISTORY, 4).items]
    assert said.json["unknown"] == ["gone"] and "1 of 5 items of the history are not in the catalogue and were left out: gone" in said.err
    from chordkit.data import Dataset

    data = Dataset.load(project / "shop.safetensors")
    own = [data.item_ids[item] for item in data.sequences[data.user_ids.index("5")]]
    asked = ("recommend", project / "shop.chord", "--user", 5, "--data", project / "shop.safetensors", *key)
    assert [each["item"] for each in command(*asked, "--json").json["items"]] == [each.item for each in shop.recommend(own).items]
    personal = command(*asked, "--strategy", "u5", "--json").json
    assert personal["artifact"] == "litert-u5"
    shown = command(*asked).out
    assert all(each.item in shown for each in shop.recommend(own).items)
    for arguments in ((), ("--user", 5), ("--user", 5, "--history", "s1", "--data", project / "shop.safetensors")):
        assert "give either --history, or --user with --data" in command("recommend", project / "shop.chord", *arguments).err
    assert "no such user" in command(*asked[:3], 9999, *asked[4:]).err


def test_items_are_told_by_their_names_where_the_data_set_has_them(project: Project, command: Any, tmp_path: Path) -> None:
    from chordkit.data import Dataset

    data = Dataset.load(project / "shop.safetensors")
    names = ["", *(f"Sock\n{number}" for number in range(1, data.items + 1))]
    categories = ["", *("wool" if number % 2 else "" for number in range(1, data.items + 1))]
    dataclasses.replace(data, item_names=names, item_categories=categories).save(tmp_path / "named.safetensors")
    of_project = ("--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors", "--strategy", project / "u5.chrd")
    make = ("bundle", "make", *of_project, "--artifacts", project / "artifacts", "--histories", 16, "--vectors", 4)
    bundles = {}
    for flags in ((), ("--no-names",)):
        path = bundles[flags] = tmp_path / f"{len(flags)}.chord"
        assert command(*make, "--data", tmp_path / "named.safetensors", *flags, "--out", path, "--json").status == 0
    asked = ("--history", ",".join(HISTORY), "--k", 3)
    told = command("recommend", bundles[()], *asked, "--json").json["items"]
    plain = command("recommend", bundles[("--no-names",)], *asked, "--json").json["items"]
    assert [each["item"] for each in told] == [each["item"] for each in plain]
    assert all(each["name"] == each["category"] == "" for each in plain)
    for each in told:
        number = data.item_ids.index(each["item"])
        assert (each["name"], each["category"]) == (f"Sock {number}", categories[number])
    shown = command("recommend", bundles[()], *asked).out
    assert "name" in shown and all(each["name"] in shown for each in told)
    assert "name" not in command("recommend", bundles[("--no-names",)], *asked).out
    for path, said in zip(bundles.values(), ("categories.json, names.json", "none"), strict=True):
        lines = command("bundle", "inspect", path).out.splitlines()
        assert said in next(line for line in lines if "words for items" in line)
