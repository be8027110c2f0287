"""Whoever opens an artifact in a viewer finds the layers, the weights and the tables by the names that the model has for them."""

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.export.artifact import ArtifactSpec, Layout, Precision
from chordkit.export.targets import find_target, lower
from chordkit.quantization import MasterWeights

LAYERS = [f"blocks.0.{name}" for name in ("query", "key", "value", "output", "ffn1", "ffn2")]


@pytest.fixture(scope="module")
def source() -> tuple[MasterWeights, np.ndarray]:
    torch.manual_seed(0)
    master = make_master(build(SASRecConfig(items=40, max_length=8, dim=16, blocks=1)))
    return master, np.random.default_rng(0).choice(np.array([2, 4, 8], np.uint8), master.channel_table.channels)


def _data(target: str, source: tuple[MasterWeights, np.ndarray], layout: Layout) -> bytes:
    if find_target(target).installed() is None:
        pytest.skip(f"{target} is not installed")
    return lower(ArtifactSpec(target, Precision.STRATEGY, 5, layout=layout), source)


@pytest.mark.parametrize("layout", ["size", "speed"])
def test_an_onnx_file_names_layers_weights_and_tables(layout: Layout, source: tuple[MasterWeights, np.ndarray]) -> None:
    data = _data("onnx", source, layout)
    import onnx

    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    nodes = {node.name: node for node in model.graph.node if node.name}
    stored = {tensor.name for tensor in model.graph.initializer}
    for layer in LAYERS:
        # The key layer of the last block is applied to the query, by its weights as they are.
        assert nodes[layer].op_type == ("MatMul" if layer.endswith("key") else "Gemm") and list(nodes[layer].output) == [layer]
        assert f"{layer}/int8" in stored and (f"{layer}/int4" in stored) is (layout == "size")
    assert {"item_embedding", "position_embedding"} <= stored
    assert len({output for node in model.graph.node for output in node.output} | stored) == sum(
        len(node.output) for node in model.graph.node
    ) + len(model.graph.initializer)  # no name stands for two things


def test_a_tflite_file_names_layers_and_tables(source: tuple[MasterWeights, np.ndarray]) -> None:
    data = _data("litert", source, "size")
    from chordkit.export.targets.litert.flatbuffer import schema

    graph = schema().Model.GetRootAs(data, 0).Subgraphs(0)
    names = {(graph.Tensors(index).Name() or b"").decode() for index in range(graph.TensorsLength())}
    assert {*LAYERS, "item_embedding", "position_embedding", "history", "candidates", "scores"} <= names
