"""The inference graph equals the training graph, ignores padding, and computes nothing that nobody reads."""

import math

import pytest
import torch

from chordkit.backbones import Backbone, CaserConfig, CatalogueScorer, Reranker, SASRecConfig, build, initialise

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


def make(config, dtype=torch.float32) -> Backbone:
    backbone = initialise(build(config), "random", seed=3).to(dtype).eval()
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


@ALL
def test_encode_equals_the_last_state_of_forward(config):
    # In double precision both graphs add the same terms in another order: each of the (at most 8 per block) reductions, none
    # longer than 1024 terms of magnitude O(10), may differ by length * 2**-52 * magnitude.
    tolerance = 8 * 3 * 1024 * 10 * 2.0**-52
    backbone = make(config, torch.float64)
    full, lean = backbone(histories())[:, -1], backbone.encode(histories())
    assert (full - lean).abs().max() < tolerance
    changed = histories()
    changed[:, -1] = changed[:, -1] % ITEMS + 1
    assert (full - backbone.encode(changed)).abs().max() > 1e3 * tolerance


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


@ONLY_SASREC
def test_a_short_window_gives_the_states_of_a_padded_one(config):
    backbone = make(config, torch.float64)
    padded = histories()[2:3]
    tolerance = 8 * 3 * 1024 * 10 * 2.0**-52
    assert (backbone.window_states(padded[:, 5:]) - backbone(padded)[:, 5:]).abs().max() < tolerance


@ALL
def test_an_empty_history_gives_finite_scores(config):
    backbone = make(config)
    empty = torch.zeros((1, LENGTH), dtype=torch.int64)
    assert backbone.score_all(backbone.encode(empty)).isfinite().all()


@pytest.mark.parametrize("positions", [1, 5, 12, 30])
@pytest.mark.parametrize("config", CASER, ids=name_of)
def test_caser_states_of_a_window_are_those_of_each_history_in_it(config, positions):
    backbone = make(config, torch.float64)
    window = torch.randint(0, ITEMS + 1, (3, LENGTH - 1 + positions), generator=torch.Generator().manual_seed(1))
    each = torch.stack([backbone.encode(window[:, start : start + LENGTH]) for start in range(positions)], dim=1)
    assert (backbone.window_states(window) - each).abs().max() < 1024 * 10 * 2.0**-52


@ALL
def test_candidates_score_as_in_the_catalogue(config):
    backbone = make(config, torch.float64)
    hidden = backbone.encode(histories())
    candidates = torch.tensor([[1, 7, ITEMS, 7]]).expand(len(hidden), -1)
    assert (backbone.score(hidden, candidates) - backbone.score_all(hidden).gather(1, candidates)).abs().max() < 1e-10


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


@pytest.mark.parametrize("config", [SASREC[2], CASER[1]], ids=name_of)
def test_the_catalogue_scorer_exports(config):
    backbone = make(config)
    history = histories()[:1].int()
    program = export(CatalogueScorer(backbone), history)
    torch.testing.assert_close(program.module()(history), backbone.score_all(backbone.encode(history)), rtol=0, atol=0)
