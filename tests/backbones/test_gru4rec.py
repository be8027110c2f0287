"""What GRU4Rec promises beyond the contract of all backbones."""

import pytest
import torch
from torch import nn

from chordkit.backbones import CatalogueScorer
from chordkit.backbones.architectures.gru4rec import GRU4Rec, GRU4RecConfig

CONFIG = GRU4RecConfig(items=30, max_length=9, dim=8, hidden=12)


def double_precision(config: GRU4RecConfig = CONFIG) -> GRU4Rec:
    torch.manual_seed(4)
    backbone = GRU4Rec(config).double().eval()
    with torch.no_grad():
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return backbone


@pytest.mark.parametrize("length", [1, 5, 9])
def test_the_weights_of_nn_gru_give_the_states_of_nn_gru(length: int) -> None:
    backbone = double_precision()
    peer = nn.GRU(CONFIG.dim, CONFIG.hidden, batch_first=True).double()
    for layer, kind in ((backbone.input, "ih"), (backbone.recurrent, "hh")):
        layer.load_state_dict({name: getattr(peer, f"{name}_{kind}_l0") for name in ("weight", "bias")})
    history = torch.randint(1, CONFIG.items + 1, (6, length))
    with torch.no_grad():
        expected = backbone.dense(peer(backbone.item_embedding(history))[0])
        states = backbone(history)
    # States and gates lie in [-1, 1]: each slot rounds sums of dim + hidden products, and passes on what the slots before it rounded.
    terms = length * (CONFIG.dim + CONFIG.hidden) * CONFIG.hidden
    assert (states - expected).abs().max() < terms * 2.0**-53 * max(1.0, float(expected.abs().max()))


def test_the_state_stays_exactly_where_it_starts_until_the_first_item() -> None:
    backbone = double_precision().float()
    history = torch.randint(1, CONFIG.items + 1, (6, CONFIG.max_length))
    history[:, :5] = 0
    with torch.no_grad():
        backbone.item_embedding.weight[0] = 17.0
        states = backbone(history)
    assert torch.equal(states[:, :5], backbone.dense.bias.expand(6, 5, -1))
    assert not (states[:, 5] == backbone.dense.bias).any()


def test_only_the_recurrent_layer_runs_once_per_slot() -> None:
    history = torch.ones((1, CONFIG.max_length), dtype=torch.int32)
    program = torch.export.export(CatalogueScorer(double_precision().float()), (history,), strict=False)
    layers = program.graph_signature.inputs_to_parameters
    nodes = [node for node in program.graph.nodes if str(node.target) == "aten.linear.default"]
    rows = {path: [] for path in ("backbone.input", "backbone.recurrent", "backbone.dense")}
    for node in nodes[:-1]:
        rows[layers[node.args[1].name].removesuffix(".weight")].append(node.meta["val"].shape[:-1].numel())
    assert rows == {"backbone.input": [CONFIG.max_length], "backbone.recurrent": [1] * CONFIG.max_length, "backbone.dense": [1]}
