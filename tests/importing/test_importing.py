"""Checkpoints that RecBole and pmixer/SASRec.pytorch wrote score as they do there; what cannot be read so is refused by name.

The files beside this one are the frameworks' own (regenerate.py).
"""

import argparse
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from chordkit.backbones import from_master, make_master
from chordkit.data import Dataset
from chordkit.errors import CheckFailed, CheckpointError, InputError
from chordkit.importing import Imported, import_backbone, read_item_ids
from chordkit.training import load_backbone, save_backbone

HERE = Path(__file__).parent
ITEMS = 12
GOLDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "recbole-sasrec": ("recbole-sasrec", {"heads": 2}),
    "recbole-gru4rec": ("recbole-gru4rec", {"max_length": 5}),
    "pmixer-masked": ("pmixer-sasrec", {"heads": 2, "max_length": 5, "norm": "query"}),
    "pmixer-query": ("pmixer-sasrec", {"heads": 2, "max_length": 5, "norm": "query"}),
    "pmixer-before": ("pmixer-sasrec", {"heads": 2, "max_length": 5, "norm": "before"}),
    "pmixer-after": ("pmixer-sasrec", {"heads": 2, "max_length": 5, "norm": "after"}),
}
EACH = pytest.mark.parametrize("name", GOLDEN)


def shop(ids: list[str]) -> Dataset:
    return Dataset.from_sequences("shop", [np.arange(1, len(ids) + 1)], ["", *ids])


NUMBERED = shop([str(item) for item in range(1, ITEMS + 1)])


def read(name: str, checkpoint: Path | None = None, data: Dataset = NUMBERED, **changes: Any) -> Imported:
    framework, settings = GOLDEN[name]
    arguments = {"item_ids": "same", "verify": HERE / f"{name}.scores.safetensors", **settings, **changes}
    return import_backbone(checkpoint or HERE / f"{name}.safetensors", framework, data, **arguments)


def changed(folder: Path, name: str, **tensors: torch.Tensor | None) -> Path:
    """The golden checkpoint with other tensors; None takes one away."""
    state = load_file(HERE / f"{name}.safetensors") | tensors
    save_file({key: tensor for key, tensor in state.items() if tensor is not None}, folder / "changed.safetensors")
    return folder / "changed.safetensors"


@EACH
def test_histories_of_every_length_score_as_in_the_framework(name: str) -> None:
    agreement = read(name).agreement
    lengths = {int(np.count_nonzero(row)) for row in load_file(HERE / f"{name}.scores.safetensors")["histories"].numpy()}
    assert lengths == set(range(name.startswith("recbole"), 9))  # RecBole knows no empty history; the models look at five items
    assert agreement is not None and (agreement.histories, agreement.items) == (2 * len(lengths), ITEMS)
    assert 0 < agreement.max_error <= agreement.tolerance < 1e-4


