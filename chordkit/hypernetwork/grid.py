"""The master's number grid in torch: what a backbone trains through so that its master computes what it learned."""

import torch
from torch import Tensor

from chordkit.quantization import RANGES, WIDTHS
from chordkit.quantization.scales import NEGLIGIBLE_WEIGHT


@torch.no_grad()
def fake_quantize(weight: Tensor, widths: tuple[int, ...] = WIDTHS) -> list[Tensor]:
    """The dequantised weights, each [out, in], that a channel layer has at each of ``widths`` under the policy ``absmax``.

    Values are those of ``dequantize_rows(quantize_rows(weight, ABSMAX), width)`` bit for bit: int8 codes from absmax / 127, int4 and int2
    codes from the int8 code with the fixed-point ratio (contract 1). They carry no gradient: a channel layer takes it straight through to
    its own weight.

    Args:
        weight: float32 [out, in].
        widths: of 2, 4 and 8.
    """
    absmax = weight.abs().amax(dim=1, keepdim=True)
    alive = absmax >= NEGLIGIBLE_WEIGHT
    high = RANGES[8][1]
    scale = torch.where(alive, absmax / high, 1.0)
    codes = torch.round(torch.where(alive, weight, 0.0) / scale).clamp(-high, high)
    return [_dequantised(codes, absmax, alive, width) for width in widths]


def _dequantised(codes: Tensor, absmax: Tensor, alive: Tensor, width: int) -> Tensor:
    low, high = RANGES[width]
    if width != 8:
        # Products below 2^24: exact in float32, and so is the shift by 15 bits.
        ratio = float(round(high / RANGES[8][1] * (1 << 15)))
        codes = torch.floor((codes * ratio + float(1 << 14)) * 2.0**-15).clamp(low, high)
    return codes * torch.where(alive, absmax / high, 1.0)
