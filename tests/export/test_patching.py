"""A master file and a strategy give the exporter's file for this strategy, and the real runtime its scores."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from chordkit.backbones.architectures.caser import CaserConfig
from chordkit.backbones.architectures.gru4rec import GRU4RecConfig
from chordkit.backbones.architectures.sasrec import SASRecConfig
from chordkit.backbones.config import BackboneConfig
from chordkit.errors import MasterWarning
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import draw, references
from chordkit.export.program import traced_once
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.patching import MasterFile, carries_table
from chordkit.quantization import MasterLayer, MasterWeights, quantize_rows
from chordkit.strategy import Strategy, to_wire
from tests.kernels.conftest import random_master

ITEMS, CANDIDATES = 40, 10
CONFIGS: dict[str, BackboneConfig] = {
    "one head, before the layers": SASRecConfig(items=ITEMS, dim=16, max_length=6, heads=1, blocks=1, norm_first=True),
    "two heads, after them": SASRecConfig(items=ITEMS, dim=16, max_length=6, heads=2, blocks=1, ffn_dim=10, activation="gelu"),
    "caser": CaserConfig(items=ITEMS, dim=16, max_length=6, heights=(2, 3), filters=3, vertical_filters=2),
    "gru4rec": GRU4RecConfig(items=ITEMS, dim=16, max_length=4),
}
CASES = [
    ("litert", "fp32", "two heads, after them", True),
    ("litert", "int8", "one head, before the layers", False),
    ("litert", "fp32", "caser", True),
    ("litert", "fp32", "gru4rec", False),
    ("onnx", "fp32", "two heads, after them", False),
    ("onnx", "fp32", "caser", False),
    ("onnx", "fp32", "gru4rec", True),
]


def strategies(channels: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(8).choice
    drawn = {name: draw(np.array(widths, np.uint8), channels) for name, widths in (("mixed", (2, 4, 8)), ("some off", (0, 2, 4, 8)))}
    return drawn | {"all off": np.zeros(channels, np.uint8), "all 8": np.full(channels, 8, np.uint8)}


@pytest.mark.parametrize(("target", "activations", "name", "user_vector"), CASES)
def test_a_patched_file_is_the_exporters_and_runs(target: str, activations: str, name: str, user_vector: bool) -> None:
    find_target(target).prepare()
    master = random_master(CONFIGS[name])
    channels = master.channel_table.channels
    spec = ArtifactSpec(target, Precision.INT8, CANDIDATES, activations, user_vector, layout="speed")  # type: ignore[arg-type]
    data = lower(spec, (master, np.full(channels, 8, np.uint8)))
    everybody = MasterFile(data)
    assert (everybody.fingerprint, everybody.channels) == (master.fingerprint, channels)
    history, candidates = np.array([0, 3, 9, 40, 1, 7], np.int32)[-CONFIGS[name].max_length :], np.arange(1, CANDIDATES + 1, dtype=np.int32)
    user = (np.linspace(-1, 1, master.dim, dtype=np.float32),) if user_vector else ()
    # Traced once for all, but for one target and model: there each file is made as by itself.
    with nullcontext() if name == "caser" and target == "onnx" else traced_once():
        for label, widths in strategies(channels).items():
            patched = everybody.patched(to_wire(Strategy(widths, master.fingerprint)))
            assert patched == lower(replace(spec, precision=Precision.STRATEGY), (master, widths)), label
            assert not carries_table(patched)
    # The runtime passes over the table, and gives the same as without it.
    scores = [load_runner(target, each).scores(history, candidates, *user) for each in (data, everybody.content)]
    np.testing.assert_array_equal(*scores)
    assert np.isfinite(scores).all() and np.ptp(scores[0]) > 0


def test_the_factor_that_is_folded_into_queries_is_in_the_table() -> None:
    find_target("litert").prepare()
    master = random_master(CONFIGS["two heads, after them"])
    spec = ArtifactSpec("litert", Precision.INT8, CANDIDATES, "fp32", layout="speed")
    table = MasterFile(lower(spec, (master, np.full(master.channel_table.channels, 8, np.uint8)))).table
    factors = dict(zip(master.layers, (layer.off_scale for layer in table.layers), strict=True))
    # Two heads of 8 numbers each: scores are divided by the root of 8, in float32.
    assert factors.pop("blocks.0.query") == np.float32(1 / np.sqrt(8)) and set(factors.values()) == {1.0}


def test_layers_with_equal_weights_are_told_from_each_other() -> None:
    find_target("onnx").prepare()
    master = random_master(CONFIGS["one head, before the layers"])
    same = dict(master.layers)
    for name in ("blocks.0.key", "blocks.0.value"):
        same[name] = replace(same[name], rows=same["blocks.0.query"].rows)
    twins = replace(master, layers=same)
    spec = ArtifactSpec("onnx", Precision.INT8, CANDIDATES, layout="speed")
    everybody = MasterFile(lower(spec, (twins, np.full(twins.channel_table.channels, 8, np.uint8))))
    widths = strategies(twins.channel_table.channels)["mixed"]
    wanted = lower(replace(spec, precision=Precision.STRATEGY), (twins, widths))
    assert everybody.patched(to_wire(Strategy(widths, twins.fingerprint))) == wanted


def test_a_model_that_no_table_describes_is_exported_without_one_and_with_a_warning() -> None:
    find_target("onnx").prepare()
    master = random_master(CONFIGS["caser"])
    nothing = np.zeros_like(master.layers["vertical"].rows.codes, np.float32)
    layers = master.layers | {"vertical": MasterLayer(quantize_rows(nothing, "mse"), master.layers["vertical"].bias)}
    silent: MasterWeights = replace(master, layers=layers)
    spec = ArtifactSpec("onnx", Precision.INT8, CANDIDATES, layout="speed")
    with pytest.warns(MasterWarning, match="onnx: the file carries no patch table: the codes of vertical are found at [0-9]+ places"):
        data = lower(spec, (silent, np.full(silent.channel_table.channels, 8, np.uint8)))
    assert not carries_table(data) and load_runner("onnx", data).items == ITEMS


def test_a_patched_file_gives_the_scores_of_the_reference() -> None:
    find_target("litert").prepare()
    master = random_master(CONFIGS["two heads, after them"])
    channels = master.channel_table.channels
    widths = strategies(channels)["some off"]
    spec = ArtifactSpec("litert", Precision.INT8, CANDIDATES, "fp32", layout="speed")
    everybody = MasterFile(lower(spec, (master, np.full(channels, 8, np.uint8))))
    runner = load_runner("litert", everybody.patched(to_wire(Strategy(widths, master.fingerprint))))
    random = np.random.default_rng(9)
    drawn = draw(random.integers(1, ITEMS + 1, (20, 6)), random.integers(1, ITEMS + 1, 20), ITEMS, count=20, candidates=CANDIDATES)
    vectors = drawn.with_scores(references(master, None, {"mine": Strategy(widths, master.fingerprint)}))
    artifact = Artifact(
        name="a", target="litert", precision="strategy", activations="fp32", candidates=CANDIDATES, strategy="mine", layout="speed"
    )
    judge(artifact, runner, master, widths, vectors).require("patched")
    # Of another strategy it does not: the reference is not blind.
    other = load_runner("litert", everybody.content)
    assert not judge(artifact, other, master, widths, vectors).passed
