"""ONNX files on the real ONNX Runtime: the reference's scores, honest bytes, one spelling."""

import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, initialise
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import CapabilityError, MissingRuntimeError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.program import export_program
from chordkit.export.targets import EagerRunner, load_runner, lower
from chordkit.export.targets.onnx import lower as target

ITEMS, LENGTH, CANDIDATES, DIM = 50, 10, 12, 16
# float32 sums in another order: 4 sqrt(K) unit roundoffs for each of up to 16 sums in series, K <= 256 terms.
TOLERANCE = 16 * 4 * np.sqrt(256) * 2.0**-24
COMMON = {"items": ITEMS, "max_length": LENGTH, "dim": DIM}
CONFIGS = {
    "post-norm": SASRecConfig(**COMMON, heads=2, blocks=2),
    "pre-norm": SASRecConfig(**COMMON, heads=1, blocks=2, norm_first=True),
    "four-heads-gelu-wide": SASRecConfig(**COMMON, heads=4, blocks=1, ffn_dim=4 * DIM, activation="gelu"),
    "caser": CaserConfig(**COMMON, heights=(1, 2, 3), filters=5, vertical_filters=3),
    "caser-bias-odd": CaserConfig(items=ITEMS, max_length=9, dim=DIM, heights=(2,), filters=4, vertical_filters=2, item_bias=True),
}


