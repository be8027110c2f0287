"""What of somebody's own module cannot be adapted is refused in a sentence that names the layer and the mend."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones import make_master, registry
from chordkit.errors import InputError, MasterError

ITEMS, LENGTH, DIM = 30, 10, 8


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
    "a decoder": (
        Around(lambda x, m: m.mix(x, x)[:, -1], mix=nn.TransformerDecoderLayer(DIM, 2, 8, batch_first=True)),
        "'mix' is a TransformerDecoderLayer.*scaled_dot_product_attention",
    ),
    "attention with the slots first": (
        Around(lambda x, m: m.mix(x, x, x)[0][:, -1], mix=nn.MultiheadAttention(DIM, 2)),
        "batch_first=True",
    ),
    "attention with more": (
        Around(lambda x, m: m.mix(x, x, x)[0][:, -1], mix=nn.MultiheadAttention(DIM, 2, add_zero_attn=True, batch_first=True)),
        "'mix' has kdim, vdim, add_bias_kv or add_zero_attn",
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
def test_what_cannot_be_adapted_is_refused_by_name(bring: Any, case: str) -> None:
    module, says = REFUSED[case]
    with pytest.raises(InputError, match=f"adapt: .*{says}"):
        bring.own(module)
    assert "own" not in registry._known


def test_the_item_embedding_is_found_by_its_size_or_named(bring: Any) -> None:
    def body(x: Tensor, module: nn.Module) -> Tensor:
        return module.fc(x[:, -1] + module.other.weight[1])

    module = Around(body, fc=linear(), other=nn.Embedding(ITEMS + 1, DIM))
    with pytest.raises(
        InputError, match=r"2 embeddings have items \+ 1 = 31 rows \(.*other \[31, 8\]\): name the items' with item_embedding"
    ):
        bring.own(module)
    assert torch.equal(bring.own(module, item_embedding="items").item_embedding.weight, module.items.weight)
    with pytest.raises(InputError, match=r"row 0 of 'other', the padding's, is not zero.* module\.other\.weight\[0\] = 0"):
        bring.own(module, item_embedding="other")
    with pytest.raises(InputError, match=r"'fc' is no nn\.Embedding with items \+ 1 = 31 rows; there are: \['items', 'other'\]"):
        bring.own(module, item_embedding="fc")
    with pytest.raises(InputError, match=r"no nn\.Embedding has items \+ 1 = 8 rows \(the module's: items \[31, 8\], other \[31, 8\]\)"):
        bring.own(module, items=7)


@pytest.mark.parametrize("length", [0, 2.5, "ten"])
def test_a_length_that_is_none_is_refused(bring: Any, length: object) -> None:
    with pytest.raises(InputError, match=r"own configuration: max_length = .* give a whole number of at least 1"):
        bring.own(bring.trained(bring.MeanMLP), max_length=length)
    with pytest.raises(InputError, match=r"fails on histories \[3, 11\] of int32 ids"):
        bring.own(bring.trained(bring.OwnAttention), max_length=11)


def test_numbers_that_a_master_cannot_hold_are_refused(bring: Any) -> None:
    module = bring.trained(bring.MeanMLP)
    module.register_buffer("hashes", torch.tensor([2**24 + 1]))
    with pytest.raises(MasterError, match=r"'model\.hashes' has whole numbers beyond 2\*\*24"):
        make_master(bring.own(module))
