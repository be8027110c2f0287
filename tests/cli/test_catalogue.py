"""``chordkit catalogue grow``: from new interactions to a bundle that recommends new items, with the strategies of before."""

from pathlib import Path
from typing import Any

import pytest

from chordkit.data import Dataset
from chordkit.export.bundle import open as open_bundle
from chordkit.quantization import MasterWeights
from chordkit.training import load_backbone

COLUMNS = ("--user", "uid", "--item", "sku", "--time", "ts")


@pytest.fixture(scope="module")
def later(project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's clicks and later ones: after every item s7 somebody now takes the new item "fresh", after s8 "crisp"."""
    folder = tmp_path_factory.mktemp("later")
    lines = (project / "clicks.csv").read_text().splitlines()
    grown = [lines[0]]
    for line in lines[1:]:
        user, sku, time = line.split(",")
        grown.append(f"{user},{sku},{int(time) * 2}")
        if sku in ("s7", "s8"):
            grown.append(f"{user},{'fresh' if sku == 's7' else 'crisp'},{int(time) * 2 + 1}")
    (folder / "clicks.csv").write_text("\n".join([*grown, ""]))
    return folder


def test_new_items_are_recommended_and_old_strategies_stay_valid(project: Any, later: Path, command: Any) -> None:
    data, master = later / "grown.safetensors", later / "grown.chrm"
    prepared = command(
        "data", "prepare", later / "clicks.csv", *COLUMNS, "--catalogue", project / "shop.safetensors", "--out", data, "--json"
    )
    assert prepared.json["catalogue"]["new"] == 2
    told = command(
        "catalogue", "grow", "--data", data, "--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors", "--out", master,
        "--json",
    ).json  # fmt: skip
    before, after, dataset = MasterWeights.load(project / "m.chrm"), MasterWeights.load(master), Dataset.load(data)
    assert (told["new_items"], told["items"], told["began_with"]) == (2, before.items + 2, {"neighbours": 2})
    assert after.fingerprint == before.fingerprint and after.digest.hex() == told["digest"] != before.digest.hex()
    assert load_backbone(told["fp32"])[1]["dataset_fingerprint"] == dataset.fingerprint
    # The strategy, and the hypernetwork, are those of before.
    made = command(
        "strategy", "make", "--hypernetwork", project / "h.safetensors", "--master", master, "--data", data, "--user", "5",
        "--out", later / "u5.chrd",
    )  # fmt: skip
    assert made.status == 0
    exported = command(
        "export", "--master", master, "--backbone", told["fp32"], "--strategy", project / "u5.chrd", "--target", "native,onnx",
        "--candidates", 20, "--out", later / "artifacts",
    )  # fmt: skip
    assert exported.status == 0, exported.err
    bundled = command(
        "bundle", "make", "--master", master, "--backbone", told["fp32"], "--strategy", project / "u5.chrd", "--artifacts",
        later / "artifacts", "--data", data, "--key", project / "key.pem", "--histories", 60, "--vectors", 16,
        "--out", later / "shop.chord",
    )  # fmt: skip
    assert bundled.status == 0, bundled.err
    verified = command("bundle", "verify", later / "shop.chord", "--public-key", project / "key.pub.pem", "--run")
    assert verified.status == 0, verified.err
    with open_bundle(later / "shop.chord") as opened:
        assert opened.master().fingerprint == before.fingerprint
        ranking = [each.item for each in opened.recommend(["s7"], k=after.items, artifact="onnx-fp32").items]
        other = [each.item for each in opened.recommend(["s8"], k=after.items, artifact="onnx-fp32").items]
    assert ranking.index("fresh") < ranking.index("crisp") and other.index("crisp") < other.index("fresh")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("shop.safetensors", "it keeps no numbers of an earlier data set, and the model knows 130 items; prepare it with --catalogue"),
        ("foreign", "its catalogue is that of 'other', which the model was not trained on"),
        ("fewer", "it keeps the numbers of 3 items of an earlier data set, and the model knows 130"),
    ],
)
def test_a_data_set_that_does_not_keep_the_numbers_of_the_model_is_refused(
    data: str, sentence: str, project: Any, tmp_path: Path, command: Any
) -> None:
    source = Dataset.load(project / "shop.safetensors")
    if data != "shop.safetensors":
        told = {"name": "other", "fingerprint": "0" * 64, "items": source.items if data == "foreign" else 3}
        grown = Dataset.from_sequences("grown", source.sequences, item_ids=[*source.item_ids, "new"], provenance={"catalogue": told})
        grown.save(tmp_path / f"{data}.safetensors")
    path = project / data if data == "shop.safetensors" else tmp_path / f"{data}.safetensors"
    outcome = command(
        "catalogue", "grow", "--data", path, "--master", project / "m.chrm", "--backbone", project / "m.fp32.safetensors",
        "--out", tmp_path / "grown.chrm",
    )  # fmt: skip
    assert outcome.status == 2 and sentence in outcome.err and not (tmp_path / "grown.chrm").exists()
