"""What the graphs of SASRec and Caser promise beyond every backbone's contract: few ops, and nothing computed that nobody reads."""

import math

import pytest
import torch

from chordkit.backbones import Backbone, CaserConfig, Reranker, SASRecConfig, build, initialise

ITEMS, LENGTH = 40, 12

SASREC = [
    SASRecConfig(ITEMS, LENGTH, dim, blocks, heads, ffn_factor * dim, activation, norm_first)
    for dim, blocks, heads, ffn_factor, activation, norm_first in [
        (32, 1, 1, 1, "relu", False),
        (32, 2, 4, 4, "gelu", True),
        (64, 2, 2, 1, "relu", False),
        (64, 3, 1, 4, "gelu", False),
        (64, 2, 1, 1, "relu", True),
        (96, 2, 3, 1, "gelu", True),
        (128, 1, 4, 4, "relu", True),
        (128, 2, 2, 1, "gelu", False),
    ]
]
CASER = [
    CaserConfig(ITEMS, LENGTH, 32),
    CaserConfig(ITEMS, LENGTH, 64, heights=(1, 12), filters=3, vertical_filters=1, item_bias=True),
]


def name_of(config) -> str:
    return f"{config.architecture}-{'-'.join(str(value) for value in list(vars(config).values())[1:8])}"


ALL = pytest.mark.parametrize("config", SASREC + CASER, ids=name_of)
ONLY_SASREC = pytest.mark.parametrize("config", SASREC, ids=name_of)


def make(config) -> Backbone:
    backbone = initialise(build(config), "random", seed=3).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(parameter)))
        backbone.item_embedding.weight[1:] *= 30
    return backbone


def histories() -> torch.Tensor:
    rows = torch.randint(1, ITEMS + 1, (5, LENGTH), generator=torch.Generator().manual_seed(0))
    rows[1, : LENGTH - 1] = 0
    rows[2, :5] = 0
    return rows


@ONLY_SASREC
def test_padded_slots_influence_nothing(config):
    backbone = make(config)
    before = backbone(histories())
    with torch.no_grad():
        backbone.item_embedding.weight[0] = 17.0
        backbone.position_embedding.weight[:5] += torch.randn(5, config.dim)
    after = backbone(histories())
    # Row 2 starts with five padded slots: its real slots must not notice what those hold. Exactly: exp(-1e4) is 0.
    assert torch.equal(before[2, 5:], after[2, 5:])
    assert not torch.equal(before[0], after[0])


ALLOWED = {
    f"aten.{name}"
    for name in [
        "embedding.default",
        "add.Tensor",
        "mul.Tensor",
        "linear.default",
        "matmul.default",
        "softmax.int",
        "layer_norm.default",
        "relu.default",
        "gelu.default",
        "view.default",
        "reshape.default",
        "permute.default",
        "cat.default",
        "amax.default",
        "slice.Tensor",
        "select.int",
        "unsqueeze.default",
        "squeeze.dim",
        "eq.Scalar",
        "where.self",
    ]
}


def linear_shapes(program: torch.export.ExportedProgram) -> dict[str, tuple[int, ...]]:
    """Output shape of every Linear node, by the module path of its weight."""
    weights = program.graph_signature.inputs_to_parameters
    nodes = [node for node in program.graph.nodes if str(node.target) == "aten.linear.default"]
    return {weights[node.args[1].name].removeprefix("backbone.").removesuffix(".weight"): tuple(node.meta["val"].shape) for node in nodes}


def export(module: torch.nn.Module, *inputs: torch.Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(module.eval(), inputs, strict=True)


@ALL
def test_the_exported_graph_is_lean_and_speaks_few_ops(config):
    backbone = make(config)
    history, candidates = histories()[2:3].int(), torch.tensor([[3, 1, 40, 8]], dtype=torch.int32)
    program = export(Reranker(backbone), history, candidates)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    assert {str(node.target) for node in calls} <= ALLOWED
    assert all(node.users for node in calls), "a dead branch"
    shapes = linear_shapes(program)
    assert set(shapes) == set(backbone.channel_layers())
    if config.architecture == "sasrec":
        for name, shape in shapes.items():
            block, layer = int(name.split(".")[1]), name.split(".")[2]
            slots = 1 if block == config.blocks - 1 and layer not in ("key", "value") else LENGTH
            assert math.prod(shape[:-1]) == slots, name
    torch.testing.assert_close(program.module()(history, candidates), Reranker(backbone)(history, candidates), rtol=0, atol=0)
