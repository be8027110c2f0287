"""The layers of somebody's own module that a strategy can work on: found, and replaced by those that do.

A kind of layer is a row of :data:`_REPLACED` or of :data:`_REFUSED`; what is in neither stays as it is, in float32.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from chordkit.backbones.convolution import ChannelConvolution
from chordkit.backbones.layers import ChannelLinear
from chordkit.errors import InputError


def require_replaceable(root: nn.Module) -> None:
    """Refuse a module with a layer that cannot be replaced without changing what it computes.

    Raises:
        InputError: there is such a layer, or two names stand for one tensor; the sentence names the module path.
    """
    _require_one_name(root)
    for path, module in root.named_modules():
        _require_plain(path, module)
        _refuse(path, module)


def replace_layers(root: nn.Module) -> None:
    """Replace, in place, every layer inside ``root`` that has output channels by one whose channels take part in a strategy."""
    for name, child in list(root.named_children()):
        for kind, replacement in _REPLACED.items():
            if isinstance(child, kind):
                child = replacement(child)
                root.register_module(name, child)
        if not isinstance(child, ChannelLinear):
            replace_layers(child)


def _require_one_name(root: nn.Module) -> None:
    first: dict[int, str] = {}
    for name, tensor in _tensors(root):
        known = first.setdefault(id(tensor), name)
        if known != name:
            raise InputError(
                f"adapt: {known!r} and {name!r} are one tensor, which cannot have the widths of both: "
                "keep the layer under one name, under which it may be called as often as you like, or give each a tensor of its own"
            )


def _tensors(root: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from root.named_parameters(remove_duplicate=False)
    yield from root.named_buffers(remove_duplicate=False)


def _require_plain(path: str, module: nn.Module) -> None:
    """A layer that will be replaced computes what torch's own does, from tensors of its own."""
    if "/" in path:
        raise InputError(f"adapt: the module path {path!r} has a '/', which a master file cannot name: rename it")
    for kind in (*_REPLACED, nn.Embedding):
        if isinstance(module, kind):
            if is_parametrized(module) or module._forward_pre_hooks or module._forward_hooks:
                raise InputError(
                    f"adapt: {path!r} has hooks or parametrizations (weight_norm, for one), which its replacement would lose: "
                    "remove them first (torch.nn.utils.parametrize.remove_parametrizations)"
                )
            if vars(kind)["forward"] is not type(module).forward and not isinstance(module, ChannelLinear):
                raise InputError(
                    f"adapt: {path!r} is a {type(module).__name__}, a {kind.__name__} with a forward of its own, which its replacement "
                    f"would lose: use {kind.__name__} itself and compute the rest outside of it"
                )


def _refuse(path: str, module: nn.Module) -> None:
    for kinds, mend in _REFUSED.items():
        if isinstance(module, kinds):
            raise InputError(f"adapt: {path!r} is a {type(module).__name__}, which has no channel layer: {mend}")
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        if module.groups != 1:
            raise InputError(
                f"adapt: {path!r} is a convolution in {module.groups} groups, whose filters do not share an input: "
                "use groups=1, or a convolution for each group"
            )
        if module.padding_mode != "zeros":
            raise InputError(f"adapt: {path!r} pads with {module.padding_mode!r}: use padding_mode='zeros', or pad the input yourself")
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        raise InputError(f"adapt: {path!r} renormalises its rows when it is read (max_norm): scale the rows once and leave max_norm out")


def _linear(layer: nn.Linear) -> nn.Module:
    return layer if isinstance(layer, ChannelLinear) else ChannelLinear.of(layer.weight, layer.bias)


_REPLACED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Linear: _linear,
    nn.Conv1d: ChannelConvolution,
    nn.Conv2d: ChannelConvolution,
}

_RECURRENT = "use the backbone gru4rec, or write the step with nn.Linear and unroll it over the slots"
_FUSED = "write it with nn.Linear for query, key, value and output, and torch.nn.functional.scaled_dot_product_attention"
_REFUSED: dict[tuple[type[nn.Module], ...], str] = {
    (nn.RNNBase, nn.RNNCellBase): _RECURRENT,
    (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer): _FUSED,
    (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Conv3d): "use nn.Conv1d or nn.Conv2d",
    (nn.Bilinear,): "use nn.Linear over the products of its inputs",
    (nn.EmbeddingBag,): "use nn.Embedding and take the mean or the sum of what it gives",
}
