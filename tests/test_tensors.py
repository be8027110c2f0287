"""Safetensors from outside: what their headers may say, and what the stores make of files that ask for more than they have."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from chordkit.backbones import build, config_to_dict, default_config, require_outline
from chordkit.errors import CheckpointError
from chordkit.tensors import header_of, map_tensors, read_arrays, read_metadata, read_tensors
from chordkit.training import load_backbone
from chordkit.training.checkpoint import read_tensors as read_checkpoint
from chordkit.training.checkpoint import require_same, write_tensors


def file(header: str | bytes, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else header.encode()
    return len(text).to_bytes(8, "little") + text + body


FLOAT = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
REFUSED = {
    "nothing": (b"", "ends before its header"),
    "half a size": (b"\1\0\0", "ends before its header"),
    "a header beyond the file": ((1 << 40).to_bytes(8, "little") + b"{}", "ends before its header"),
    "a header of 2**64 - 1": (b"\xff" * 8 + b"{}", "ends before its header"),
    "a list": (file("[]"), "no object"),
    "a text": (file('"x"'), "no object"),
    "no JSON": (file("{"), "Expecting"),
    "metadata that are a list": (file('{"__metadata__":[]}'), "metadata"),
    "metadata that are null": (file('{"__metadata__":null}'), "metadata"),
    "a number among the metadata": (file('{"__metadata__":{"a":1}}'), "metadata"),
    "a tensor twice": (file(f'{{"a":{{{FLOAT}}},"a":{{{FLOAT}}}}}', b"\0" * 4), "twice"),
    "metadata twice": (file('{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"}}'), "twice"),
    "an unknown type": (file('{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', b"\0" * 4), "type"),
    "no shape": (file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', b"\0" * 4), "shape"),
    "a negative size": (file('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"\0" * 4), "shape"),
    "a size that is true": (file('{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', b"\0" * 4), "shape"),
    "nine dimensions": (file('{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}', b"\0" * 4), "shape"),
    # The library's own checks.
    "sizes that overflow": (file(f'{{"a":{{"dtype":"F32","shape":[{2**62},{2**62}],"data_offsets":[0,4]}}}}', b"\0" * 4), "whole"),
    "offsets that overlap": (file(f'{{"a":{{{FLOAT}}},"b":{{{FLOAT}}}}}', b"\0" * 8), "whole"),
    "offsets beyond the file": (file(f'{{"a":{{{FLOAT}}}}}'), "whole"),
    "bytes behind the tensors": (file(f'{{"a":{{{FLOAT}}}}}', b"\0" * 5), "whole"),
    "a hole": (file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', b"\0" * 8), "whole"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("read", [read_arrays, read_tensors])
def test_a_header_that_no_writer_writes_is_refused(read: Any, what: str) -> None:
    data, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        read(data)


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_is_mapped_is_looked_at_as_well(tmp_path: Path, what: str) -> None:
    (tmp_path / "x").write_bytes(REFUSED[what][0])
    with pytest.raises(ValueError, match=REFUSED[what][1]):
        map_tensors(tmp_path / "x")


def test_tensors_written_behind_their_header_are_what_the_library_reads(tmp_path: Path) -> None:
    values = {"b": torch.arange(6, dtype=torch.int32).reshape(3, 2), "a": torch.tensor([1.5, -2.0, 0.25], dtype=torch.float16)}
    header = header_of({"b": ("I32", (3, 2), 24), "a": ("F16", (3,), 6)}, {"x": "y", "c": "d"})
    (tmp_path / "x").write_bytes(header + b"".join(each.numpy().tobytes() for each in values.values()))
    for tensors, metadata in (map_tensors(tmp_path / "x"), read_tensors((tmp_path / "x").read_bytes())):
        assert metadata == {"x": "y", "c": "d"} and tensors.keys() == values.keys()
        assert all(torch.equal(tensors[name], values[name]) for name in values)


def test_a_header_is_bounded_whatever_the_files_size() -> None:
    with pytest.raises(ValueError, match="larger than 8388608 bytes"):
        read_metadata(file(b" " * (8 << 20) + b"{}"))
    names = ",".join(f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for number in range(70_000))
    with pytest.raises(ValueError, match="more than 65536 members"):
        read_metadata(file(f"{{{names}}}"))


def test_what_the_library_writes_is_read_back() -> None:
    arrays, metadata = read_arrays(save({"a": np.arange(3, dtype=np.int8), "b": np.zeros((2, 0), np.float32)}, {"x": "y"}))
    assert metadata == {"x": "y"} and list(arrays["a"]) == [0, 1, 2] and arrays["b"].shape == (2, 0)


# --- sizes ------------------------------------------------------------------------------------------------------------


def write_backbone(path: Path, **changes: Any) -> None:
    backbone = build(default_config("sasrec", 20, dim=8, max_length=5))
    metadata = {"format": "chordkit-backbone", "version": 1, "configuration": config_to_dict(backbone.config) | changes, "provenance": {}}
    write_tensors(path, backbone.state_dict(), metadata)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"items": 10**9}, r"item_embedding.weight: the file has shape \[21, 8\], its configuration says shape \[1000000001, 8\]"),
        ({"blocks": 10**9}, "more tensors than the file has"),
        ({"max_length": 10**7}, "far more memory than its tensors"),
        ({"items": 2**64}, "items = 18446744073709551616 is not possible"),
        ({"items": 2**31 - 1, "dim": 2**31 - 1, "heads": 1}, "does not fit its own configuration"),
        ({"ffn_dim": 10**9}, "shape"),
    ],
)
def test_a_backbone_that_claims_more_than_its_file_holds_is_refused_before_it_is_built(
    changes: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_backbone(tmp_path / "b.safetensors", **changes)

    def outlined(config: Any) -> nn.Module:
        assert torch.empty(0).device.type == "meta"
        return build(config)

    monkeypatch.setattr("chordkit.training.store.build", outlined)
    with pytest.raises(CheckpointError, match=words):
        load_backbone(tmp_path / "b.safetensors")


@pytest.mark.parametrize("architecture", ["sasrec", "caser", "gru4rec"])
def test_every_backbone_has_the_outline_of_its_own_state(architecture: str) -> None:
    config = default_config(architecture, 20, dim=8, max_length=5)
    require_outline(lambda: build(config), build(config).state_dict())
    with pytest.raises(RuntimeError, match=r"item_embedding\.weight: the file has shape"):
        require_outline(lambda: build(config), build(config).state_dict() | {"item_embedding.weight": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="extra: the file has shape"):
        require_outline(lambda: build(config), build(config).state_dict() | {"extra": torch.zeros(1)})


def test_a_size_beyond_64_bits_is_none() -> None:
    with pytest.raises(RuntimeError, match="a size that none can have"):
        require_outline(lambda: nn.Linear(2**70, 1), {})


def test_an_outline_takes_no_memory_and_draws_nothing() -> None:
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="more tensors"):
        require_outline(lambda: nn.ModuleList(nn.Embedding(10**9, 10**3) for _ in range(10**9)), {"0.weight": torch.zeros(1)})
    assert torch.equal(state, torch.get_rng_state())


def test_an_outline_loads_nothing_of_torchs_compiler() -> None:
    code = """
import sys
from chordkit.backbones import build, default_config, require_outline
backbone = build(default_config("sasrec", 20, dim=8, max_length=5))
before = set(sys.modules)
require_outline(lambda: build(backbone.config), backbone.state_dict())
assert len(set(sys.modules) - before) < 50, sorted(set(sys.modules) - before)[:20]
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["null", "[]", "1", '"x"', "{", "NaN", '{"a":1e999}', "[" * 100_000])
def test_metadata_that_are_no_object_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({}, {"chordkit": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))
    with pytest.raises(CheckpointError, match="not a whole checkpoint file"):
        read_checkpoint(path, "checkpoint")


@pytest.mark.parametrize("found", [None, [], "text", 3, {"a": None}])
def test_an_identity_of_any_type_is_compared(found: object) -> None:
    with pytest.raises(CheckpointError, match="made with dataset a = None, this run asks for 1"):
        require_same(Path("x"), "dataset", found, {"a": 1})
