"""Files that hold no whole backbone are refused."""

import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build
from chordkit.errors import CheckpointError, InputError
from chordkit.training import load_backbone, save_backbone
from chordkit.training.checkpoint import read_tensors, write_tensors


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
