"""Somebody's own module as a backbone: the same scores, strategies for each sample, and the whole way to strategies and back."""

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chordkit.backbones import (
    adapt,
    attach_widths,
    build,
    config_from_dict,
    default_config,
    find_architecture,
    from_master,
    make_master,
    registry,
)
from chordkit.backbones.attention import ChannelAttention
from chordkit.backbones.convolution import ChannelConvolution
from chordkit.data import Dataset, synthesize
from chordkit.errors import CheckpointError, InputError, MasterError
from chordkit.hypernetwork import HypernetworkOptions, make_strategies, train_hypernetwork
from chordkit.quantization import WIDTHS, MasterWeights
from chordkit.training import TrainingOptions, load_backbone, save_backbone, train_backbone

pytestmark = pytest.mark.long

ITEMS, LENGTH, DIM, ROWS = 30, 10, 8, 5


@pytest.fixture
def dataset() -> Dataset:
    return synthesize(3, users=40, items=30, mean_length=12.0, max_length=20)


# --- what it computes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_an_adapted_module_scores_as_the_module_and_leaves_it_alone(bring: Any, kind: type[nn.Module], dtype: torch.dtype) -> None:
    # Windows of both convolutions and the last layer; in each block projections, attention and feed-forward, and the pooling.
    terms = {bring.SmallCNN: 24 + 36 + 30, bring.TorchEncoder: 2 * (2 * DIM + LENGTH + DIM + 12) + 2 * DIM + LENGTH}
    module, rows = bring.trained(kind), bring.histories().to(dtype)
    state, kinds = copy.deepcopy(module.state_dict()), [type(each) for each in module.modules()]
    generator = torch.get_rng_state()
    backbone = bring.own(module)
    assert torch.equal(torch.get_rng_state(), generator), "the global generator was touched"
    assert module.training and [type(each) for each in module.modules()] == kinds
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    with torch.no_grad():
        expected = module.eval()(rows)
        scores = backbone.score_all(backbone.encode(rows))
        if kind in terms:
            # Sums in another order: one rounding a term of the largest value.
            assert (backbone.encode(rows) - expected).abs().max() < terms[kind] * 2.0**-24 * expected.abs().max()
        else:
            assert torch.equal(backbone.encode(rows), expected)
            assert torch.equal(scores, expected @ module.items.weight.T)
        own_weights = {id(parameter) for parameter in module.parameters()}
        assert not any(id(parameter) in own_weights for parameter in backbone.parameters())


