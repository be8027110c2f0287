"""One spelling for every graph: what torch may write in several ways reaches every runtime alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.errors import CapabilityError
from chordkit.export.program.canonical import canonical
from chordkit.export.targets import load_runner
from chordkit.export.targets.executorch.lower import lower as to_executorch
from chordkit.export.targets.litert.lower import lower as to_litert
from chordkit.export.targets.onnx.lower import lower as to_onnx

pytestmark = pytest.mark.long

ITEMS, LENGTH, CANDIDATES, DIM = 30, 6, 4, 8
HISTORY, IDS = np.array([0, 3, 1, 30, 7, 9], np.int32), np.array([1, 30, 2, 9], np.int32)
# float32 sums in another order: 16 in series of at most 8 terms, four standard deviations (docs/parity.md), relative to the largest score.
TOLERANCE = 16 * 4 * np.sqrt(DIM) * 2.0**-24
LOWERINGS: dict[str, Callable[[torch.export.ExportedProgram], bytes]] = {
    "executorch": lambda program: to_executorch(program, ITEMS),
    "litert": to_litert,
    "onnx": lambda program: to_onnx(program, ITEMS),
}


class Spelling(nn.Module):
    """A re-ranker whose hidden state ``[1, DIM]`` is ``of(x [1, LENGTH, DIM], ids [1, LENGTH])``."""

    def __init__(self, of: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of = of
        self.item_embedding = nn.Embedding(ITEMS + 1, DIM)

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        hidden = self.of(self.item_embedding(history), history)
        return torch.matmul(self.item_embedding(candidates), hidden.unsqueeze(-1)).squeeze(-1)


def exported(of: Callable[[Tensor, Tensor], Tensor]) -> torch.export.ExportedProgram:
    inputs = (torch.ones((1, LENGTH), dtype=torch.int32), torch.ones((1, CANDIDATES), dtype=torch.int32))
    return torch.export.export(Spelling(of).eval(), inputs, strict=False)


def scores(program: torch.export.ExportedProgram) -> np.ndarray:
    with torch.no_grad():
        return program.module()(torch.from_numpy(HISTORY[None]), torch.from_numpy(IDS[None])).numpy()[0]


def split_heads(x: Tensor, ids: Tensor) -> Tensor:
    """Attention without a layer, over heads that are made with unflatten and transposes counted from the back."""
    heads = x.unflatten(-1, (2, DIM // 2)).transpose(-3, -2)
    mixed = torch.softmax(heads @ heads.mT, dim=-1) @ heads
    return mixed.transpose(1, 2).flatten(2)[:, -1]


def attention(mask: Callable[[Tensor], Tensor] | None, **options: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """torch's own attention over two heads; ``mask(ids)`` broadcasts to [1, 2, LENGTH, LENGTH]."""

    def of(x: Tensor, ids: Tensor) -> Tensor:
        heads = x.view(1, LENGTH, 2, DIM // 2).transpose(1, 2)
        hidden = None if mask is None else mask(ids)
        mixed = functional.scaled_dot_product_attention(heads, heads, 0.5 * heads, attn_mask=hidden, **options)
        return mixed.transpose(1, 2).reshape(1, LENGTH, DIM)[:, -1]

    return of


def mean_of_items(x: Tensor, ids: Tensor) -> Tensor:
    real = (ids != 0).float().unsqueeze(-1)
    return (x * real).sum(1) / real.sum(1).clamp(min=1.0)


CAUSAL = torch.ones((LENGTH, LENGTH), dtype=torch.bool).triu(1)
STATISTICS = torch.arange(DIM) / DIM
SPELLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "the last position from the back": lambda x, ids: x[:, -1],
    "the last but one, selected by name": lambda x, ids: x.select(dim=-2, index=-2),
    "a slice without an end": lambda x, ids: x[:, 2:].amax(dim=1),
    "a slice from the back": lambda x, ids: x[:, -3:-1].amax(dim=-2),
    "the first axis left out": lambda x, ids: x.narrow(-2, 3, 1).squeeze(1),
    "parts that are joined again": lambda x, ids: torch.cat(x.chunk(3, dim=1)[::-1], dim=-2).amax(1),
    "parts of given sizes": lambda x, ids: x.split([1, 4, 1], 1)[1].amax(-2),
    "unbound": lambda x, ids: x.unbind(1)[-1],
    "concatenated along an axis from the back": lambda x, ids: functional.relu(torch.cat([x[..., :3], x[..., 3:]], -1))[:, 5],
    "norm and activation with defaults": lambda x, ids: functional.gelu(functional.layer_norm(x, (DIM,)))[:, -1],
    "the other gelu": lambda x, ids: functional.gelu(3 * x, approximate="tanh")[:, -1],
    "heads": split_heads,
    "copies and dropout in eval mode": lambda x, ids: functional.dropout(x, 0.5, training=False).clone().contiguous()[:, -1],
    "whole numbers among floats": lambda x, ids: (x * 2 + x)[:, -1],
    "gates": lambda x, ids: (torch.sigmoid(x) * torch.tanh(x) + functional.silu(x))[:, -1],
    "a gate that closes": lambda x, ids: (1 - torch.sigmoid(x[:, -1])) * x[:, 0],
    "arithmetic": lambda x, ids: -(x[:, -1] - x[:, 0]) / (x[:, 1].abs() + 1.5),
    "powers and roots": lambda x, ids: (x[:, -1].pow(2) + 1).sqrt() + torch.rsqrt(x[:, 0].exp()),
    "a norm written by hand": lambda x, ids: (x - x.mean(-1, keepdim=True))[:, -1] / (x.var(-1, unbiased=False)[:, -1:] + 1e-5).sqrt(),
    "means over several axes": lambda x, ids: x[:, -1] * x.mean(dim=(1, 2), keepdim=True).squeeze(1),
    "a sum that keeps its axis": lambda x, ids: (x / x.abs().sum(dim=-1, keepdim=True))[:, -1],
    "the largest, kept": lambda x, ids: (x - x.amax(-1, keepdim=True))[:, -1],
    "bounds": lambda x, ids: torch.clamp(x, -0.5, 0.7)[:, -1] + x.clamp_min(0.1)[:, 0],
    "stacked": lambda x, ids: torch.stack([x[:, 0], x[:, -1]], dim=-1).sum(-1),
    "expanded": lambda x, ids: (x * x[:, -1:].expand(-1, LENGTH, -1))[:, 2],
    "the mean of what is there": mean_of_items,
    "a mask as a factor": lambda x, ids: (x * (ids > 0).unsqueeze(-1)).sum(1),
    "what is not there is filled": lambda x, ids: x.masked_fill((ids == 0).unsqueeze(-1), -5.0).amax(1),
    "what is there is kept": lambda x, ids: torch.where((ids != 0)[:, :, None], x, torch.zeros_like(x)).sum(1),
    "two masks": lambda x, ids: x.masked_fill(((ids == 0) | ~(ids < 20)).unsqueeze(2), 0.25).sum(1),
    "torch's attention": attention(None),
    "torch's attention, causal": attention(None, is_causal=True, scale=0.3),
    "torch's attention, padding hidden": attention(lambda ids: (ids != 0)[:, None, None, :]),
    "torch's attention, padding and future hidden": attention(
        lambda ids: ~(CAUSAL | (ids == 0)[:, None, None, :]) | torch.eye(LENGTH).bool()
    ),
    "torch's attention with a bias": attention(lambda ids: torch.zeros(1, 1, LENGTH, LENGTH).masked_fill(CAUSAL, -1e4)),
    "a norm with statistics of its own": lambda x, ids: functional.batch_norm(
        x.transpose(1, 2), 0.1 + STATISTICS, 1 + STATISTICS, 1.5 - STATISTICS, STATISTICS, eps=1e-3
    )[..., -1],
    "a norm with statistics alone": lambda x, ids: functional.batch_norm(x[:, -1], 0.1 + STATISTICS, 1 + STATISTICS),
    "every other position": lambda x, ids: x.unflatten(1, (LENGTH // 2, 2)).select(2, 0).transpose(1, 2).amax(2),
    "a layer on a grid": lambda x, ids: functional.linear(x.unflatten(1, (2, -1)), torch.eye(DIM).flip(0)).amax(1).amax(1),
    "a constant that is computed": lambda x, ids: x[:, -1] * (torch.arange(DIM) + torch.ones(DIM)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_program_computes_the_same_in_its_one_spelling(name: str) -> None:
    before = exported(SPELLINGS[name])
    expected = scores(before)
    program = canonical(before)
    np.testing.assert_allclose(scores(program), expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    for node in (node for node in program.graph.nodes if node.op == "call_function"):
        schema = [argument for argument in node.target._schema.arguments if not argument.kwarg_only]
        assert len(node.args) == len(schema)
        for argument, value in zip(schema, node.args, strict=True):
            if argument.name in ("dim", "dims", "index", "start", "end", "size"):
                numbers = value if isinstance(value, list | tuple) else [value]
                assert all(number >= 0 for number in numbers), f"{node.target} {node.args}"


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("target", LOWERINGS)
def test_every_runtime_computes_every_spelling(target: str, name: str) -> None:
    program = canonical(exported(SPELLINGS[name]))
    expected = scores(program)
    runner = load_runner(target, LOWERINGS[target](program))
    np.testing.assert_allclose(runner.scores(HISTORY, IDS), expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_an_argument_without_a_form_is_refused_instead_of_dropped() -> None:
    with pytest.raises(CapabilityError, match=r"aten\.add\.Tensor .* with alpha = 2 has no lowering"):
        canonical(exported(lambda x, ids: torch.add(x[:, -1], x[:, 0], alpha=2)))
    with pytest.raises(CapabilityError, match="export the model in eval mode"):
        canonical(exported(lambda x, ids: functional.dropout(x, 0.5, training=True)[:, -1]))
