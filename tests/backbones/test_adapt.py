"""Somebody's own module as a backbone: the same scores, strategies for each sample, and a sentence for all that cannot be."""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones import (
    Backbone,
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
from chordkit.backbones.convolution import ChannelConvolution
from chordkit.data import Dataset, synthesize
from chordkit.errors import CheckpointError, InputError, MasterError
from chordkit.hypernetwork import HypernetworkOptions, make_strategies, train_hypernetwork
from chordkit.quantization import WIDTHS, MasterWeights
from chordkit.training import TrainingOptions, load_backbone, save_backbone, train_backbone

ITEMS, LENGTH, DIM, ROWS = 30, 10, 8, 5


class MeanMLP(nn.Module):
    """An MLP over the mean of the items, with norms, activations and dropout of every kind, deeply nested."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        hidden = nn.Sequential(nn.Linear(DIM, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.2))
        self.layers = nn.ModuleList([hidden, nn.Sequential(nn.Linear(16, 16, bias=False), nn.LayerNorm(16), nn.SiLU())])
        self.out = nn.Sequential(nn.Linear(16, DIM), nn.Tanh(), nn.Linear(DIM, DIM))

    def forward(self, history: Tensor) -> Tensor:
        real = (history != 0).float().unsqueeze(-1)
        x = (self.items(history) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1.0)
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


class SmallCNN(nn.Module):
    """A 1-D CNN with what a convolution can have: stride, padding, dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        self.convolutions = nn.ModuleList([nn.Conv1d(DIM, 12, 3, padding="same", dilation=2), nn.Conv1d(12, 6, 3, stride=2, padding=1)])
        self.out = nn.Linear(6 * (LENGTH // 2), DIM)

    def forward(self, history: Tensor) -> Tensor:
        x = self.items(history).transpose(1, 2)
        for convolution in self.convolutions:
            x = torch.relu(convolution(x))
        return self.out(x.flatten(1))


class OwnAttention(nn.Module):
    """One block of causal attention that is normalised between its two sub-layers only; the last layer is called twice."""

    mask: Tensor

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        self.positions = nn.Embedding(LENGTH, DIM)
        self.query, self.key, self.value, self.output = (nn.Linear(DIM, DIM) for _ in range(4))
        self.norm = nn.LayerNorm(DIM)
        self.feed = nn.Linear(DIM, DIM)
        self.register_buffer("mask", torch.full((LENGTH, LENGTH), -1e4).triu(1), persistent=False)

    def forward(self, history: Tensor) -> Tensor:
        x = self.items(history) + self.positions.weight
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        bias = (history == 0).to(x.dtype).view(-1, 1, 1, LENGTH) * -1e4
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.mask + bias)
        x = self.norm(x + self.output(mixed.transpose(1, 2).flatten(2)))[:, -1]
        return x + self.feed(torch.relu(self.feed(x)))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


MODULES: list[type[nn.Module]] = [MeanMLP, SmallCNN, OwnAttention]
EACH = pytest.mark.parametrize("kind", MODULES)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with mock.patch.dict(registry._known):
        yield


@pytest.fixture
def dataset() -> Dataset:
    return synthesize(3, users=40, items=ITEMS, mean_length=12.0, max_length=20)


def trained(kind: type[nn.Module]) -> nn.Module:
    """A module as after training: weights that matter, statistics that are not the initial ones; still in training mode."""
    torch.manual_seed(0)
    module = kind()
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.Linear):
                each.weight.normal_(0, 1.5 * each.in_features**-0.5)
            if isinstance(each, nn.BatchNorm1d):
                for _ in range(3):
                    each(2 * torch.randn(20, each.num_features) + 1)
    return module.train()


def own(module: nn.Module, **changes: object) -> Backbone:
    return adapt(module, **{"name": "own", "max_length": LENGTH, "items": ITEMS} | changes)  # type: ignore[arg-type]


def histories() -> Tensor:
    rows = torch.randint(1, ITEMS + 1, (ROWS, LENGTH), generator=torch.Generator().manual_seed(7))
    rows[1, : LENGTH - 1], rows[2, : LENGTH // 2] = 0, 0
    return rows


# --- what it computes -----------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_an_adapted_module_scores_as_the_module_and_leaves_it_alone(kind: type[nn.Module], dtype: torch.dtype) -> None:
    module, rows = trained(kind), histories().to(dtype)
    state, kinds = copy.deepcopy(module.state_dict()), [type(each) for each in module.modules()]
    generator = torch.get_rng_state()
    backbone = own(module)
    assert torch.equal(torch.get_rng_state(), generator), "the global generator was touched"
    assert module.training and [type(each) for each in module.modules()] == kinds
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    with torch.no_grad():
        expected = module.eval()(rows)
        scores = backbone.score_all(backbone.encode(rows))
        if kind is SmallCNN:
            # Two convolutions of at most 36 terms and a layer of 30, each sum in another order: one rounding a term of the largest value.
            assert (backbone.encode(rows) - expected).abs().max() < (24 + 36 + 30) * 2.0**-24 * expected.abs().max()
        else:
            assert torch.equal(backbone.encode(rows), expected)
            assert torch.equal(scores, expected @ module.items.weight.T)
        own_weights = {id(parameter) for parameter in module.parameters()}
        assert not any(id(parameter) in own_weights for parameter in backbone.parameters())


def test_the_channel_table_has_the_paths_of_the_module() -> None:
    assert list(own(trained(MeanMLP)).channel_layers()) == [f"model.{path}" for path in ("layers.0.0", "layers.1.0", "out.0", "out.2")]
    convolutions = ["model.convolutions.0.filters", "model.convolutions.1.filters", "model.out"]
    assert list(own(trained(SmallCNN)).channel_layers()) == convolutions
    assert make_master(own(trained(OwnAttention))).embeddings.keys() == {"item_embedding", "model.positions"}


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
def test_a_convolution_over_windows_is_the_convolution(convolution: nn.Conv1d | nn.Conv2d) -> None:
    x = torch.randn(4, 3, *([11, 9][: len(convolution.kernel_size)]), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    convolution = convolution.double()
    with torch.no_grad():
        found, expected = ChannelConvolution(convolution)(x), convolution(x)
    terms = 3 * math.prod(convolution.kernel_size)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < terms * 2.0**-52 * max(1.0, float(expected.abs().max()))


@EACH
def test_one_hot_choices_are_the_reference_of_that_strategy_for_each_sample(kind: type[nn.Module]) -> None:
    master, rows = make_master(own(trained(kind))), histories()
    model, table = attach_widths(from_master(master), master), master.channel_table
    widths = np.random.default_rng(0).choice(np.array(WIDTHS, np.uint8), (ROWS, table.channels))
    one_hot = (torch.from_numpy(widths.astype(np.int64)).unsqueeze(-1) == torch.tensor(WIDTHS)).float()
    choices = {name: one_hot[:, table.layer_slice(name)] for name in master.layers}
    with torch.no_grad():
        found = model.encode(rows, choices)
        expected = torch.cat([from_master(master, own).encode(row) for own, row in zip(widths, rows.split(1), strict=True)])
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


def test_samples_that_are_flattened_into_rows_keep_their_own_widths() -> None:
    test_one_hot_choices_are_the_reference_of_that_strategy_for_each_sample(Flattened)


# --- the whole way --------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_a_master_survives_its_bytes_with_the_same_scores(kind: type[nn.Module], embedding_bits: int) -> None:
    backbone, rows = own(trained(kind)), histories()
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
    other = own(kind())
    assert not torch.equal(other.encode(rows), backbone.encode(rows))
    third = from_master(again)
    assert torch.equal(third.score_all(third.encode(rows)), first.score_all(first.encode(rows)))


@EACH
def test_it_trains_on_from_its_weights_and_a_hypernetwork_trains_through_it(
    kind: type[nn.Module], dataset: Dataset, tmp_path: Path
) -> None:
    module = trained(kind)
    backbone = own(module)
    options = TrainingOptions(epochs=2, batch=128, lr=1e-2, stride=5)
    result = train_backbone(dataset, backbone.config, options)
    assert result.history[1]["loss"] < result.history[0]["loss"]
    assert not result.backbone.item_embedding.weight[0].any()
    assert torch.equal(backbone.encode(histories()), build(backbone.config).eval().encode(histories())), "training changed what was adapted"
    save_backbone(tmp_path / "own.safetensors", result.backbone)
    loaded, _ = load_backbone(tmp_path / "own.safetensors")
    assert torch.equal(loaded.encode(histories()), result.backbone.encode(histories()))
    small = HypernetworkOptions(epochs=1, batch=32, hidden=8, pools=(3, 6), stride=6)
    personal = train_hypernetwork(dataset, result.backbone, options=small)
    users = histories()[[0, 3]].int().numpy()
    first, second = make_strategies(personal.hypernetwork, users)
    assert len(first) == personal.master.channel_table.channels and not np.array_equal(first, second)
    random = train_hypernetwork(dataset, backbone, options=dataclasses.replace(small, backbone_init="random", warm_start=False))
    assert math.isfinite(random.history[0]["loss"])


def test_training_starts_from_the_weights_that_were_adapted(dataset: Dataset, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=1, lr=1e-12, averaging=0.0)
    backbone = own(trained(OwnAttention))
    after = train_backbone(dataset, backbone.config, options, tmp_path).backbone
    # One epoch moves a weight by at most lr a step.
    torch.testing.assert_close(after.state_dict(), backbone.state_dict(), rtol=0, atol=1e-9)
    again = train_backbone(dataset, backbone.config, options, tmp_path).backbone
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in after.state_dict().items())
    torch.manual_seed(5)
    other = own(OwnAttention())
    with pytest.raises(CheckpointError, match="made with starting weights fingerprint"):
        train_backbone(dataset, other.config, options, tmp_path)


def test_a_name_stands_for_the_sizes_that_were_adapted() -> None:
    backbone = own(trained(MeanMLP))
    architecture = find_architecture("own")
    assert architecture.trained and architecture.examples == (backbone.config,)
    assert default_config("own", items=ITEMS) == backbone.config
    for name, value in (("items", 7), ("max_length", 11), ("dim", 9)):
        sizes = {"items": ITEMS, "max_length": LENGTH, "dim": DIM} | {name: value}
        with pytest.raises(InputError, match=rf"own configuration: {name} = {value} .* adapted under this name has"):
            config_from_dict({"architecture": "own", **sizes})


def test_a_process_that_has_not_adapted_the_module_is_told_to(tmp_path: Path) -> None:
    backbone = own(trained(MeanMLP))
    master = make_master(backbone)
    save_backbone(tmp_path / "own.safetensors", backbone)
    registry._known.pop("own")
    for load in (lambda: from_master(master), lambda: load_backbone(tmp_path / "own.safetensors")):
        with pytest.raises(InputError, match=r"architecture = 'own' is unknown: .*chordkit\.backbones\.adapt for a module of your own"):
            load()
    adapt(trained(SmallCNN), name="own", max_length=LENGTH, items=ITEMS)
    with pytest.raises(MasterError, match="are not those of the own configuration"):
        from_master(master)
    with pytest.raises(InputError, match="'sasrec' is one of chordkit's own"):
        own(trained(MeanMLP), name="sasrec")


# --- what is refused ------------------------------------------------------------------------------------------------------


class Around(nn.Module):
    """The least module: ``body(embedded, module)`` after ``items``, with whatever layers a case needs."""

    def __init__(self, body: Callable[[Tensor, nn.Module], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        self.body = body
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, history: Tensor) -> Tensor:
        return self.body(self.items(history), self)


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def last(x: Tensor, module: nn.Module) -> Tensor:
    return module.fc(x[:, -1])


def linear(*sizes: int) -> nn.Linear:
    return nn.Linear(*(sizes or (DIM, DIM)))


SHARED = linear()
HOOKED = linear()
HOOKED.register_forward_hook(lambda *_: None)

REFUSED: dict[str, tuple[nn.Module, str]] = {
    "no layer": (Around(lambda x, _: x[:, -1]), "has no nn.Linear, nn.Conv1d or nn.Conv2d"),
    "recurrent": (Around(lambda x, m: m.gru(x)[0][:, -1], gru=nn.GRU(DIM, DIM, batch_first=True)), "'gru' is a GRU.*gru4rec"),
    "fused attention": (
        Around(lambda x, m: m.mix(x, x, x)[0][:, -1], mix=nn.MultiheadAttention(DIM, 2, batch_first=True)),
        "'mix' is a MultiheadAttention.*scaled_dot_product_attention",
    ),
    "groups": (Around(lambda x, m: m.c(x.mT)[..., -1], c=nn.Conv1d(DIM, DIM, 3, groups=DIM)), f"'c' is a convolution in {DIM} groups"),
    "other padding": (
        Around(lambda x, m: m.c(x.mT)[..., -1], c=nn.Conv1d(DIM, DIM, 3, padding=1, padding_mode="circular")),
        "'c' pads with 'circular'",
    ),
    "a layer of one's own": (Around(last, fc=Doubled(DIM, DIM)), "'fc' is a Doubled, a Linear with a forward of its own"),
    "weight norm": (Around(last, fc=nn.utils.parametrizations.weight_norm(linear())), "'fc' has hooks or parametrizations"),
    "a hook": (Around(last, fc=HOOKED), "'fc' has hooks"),
    "two names": (Around(last, fc=SHARED, again=SHARED), "'fc.weight' and 'again.weight' are one tensor"),
    "a layer that is never called": (Around(last, fc=linear(), idle=linear()), "'idle' takes no part in the hidden state"),
    "a weight that is read": (
        Around(lambda x, m: functional.linear(m.fc(x[:, -1]), m.fc.weight), fc=linear()),
        "reads the weight of 'fc'",
    ),
    "slots first": (Around(lambda x, m: m.fc(x.transpose(0, 1))[-1], fc=linear()), r"'fc' is called on a tensor \[10, 3, 8\] whose first"),
    "slots first, flattened": (
        Around(lambda x, m: m.fc(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (LENGTH, -1))[-1], fc=linear()),
        "whose first axis is not the sample",
    ),
    "no history in it": (
        Around(lambda x, m: x[:, -1] + m.fc(m.items.weight).amax(0), fc=linear()),
        "'fc' is called on what no history has a part in",
    ),
    "samples that meet": (Around(lambda x, m: m.fc(x[:, -1] - x[:, -1].mean(0)), fc=linear()), "whose first axis is not the sample"),
    "calls that depend on the history": (
        Around(lambda x, m: m.fc(m.fc(x[:, -1])) if len(x) > 1 else m.fc(x[:, -1]), fc=linear()),
        "how often 'fc' is called depends on the histories",
    ),
    "layers that are looked at": (
        Around(lambda x, m: m.fc(x[:, -1]) * (2 if type(m.fc) is nn.Linear else 1), fc=linear()),
        "computes something else with its layers replaced",
    ),
    "a state in every slot": (Around(lambda x, m: m.fc(x), fc=linear()), r"a state for every slot, \[3, 10, 8\]: .* states\[:, -1\]"),
    "another width": (Around(last, fc=linear(DIM, 5)), r"hidden state of histories \[3, 10\] is \[3, 5\], but the item embedding has 8"),
    "more than a tensor": (Around(lambda x, m: (m.fc(x[:, -1]), x), fc=linear()), "gives a tuple: return the hidden state alone"),
    "a mean over nothing": (
        Around(lambda x, m: m.fc((x[:, : LENGTH // 2]).sum(1) / (x[:, : LENGTH // 2] != 0).float().sum(1)), fc=linear()),
        "is not finite",
    ),
    "a forward that fails": (Around(lambda x, m: m.fc(x[:, -1, :3]), fc=linear()), r"fails on histories \[3, 10\] of int32 ids"),
    "half": (Around(last, fc=linear()).half(), r"'items.weight' is torch.float16: .* module.float\(\)"),
    "rows that are renormalised": (
        Around(lambda x, m: m.fc(x[:, -1] + m.p.weight[0]), fc=linear(), p=nn.Embedding(4, DIM, max_norm=1.0)),
        "'p' renormalises its rows",
    ),
    "a path that a file cannot name": (Around(lambda x, m: m.d["a/b"](x[:, -1]), d=nn.ModuleDict({"a/b": linear()})), "'d.a/b' has a '/'"),
    "no module": (lambda history: history, "function is no module of your own"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_adapted_is_refused_by_name(case: str) -> None:
    module, says = REFUSED[case]
    with pytest.raises(InputError, match=f"adapt: .*{says}"):
        own(module)
    assert "own" not in registry._known


def test_the_item_embedding_is_found_by_its_size_or_named() -> None:
    def body(x: Tensor, module: nn.Module) -> Tensor:
        return module.fc(x[:, -1] + module.other.weight[1])

    module = Around(body, fc=linear(), other=nn.Embedding(ITEMS + 1, DIM))
    with pytest.raises(
        InputError, match=r"2 embeddings have items \+ 1 = 31 rows \(.*other \[31, 8\]\): name the items' with item_embedding"
    ):
        own(module)
    assert torch.equal(own(module, item_embedding="items").item_embedding.weight, module.items.weight)
    with pytest.raises(InputError, match=r"row 0 of 'other', the padding's, is not zero.* module\.other\.weight\[0\] = 0"):
        own(module, item_embedding="other")
    with pytest.raises(InputError, match=r"'fc' is no nn\.Embedding with items \+ 1 = 31 rows; there are: \['items', 'other'\]"):
        own(module, item_embedding="fc")
    with pytest.raises(InputError, match=r"no nn\.Embedding has items \+ 1 = 8 rows \(the module's: items \[31, 8\], other \[31, 8\]\)"):
        own(module, items=7)


def test_numbers_that_a_master_cannot_hold_are_refused() -> None:
    module = trained(MeanMLP)
    module.register_buffer("hashes", torch.tensor([2**24 + 1]))
    with pytest.raises(MasterError, match=r"'model\.hashes' has whole numbers beyond 2\*\*24"):
        make_master(own(module))