def random_backbone(config, seed=0):
    backbone = initialise(build(config), "random", seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
            elif "embedding" in name:
                # Scores of a size that single rounding errors do not drown in.
                parameter *= 20
    return backbone


def width_kinds(master, seed=0):
    channels = master.channel_table.channels
    generator = np.random.default_rng(seed)
    single = np.full(channels, 4, np.uint8)
    for layer in master.channel_table.layers:
        single[layer.offset] = 2
        single[layer.offset + layer.out_channels - 1] = 8
    return {
        "int8": np.full(channels, 8, np.uint8),
        "mix": generator.choice(np.array([0, 2, 4, 8], np.uint8), channels, p=[0.1, 0.4, 0.3, 0.2]),
        "all-int2": np.full(channels, 2, np.uint8),
        "all-int4": np.full(channels, 4, np.uint8),
        "one-channel-groups": single,
        "all-off": np.zeros(channels, np.uint8),
    }


def inputs(config, seed=0):
    """Histories of a full window, half of one, and a single item, with candidates."""
    generator = np.random.default_rng(seed)
    for real in (config.max_length, config.max_length // 2, 1):
        history = np.zeros(config.max_length, np.int32)
        history[-real:] = generator.integers(1, config.items + 1, real)
        yield history, generator.integers(1, config.items + 1, CANDIDATES).astype(np.int32)


def error(data, backbone, name="onnx"):
    """Largest error over the inputs, relative to the largest score."""
    runner, reference = load_runner(name, data), EagerRunner(backbone)
    worst, largest = 0.0, 0.0
    for history, candidates in inputs(backbone.config):
        expected = reference.scores(history, candidates)
        worst = max(worst, float(np.abs(runner.scores(history, candidates) - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    return worst / largest


@pytest.fixture(scope="module")
def strategy():
    """Master, widths of all kinds, and the artifact of the mixed ones."""
    master = make_master(random_backbone(CONFIGS["post-norm"]))
    widths = width_kinds(master)["mix"]
    return master, widths, lower(ArtifactSpec("onnx", "strategy", CANDIDATES), (master, widths))


@pytest.mark.parametrize("name", CONFIGS)
def test_fp32_scores_are_the_models(name):
    backbone = random_backbone(CONFIGS[name])
    assert error(lower(ArtifactSpec("onnx", "fp32", CANDIDATES), backbone), backbone) < TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
def test_a_random_strategy_scores_as_its_reference(name):
    master = make_master(random_backbone(CONFIGS[name]))
    widths = width_kinds(master)["mix"]
    assert error(lower(ArtifactSpec("onnx", "strategy", CANDIDATES), (master, widths)), from_master(master, widths)) < TOLERANCE


@pytest.mark.parametrize("kind", ["int8", "all-int2", "all-int4", "one-channel-groups", "all-off"])
def test_every_kind_of_widths_scores_as_its_reference(kind):
    master = make_master(random_backbone(CONFIGS["pre-norm"]))
    widths = width_kinds(master)[kind]
    data = lower(ArtifactSpec("onnx", "int8" if kind == "int8" else "strategy", CANDIDATES), (master, widths))
    assert error(data, from_master(master, widths)) < TOLERANCE


def test_swapping_two_channels_of_an_artifact_is_seen(strategy):
    master, widths, data = strategy
    model = onnx.load_from_string(data)
    codes = next(tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT4 and tensor.dims[0] > 1)
    row = int(np.prod(codes.dims[1:])) // 2
    raw = codes.raw_data
    codes.raw_data = raw[row : 2 * row] + raw[:row] + raw[2 * row :]
    assert error(model.SerializeToString(), from_master(master, widths)) > 100 * TOLERANCE


def test_weights_take_their_own_bits_and_the_item_table_is_stored_once(strategy):
    master, widths, data = strategy
    table = master.channel_table
    stored = {}
    for tensor in onnx.load_from_string(data).graph.initializer:
        stored[tensor.data_type] = stored.get(tensor.data_type, 0) + len(tensor.raw_data)
    for bits, kind in ((2, onnx.TensorProto.INT2), (4, onnx.TensorProto.INT4)):
        assert stored[kind] == int((table.in_features * (widths == bits)).sum()) * bits // 8
    tables = sum(embedding.codes.nbytes for embedding in master.embeddings.values())
    assert stored[onnx.TensorProto.INT8] == int((table.in_features * (widths == 8)).sum()) + tables


def test_a_file_asks_for_no_newer_opset_than_it_needs(strategy):
    master, _, mixed = strategy
    kinds = width_kinds(master)
    opsets = {
        kind: onnx.load_from_string(lower(ArtifactSpec("onnx", "strategy", CANDIDATES), (master, kinds[kind]))).opset_import[0].version
        for kind in ("int8", "all-int4")
    }
    assert opsets == {"int8": 20, "all-int4": 21}
    assert onnx.load_from_string(mixed).opset_import[0].version == 25


def test_names_and_metadata_say_what_the_file_is(strategy):
    master, _, data = strategy
    model = onnx.load_from_string(data)
    assert [item.name for item in model.graph.input] == ["history", "candidates"]
    assert [item.name for item in model.graph.output] == ["scores"]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["chordkit.items"] == str(ITEMS)
    assert properties["chordkit.fingerprint"] == master.fingerprint.hex()
    assert properties["chordkit.precision"] == "strategy"


def test_the_same_source_gives_the_same_bytes(strategy):
    master, widths, data = strategy
    assert lower(ArtifactSpec("onnx", "strategy", CANDIDATES), (master, widths)) == data


def test_weights_are_widened_once_at_load(strategy, tmp_path):
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(strategy[2], options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert "Gemm" in operators
    assert not {"DequantizeLinear", "Concat"} & set(operators)


def test_a_runtime_with_its_default_options_gives_the_same_scores(strategy):
    _, _, data = strategy
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    history, candidates = next(inputs(CONFIGS["post-norm"]))
    plain = session.run(["scores"], {"history": history[None], "candidates": candidates[None]})[0][0]
    np.testing.assert_allclose(plain, load_runner("onnx", data).scores(history, candidates), rtol=0, atol=TOLERANCE * np.abs(plain).max())


def test_the_whole_catalogue_is_scored_too():
    backbone = random_backbone(CONFIGS["caser"])
    session = onnxruntime.InferenceSession(target.lower(export_program(backbone, None), ITEMS), providers=["CPUExecutionProvider"])
    history, _ = next(inputs(backbone.config))
    with torch.no_grad():
        expected = backbone.score_all(backbone.encode(torch.from_numpy(history[None]))).numpy()
    np.testing.assert_allclose(session.run(None, {"history": history[None]})[0], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_an_operator_without_a_lowering_is_refused():
    class Sine(torch.nn.Module):
        def forward(self, x):
            return torch.sin(x)

    program = torch.export.export(Sine(), (torch.ones(1, 2, dtype=torch.int32),))
    with pytest.raises(CapabilityError, match=r"aten\.sin"):
        target.lower(program, ITEMS)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch, strategy):
    master, widths, _ = strategy
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingRuntimeError, match=r"chordkit\[onnx\]"):
        lower(ArtifactSpec("onnx", "strategy", CANDIDATES), (master, widths))


def test_running_a_file_leaves_no_trace_of_telemetry(tmp_path):
    artifact = tmp_path / "model.onnx"
    artifact.write_bytes(lower(ArtifactSpec("onnx", "fp32", CANDIDATES), random_backbone(CONFIGS["post-norm"])))
    (tmp_path / "temporary").mkdir()
    script = "import sys; from chordkit.export.targets import load_runner; load_runner('onnx', open(sys.argv[1], 'rb').read())"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", script, artifact], check=True, env=environment | {"TMPDIR": str(tmp_path / "temporary")}, cwd=tmp_path
    )
    assert list((tmp_path / "temporary").iterdir()) == []
