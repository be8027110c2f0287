"""A file's constants are held against the master's: what no score shows, bytes do."""

import dataclasses

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, SASRecConfig, build, make_master
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, draw, references
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.export.targets.constants import missing_constants
from chordkit.export.targets.openvino.archive import pack, unpack
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows, QuantizedTable
from chordkit.strategy import Strategy

ITEMS, LENGTH, CANDIDATES = 60, 8, 20


@pytest.fixture(scope="module")
def master() -> MasterWeights:
    torch.manual_seed(0)
    backbone: Backbone = build(SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, blocks=1, heads=2))
    with torch.no_grad():
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return make_master(backbone)


@pytest.fixture(scope="module")
def widths(master: MasterWeights) -> np.ndarray:
    return np.random.default_rng(1).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)


def _one_code_off(master: MasterWeights, widths: np.ndarray) -> tuple[MasterWeights, int]:
    """The master with one code of a channel of 8 bits of the query moved by one."""
    name = "blocks.0.query"
    layer = master.layers[name]
    channel = int(np.flatnonzero(widths[master.channel_table.layer_slice(name)] == 8)[0])
    codes = layer.rows.codes.copy()
    codes[channel, 3] += 1 if codes[channel, 3] < 127 else -1
    rows = QuantizedRows(codes, layer.rows.scales, layer.rows.ratios)
    return dataclasses.replace(master, layers={**master.layers, name: MasterLayer(rows, layer.bias)}), channel


def _judged(target: str, data: bytes, master: MasterWeights, widths: np.ndarray) -> ParityReport:
    generator = np.random.default_rng(0)
    vectors = draw(
        generator.integers(1, ITEMS + 1, (16, LENGTH)), generator.integers(1, ITEMS + 1, 16), ITEMS, count=16, candidates=CANDIDATES
    )
    vectors = vectors.with_scores(references(master, None, {"user": Strategy(widths, master.fingerprint)}))
    artifact = Artifact(name="a", target=target, precision="strategy", activations="fp32", candidates=CANDIDATES, strategy="user")
    return judge(artifact, load_runner(target, data), master, widths, vectors, data=data)


@pytest.mark.parametrize("target", ["litert", "onnx", "openvino"])
def test_a_code_that_no_score_shows_is_seen_in_the_bytes(target: str, master: MasterWeights, widths: np.ndarray) -> None:
    if find_target(target).installed() is None:
        pytest.skip(f"{target} is not installed")
    spec = ArtifactSpec(target, Precision.STRATEGY, CANDIDATES)
    assert _judged(target, lower(spec, (master, widths)), master, widths).passed
    wrong, channel = _one_code_off(master, widths)
    data = lower(spec, (wrong, widths))
    graph, weights = unpack(data) if target == "openvino" else (data, b"")
    graph = graph.replace(wrong.fingerprint.hex().encode(), master.fingerprint.hex().encode())
    data = pack(graph, weights) if target == "openvino" else graph
    report = _judged(target, data, master, widths)
    assert not report.passed
    assert f"of layer blocks.0.query it lacks the codes of channel {channel} (1 channels in all)" in report.reasons


def test_an_onnx_file_names_its_master(master: MasterWeights, widths: np.ndarray) -> None:
    target = find_target("onnx")
    if target.installed() is None:
        pytest.skip("onnx is not installed")
    data = lower(ArtifactSpec("onnx", Precision.STRATEGY, CANDIDATES), (master, widths))
    assert target.problem_with_constants(data, master, widths) is None
    other = data.replace(master.fingerprint.hex().encode(), b"0" * 16)
    assert "it does not say that its weights are those of the master" in str(target.problem_with_constants(other, master, widths))


def _bytes(master: MasterWeights, widths: np.ndarray) -> bytes:
    """A file of nothing but constants, each in the widest form that there is."""
    from chordkit.quantization import select_codes

    pieces = []
    for name, layer in master.layers.items():
        codes, scales = select_codes(layer.rows, widths[master.channel_table.layer_slice(name)])
        pieces += [codes.tobytes(), scales.tobytes()]
    for table in master.embeddings.values():
        pieces += [table.codes.tobytes(), table.scales.tobytes()]
    return b"?".join(pieces)


def test_scales_and_tables_are_looked_up_too(master: MasterWeights, widths: np.ndarray) -> None:
    data = _bytes(master, widths)
    assert missing_constants(data, master, widths) is None
    layer, table = master.layers["blocks.0.value"], master.embeddings["item_embedding"]
    channel = int(np.flatnonzero(widths[master.channel_table.layer_slice("blocks.0.value")] == 4)[0])
    scales = layer.rows.scales.copy()
    scales[1, channel] = np.nextafter(scales[1, channel], np.float32(1))
    rows = QuantizedRows(layer.rows.codes, scales, layer.rows.ratios)
    other = dataclasses.replace(master, layers={**master.layers, "blocks.0.value": MasterLayer(rows, layer.bias)})
    assert f"lacks the scale of channel {channel}" in str(missing_constants(data, other, widths))
    codes = table.codes.copy()
    codes[[5, 6]] = codes[[6, 5]]
    codes[7, 0] ^= 1
    moved = dataclasses.replace(master, embeddings={**master.embeddings, "item_embedding": QuantizedTable(codes, table.scales, 8)})
    assert missing_constants(data, moved, widths) == "it does not hold the codes of item_embedding"
    assert missing_constants(b"", master, widths) is None  # nothing is known of such a file: the scores judge it
