"""The gate goes red: two channels exchanged in an artifact are seen, in every layer, on every runtime that is installed.

An artifact with two swapped channels is made as a faulty lowering would make it: from a master whose rows are swapped, and
then held against the reference of the right master. Green without the swap is checked beside it.
"""

import dataclasses

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.errors import CheckFailed
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.parity import (
    FP32_TOLERANCE,
    INT8_ACTIVATION_TOLERANCE,
    ParityReport,
    VectorSet,
    compare,
    draw,
    emulated_scores,
    parity,
    reference_scores,
)
from chordkit.export.parity.activations import quantize_asymmetric, quantize_symmetric
from chordkit.export.targets import EagerRunner, find_target, load_runner, lower
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows

pytestmark = pytest.mark.long

ITEMS, LENGTH, CANDIDATES = 60, 12, 20
SASREC = SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, blocks=2, heads=2)
CASER = CaserConfig(items=ITEMS, max_length=LENGTH, dim=16)


def _master(config: SASRecConfig | CaserConfig) -> MasterWeights:
    torch.manual_seed(0)
    backbone = build(config)
    with torch.no_grad():  # as large as trained weights, so that every layer has its say in the scores
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, layer.in_features**-0.5)
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return make_master(backbone)


@pytest.fixture(scope="module", params=[SASREC, CASER], ids=["sasrec", "caser"])
def master(request: pytest.FixtureRequest) -> MasterWeights:
    return _master(request.param)


@pytest.fixture(scope="module")
def vectors() -> VectorSet:
    generator = np.random.default_rng(0)
    histories = generator.integers(1, ITEMS + 1, (64, LENGTH)).astype(np.int32)
    for row in range(32):
        histories[row, : generator.integers(0, LENGTH)] = 0
    return draw(histories, generator.integers(1, ITEMS + 1, 64), ITEMS, count=64, candidates=CANDIDATES)


def _swapped(master: MasterWeights, name: str, one: int, other: int) -> MasterWeights:
    """The master with the weights of two channels of a layer exchanged (biases stay: it is the rows that were mixed up)."""
    order = np.arange(len(master.layers[name].rows.codes))
    order[[one, other]] = order[[other, one]]
    layer = master.layers[name]
    rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
    return dataclasses.replace(master, layers={**master.layers, name: MasterLayer(rows, layer.bias)})


def _mixed(master: MasterWeights, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([2, 4, 8], np.uint8), master.channel_table.channels)


def test_any_two_channels_of_any_layer_are_seen(master: MasterWeights, vectors: VectorSet) -> None:
    reference = reference_scores(from_master(master))
    expected = reference(vectors.histories, vectors.candidates)
    generator = np.random.default_rng(2)
    for name, layer in master.layers.items():
        one, other = generator.choice(len(layer.rows.codes), 2, replace=False)
        runner = EagerRunner(from_master(_swapped(master, name, int(one), int(other))))
        report = parity(runner, reference, vectors.histories, vectors.candidates, FP32_TOLERANCE, targets=vectors.targets)
        assert not report.passed, f"{name}: channels {one} and {other} were exchanged unseen"
    right = parity(EagerRunner(from_master(master)), reference, vectors.histories, vectors.candidates, FP32_TOLERANCE)
    assert right.passed, right.reasons
    assert compare(expected, expected, FP32_TOLERANCE).max_abs_error == 0


@pytest.mark.parametrize("target", ["executorch", "litert", "onnx"])
def test_two_channels_exchanged_in_an_artifact_turn_the_gate_red(target: str, vectors: VectorSet) -> None:
    if find_target(target).installed() is None:
        pytest.skip(f"{target} is not installed")
    master = _master(dataclasses.replace(SASREC, blocks=1))
    widths = _mixed(master)
    # Two channels of the same width, so that the artifact has the same groups and sizes, and only its rows are wrong.
    one, other = np.flatnonzero(widths[master.channel_table.layer_slice("blocks.0.query")] == 4)[:2]
    faulty = _swapped(master, "blocks.0.query", int(one), int(other))
    runner = load_runner(target, lower(ArtifactSpec(target, Precision.STRATEGY, CANDIDATES), (faulty, widths)))

    def report(source: MasterWeights, used: np.ndarray) -> ParityReport:
        reference = reference_scores(from_master(source, used))
        return parity(runner, reference, vectors.histories, vectors.candidates, FP32_TOLERANCE, targets=vectors.targets)

    wrong = report(master, widths)
    assert not wrong.passed
    with pytest.raises(CheckFailed, match="does not agree with the reference: relative_rms_error"):
        wrong.require("artifact")
    # The same artifact is green against the model that it does hold: nothing but the exchange made it red.
    same = report(faulty, widths)
    assert same.passed, same.reasons
    # And a strategy applied to the wrong channels: the widths of two neighbours exchanged.
    moved = widths.copy()
    first = int(np.flatnonzero(np.diff(widths))[0])
    moved[[first, first + 1]] = moved[[first + 1, first]]
    assert not report(faulty, moved).passed


def test_quantised_activations_hide_a_swap_from_the_float_reference_but_not_from_their_emulation(vectors: VectorSet) -> None:
    master = _master(SASREC)
    right = from_master(master)
    reference = reference_scores(right)(vectors.histories, vectors.candidates)
    emulated = emulated_scores(right)(vectors.histories, vectors.candidates)
    honest = compare(emulated, reference, INT8_ACTIVATION_TOLERANCE.for_few(64), emulated=emulated)
    assert honest.passed, honest.reasons
    assert honest.emulation_rms_error == 0 and honest.relative_rms_error > FP32_TOLERANCE.relative_rms_error
    for name in master.layers:
        wrong = emulated_scores(from_master(_swapped(master, name, 0, 1)))(vectors.histories, vectors.candidates)
        report = compare(wrong, reference, INT8_ACTIVATION_TOLERANCE.for_few(64), emulated=emulated)
        assert any("emulation_rms_error" in reason for reason in report.reasons), name


def test_emulated_quantisation_is_on_its_grid_and_keeps_zero() -> None:
    x = torch.randn(50, 64)
    x[:, 7] = 0
    for quantize, codes in ((quantize_asymmetric, 256), (quantize_symmetric, 255)):
        y = quantize(x)
        assert (y[:, 7] == 0).all()
        assert max(len(torch.unique(row)) for row in quantize(torch.randn(3, 5000))) <= codes
        step = (x.amax(-1) - x.amin(-1)) / 255 if quantize is quantize_asymmetric else x.abs().amax(-1) / 127
        # Half a step, and for the asymmetric grid as much again at its ends, where the zero point was rounded.
        assert ((y - x).abs().amax(-1) <= step * (1.0 + 1e-4)).all()
        assert ((y - x).abs().mean(-1) <= 0.3 * step).all()
        assert (quantize(torch.zeros(2, 4)) == 0).all()
