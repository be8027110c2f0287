"""NaN, infinity and a padding row that is not zero: refused at every door through which weights come in or go out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, adapt, build, config_to_dict, from_master, initialise, make_master
from chordkit.errors import CheckpointError, InputError, MasterError, MasterWarning, MissingRuntimeError
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.quantization import MasterWeights, QuantizedTable, engine_refusal
from chordkit.strategy import encode, uniform
from chordkit.training import load_backbone, save_backbone
from chordkit.training.checkpoint import write_tensors


def sasrec(**changes: int) -> Backbone:
    return initialise(build(SASRecConfig(**{"items": 20, "max_length": 6, "dim": 16, "heads": 2, "blocks": 1} | changes)), seed=1).eval()


def caser() -> Backbone:
    """Layers that all have their say, and a padding row as imported weights may have it."""
    backbone = initialise(
        build(CaserConfig(items=40, max_length=12, dim=16, heights=(2, 3), filters=8, vertical_filters=4)), "random", seed=5
    )
    with torch.no_grad():
        backbone.item_embedding.weight.normal_(0, 1, generator=torch.Generator().manual_seed(7))
        backbone.fc.bias += 1
    return backbone.eval()


WEIGHTS = ["blocks.0.query.weight", "blocks.0.query.bias", "blocks.0.ffn_norm.weight", "embedding_norm.bias", "item_embedding.weight"]


def write_unchecked(path: Path, backbone: Backbone) -> None:
    """What save_backbone writes, of weights that it refuses."""
    metadata = {"format": "chordkit-backbone", "version": 1, "configuration": config_to_dict(backbone.config), "provenance": {}}
    write_tensors(path, backbone.state_dict(), metadata)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", WEIGHTS)
def test_nan_and_infinity_come_in_through_no_door(name: str, value: float, tmp_path: Path) -> None:
    backbone = sasrec()
    backbone.state_dict()[name].view(-1)[-1] = value
    path = tmp_path / "b.safetensors"
    with pytest.raises(MasterError, match=f"'{name}' holds NaN or infinity"):
        make_master(backbone)
    with pytest.raises(CheckpointError, match=f"'{name}' holds NaN or infinity"):
        save_backbone(path, backbone)
    assert not path.exists()
    write_unchecked(path, backbone)
    with pytest.raises(CheckpointError, match=rf"b\.safetensors: '{name}' holds NaN or infinity"):
        load_backbone(path)


def _changed(master: MasterWeights, part: str, value: float) -> MasterWeights:
    """The master with one number exchanged behind its back."""
    layer = master.layers["blocks.0.query"]
    array = {
        "bias": layer.bias,
        "scales": layer.rows.scales,
        "table": master.embeddings["item_embedding"].scales,
        "tensor": master.tensors["embedding_norm.weight"],
    }[part]
    assert array is not None
    array.reshape(-1)[0] = value
    return master


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["bias", "scales", "table", "tensor"])
def test_a_master_never_writes_what_it_would_not_read(part: str, value: float, tmp_path: Path) -> None:
    master = _changed(make_master(sasrec()), part, value)
    for door in (master.to_bytes, lambda: master.save(tmp_path / "m.chrm"), lambda: dataclasses.replace(master)):
        with pytest.raises(MasterError, match=r"NaN or infinity|not positive and finite"):
            door()
    assert not list(tmp_path.iterdir())


def test_an_adapted_module_with_nan_is_refused() -> None:
    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.items, self.out = torch.nn.Embedding(21, 16, padding_idx=0), torch.nn.Linear(16, 16)

        def forward(self, history: torch.Tensor) -> torch.Tensor:
            return self.out(self.items(history).mean(1))

    module = Mean().eval()
    module.out.bias.data[3] = float("nan")
    with pytest.raises(InputError, match=r"adapt: 'out\.bias' holds NaN or infinity"):
        adapt(module, name="mean-with-nan", max_length=6, items=20)


def test_a_padding_row_that_is_not_zero_comes_in_through_no_door(tmp_path: Path) -> None:
    backbone, path = caser(), tmp_path / "b.safetensors"
    write_unchecked(path, backbone)
    doors: list[tuple[type[InputError], Callable[[], object]]] = [
        (MasterError, lambda: make_master(backbone)),
        (CheckpointError, lambda: save_backbone(path, backbone)),
        (CheckpointError, lambda: load_backbone(path)),
    ]
    for kind, door in doors:
        with pytest.raises(kind, match=r"row 0 of 'item_embedding', the padding's, is not zero.*weight\[0\] = 0"):
            door()


@pytest.mark.parametrize("name", ["native", "onnx", "litert"])
def test_caser_treats_an_empty_slot_as_zero(name: str) -> None:
    target = find_target(name)
    try:
        target.prepare()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    backbone = caser()
    histories = np.random.default_rng(0).integers(1, 41, (16, 12)).astype(np.int32)
    for row in range(16):
        histories[row, : row % 12] = 0
    candidates = np.tile(np.arange(1, 9, dtype=np.int32), (16, 1))

    def scores(model: Backbone) -> np.ndarray:
        with torch.no_grad():
            return model.score(model.encode(torch.from_numpy(histories).long()), torch.from_numpy(candidates).long()).numpy()

    as_imported = scores(backbone)
    backbone.item_embedding.weight.data[0] = 0  # what the refusal asks for
    master = make_master(backbone)
    expected = scores(from_master(master))
    spread = expected.std()
    assert np.abs(as_imported - expected).max() > 0.5 * spread  # the row had its say
    if target.capability.suffix is None:
        data, strategy = master.to_bytes(), encode(uniform(master.channel_table, 8, master.fingerprint))
    else:
        widths = np.full(master.channel_table.channels, 8, np.uint8)
        data, strategy = lower(ArtifactSpec(name, Precision.INT8, 8, target.capability.activations[0]), (master, widths)), None
    runner = load_runner(name, data, strategy=strategy, candidates=8, master=master.to_bytes())
    found = np.stack([runner.scores(history, each) for history, each in zip(histories, candidates, strict=True)])
    # Activations in 8 bits cost a few hundredths of the spread; the row cost more than half of it.
    assert np.abs(found - expected).max() < 0.1 * spread


def test_a_master_with_a_padding_row_that_is_not_zero_is_no_reference_and_does_not_run() -> None:
    master = make_master(sasrec())
    table = master.embeddings["item_embedding"]
    codes = table.codes.copy()
    codes[0, 5] = 1
    changed = dataclasses.replace(master, embeddings=master.embeddings | {"item_embedding": QuantizedTable(codes, table.scales, 8)})
    with pytest.raises(MasterError, match="row 0 of 'item_embedding'"):
        from_master(changed)
    assert "row 0" in str(engine_refusal(changed))


# --- what makers are told ---------------------------------------------------------------------------------------------


def test_what_the_engine_will_not_run_is_told_when_the_master_is_made() -> None:
    backbone = sasrec()
    backbone.blocks[0].query.bias.data[2] = 10001
    with pytest.warns(MasterWarning, match=r"the native engine does not run this master: 'layers/blocks.0.query/bias' holds 10001"):
        make_master(backbone)
    with pytest.warns(MasterWarning, match="dim = 24 is not a multiple of 16"):
        make_master(sasrec(dim=24))


def _with_mean(mean: float) -> Backbone:
    backbone = sasrec(items=500, dim=64)
    weight = backbone.item_embedding.weight.data
    weight.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    weight += mean
    weight[0] = 0
    return backbone


@pytest.mark.parametrize(("bits", "lost"), [(8, "23"), (4, "99")])
def test_items_that_share_a_large_mean_are_told_with_the_share_that_rounding_takes(bits: int, lost: str) -> None:
    with pytest.warns(MasterWarning, match=rf"a mean 100 times as long .* rounding to {bits} bits takes {lost}\.\d%"):
        make_master(_with_mean(100), embedding_bits=bits)


@pytest.mark.filterwarnings("error::chordkit.errors.MasterWarning")
@pytest.mark.parametrize("mean", [0.0, 1.0, 5.0])
def test_items_without_a_large_mean_are_not_remarked_upon(mean: float) -> None:
    make_master(_with_mean(mean))
