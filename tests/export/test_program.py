"""The exported program: one marked node for each quantised layer, and the same numbers as the reference."""

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, CatalogueScorer, Reranker, SASRecConfig, build
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import InputError, StrategyError
from chordkit.export.program import absorbed, constant_paths, export_program, marked_backbone, scaled_queries, with_widths
from chordkit.export.program.canonical import canonical
from chordkit.export.program.operators import channel_linear, row_embedding

CHANNEL_LINEAR = torch.ops.chord.channel_linear.default
CHANNEL_LINEAR_TRANSPOSED = torch.ops.chord.channel_linear_transposed.default
ROW_EMBEDDING = torch.ops.chord.row_embedding.default
CONFIGS = [
    SASRecConfig(items=40, max_length=12, dim=16, heads=2, norm_first=True),
    SASRecConfig(items=40, max_length=12, dim=16, heads=1, ffn_dim=32, activation="gelu"),
    CaserConfig(items=40, max_length=12, dim=16, item_bias=True),
]


def random_master(config, seed=0):
    torch.manual_seed(seed)
    return make_master(build(config).eval())


def random_widths(master, seed=0, choices=(2, 4, 8)):
    return np.random.default_rng(seed).choice(choices, master.channel_table.channels).astype(np.uint8)


def targets(exported):
    return [node.target for node in exported.graph.nodes if node.op == "call_function"]


