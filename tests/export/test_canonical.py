"""One spelling for every graph: what torch may write in several ways reaches every runtime alike."""

from collections.abc import Callable

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
    """A re-ranker whose hidden state ``[1, DIM]`` is ``of(x [1, LENGTH, DIM])``."""

    def __init__(self, of: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of = of
        self.item_embedding = nn.Embedding(ITEMS + 1, DIM)

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        hidden = self.of(self.item_embedding(history))
        return torch.matmul(self.item_embedding(candidates), hidden.unsqueeze(-1)).squeeze(-1)


def exported(of: Callable[[Tensor], Tensor]) -> torch.export.ExportedProgram:
    inputs = (torch.ones((1, LENGTH), dtype=torch.int32), torch.ones((1, CANDIDATES), dtype=torch.int32))
    return torch.export.export(Spelling(of).eval(), inputs, strict=False)


def scores(program: torch.export.ExportedProgram) -> np.ndarray:
    with torch.no_grad():
        return program.module()(torch.from_numpy(HISTORY[None]), torch.from_numpy(IDS[None])).numpy()[0]


def split_heads(x: Tensor) -> Tensor:
    """Attention without a layer, over heads that are made with unflatten and transposes counted from the back."""
    heads = x.unflatten(-1, (2, DIM // 2)).transpose(-3, -2)
    mixed = torch.softmax(heads @ heads.mT, dim=-1) @ heads
    return mixed.transpose(1, 2).flatten(2)[:, -1]


SPELLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "the last position from the back": lambda x: x[:, -1],
    "the last but one, selected by name": lambda x: x.select(dim=-2, index=-2),
    "a slice without an end": lambda x: x[:, 2:].amax(dim=1),
    "a slice from the back": lambda x: x[:, -3:-1].amax(dim=-2),
    "the first axis left out": lambda x: x.narrow(-2, 3, 1).squeeze(1),
    "parts that are joined again": lambda x: torch.cat(x.chunk(3, dim=1)[::-1], dim=-2).amax(1),
    "parts of given sizes": lambda x: x.split([1, 4, 1], 1)[1].amax(-2),
    "unbound": lambda x: x.unbind(1)[-1],
    "concatenated along an axis from the back": lambda x: functional.relu(torch.cat([x[..., :3], x[..., 3:]], -1))[:, 5],
    "norm and activation with defaults": lambda x: functional.gelu(functional.layer_norm(x, (DIM,), torch.ones(DIM), torch.zeros(DIM)))[
        :, -1
    ],
    "the other gelu": lambda x: functional.gelu(3 * x, approximate="tanh")[:, -1],
    "heads": split_heads,
    "copies and dropout in eval mode": lambda x: functional.dropout(x, 0.5, training=False).clone().contiguous()[:, -1],
    "whole numbers among floats": lambda x: (x * 2 + x)[:, -1],
    "a constant that is computed": lambda x: x[:, -1] * (torch.arange(DIM) + torch.ones(DIM)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_program_computes_the_same_in_its_one_spelling(name: str) -> None:
    before = exported(SPELLINGS[name])
    expected = scores(before)
    program = canonical(before)
    np.testing.assert_array_equal(scores(program), expected)
    for node in (node for node in program.graph.nodes if node.op == "call_function"):
        schema = [argument for argument in node.target._schema.arguments if not argument.kwarg_only]
        assert len(node.args) == len(schema)
        for argument, value in zip(schema, node.args, strict=True):
            if argument.name in ("dim", "dims", "index", "start", "end", "size"):
                assert min(value if isinstance(value, list | tuple) else [value]) >= 0, f"{node.target} {node.args}"


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("target", LOWERINGS)
def test_every_runtime_computes_every_spelling(target: str, name: str) -> None:
    program = canonical(exported(SPELLINGS[name]))
    expected = scores(program)
    runner = load_runner(target, LOWERINGS[target](program))
    np.testing.assert_allclose(runner.scores(HISTORY, IDS), expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def test_an_argument_without_a_form_is_refused_instead_of_dropped() -> None:
    with pytest.raises(CapabilityError, match=r"aten\.add\.Tensor .* with alpha = 2 has no lowering"):
        canonical(exported(lambda x: torch.add(x[:, -1], x[:, 0], alpha=2)))
    with pytest.raises(CapabilityError, match="export the model in eval mode"):
        canonical(exported(lambda x: functional.dropout(x, 0.5, training=True)[:, -1]))
