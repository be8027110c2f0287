"""Hypernetworks on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import make_master
from chordkit.errors import CheckpointError, InputError, StrategyError
from chordkit.hypernetwork import TrainedHypernetwork, load_hypernetwork, make_strategies, save_hypernetwork
from chordkit.training import save_backbone
from chordkit.training.checkpoint import read_tensors, write_tensors


def test_a_round_trip_gives_identical_strategies(trained: TrainedHypernetwork, histories: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "hypernetwork.safetensors"
    save_hypernetwork(path, trained.hypernetwork, {"seed": 0})
    loaded, provenance = load_hypernetwork(path, trained.master)
    assert provenance == {"seed": 0}
    assert loaded.options == trained.options
    assert np.array_equal(make_strategies(loaded, histories), make_strategies(trained.hypernetwork, histories))


def test_another_backbone_is_refused(trained: TrainedHypernetwork, trained_caser: TrainedHypernetwork, tmp_path: Path) -> None:
    path = tmp_path / "hypernetwork.safetensors"
    save_hypernetwork(path, trained.hypernetwork)
    with pytest.raises(StrategyError, match="belongs to the backbone"):
        load_hypernetwork(path, trained_caser.master)
    same_shape = make_master(trained.backbone, embedding_bits=4)
    with pytest.raises(StrategyError, match=same_shape.fingerprint.hex()):
        load_hypernetwork(path, same_shape)


def test_other_files_are_refused(trained: TrainedHypernetwork, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        load_hypernetwork(tmp_path / "none", trained.master)
    save_backbone(tmp_path / "backbone", trained.backbone)
    with pytest.raises(CheckpointError, match="holds no hypernetwork"):
        load_hypernetwork(tmp_path / "backbone", trained.master)


def test_a_file_whose_tensors_do_not_fit_its_options_is_refused(trained: TrainedHypernetwork, tmp_path: Path) -> None:
    path = tmp_path / "hypernetwork.safetensors"
    save_hypernetwork(path, trained.hypernetwork)
    tensors, metadata = read_tensors(path, "hypernetwork")
    write_tensors(path, tensors, metadata | {"version": 99})
    with pytest.raises(CheckpointError, match="newer"):
        load_hypernetwork(path, trained.master)
    write_tensors(path, {name: tensor for name, tensor in tensors.items() if name != "offset"}, metadata)
    with pytest.raises(CheckpointError, match="train it again"):
        load_hypernetwork(path, trained.master)
    write_tensors(path, tensors | {"offset": torch.full_like(tensors["offset"], torch.nan)}, metadata)
    with pytest.raises(CheckpointError, match="NaN"):
        load_hypernetwork(path, trained.master)


@pytest.mark.parametrize("value", [None, True, -1, 10**40, 2**26, 1.5, "x", [], [1], [[1]], {}, {"x": 1}])
def test_any_value_in_any_option_is_taken_or_refused_in_a_sentence(trained: TrainedHypernetwork, tmp_path: Path, value: object) -> None:
    path = tmp_path / "hypernetwork.safetensors"
    save_hypernetwork(path, trained.hypernetwork)
    tensors, metadata = read_tensors(path, "hypernetwork")
    options = [metadata | {"options": metadata["options"] | {name: value}} for name in metadata["options"]]
    without = [{other: metadata[other] for other in metadata if other != name} for name in metadata]
    for changed in (*options, *(metadata | {name: value} for name in metadata), *without):
        write_tensors(path, tensors, changed)
        try:
            assert isinstance(load_hypernetwork(path, trained.master)[1], dict)
        except (CheckpointError, StrategyError) as error:
            assert str(path) in str(error)
