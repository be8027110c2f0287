"""A bundle with a master file: any strategy's artifact comes out of it, and no table that makes another one gets in."""

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import BundleError, CheckFailed, PatchError, StrategyError
from chordkit.export import bundle
from chordkit.export.bundle import ArtifactContents, BundleContents
from chordkit.patching import PatchedLayer, PatchTable, attached
from chordkit.quantization import select_codes
from chordkit.strategy import Strategy, to_wire
from tests.export.conftest import Toy


def content(toy: Toy, widths: np.ndarray) -> bytes:
    """What stands in for a .tflite: its beginning, and each layer's codes and scales."""
    master, data = toy.master(), toy.TFLITE
    for name, layer in master.layers.items():
        codes, scales = select_codes(layer.rows, widths[master.channel_table.layer_slice(name)])
        data += codes.tobytes() + scales.tobytes()
    return data


def master_file(toy: Toy) -> bytes:
    master, at, layers = toy.master(), len(toy.TFLITE), []
    for layer in master.layers.values():
        rows, columns = layer.rows.codes.shape
        layers.append(PatchedLayer(at, columns, rows, columns, at + rows * columns, 1.0))
        at += rows * (columns + 4)
    scales = np.concatenate([layer.rows.scales[:2] for layer in master.layers.values()], axis=1)
    ratios = np.concatenate([layer.rows.ratios for layer in master.layers.values()], axis=1)
    return attached(content(toy, np.full(8, 8)), PatchTable(master.fingerprint, tuple(layers), scales, ratios))


def contents(toy: Toy, everybody: bytes, mine: bytes) -> BundleContents:
    made = toy.contents()
    parity = made.artifacts[0].parity

    def artifact(name: str, data: bytes, **more: object) -> ArtifactContents:
        requires = {"ai-edge-litert": "2.3.0"}
        return toy.artifact(name, "litert", data, layout="speed", requires=requires, parity=parity, **more)  # type: ignore[arg-type]

    both = [
        artifact("litert-int8-speed", everybody, precision="int8"),
        artifact("litert-user-2-speed", mine, precision="strategy", strategy="user-2"),
    ]
    vectors = made.vectors
    scores = dict(vectors.scores) | {"user-2": vectors.scores["user-1"]}
    return dataclasses.replace(made, artifacts=[*made.artifacts, *both], vectors=dataclasses.replace(vectors, scores=scores))


def test_any_strategy_comes_out_of_a_bundle(tmp_path: Path) -> None:
    toy = Toy()
    strategy = toy.contents().strategies["user-2"]
    mine = content(toy, strategy.widths)
    bundle.write(tmp_path / "toy.chord", contents(toy, master_file(toy), mine), toy.KEY)
    assert "patches" in bundle.verify(tmp_path / "toy.chord", toy.PUBLIC).checks
    with bundle.open(tmp_path / "toy.chord", toy.PUBLIC) as opened:
        assert opened.patched("litert-int8-speed", "user-2") == mine == bytes(opened.artifact("litert-user-2-speed"))
        later = np.array([8, 8, 2, 2, 4, 4, 0, 0], np.uint8)
        wire = to_wire(Strategy(later, strategy.fingerprint))
        assert opened.patched("litert-int8-speed", wire) == content(toy, later)
        with pytest.raises(PatchError, match="table"):
            opened.patched("litert-user-2-speed", "user-2")
        with pytest.raises(StrategyError, match="fingerprint"):
            opened.patched("litert-int8-speed", to_wire(Strategy(later, bytes(8))))
        with pytest.raises(BundleError, match="no strategy 'user-9'"):
            opened.patched("litert-int8-speed", "user-9")


def _other_ratio(data: bytes) -> bytes:
    changed = bytearray(data[:-4])
    struct.pack_into("<h", changed, len(changed) - 6, 99)
    return bytes(changed) + zlib.crc32(changed).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("everybody", "mine", "sentence"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data, "litert-int8-speed: patch table: CRC: "),
        (_other_ratio, lambda data: data, "litert-int8-speed: its patch table is not that of the master weights"),
        (lambda data: data, lambda data: data + b"\0", "patched for user-2 it is not artifact litert-user-2-speed"),
    ],
    ids=["damaged", "of other weights", "another user's file"],
)
def test_a_table_that_makes_something_else_gets_into_no_bundle(everybody, mine, sentence: str, tmp_path: Path) -> None:
    toy = Toy()
    widths = toy.contents().strategies["user-2"].widths
    spoilt = contents(toy, everybody(master_file(toy)), mine(content(toy, widths)))
    with pytest.raises(CheckFailed, match=sentence):
        bundle.write(tmp_path / "toy.chord", spoilt, toy.KEY)
    assert not (tmp_path / "toy.chord").exists()


def test_a_table_that_makes_something_else_is_found_in_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    widths = toy.contents().strategies["user-2"].widths
    with monkeypatch.context() as patch:
        patch.setattr("chordkit.export.bundle.writer.problem_with_patches", lambda *_: None)
        bundle.write(tmp_path / "toy.chord", contents(toy, _other_ratio(master_file(toy)), content(toy, widths)), toy.KEY)
    with pytest.raises(BundleError, match="its patch table is not that of the master weights"):
        bundle.verify(tmp_path / "toy.chord", toy.PUBLIC)
