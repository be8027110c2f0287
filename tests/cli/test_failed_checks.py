"""A check that says no is exit status 1: artifacts that hold two exchanged channels, on their real runtimes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from chordkit.data import Dataset
from chordkit.errors import CheckFailed
from chordkit.export import bundle
from chordkit.export.assembly import assemble
from chordkit.export.collection import Sources, export_artifacts, write_folder
from chordkit.export.parity import FP32_TOLERANCE, compare
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows
from chordkit.strategy import Strategy, decode

LAYER = "blocks.0.ffn1"
TARGETS = ("litert", "onnx")
SCORES = np.arange(40, dtype=np.float32).reshape(2, 20)


def _with_swapped_channels(master: MasterWeights, one: int, other: int) -> MasterWeights:
    layer = master.layers[LAYER]
    order = np.arange(len(layer.rows.codes))
    order[[one, other]] = order[[other, one]]
    rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
    return dataclasses.replace(master, layers={**master.layers, LAYER: MasterLayer(rows, layer.bias)})


@pytest.fixture(scope="module")
def right(project) -> Sources:
    master = MasterWeights.load(project / "m.chrm")
    data = (project / "u5.chrd").read_bytes()
    return Sources(master, None, {"u5": decode(data, fingerprint=master.fingerprint, channels=master.channel_table.channels)})


@pytest.fixture(scope="module")
def artifacts(right: Sources) -> list:
    """LiteRT and ONNX artifacts whose rows of two channels of the same width are exchanged; all else is as it should be."""
    strategy = right.strategies["u5"]
    widths = strategy.widths[right.master.channel_table.layer_slice(LAYER)]
    width = next(width for width in (8, 4, 2) if (widths == width).sum() >= 2)
    one, other = np.flatnonzero(widths == width)[:2]
    faulty = _with_swapped_channels(right.master, int(one), int(other))
    sources = Sources(faulty, None, {"u5": Strategy(strategy.widths, faulty.fingerprint)})
    return export_artifacts(TARGETS, sources, ["strategy"], 20)


def test_validate_goes_red_for_two_exchanged_channels(right: Sources, artifacts: list, project, command, tmp_path: Path) -> None:
    dataset = Dataset.load(project / "shop.safetensors")
    path = tmp_path / "faulty.chord"
    contents = assemble("faulty", right, dataset, artifacts, histories=100, vectors=32)
    with pytest.raises(CheckFailed, match="artifact litert-u5: does not agree with the reference"):
        bundle.write(path, contents)
    # Its maker may say that all is well, and as a file the bundle is whole: what runs is what counts.
    claim = compare(SCORES, SCORES, FP32_TOLERANCE)
    claimed = [artifact.model_copy(update={"parity": claim}) for artifact in contents.artifacts]
    bundle.write(path, dataclasses.replace(contents, artifacts=claimed))
    assert command("bundle", "verify", path).status == 0
    for target in TARGETS:
        for arguments in ((), ("--data", project / "shop.safetensors", "--histories", 100)):
            outcome = command("validate", path, "--artifact", f"{target}-u5", *arguments, "--json")
            assert outcome.status == 1
            assert '"passed": false' in outcome.out
            assert outcome.err.startswith("chordkit: ") and outcome.err.count("\n") == 1
            assert f"{target}-u5: does not agree with the reference" in outcome.err
    walked = command("validate", path, "--stages", "--artifact", "litert-u5", "--json")
    assert walked.status == 1
    found = json.loads(walked.out)["artifacts"][0]
    assert (found["first_bad"], found["layer"]) == ("serialised", LAYER)
    assert f"the first bad stage is serialised, first with {LAYER}" in walked.err
    ran = command("bundle", "verify", path, "--run")
    assert ran.status == 1 and ran.err.count("\n") == 1


def test_bundle_make_refuses_to_ship_it(right: Sources, artifacts: list, project, command, tmp_path: Path) -> None:
    write_folder(tmp_path / "artifacts", artifacts, right)
    make = ("bundle", "make", "--master", project / "m.chrm", "--strategy", project / "u5.chrd", "--data", project / "shop.safetensors")
    outcome = command(*make, "--artifacts", tmp_path / "artifacts", "--histories", 100, "--out", tmp_path / "x.chord")
    assert outcome.status == 1 and "does not agree with the reference" in outcome.err
    assert not (tmp_path / "x.chord").exists()