def inputs(items, length, candidates=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    history = torch.randint(1, items + 1, (1, length), dtype=torch.int32, generator=generator)
    history[0, : length // 3] = 0
    return history, torch.randint(1, items + 1, (1, candidates), dtype=torch.int32, generator=generator)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.architecture)
def test_every_strategy_layer_is_one_node_and_the_scores_are_those_of_the_reference(config):
    master = random_master(config)
    widths = random_widths(master, choices=(0, 2, 4, 8))
    exported = export_program((master, widths), candidates=7)
    assert targets(exported).count(CHANNEL_LINEAR) == len(master.layers)
    assert torch.ops.aten.linear.default not in targets(exported)
    history, candidates = inputs(config.items, config.max_length)
    expected = Reranker(from_master(master, widths))(history, candidates)
    # The marker multiplies codes by scales as dequantisation does: not even the rounding differs.
    torch.testing.assert_close(exported.module()(history, candidates), expected, rtol=0, atol=0)


def test_all_lookups_share_the_codes_of_one_item_table():
    master = random_master(CONFIGS[0])
    exported = export_program((master, random_widths(master)), candidates=7)
    tables = {node.args[1].name for node in exported.graph.nodes if node.op == "call_function" and node.target is ROW_EMBEDDING}
    assert tables == {"b_backbone_item_embedding_codes", "b_backbone_position_embedding_codes"}


def test_another_strategy_needs_no_second_trace_and_leaves_the_first_program_alone():
    config = CONFIGS[0]
    master = random_master(config)
    first, second = random_widths(master, 0), random_widths(master, 1)
    exported = export_program((master, first), candidates=7)
    other = with_widths(exported, master, second)
    ids = inputs(config.items, config.max_length)
    for program, widths in ((other, second), (exported, first)):
        torch.testing.assert_close(program.module()(*ids), Reranker(from_master(master, widths))(*ids), rtol=0, atol=0)
    with pytest.raises(StrategyError, match="does not fit"):
        with_widths(exported, master, second[:-1])


def test_a_float_backbone_is_exported_without_markers_and_without_training_nodes():
    backbone = build(CONFIGS[0]).eval()
    exported = export_program(backbone, candidates=5)
    assert not {CHANNEL_LINEAR, ROW_EMBEDDING, torch.ops.aten.dropout.default} & set(targets(exported))
    history, candidates = inputs(CONFIGS[0].items, CONFIGS[0].max_length, 5)
    torch.testing.assert_close(exported.module()(history, candidates), Reranker(backbone)(history, candidates))


@pytest.mark.parametrize("quantised", [False, True])
def test_without_candidates_the_whole_catalogue_is_scored(quantised):
    config = CONFIGS[1]
    master = random_master(config)
    widths = random_widths(master)
    source = (master, widths) if quantised else build(config).eval()
    reference = from_master(master, widths) if quantised else source
    history, _ = inputs(config.items, config.max_length)
    scores = export_program(source, candidates=None).module()(history)
    assert scores.shape == (1, config.items + 1)
    torch.testing.assert_close(scores, CatalogueScorer(reference)(history))


def test_marker_operators_pass_the_checks_of_torch_library():
    codes = torch.randint(-7, 8, (6, 4), dtype=torch.int8)
    scales, widths, bias = torch.rand(6) + 0.1, torch.full((6,), 4, dtype=torch.uint8), torch.rand(6)
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(channel_linear, (torch.rand(2, 3, 4), codes, scales, widths, bias), test_utils=tests)
    torch.library.opcheck(channel_linear, (torch.rand(4), codes, scales, widths, None), test_utils=tests)
    torch.library.opcheck(row_embedding, (torch.tensor([[0, 5]], dtype=torch.int32), codes, scales), test_utils=tests)


def test_an_off_channel_keeps_its_bias():
    master = random_master(CONFIGS[0])
    backbone = marked_backbone(master, np.zeros(master.channel_table.channels, np.uint8))
    layer = backbone.get_submodule("blocks.0.query")
    bias = torch.arange(16, dtype=torch.float32)
    layer.bias = bias
    torch.testing.assert_close(layer(torch.rand(3, 16)), bias.expand(3, 16))


def test_widths_of_another_backbone_are_refused():
    master = random_master(CONFIGS[0])
    with pytest.raises(StrategyError, match="does not fit the master's 192 channels"):
        export_program((master, np.full(10, 8, np.uint8)))
    with pytest.raises(StrategyError, match="other than 0, 2, 4 or 8"):
        export_program((master, np.full(master.channel_table.channels, 3, np.uint8)))


def test_no_candidates_at_all_is_an_input_error():
    with pytest.raises(InputError, match="candidates: 0"):
        export_program(build(CONFIGS[0]).eval(), candidates=0)


def run(program, *inputs):
    """A program's result, node by node over float64 copies of its constants."""
    paths, values = constant_paths(program), {}
    constants, given = {**program.state_dict, **program.constants}, iter(inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder":
            value = constants[paths[node.name]].detach() if node.name in paths else next(given)
            values[node] = value.double() if value.is_floating_point() else value
        elif node.op == "call_function":
            arguments = torch.fx.map_arg(node.args, values.__getitem__)
            values[node] = WIDE.get(node.target, node.target)(*arguments, **node.kwargs)
    return values[program.graph.output_node().args[0][0]]


WIDE = {
    CHANNEL_LINEAR: lambda x, codes, scales, widths, bias=None: torch.nn.functional.linear(x, codes.double() * scales.unsqueeze(1), bias),
    CHANNEL_LINEAR_TRANSPOSED: lambda x, codes, scales, widths: x @ (codes.double() * scales.unsqueeze(1)),
    ROW_EMBEDDING: lambda ids, codes, scales: codes[ids.long()].double() * scales[ids.long()].unsqueeze(-1),
}


def attentive(heads, blocks=2, **more):
    """A backbone in which no bias is zero and attention is not even."""
    torch.manual_seed(heads)
    backbone = build(SASRecConfig(items=40, max_length=12, dim=16, blocks=blocks, heads=heads, **more)).eval()
    with torch.no_grad():
        for block in backbone.blocks:
            for parameter in block.parameters():
                parameter.normal_(std=0.5)
    return backbone


def some_call(batch=1):
    history = torch.randint(1, 41, (batch, 12), dtype=torch.int32)
    history[0, :5] = 0
    return history, torch.randint(1, 41, (batch, 7), dtype=torch.int32)


def factors_of_scores(program):
    return [node for node in program.graph.nodes if node.target is torch.ops.aten.mul.Tensor and isinstance(node.args[1], float)]


@pytest.mark.parametrize("quantised", [False, True])
def test_the_factor_of_scores_moves_into_the_queries(quantised):
    backbone = attentive(heads=4)  # of 4 channels, so that the factor is 1/2 and nothing is rounded
    master = make_master(backbone)
    program = export_program((master, random_widths(master, choices=(0, 2, 4, 8))) if quantised else backbone, candidates=7)
    scaled, asked = scaled_queries(program), some_call()
    assert len(factors_of_scores(program)) == 2 and factors_of_scores(scaled) == []
    torch.testing.assert_close(run(scaled, *asked), run(program, *asked), rtol=0, atol=1e-12)


def test_the_factor_of_scores_stays_where_others_read_the_query():
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.query = torch.nn.Linear(8, 8)

        def forward(self, x):
            query = self.query(x)
            return torch.softmax((query @ x.transpose(1, 2)) * 0.5, 2) @ query

    x = torch.randn(2, 5, 8)
    program = canonical(torch.export.export(Shared().eval(), (x,)))
    torch.testing.assert_close(run(scaled_queries(program), x.double()), run(program, x.double()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("blocks, heads", [(1, 1), (2, 2), (2, 4)])
@pytest.mark.parametrize("quantised", [False, True])
def test_absorption_gives_the_same_scores_with_keys_and_values_of_one_row_a_head(quantised, blocks, heads, batch):
    backbone = attentive(heads, blocks)
    master = make_master(backbone)
    program = export_program((master, random_widths(master, choices=(0, 2, 4, 8))) if quantised else backbone, candidates=7, batch=batch)
    before = [str(node) for node in program.graph.nodes]
    smaller = absorbed(program)
    assert [str(node) for node in program.graph.nodes] == before
    rows = {name: [] for name in ("key", "value")}
    for node in smaller.graph.nodes:
        names = [
            path.split(".")[-2] for path in map(constant_paths(smaller).get, map(str, node.all_input_nodes)) if path and "block" in path
        ]
        if names and names[0] in rows and node.meta["val"].dim() == 3:
            rows[names[0]].append(node.meta["val"].shape[1])
    assert rows == {name: [backbone.config.max_length] * (blocks - 1) + [heads] for name in rows}
    asked = some_call(batch)
    # The same sums in another order, in float64: scores of about 1 from sums of 16 and 40 terms.
    torch.testing.assert_close(run(smaller, *asked), run(program, *asked), rtol=0, atol=1e-12)


@pytest.mark.parametrize("quantised, moved", [(False, True), (True, False)])
def test_with_activations_of_8_bits_keys_move_only_where_their_weights_are_float32(quantised, moved):
    master = make_master(backbone := attentive(heads=2))
    program = export_program((master, random_widths(master)) if quantised else backbone, candidates=7)
    few = absorbed(program, keys="float32")
    assert (str(few.graph) == str(absorbed(program).graph)) is moved
    assert (str(few.graph) == str(absorbed(program, keys="none").graph)) is not moved


def test_a_program_without_attention_of_one_query_is_left_as_it_is():
    program = export_program(build(CONFIGS[2]).eval(), candidates=7)
    assert absorbed(program) is program


class OneQuery(torch.nn.Module):
    """Attention of one query written otherwise than SASRec's: what it does to its scores and to the result is ``way``'s."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.query, self.key, self.value, self.output = (torch.nn.Linear(8, 8) for _ in range(4))
        self.register_buffer("slots", torch.linspace(0.5, 2.0, 5))

    def heads(self, x):
        return x if self.way == "no axis of heads" else x.view(2, -1, 2, 4).permute(0, 2, 1, 3)

    def forward(self, x):
        scores = self.heads(self.query(x[:, -1:])) @ self.heads(self.key(x)).transpose(-2, -1)
        scores = scores * self.slots if self.way == "a factor a slot" else scores * 0.5
        weights = torch.softmax(scores, -2 if self.way == "a softmax over one" else -1)
        mixed = weights @ self.heads(self.value(x))
        if self.way != "no axis of heads":
            mixed = mixed.permute(0, 3, 2, 1) if self.way == "heads last" else mixed.permute(0, 2, 1, 3)
        return self.output(mixed.reshape(2, 8) if self.way == "no axis of slots" else mixed.reshape(2, 1, 8))


@pytest.mark.parametrize(
    "way", ["as in SASRec", "no axis of heads", "a factor a slot", "a softmax over one", "heads last", "no axis of slots"]
)
def test_absorption_leaves_what_is_not_the_same_algebra(way):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8)
    program = canonical(torch.export.export(OneQuery(way).eval(), (x,)))
    # The same sums in another order, in float64.
    torch.testing.assert_close(run(absorbed(program), x.double()), run(program, x.double()), rtol=0, atol=1e-12)
    rows = [node.meta["val"].numel() for node in absorbed(program).graph.nodes if node.target is torch.ops.aten.linear.default]
    if way in ("as in SASRec", "no axis of heads"):  # no layer has a row a slot
        assert max(rows) < 2 * 5 * 8
