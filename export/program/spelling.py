"""Layers spelled as plain matrix products, so that the lowering of single layers can be taken out of a program.

``x W^T + b`` with float32 weights is what a quantised layer computes in the reference, so a program with some layers spelled out gives
the same scores. Where its artifact is right and the artifact without is wrong, the lowering of one of these layers is at fault: the
search for the first bad layer (:mod:`chordkit.export.stages`) exports such programs.
"""

import contextlib
import copy
from collections.abc import Collection, Iterator
from contextvars import ContextVar

from torch import Tensor, nn

from chordkit.backbones import Backbone

_SPELLED_OUT: ContextVar[frozenset[str]] = ContextVar("spelled_out", default=frozenset())


@contextlib.contextmanager
def spelled_out(layers: Collection[str]) -> Iterator[None]:
    """Programs that are exported inside have ``layers`` as products with float32 constants, whatever their precision is."""
    token = _SPELLED_OUT.set(frozenset(layers))
    try:
        yield
    finally:
        _SPELLED_OUT.reset(token)


def anything_spelled_out() -> bool:
    """Whether programs that are exported now have a layer as a product, and so are no other's with other weights."""
    return bool(_SPELLED_OUT.get())


def is_spelled_out(layer: str) -> bool:
    """Whether ``layer`` is a plain product in programs that are exported now."""
    return layer in _SPELLED_OUT.get()


class ProductLinear(nn.Module):
    """Stands in for a ``ChannelLinear`` at export time: ``x @ W^T + b``, one matrix product with a constant.

    Args:
        weight: float32 ``[out, in]``.
        bias: float32 ``[out]`` or None.
    """

    product: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("product", weight.detach().t().contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor, choice: None = None) -> Tensor:
        """Map ``x [..., in]`` to ``[..., out]``; a per-sample ``choice`` of widths has no meaning in an artifact."""
        product = x @ self.product
        return product if self.bias is None else product + self.bias


def with_products(backbone: Backbone) -> Backbone:
    """``backbone`` with the layers of :func:`spelled_out` as products; the same object when there are none."""
    names = [name for name in backbone.channel_layers() if is_spelled_out(name)]
    if not names:
        return backbone
    backbone = copy.deepcopy(backbone).eval()
    layers = backbone.channel_layers()
    for name in names:
        backbone.set_submodule(name, ProductLinear(layers[name].weight, layers[name].bias))
    return backbone
