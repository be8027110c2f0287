"""Files that hold no whole backbone are refused."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, build, config_to_dict
from chordkit.backbones.architectures.gru4rec import GRU4RecConfig
from chordkit.errors import CheckpointError, InputError
from chordkit.training import load_backbone, save_backbone
from chordkit.training.checkpoint import digest, read_tensors, write_tensors


def test_what_is_no_backbone_is_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(InputError, match="no such backbone file"):
        load_backbone(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(CheckpointError, match="not a whole backbone"):
        load_backbone(path)
    write_tensors(path, {"x": torch.zeros(2)}, {"format": "something"})
    with pytest.raises(CheckpointError, match="holds no backbone"):
        load_backbone(path)
    save_backbone(path, build(SASRecConfig(items=9, dim=16)))
    tensors, metadata = read_tensors(path, "backbone")
    write_tensors(path, tensors, metadata | {"version": 99})
    with pytest.raises(CheckpointError, match="newer chordkit"):
        load_backbone(path)
    write_tensors(path, tensors, metadata | {"configuration": metadata["configuration"] | {"dim": 32}})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_backbone(path)


def test_every_flipped_byte_of_a_backbone_file_is_noticed(tmp_path):
    path = tmp_path / "backbone.safetensors"
    save_backbone(path, build(CaserConfig(items=2, dim=4, max_length=2, heights=(1,), filters=1, vertical_filters=1)))
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :])
        with pytest.raises(CheckpointError):
            load_backbone(path)


# JSON of every kind, small and large.
ANYTHING = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2**31,
    10**40,
    1.5,
    -0.0,
    1e300,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    [1],
    ["x"],
    [[1]],
    {},
    {"x": 1},
]
BACKBONES = {
    "sasrec": SASRecConfig(items=9, dim=16, max_length=3, blocks=1),
    "caser": CaserConfig(items=9, dim=16, max_length=3, heights=(1, 2), filters=2, vertical_filters=1, item_bias=True),
    "gru4rec": GRU4RecConfig(items=9, dim=16, max_length=3, hidden=4),
}


def rewrite(path: Path, changes: Mapping[str, Any]) -> None:
    """The same tensors with other metadata and a digest that fits: a file that is consistent and wrong."""
    tensors, metadata = read_tensors(path, "backbone")
    # json.dumps(allow_nan=False) is what a writer of ours does; a forger's writes NaN.
    text = json.dumps(metadata | changes)
    data = safetensors.torch.save(tensors, {"chordkit": text, "sha256": digest(tensors, text)})
    path.write_bytes(data)


def load(path: Path) -> Backbone | None:
    """The backbone, or None where the file was refused with a sentence that names it."""
    try:
        return load_backbone(path)[0]
    except CheckpointError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return None


@pytest.mark.parametrize("architecture", BACKBONES)
def test_any_value_in_any_field_of_the_configuration_is_taken_or_refused_in_a_sentence(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    config = BACKBONES[architecture]
    save_backbone(path, build(config))
    whole = path.read_bytes()
    configuration = config_to_dict(config)
    refused = 0
    for field, value in itertools.product(configuration, ANYTHING):
        path.write_bytes(whole)
        rewrite(path, {"configuration": configuration | {field: value}})
        refused += load(path) is None
    assert refused > len(configuration) * len(ANYTHING) // 2


@pytest.mark.parametrize("field", ["format", "version", "configuration", "provenance"])
def test_any_value_in_any_field_of_the_metadata_is_refused_in_a_sentence(field: str, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    save_backbone(path, build(BACKBONES["sasrec"]))
    whole = path.read_bytes()
    for value in ANYTHING:
        path.write_bytes(whole)
        rewrite(path, {field: value})
        assert load(path) is None or (field == "version" and value in (1, True)) or (field == "provenance" and isinstance(value, dict))


@pytest.mark.parametrize("text", ["null", "[]", "7", '"x"', "[" * 100_000, "{}", "1" * 5000])
def test_metadata_that_is_no_object_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    tensors = build(BACKBONES["sasrec"]).state_dict()
    path.write_bytes(safetensors.torch.save(tensors, {"chordkit": text, "sha256": digest(tensors, text)}))
    assert load(path) is None
