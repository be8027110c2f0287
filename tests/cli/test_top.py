"""Artifacts that choose the best, and that take several histories, from the shell: export, bundle, verify, validate, recommend, bench."""

import json
from pathlib import Path

import pytest

TOP = 20
NAMES = ["onnx-int8-catalogue-top20-batch2"]


@pytest.fixture(scope="module")
def shop(project, command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artifact over the whole catalogue for two histories beside plain ones, and a bundle of all."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("top")
    made_from = ("--master", project / "m.chrm", "--precision", "int8", "--out", folder / "artifacts", "--json")
    plain = command("export", *made_from, "--target", "onnx,native", "--candidates", 20).json["artifacts"]
    made = command("export", *made_from, "--target", "onnx", "--top", TOP, "--catalogue", "--batch", 2).json["artifacts"]
    assert [entry["name"] for entry in made] == [entry["name"] for entry in plain] + NAMES
    assert {name: made[-1][name] for name in ("top", "batch", "catalogue")} == {"top": TOP, "batch": 2, "catalogue": True}
    assert json.loads((folder / "artifacts" / "export.json").read_text())["version"] == 3
    make = ("bundle", "make", "--master", project / "m.chrm", "--artifacts", folder / "artifacts", "--data", project / "shop.safetensors")
    assert command(*make, "--histories", 60, "--vectors", 11, "--out", folder / "shop.chord", "--json").status == 0
    return folder / "shop.chord"


def test_a_bundle_with_them_verifies_on_their_runtime_and_validates_with_data(project, command, shop: Path) -> None:
    report = command("bundle", "verify", shop, "--run", "--json").json
    assert report["passed"] and [each["artifact"] for each in report["vectors"]][-1:] == NAMES
    validated = command("validate", shop, "--data", project / "shop.safetensors", "--histories", 60, "--artifact", NAMES[0], "--json")
    assert validated.status == 0, validated.err


def test_recommend_takes_the_artifact_that_chooses_where_it_gives_enough_and_says_the_same_as_one_that_does_not(
    project, command, shop: Path
) -> None:
    def items(*options: object) -> tuple[str, list[str]]:
        found = command("recommend", shop, "--data", project / "shop.safetensors", "--user", "5", *options, "--json").json
        return found["artifact"], [each["item"] for each in found["items"]]

    chosen, scored = items("--k", 3), items("--k", 3, "--artifact", "onnx-int8")
    assert chosen[0] == NAMES[0] and scored == ("onnx-int8", chosen[1])
    assert items("--k", TOP + 1)[0] == "onnx-int8"
    refused = command("recommend", shop, "--data", project / "shop.safetensors", "--user", "5", "--k", TOP + 1, "--artifact", NAMES[0])
    assert refused.status == 2 and f"gives the {TOP} best of all items" in refused.err


def test_bench_says_what_a_history_of_several_a_call_takes(command, shop: Path) -> None:
    quick = ("--rounds", 5, "--block-ms", 1, "--launches", 1, "--processes", 0)
    results = command("bench", shop, *quick, "--artifact", NAMES[0], "--json").json["results"]
    assert results[-1]["histories_per_call"] == 2 and "histories_per_call" not in results[0]


def test_what_a_target_cannot_is_refused_before_anything_is_made(project, command, tmp_path: Path) -> None:
    asked = ("export", "--master", project / "m.chrm", "--precision", "int8", "--out", tmp_path / "none")
    for options, sentence in (
        (("--target", "onnx,native", "--top", 5), "native: top 5 is not supported: "),
        (("--target", "onnx,native", "--batch", 5), "native: a batch of 5 is not supported: it takes one history a call"),
        (("--target", "onnx", "--catalogue"), "say how many (top)"),
    ):
        refused = command(*asked, *options)
        assert refused.status == 2 and sentence in refused.err
    assert not (tmp_path / "none" / "export.json").exists()
