"""The gate and a model with large logits: the engine passes, and its attention in codes, were it to keep to that, would not."""

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.export.artifact import Artifact
from chordkit.export.judge import judge
from chordkit.export.parity import INT8_ACTIVATION_TOLERANCE, VectorSet, compare, draw, references, run_all
from chordkit.export.targets import load_runner
from chordkit.kernels import available, is_sharp
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode

pytestmark = [pytest.mark.long, pytest.mark.skipif(not available(), reason="the native engine was not compiled")]

ITEMS, CANDIDATES, HISTORIES = 200, 40, 16
NATIVE = Artifact(name="x", target="native", precision="strategy", activations="int8", candidates=CANDIDATES, strategy="user")


def _case(factor: float) -> tuple[MasterWeights, np.ndarray, VectorSet]:
    """A random SASRec whose layers have ``factor`` times their usual weights, a strategy, and inputs with the reference's scores."""
    torch.manual_seed(5)
    backbone = build(SASRecConfig(items=ITEMS, max_length=30, heads=1))
    with torch.no_grad():
        for layer in backbone.channel_layers().values():
            layer.weight.mul_(factor)
    master = make_master(backbone)
    generator = np.random.default_rng(0)
    widths = generator.choice(np.array([4, 8], np.uint8), master.channel_table.channels)
    histories = generator.integers(1, ITEMS + 1, (HISTORIES, 30)).astype(np.int32)
    vectors = draw(histories, generator.integers(1, ITEMS + 1, HISTORIES), ITEMS, count=HISTORIES, candidates=CANDIDATES)
    strategy = Strategy(widths, master.fingerprint)
    return master, widths, vectors.with_scores({"user": references(master, None, {"user": strategy})["user"]})


@pytest.mark.parametrize(("factor", "sharp"), [(1, False), (3, True), (5, True)])
def test_a_native_artifact_passes_at_any_size_of_logits(factor: float, sharp: bool) -> None:
    master, widths, vectors = _case(factor)
    assert is_sharp(master) is sharp
    runner = load_runner("native", master.to_bytes(), strategy=encode(Strategy(widths, master.fingerprint)), candidates=CANDIDATES)
    report = judge(NATIVE, runner, master, widths, vectors)
    assert report.passed, report.reasons
    assert report.emulation_max_error == 0
    in_codes = run_all(ReferenceEngine(master, widths, sharp=False), *vectors.inputs)
    judged = compare(in_codes, vectors.scores["user"], INT8_ACTIVATION_TOLERANCE.for_few(HISTORIES))
    assert judged.passed is not sharp
