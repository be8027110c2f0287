"""torch's own attention and transformer encoder with channel layers for their projections."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from chordkit.backbones.layers import ChannelLinear

MASKED = -(2.0**126)
"""Added to the score of a slot that must not be looked at: minus infinity in effect, and yet a number.

Beside it a score of up to 1e30 is lost in rounding, so that whatever a masked slot holds its weight is exactly zero next to a slot that is
not masked; two of them (the future, and padding) still add up to a float32. A row in which all is masked gets the average of its slots,
which nobody looks at, where an infinity would give NaN, which spreads.
"""


class ChannelAttention(nn.Module):
    """What an ``nn.MultiheadAttention`` computes, with query, key, value and output as channel layers of their own.

    Args:
        attention: with ``batch_first``, one width for queries, keys and values, and nothing added to keys and values; its parameters are
            taken over, it is not to be used any longer.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.dropout = attention.num_heads, attention.dropout
        biases = [None] * 3 if attention.in_proj_bias is None else _thirds(attention.in_proj_bias)
        self.query, self.key, self.value = map(ChannelLinear.of, _thirds(attention.in_proj_weight), biases)
        self.output = ChannelLinear.of(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Attend from ``query`` [batch, length, dim] to ``key`` and ``value`` [batch, slots, dim]: as torch's, but never with the weights.

        Args:
            query, key, value: of the layer.
            key_padding_mask: [batch, slots]; True hides a slot, a number is added to its score.
            need_weights, average_attn_weights: without effect.
            attn_mask: [length, slots] or [batch * heads, length, slots], likewise.
            is_causal: a hint that ``attn_mask`` is causal; without effect.
        """
        bias = None if key_padding_mask is None else _bias(key_padding_mask)[:, None, None]
        if attn_mask is not None:
            mask = _bias(attn_mask)
            mask = mask if mask.dim() == 2 else mask.unflatten(0, (-1, self.heads))
            bias = mask if bias is None else bias + mask
        queries, keys, values = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (self.query(query), self.key(key), self.value(value))
        )
        dropped = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, dropout_p=dropped)
        hidden: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return hidden, None


class ChannelEncoderLayer(nn.Module):
    """What an ``nn.TransformerEncoderLayer`` computes, without its fast path around the layers; they are taken over as they are."""

    self_attn: nn.Module
    linear1: nn.Module
    linear2: nn.Module
    norm1: nn.Module
    norm2: nn.Module
    dropout: nn.Module
    dropout1: nn.Module
    dropout2: nn.Module

    def __init__(self, layer: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        for name, child in layer.named_children():
            self.add_module(name, child)
        self.activation, self.norm_first = layer.activation, layer.norm_first

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Hidden states [batch, length, dim] of ``src`` [batch, length, dim]; masks as those of :class:`ChannelAttention`."""
        x = src
        attended = self.self_attn(*[self.norm1(x) if self.norm_first else x] * 3, src_key_padding_mask, attn_mask=src_mask)[0]
        x = x + self.dropout1(attended)
        x = x if self.norm_first else self.norm1(x)
        inner = self.activation(self.linear1(self.norm2(x) if self.norm_first else x))
        x = x + self.dropout2(self.linear2(self.dropout(inner)))
        return x if self.norm_first else self.norm2(x)


class ChannelEncoder(nn.Module):
    """What an ``nn.TransformerEncoder`` computes: its layers, which are taken over, one after the other."""

    def __init__(self, encoder: nn.TransformerEncoder) -> None:
        super().__init__()
        self.layers, self.norm = encoder.layers, encoder.norm

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None, is_causal: bool | None = None
    ) -> Tensor:
        """Hidden states [batch, length, dim] of ``src`` [batch, length, dim]; masks as those of :class:`ChannelAttention`."""
        x = src
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
        return x if self.norm is None else self.norm(x)


def _bias(mask: Tensor) -> Tensor:
    return torch.where(mask, MASKED, 0.0) if mask.dtype == torch.bool else mask


def _thirds(fused: Tensor) -> list[nn.Parameter]:
    """The parts for query, key and value of a fused parameter."""
    return [nn.Parameter(part.clone(), fused.requires_grad) for part in fused.detach().chunk(3)]
