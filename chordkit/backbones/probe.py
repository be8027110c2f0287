"""What can only be seen of somebody's own module when it runs: that it does what a backbone must, and how it calls its layers."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chordkit.backbones.backbone import Backbone
from chordkit.backbones.layers import ChannelLinear
from chordkit.errors import InputError

# Between batches of different sizes, and between a convolution and its ChannelLinear, sums are taken in another order. That is far
# below this share of the largest value; a layer that sees its samples in another order is far above.
_ROUNDING = 1e-3


def probe_histories(items: int, max_length: int) -> Tensor:
    """Three histories int32 [3, max_length]: a full one, a half one, one with a single item."""
    generator = torch.Generator().manual_seed(0)
    histories = torch.randint(1, items + 1, (3, max_length), generator=generator, dtype=torch.int32)
    histories[1, : max_length // 2] = 0
    histories[2, : max_length - 1] = 0
    return histories


@torch.no_grad()
def hidden_state(module: Callable[[Tensor], Any], histories: Tensor, dim: int) -> Tensor:
    """What ``module`` (in eval mode) gives for ``histories``, if that is a hidden state [batch, dim].

    Raises:
        InputError: it fails, or gives something else.
    """
    shape = list(histories.shape)
    try:
        hidden = module(histories)
    except InputError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())
        kind = str(histories.dtype).removeprefix("torch.")
        raise InputError(
            f"adapt: the module fails on histories {shape} of {kind} ids ({type(error).__name__}: {detail}): "
            "its forward must take them alone, in batches of any size, as int32 and as int64"
        ) from error
    if not isinstance(hidden, Tensor):
        raise InputError(f"adapt: the module gives a {type(hidden).__name__}: return the hidden state alone, a tensor [batch, {dim}]")
    if hidden.dtype != torch.float32:
        raise InputError(f"adapt: the hidden state is {hidden.dtype}: compute in float32 (module.float())")
    if hidden.dim() == 3 and hidden.shape[:2] == histories.shape:
        raise InputError(f"adapt: the module gives a state for every slot, {list(hidden.shape)}: return the last one, states[:, -1]")
    if hidden.shape != (len(histories), dim):
        raise InputError(
            f"adapt: the hidden state of histories {shape} is {list(hidden.shape)}, but the item embedding has {dim} columns: "
            f"end the module in a state [batch, {dim}]"
        )
    if not hidden.isfinite().all():
        raise InputError(
            "adapt: the hidden state of a history with few items is not finite: a mean over no slots, or attention to none, is NaN; "
            "divide by at least 1 and mask with a large finite number"
        )
    return hidden


def close(expected: Tensor, found: Tensor) -> bool:
    """Whether two tensors are the same up to the order of their sums."""
    if expected.shape != found.shape:
        return False
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    return bool(((expected - found).abs() <= _ROUNDING * largest).all())


def require_samples_first(backbone: Backbone, histories: Tensor, prefix: str) -> None:
    """Every channel layer is called, and sees the samples of a batch one after the other along its first axis.

    That is what lets each sample of a batch have widths of its own: the layer's input for a batch is, for every call, the inputs for each
    of the histories alone, put together along the first axis.

    Args:
        backbone: with channel layers; it stays as it is.
        histories: [batch, max_length], different ones.
        prefix: left out of module paths in messages.

    Raises:
        InputError: a layer is used in another way.
    """
    watched = copy.deepcopy(backbone)
    watches: list[_Watch] = []
    for name, layer in list(watched.named_modules()):
        if isinstance(layer, ChannelLinear):
            watches.append(_Watch(layer, name.removeprefix(prefix).removesuffix(".filters")))
            watched.set_submodule(name, watches[-1])
    together = _inputs(watched, watches, histories)
    alone = [_inputs(watched, watches, history) for history in histories.split(1)]
    for index, watch in enumerate(watches):
        if not together[index]:
            raise InputError(
                f"adapt: {watch.path!r} takes no part in the hidden state, or is used without being called: call it, or take it out "
                "of the module (del module.<name>)"
            )
        each = [inputs[index] for inputs in alone]
        if any(len(calls) != len(together[index]) for calls in each):
            raise InputError(f"adapt: how often {watch.path!r} is called depends on the histories: call it a fixed number of times")
        for call, whole in enumerate(together[index]):
            _require_joined(whole, [calls[call] for calls in each], watch.path)


def _require_joined(whole: Tensor, each: Sequence[Tensor], path: str) -> None:
    if len({part.shape for part in each}) == 1 and close(torch.cat(list(each)), whole):
        return
    if whole.shape == each[0].shape and close(whole, each[0]):
        raise InputError(
            f"adapt: {path!r} is called on what no history has a part in, so that users could not have widths of their own there: "
            "compute it once and keep it as a parameter, or call the layer on something that depends on the history"
        )
    raise InputError(
        f"adapt: {path!r} is called on a tensor {list(whole.shape)} whose first axis is not the sample, so that users could not have "
        "widths of their own there: keep the batch first and the slots after it (batch_first), also where both are flattened into one axis"
    )


@torch.no_grad()
def _inputs(backbone: Backbone, watches: Sequence["_Watch"], histories: Tensor) -> list[list[Tensor]]:
    """What each layer is called with for ``histories``, call by call."""
    for watch in watches:
        watch.inputs = []
    backbone.encode(histories)
    return [watch.inputs for watch in watches]


class _Watch(nn.Module):
    """Stands in for a channel layer as an artifact's does, callable and nothing else, and keeps what it is called with."""

    def __init__(self, layer: ChannelLinear, path: str) -> None:
        super().__init__()
        self.layer, self.path = layer, path
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.inputs.append(x.detach().clone())
        result: Tensor = self.layer(x)
        return result

    def __getattr__(self, name: str) -> Any:
        if name in ("weight", "bias"):
            raise InputError(
                f"adapt: the module reads the {name} of {self.path!r}, which an artifact keeps as codes: call the layer itself"
            )
        return super().__getattr__(name)
