"""What every backbone owes the rest of chordkit, collected from the registry: a new architecture's examples come by themselves."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from chordkit.backbones import (
    ARCHITECTURES,
    Architecture,
    Backbone,
    BackboneConfig,
    CatalogueScorer,
    CausalBackbone,
    ChannelOrder,
    Reranker,
    attach_widths,
    build,
    config_from_dict,
    config_to_dict,
    default_config,
    from_master,
    initialise,
    make_master,
)
from chordkit.data import synthesize
from chordkit.hypernetwork import default_hypernetwork_options, train_hypernetwork
from chordkit.quantization import WIDTHS, MasterWeights, ScalePolicy
from chordkit.training import default_options, load_backbone, save_backbone, train_backbone

EXAMPLES = [config for architecture in ARCHITECTURES.values() for config in architecture.examples]


def each_of(configs: list[BackboneConfig]) -> pytest.MarkDecorator:
    names = ["-".join(str(value) for value in config_to_dict(config).values()) for config in configs]
    return pytest.mark.parametrize("config", configs, ids=names)


EACH = each_of(EXAMPLES)
EACH_CAUSAL = each_of([config for config in EXAMPLES if isinstance(build(config), CausalBackbone)])
EACH_WITH_AN_ORDER = each_of([config for config in EXAMPLES if ARCHITECTURES[config.architecture].channel_order])
EACH_ARCHITECTURE = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda architecture: architecture.name)
ROWS = 5


def make(config: BackboneConfig, dtype: torch.dtype = torch.float64) -> Backbone:
    """A random backbone in which biases, norms and embeddings are large enough to be missed when they go missing."""
    backbone = initialise(build(config), "random", seed=3).to(dtype).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(parameter)))
        backbone.item_embedding.weight[1:] *= 30
    return backbone


def histories(config: BackboneConfig) -> torch.Tensor:
    """Rows [ROWS, max_length]: full ones, one with a single item (1), one half full (2)."""
    rows = torch.randint(1, config.items + 1, (ROWS, config.max_length), generator=torch.Generator().manual_seed(0))
    rows[1, : config.max_length - 1] = 0
    rows[2, : config.max_length // 2] = 0
    return rows


def other_last_item(rows: torch.Tensor, config: BackboneConfig) -> torch.Tensor:
    changed = rows.clone()
    changed[:, -1] = changed[:, -1] % config.items + 1
    return changed


def rounding(backbone: Backbone, values: torch.Tensor) -> float:
    """What the order of float64 sums may change: one rounding of the largest value per term, layer and slot."""
    longest = max(layer.in_features for layer in backbone.channel_layers().values())
    terms = len(backbone.channel_layers()) * backbone.config.max_length * max(longest, backbone.config.max_length)
    return terms * 2.0**-52 * max(1.0, float(values.detach().abs().max()))


def random_widths(master: MasterWeights, widths: tuple[int, ...] = WIDTHS) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array(widths, np.uint8), master.channel_table.channels)


@EACH
def test_encode_is_the_last_state_of_the_training_graph(config: BackboneConfig) -> None:
    backbone, rows = make(config), histories(config)
    states, hidden = backbone(rows), backbone.encode(rows)
    assert states.shape[::2] == (ROWS, config.dim) and hidden.shape == (ROWS, config.dim)
    tolerance = rounding(backbone, states)
    assert (states[:, -1] - hidden).abs().max() < tolerance
    assert (states[:, -1] - backbone.encode(other_last_item(rows, config))).abs().amax(dim=1).min() > 1e3 * tolerance


@EACH
def test_training_cannot_move_the_padding(config: BackboneConfig) -> None:
    backbone = make(config)
    assert not backbone.item_embedding.weight[0].any()
    (backbone.encode(histories(config)).square().sum() + backbone(histories(config)).sum()).backward()
    gradient = backbone.item_embedding.weight.grad
    assert gradient is not None and gradient[1:].any() and not gradient[0].any()


@EACH_CAUSAL
def test_a_state_in_every_slot_ignores_padding_and_the_future(config: BackboneConfig) -> None:
    backbone, rows = make(config, torch.float32), histories(config)
    before, later, real = backbone(rows), backbone(other_last_item(rows, config)), rows != 0
    assert torch.equal(before[:, :-1][real[:, :-1]], later[:, :-1][real[:, :-1]])
    assert not torch.equal(before[:, -1], later[:, -1])
    with torch.no_grad():
        backbone.item_embedding.weight[0] = 17.0
    # Exactly: what is masked is not merely small.
    assert torch.equal(before[real], backbone(rows)[real])


@EACH
def test_the_states_of_a_window_are_those_of_each_history_that_ends_in_it(config: BackboneConfig) -> None:
    backbone, length = make(config), config.max_length
    generator = torch.Generator().manual_seed(1)
    if isinstance(backbone, CausalBackbone):
        row = torch.randint(1, config.items + 1, (1, length), generator=generator)
        for stop in (1, 2, length // 2, length):
            history = torch.cat([torch.zeros((1, length - stop), dtype=torch.int64), row[:, :stop]], dim=1)
            states = backbone.window_states(row[:, :stop])
            assert states.shape == (1, stop, config.dim)
            assert (states[:, -1] - backbone.encode(history)).abs().max() < rounding(backbone, states)
        return
    for positions in (1, 5, length, 2 * length + 6):
        window = torch.randint(0, config.items + 1, (3, backbone.window_context + positions), generator=generator)
        each = torch.stack([backbone.encode(window[:, start : start + length]) for start in range(positions)], dim=1)
        assert (backbone.window_states(window) - each).abs().max() < rounding(backbone, each)
        assert (each - each.roll(1, dims=0)).abs().max() > 1e3 * rounding(backbone, each)


@EACH
def test_an_empty_history_gives_finite_scores(config: BackboneConfig) -> None:
    backbone = make(config, torch.float32)
    assert backbone.score_all(backbone.encode(torch.zeros((1, config.max_length), dtype=torch.int64))).isfinite().all()


@EACH
def test_candidates_score_as_in_the_catalogue(config: BackboneConfig) -> None:
    backbone = make(config)
    hidden = backbone.encode(histories(config))
    candidates = torch.tensor([[1, config.items, 2, config.items]]).expand(ROWS, -1)
    scores, catalogue = backbone.score(hidden, candidates), backbone.score_all(hidden)
    assert catalogue.shape == (ROWS, config.items + 1)
    assert (scores - catalogue.gather(1, candidates)).abs().max() < rounding(backbone, catalogue)


def linear_layers(program: torch.export.ExportedProgram) -> set[str]:
    """Module paths of the weights of all Linear nodes."""
    weights = program.graph_signature.inputs_to_parameters
    nodes = [node for node in program.graph.nodes if str(node.target) == "aten.linear.default"]
    # The catalogue is scored with a Linear as well, whose weight is the item table.
    return {weights[node.args[1].name].removeprefix("backbone.").removesuffix(".weight") for node in nodes} - {"item_embedding"}


@EACH
@pytest.mark.parametrize("scorer", [Reranker, CatalogueScorer])
def test_the_exported_graph_has_every_channel_layer_and_nothing_dead(config: BackboneConfig, scorer: type[torch.nn.Module]) -> None:
    module = scorer(make(config, torch.float32)).eval()
    candidates = torch.arange(1, 9, dtype=torch.int32).unsqueeze(0)
    inputs = (histories(config)[2:3].int(), *([candidates] if scorer is Reranker else []))
    program = torch.export.export(module, inputs, strict=False)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    assert all(node.users for node in calls), "a dead branch"
    values = [value for node in calls for value in tree_leaves(node.meta["val"])]
    assert all(isinstance(size, int) for value in values for size in value.shape), "a shape that depends on the data"
    assert not any("dropout" in str(node.target) or "random" in str(node.target) for node in calls)
    assert linear_layers(program) == set(module.backbone.channel_layers())
    torch.testing.assert_close(program.module()(*inputs), module(*inputs), rtol=0, atol=0)


@EACH
@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_the_reference_carries_exactly_the_dequantised_weights(config: BackboneConfig, embedding_bits: int) -> None:
    backbone = make(config, torch.float32)
    master = make_master(backbone, embedding_bits=embedding_bits)
    reference = from_master(master).state_dict()
    for name, tensor in backbone.state_dict().items():
        owner = name.removesuffix(".weight")
        if owner in master.layers or owner in master.embeddings:
            # At most half a step of the row's grid per value: absmax / (2 * 127), of a 4-bit table absmax / (2 * 7).
            levels = 127 if embedding_bits == 8 or owner in master.layers else 7
            step = tensor.abs().amax(dim=-1) / levels
            error = (reference[name] - tensor).norm(dim=-1)
            assert (error <= 0.5 * step * tensor.shape[-1] ** 0.5 * 1.001 + 1e-12).all(), name
        else:
            assert torch.equal(reference[name], tensor), name


@EACH
@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_the_master_survives_its_bytes_with_the_same_scores(config: BackboneConfig, embedding_bits: int) -> None:
    backbone = make(config, torch.float32)
    master = make_master(backbone, embedding_bits=embedding_bits)
    assert list(master.layers) == list(backbone.channel_layers())
    again = MasterWeights.from_bytes(master.to_bytes())
    assert again.fingerprint == master.fingerprint
    widths = random_widths(master, (0, *WIDTHS))
    first, second = from_master(master, widths), from_master(again, widths)
    assert not first.training and not first.item_embedding.weight[0].any()
    assert config_to_dict(second.config, training=False) == config_to_dict(config, training=False)
    rows = histories(config)
    assert torch.equal(first.score_all(first.encode(rows)), second.score_all(second.encode(rows)))


@EACH
@pytest.mark.parametrize("policy", list(ScalePolicy))
def test_choice_mode_with_one_hot_choices_is_the_reference_of_that_strategy(config: BackboneConfig, policy: ScalePolicy) -> None:
    master, rows = make_master(make(config, torch.float32), policy), histories(config)
    widths = random_widths(master)
    model, reference = attach_widths(from_master(master), master).double(), from_master(master, widths).double()
    choices = {}
    for name, layer in model.channel_layers().items():
        own = torch.from_numpy(widths[master.channel_table.layer_slice(name)].astype(np.int64))
        choices[name] = (own[:, None] == torch.tensor(WIDTHS)).double().expand(ROWS, layer.out_features, 3)
    expected = reference.encode(rows).detach()
    tolerance = rounding(reference, expected)
    assert (model.encode(rows, choices) - expected).abs().max() < tolerance
    assert (model(rows, choices)[:, -1] - expected).abs().max() < tolerance
    assert (model.encode(rows) - expected).abs().max() > 1e3 * tolerance
    for name in choices:
        without = reference.encode(rows, None) - model.encode(rows, choices | {name: choices[name].roll(1, dims=2)})
        assert without.abs().max() > 1e3 * tolerance, f"{name} does not look at its choice"


@EACH_WITH_AN_ORDER
def test_the_channel_order_changes_no_score(config: BackboneConfig) -> None:
    rule = ARCHITECTURES[config.architecture].channel_order
    assert rule is not None
    master, rows = make_master(make(config, torch.float32)), histories(config)
    widths = random_widths(master, (0, *WIDTHS))
    order = ChannelOrder(master, widths, lambda chosen: chosen)
    rule(order)
    other, moved = order.result()
    np.testing.assert_array_equal(np.sort(moved), np.sort(widths))
    assert not np.array_equal(moved, widths)
    reference, reordered = from_master(master, widths).double(), from_master(other, moved).double()
    expected = reference.score_all(reference.encode(rows))
    assert (reordered.score_all(reordered.encode(rows)) - expected).abs().max() < config.dim * rounding(reference, expected)


@EACH
def test_a_configuration_survives_every_form_it_travels_in(config: BackboneConfig) -> None:
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config
    flat = config_to_dict(config, training=False)
    assert all(type(value) in (int, float, str, tuple) for value in flat.values())
    assert config_to_dict(config_from_dict(flat), training=False) == flat


@EACH
def test_initial_weights_depend_on_the_seed_alone(config: BackboneConfig) -> None:
    torch.manual_seed(1)
    first = initialise(build(config), seed=5).state_dict()
    model = build(config)
    state = torch.get_rng_state()
    second = initialise(model, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), state), "the global generator was touched"
    other = initialise(build(config), seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["item_embedding.weight"], other["item_embedding.weight"])


@EACH
def test_a_backbone_survives_its_file(tmp_path: Path, config: BackboneConfig) -> None:
    backbone = make(config, torch.float32)
    save_backbone(tmp_path / "backbone.safetensors", backbone, {"seed": 4, "dataset": "tiny"})
    loaded, provenance = load_backbone(tmp_path / "backbone.safetensors")
    assert provenance == {"seed": 4, "dataset": "tiny"}
    assert loaded.config == config and not loaded.training
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in backbone.state_dict().items())


@EACH
def test_it_trains_and_a_hypernetwork_trains_through_it(config: BackboneConfig) -> None:
    dataset = synthesize(3, users=40, items=config.items, mean_length=15.0, max_length=30)
    trained = train_backbone(dataset, config, default_options(config.architecture, epochs=2, batch=128, lr=1e-2))
    assert trained.history[1]["loss"] < trained.history[0]["loss"]
    assert not trained.backbone.item_embedding.weight[0].any()
    # Over random layers: a backbone that has just converged on forty users learns nothing that shows.
    changes = {"epochs": 3, "batch": 32, "hidden": 8, "pools": (3, 6, 12), "stride": 6, "backbone_lr": 1e-2, "warmup": 0, "floor": 1.0}
    options = default_hypernetwork_options("random", **changes)
    personal = train_hypernetwork(dataset, trained.backbone, options=options)
    assert personal.history[-1]["loss"] < personal.history[0]["loss"]


@EACH_ARCHITECTURE
def test_the_defaults_are_possible(architecture: Architecture) -> None:
    default_options(architecture.name, epochs=architecture.demo_epochs)
    build(default_config(architecture.name, items=10))
    assert architecture.examples and all(isinstance(config, architecture.config) for config in architecture.examples)


@pytest.mark.checkout
@EACH_ARCHITECTURE
def test_the_accuracy_that_is_stated_stands_in_the_documentation(architecture: Architecture) -> None:
    if architecture.accuracy == "that of the checkpoint that it is imported from":
        return
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text().splitlines()
    means = [line for line in page if line.startswith(f"| {architecture.name} | **mean** |")]
    assert len(means) == 1, "docs/training.md lacks the rows that benchmarks/train_quality.py prints"
    figures = re.findall(r"\b0\.\d{4}\b", architecture.accuracy)
    assert figures and all(figure in means[0] for figure in figures)