@EACH
def test_every_tensor_has_its_say_in_the_scores(name: str, tmp_path: Path) -> None:
    for key, tensor in load_file(HERE / f"{name}.safetensors").items():
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)).half()
        if name.startswith("recbole") and key == "item_embedding.weight":
            noise[1:] = 0  # its padding row is drawn at random, and means nothing
            read(name, changed(tmp_path, name, **{key: tensor + noise}))
            continue
        if key.endswith("key.bias"):  # adds the same to all logits of a query
            continue
        with pytest.raises(CheckFailed, match="scores differ by up to"):
            read(name, changed(tmp_path, name, **{key: tensor + noise}))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("recbole-sasrec", {"heads": 1}), ("recbole-sasrec", {"activation": "relu"}), ("recbole-sasrec", {"norm_eps": 0.01}),
        ("recbole-gru4rec", {"max_length": 4}), ("recbole-gru4rec", {"max_length": 6}),
        ("pmixer-after", {"heads": 1}), ("pmixer-after", {"norm": "before"}), ("pmixer-after", {"norm": "query"}),
        ("pmixer-before", {"norm": "after"}), ("pmixer-query", {"norm": "after"}), ("pmixer-query", {"max_length": 6}),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_the_models_is_seen_by_its_scores(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(CheckFailed, match=r"scores differ by up to \d.*rounding explains"):
        read(name, **setting)


@EACH
def test_an_imported_backbone_goes_through_its_file_and_its_master(name: str, tmp_path: Path) -> None:
    imported = read(name)
    save_backbone(tmp_path / "backbone.safetensors", imported.backbone, imported.provenance)
    backbone, provenance = load_backbone(tmp_path / "backbone.safetensors")
    assert provenance["imported"]["settings"] == imported.settings and provenance["imported"]["agreement"]["tolerance"] > 0
    history = torch.tensor([[0, 0, 3, 1, 7]])
    assert torch.equal(backbone.encode(history), imported.backbone.encode(history))
    assert from_master(make_master(backbone)).config.architecture == backbone.config.architecture


# --- the order of items -----------------------------------------------------------------------------------------------

IDS = [f"sku-{number}" for number in (4, 11, 1, 8, 2, 12, 6, 3, 9, 10, 5, 7)]


def test_rows_come_into_the_order_of_the_data_set() -> None:
    plain, ordered = read("recbole-sasrec"), read("recbole-sasrec", data=shop(sorted(IDS)), item_ids=["[PAD]", *IDS])
    assert ordered.agreement is not None and ordered.agreement.max_error == plain.agreement.max_error
    rows = [IDS.index(item) + 1 for item in sorted(IDS)]
    assert torch.equal(ordered.backbone.item_embedding.weight[1:], plain.backbone.item_embedding.weight[rows])


def test_an_id_may_be_the_number_of_its_row() -> None:
    data = shop(["10", "2", "1", "12", "3", "4", "5", "6", "7", "8", "9", "11"])
    assert read("pmixer-after", data=data, item_ids="numbers").backbone.item_embedding.weight[1:].shape == (12, 8)


def test_items_that_the_data_set_has_not_are_told_and_their_histories_left_out() -> None:
    imported = read("recbole-sasrec", data=shop(IDS[:-1]), item_ids=["", *IDS])
    assert imported.dropped == ["sku-7"] and imported.backbone.config.items == 11
    assert imported.agreement is not None and imported.agreement.left_out > 0 and imported.agreement.items == 11


@pytest.mark.parametrize(
    ("data", "item_ids", "sentence"),
    [
        (shop([*IDS, "new"]), ["", *IDS], "1 of 13 items of data set 'shop' have no row in the checkpoint, the first is 'new'"),
        (shop(IDS[:-1]), "same", "it has 12 items and data set 'shop' 11, so their order is not the same"),
        (shop(IDS), IDS, "has 13 rows, with that of the padding, and --item-ids 12 ids"),
        (shop(IDS), ["", *IDS[:-1], IDS[0]], "the id 'sku-4' twice"),
        (shop(IDS), "numbers", "12 of 12 items of data set 'shop' have no row"),
    ],
)
def test_items_and_rows_that_do_not_fit_are_refused(data: Dataset, item_ids: list[str] | str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read("recbole-sasrec", data=data, item_ids=item_ids)


@pytest.mark.parametrize("text", ["{}", "[", '["", 1.5]', '["", ["x"]]'])
def test_a_list_of_ids_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text(text)
    with pytest.raises(InputError, match="not a list of item ids"):
        read_item_ids(tmp_path / "ids.json")
    (tmp_path / "ids.json").write_text('[null, 17, "x"]')
    assert read_item_ids(tmp_path / "ids.json") == ["", "17", "x"]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tensors", "sentence"),
    [
        ("recbole-sasrec", {"side.weight": torch.zeros(1)}, "RecBole's SASRec has no 'side.weight'"),
        ("recbole-sasrec", {"trm_encoder.layer.1.feed_forward.dense_2.bias": None}, "'trm.*1.feed_forward.dense_2.bias' is missing"),
        ("recbole-sasrec", {"LayerNorm.bias": torch.zeros(15)}, "its tensors do not fit each other: embedding_norm.bias"),
        ("recbole-sasrec", {"LayerNorm.bias": torch.zeros(16, dtype=torch.int64)}, "'LayerNorm.bias' is torch.int64"),
        ("recbole-sasrec", {"LayerNorm.bias": torch.full((16,), torch.nan)}, "'embedding_norm.bias' holds NaN"),
        ("recbole-sasrec", {"LayerNorm.bias": torch.zeros(4, 4)}, r"'LayerNorm.bias' has the shape \[4, 4\]"),
        ("recbole-gru4rec", {"gru_layers.weight_ih_l1": torch.zeros(36, 12)}, "more than one recurrent layer, chordkit's has one"),
        ("pmixer-after", {"pos_emb.weight": torch.zeros(5, 8)}, "has 5 rows, which is not what 'after' norms and max_length = 5 make"),
        ("pmixer-after", {"pos_emb.weight": torch.zeros(9, 8)}, "has 9 rows, which is not what 'after' norms and max_length = 5 make"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_model_is_refused_by_name(name: str, tensors: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        read(name, changed(tmp_path, name, **tensors))


def test_a_model_is_asked_for_what_its_weights_do_not_tell_and_for_nothing_else() -> None:
    with pytest.raises(InputError, match="heads cannot be read from the weights: give --heads"):
        read("recbole-sasrec", heads=None)
    with pytest.raises(InputError, match="--norm: recbole-sasrec has no such setting"):
        read("recbole-sasrec", norm="after")
    with pytest.raises(InputError, match="--from sasrec: unknown; use one of recbole-sasrec"):
        import_backbone(HERE / "recbole-sasrec.safetensors", "sasrec", NUMBERED, item_ids="same")
    with pytest.raises(InputError, match="activation = 'swish' is not possible: use relu or gelu"):
        read("recbole-sasrec", activation="swish")


def test_torchs_own_files_are_read_where_they_hold_tensors_alone(tmp_path: Path) -> None:
    state = load_file(HERE / "pmixer-after.safetensors")
    for content in (state, {"state_dict": state, "epoch": 3}, {f"module.{key}": tensor for key, tensor in state.items()}):
        torch.save(content, tmp_path / "model.pth")
        assert read("pmixer-after", tmp_path / "model.pth").agreement is not None


def test_files_that_hold_more_than_tensors_are_refused_with_the_line_that_saves_these(tmp_path: Path) -> None:
    state = load_file(HERE / "recbole-sasrec.safetensors")
    path = tmp_path / "SASRec.pth"
    torch.save({"config": argparse.Namespace(n_heads=2), "state_dict": state}, path, pickle_protocol=4)
    with warnings.catch_warnings(record=True) as said, pytest.raises(CheckpointError, match="Python objects beside tensors") as refused:
        read("recbole-sasrec", path)
    assert not said
    code = (
        str(refused.value)
        .partition('python -c "')[2]
        .rstrip('"')
        .replace("'checkpoint.safetensors'", f"{str(tmp_path / 'saved.safetensors')!r}")
    )
    exec(code)
    assert read("recbole-sasrec", tmp_path / "saved.safetensors").agreement is not None


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", b"\x80\x04N."], ids=["empty", "archive", "pickle"])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        read("recbole-sasrec", tmp_path / "model.pth")
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read("recbole-sasrec", tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="no such checkpoint file"):
        read("recbole-sasrec", tmp_path / "absent.pth")


def test_an_archive_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"item_embedding.weight": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "model.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(CheckpointError, match="or is damaged"):
        read("recbole-sasrec", tmp_path / "model.pth")


def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    torch.save({"item_embedding.weight": torch.zeros(1).expand(1 << 40)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        read("recbole-sasrec", tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"histories": None}, "not a file of scores"), ({"scores": torch.zeros(16, 13, dtype=torch.int32)}, "not a file of scores"),
        ({"scores": torch.zeros(16, 12)}, r"'scores' has the shape \[16, 12\], not \[16, 13\]"),
        ({"histories": torch.full((16, 5), 13)}, "names a row that the item table has not"),
        ({"scores": torch.full((16, 13), torch.nan)}, "holds NaN"),
    ],
)  # fmt: skip
def test_scores_that_are_none_are_refused(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    content = load_file(HERE / "recbole-sasrec.scores.safetensors") | arrays
    save_file({key: value for key, value in content.items() if value is not None}, tmp_path / "scores.safetensors")
    with pytest.raises(InputError, match=sentence):
        read("recbole-sasrec", verify=tmp_path / "scores.safetensors")