def test_the_channel_table_has_the_paths_of_the_module(bring: Any) -> None:
    layers = ["model.layers.0.0", "model.layers.1.0", "model.out.0", "model.out.2"]
    assert list(bring.own(bring.trained(bring.MeanMLP)).channel_layers()) == layers
    convolutions = ["model.convolutions.0.filters", "model.convolutions.1.filters", "model.out"]
    assert list(bring.own(bring.trained(bring.SmallCNN)).channel_layers()) == convolutions
    assert make_master(bring.own(bring.trained(bring.OwnAttention))).embeddings.keys() == {"item_embedding", "model.positions"}


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv1d(3, 5, 1),
        nn.Conv1d(3, 5, 4, stride=3, padding=2, dilation=2, bias=False),
        nn.Conv1d(3, 5, 4, padding="same"),
        nn.Conv1d(3, 5, 2, padding="valid", stride=2),
        nn.Conv2d(3, 5, (2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        nn.Conv2d(3, 5, (3, 1), stride=(1, 4), padding=(0, 1)),
        nn.Conv2d(3, 5, 3, padding="same", dilation=2),
    ],
    ids=str,
)
def test_a_convolution_over_windows_is_the_convolution(bring: Any, convolution: nn.Conv1d | nn.Conv2d) -> None:
    x = torch.randn(4, 3, *([11, 9][: len(convolution.kernel_size)]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    convolution = convolution.double()
    with torch.no_grad():
        found, expected = ChannelConvolution(convolution)(x), convolution(x)
    terms = 3 * math.prod(convolution.kernel_size)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < terms * 2.0**-52 * max(1.0, float(expected.abs().max()))


MASK = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
PADDING = torch.arange(LENGTH) >= torch.tensor([10, 7, 3])[:, None]
MASKS: dict[str, dict[str, Tensor]] = {
    "none": {},
    "future hidden": {"attn_mask": MASK},
    "future hidden by numbers": {"attn_mask": torch.zeros(LENGTH, LENGTH).masked_fill(MASK, -math.inf)},
    "padding hidden": {"key_padding_mask": PADDING},
    "both hidden": {"key_padding_mask": PADDING, "attn_mask": MASK},
    "a mask for each head": {"attn_mask": torch.arange(3 * 2 * LENGTH * LENGTH).view(6, LENGTH, LENGTH) % 7 == 0},
}


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("bias", [True, False])
def test_attention_with_channel_layers_is_torchs(masks: str, bias: bool) -> None:
    attention = nn.MultiheadAttention(DIM, 2, bias=bias, batch_first=True).double().eval()
    query, key, value = torch.randn(3, 3, LENGTH, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = {name: mask if mask.dtype == torch.bool else mask.double() for name, mask in MASKS[masks].items()}
    with torch.no_grad():
        expected, _ = attention(query, key, value, need_weights=False, **given)
        found, _ = ChannelAttention(attention)(query, key, value, **given)
    # Projections, scores, a mean over slots and the output, each sum in another order.
    assert (found - expected).abs().max() < (3 * DIM + LENGTH) * 2.0**-52 * max(1.0, float(expected.abs().max()))


def test_an_encoder_that_normalises_first_is_torchs(bring: Any) -> None:
    module = bring.trained(lambda: bring.TorchEncoder(norm_first=True))
    with torch.no_grad():
        found, expected = bring.own(module).encode(bring.histories()), module.eval()(bring.histories())
    assert (found - expected).abs().max() < 200 * 2.0**-24 * expected.abs().max()


def test_one_hot_choices_are_the_reference_of_that_strategy_for_each_sample(bring: Any, kind: type[nn.Module]) -> None:
    master, rows = make_master(bring.own(bring.trained(kind))), bring.histories()
    model, table = attach_widths(from_master(master), master), master.channel_table
    widths = np.random.default_rng(0).choice(np.array(WIDTHS, np.uint8), (ROWS, table.channels))
    one_hot = (torch.from_numpy(widths.astype(np.int64)).unsqueeze(-1) == torch.tensor(WIDTHS)).float()
    choices = {name: one_hot[:, table.layer_slice(name)] for name in master.layers}
    with torch.no_grad():
        found = model.encode(rows, choices)
        expected = torch.cat([from_master(master, each).encode(row) for each, row in zip(widths, rows.split(1), strict=True)])
        # A rounding per term of the longest sum, layer by layer, amplified by no more than the norms' few units.
        tolerance = 16 * len(master.layers) * 36 * 2.0**-24 * float(expected.abs().max())
        assert (found - expected).abs().max() < tolerance
        for name in choices:
            moved = model.encode(rows, choices | {name: choices[name].roll(1, dims=0)})
            assert (moved - expected).abs().max() > 10 * tolerance, f"{name} does not look at its choice"
        assert torch.equal(model.encode(rows), from_master(master).encode(rows)), "a choice outlived its call"


class Flattened(nn.Module):
    """Calls its layer on [batch * length, dim]."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        self.mix = nn.Linear(DIM, DIM)

    def forward(self, history: Tensor) -> Tensor:
        rows = torch.relu(self.mix(self.items(history).flatten(0, 1)))
        return rows.unflatten(0, history.shape).amax(dim=1)


def test_samples_that_are_flattened_into_rows_keep_their_own_widths(bring: Any) -> None:
    test_one_hot_choices_are_the_reference_of_that_strategy_for_each_sample(bring, Flattened)


# --- the whole way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_a_master_survives_its_bytes_with_the_same_scores(bring: Any, kind: type[nn.Module], embedding_bits: int) -> None:
    backbone, rows = bring.own(bring.trained(kind)), bring.histories()
    master = make_master(backbone, embedding_bits=embedding_bits)
    again = MasterWeights.from_bytes(master.to_bytes())
    assert again.fingerprint == master.fingerprint
    first, second = from_master(master), from_master(again)
    for name, tensor in backbone.state_dict().items():
        if name.rpartition(".")[0] not in master.layers.keys() | master.embeddings.keys():
            assert torch.equal(tensor, second.state_dict()[name]), name
    assert torch.equal(first.score_all(first.encode(rows)), second.score_all(second.encode(rows)))
    # Another process adapts the same code with whatever weights it has, and gets those of the master.
    torch.manual_seed(99)
    other = bring.own(kind())
    assert not torch.equal(other.encode(rows), backbone.encode(rows))
    third = from_master(again)
    assert torch.equal(third.score_all(third.encode(rows)), first.score_all(first.encode(rows)))


def test_it_trains_and_a_hypernetwork_trains_through_it(bring: Any, kind: type[nn.Module], dataset: Dataset, tmp_path: Path) -> None:
    module = bring.trained(kind)
    backbone = bring.own(module)
    options = TrainingOptions(epochs=2, batch=128, lr=1e-2, stride=5)
    result = train_backbone(dataset, backbone.config, options)
    assert result.history[1]["loss"] < result.history[0]["loss"]
    assert not result.backbone.item_embedding.weight[0].any()
    again = build(backbone.config).eval()
    assert torch.equal(backbone.encode(bring.histories()), again.encode(bring.histories())), "training changed what was adapted"
    save_backbone(tmp_path / "own.safetensors", result.backbone)
    loaded, _ = load_backbone(tmp_path / "own.safetensors")
    assert torch.equal(loaded.encode(bring.histories()), result.backbone.encode(bring.histories()))
    small = HypernetworkOptions(backbone_init="trained", epochs=1, batch=32, hidden=8, pools=(3, 6), stride=6)
    personal = train_hypernetwork(dataset, result.backbone, options=small)
    users = bring.histories()[[0, 3]].int().numpy()
    first, second = make_strategies(personal.hypernetwork, users)
    assert len(first) == personal.master.channel_table.channels and not np.array_equal(first, second)
    random = train_hypernetwork(dataset, backbone, options=dataclasses.replace(small, backbone_init="random", warm_start=False))
    assert math.isfinite(random.history[0]["loss"])


def test_training_starts_from_the_weights_that_were_adapted(bring: Any, dataset: Dataset, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=1, lr=1e-12, averaging=0.0)
    backbone = bring.own(bring.trained(bring.OwnAttention))
    after = train_backbone(dataset, backbone.config, options, tmp_path).backbone
    # One epoch moves a weight by at most lr a step.
    torch.testing.assert_close(after.state_dict(), backbone.state_dict(), rtol=0, atol=1e-9)
    again = train_backbone(dataset, backbone.config, options, tmp_path).backbone
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in after.state_dict().items())
    torch.manual_seed(5)
    other = bring.own(bring.OwnAttention())
    with pytest.raises(CheckpointError, match="made with starting weights fingerprint"):
        train_backbone(dataset, other.config, options, tmp_path)


def test_a_name_stands_for_the_sizes_that_were_adapted(bring: Any) -> None:
    backbone = bring.own(bring.trained(bring.MeanMLP))
    architecture = find_architecture("own")
    assert architecture.trained and architecture.examples == (backbone.config,)
    assert default_config("own", items=ITEMS) == backbone.config
    for name, value in (("items", 7), ("max_length", 11), ("dim", 9)):
        sizes = {"items": ITEMS, "max_length": LENGTH, "dim": DIM} | {name: value}
        with pytest.raises(InputError, match=rf"own configuration: {name} = {value} .* adapted under this name has"):
            config_from_dict({"architecture": "own", **sizes})


def test_a_process_that_has_not_adapted_the_module_is_told_to(bring: Any, tmp_path: Path) -> None:
    backbone = bring.own(bring.trained(bring.MeanMLP))
    master = make_master(backbone)
    save_backbone(tmp_path / "own.safetensors", backbone)
    registry._known.pop("own")
    for load in (lambda: from_master(master), lambda: load_backbone(tmp_path / "own.safetensors")):
        with pytest.raises(InputError, match=r"architecture = 'own' is unknown: .*chordkit\.backbones\.adapt for a module") as caught:
            load()
        assert "train it again" not in str(caught.value)
    adapt(bring.trained(bring.SmallCNN), name="own", max_length=LENGTH, items=ITEMS)
    with pytest.raises(MasterError, match="do not fit the configuration they carry, make the master again"):
        from_master(master)
    with pytest.raises(InputError, match="'sasrec' is one of chordkit's own"):
        bring.own(bring.trained(bring.MeanMLP), name="sasrec")
