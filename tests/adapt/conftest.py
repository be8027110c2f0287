"""Four modules of somebody's own, and what the tests do with them."""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones import Backbone, adapt, registry

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


class TorchEncoder(nn.Module):
    """torch's own encoder under a causal mask, then its attention from the last slot to what is no padding."""

    causal: Tensor

    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(LENGTH, DIM))
        layer = nn.TransformerEncoderLayer(DIM, 2, 12, activation="gelu", batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(DIM), enable_nested_tensor=False)
        self.pool = nn.MultiheadAttention(DIM, 4, dropout=0.1, batch_first=True)
        self.register_buffer("causal", torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1), persistent=False)

    def forward(self, history: Tensor) -> Tensor:
        x = self.encoder(self.items(history) + self.positions, mask=self.causal, is_causal=True)
        pooled, _ = self.pool(x[:, -1:], x, x, key_padding_mask=history == 0)
        return x[:, -1] + pooled.squeeze(1)


class Bring:
    """Brings modules, and the histories that they are tried on."""

    ITEMS, LENGTH, DIM, ROWS = ITEMS, LENGTH, DIM, ROWS
    MeanMLP, SmallCNN, OwnAttention, TorchEncoder = MeanMLP, SmallCNN, OwnAttention, TorchEncoder

    def trained(self, kind: type[nn.Module]) -> nn.Module:
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

    def own(self, module: nn.Module, **changes: object) -> Backbone:
        """The module as a backbone called ``own``."""
        return adapt(module, **{"name": "own", "max_length": LENGTH, "items": ITEMS} | changes)  # type: ignore[arg-type]

    def histories(self) -> Tensor:
        """int64 [ROWS, LENGTH]: full ones, one with a single item (1), one half full (2)."""
        rows = torch.randint(1, ITEMS + 1, (ROWS, LENGTH), generator=torch.Generator().manual_seed(7))
        rows[1, : LENGTH - 1], rows[2, : LENGTH // 2] = 0, 0
        return rows


@pytest.fixture(autouse=True, scope="module")
def restored() -> Iterator[None]:
    """The registry as it was, when a file's tests are over."""
    with mock.patch.dict(registry._known):
        yield


@pytest.fixture(scope="session")
def bring() -> Bring:
    return Bring()


@pytest.fixture(scope="module", params=[MeanMLP, SmallCNN, OwnAttention, TorchEncoder])
def kind(request: pytest.FixtureRequest) -> type[nn.Module]:
    return request.param
