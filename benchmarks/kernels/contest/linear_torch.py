"""A layer in PyTorch: float32, bfloat16, dynamically quantised int8, and the packed int8 and int4 products of its CPU backend."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from contest.contender import Array, Bound, Contender, Missing
from contest.linear import Attempt, LinearCase, attempts

_HOW = "the operator itself, in inference mode, with fixed tensors"


def torch_linears(case: LinearCase, missing: dict[str, str]) -> list[Contender]:
    """Every form; widths below 8 exist as int4 with one scale and zero-point a group only, which is bfloat16 arithmetic."""
    if not torch.is_inference_mode_enabled():
        torch.inference_mode().__enter__()  # for the rest of the process: timed calls must not enter and leave it
    weight, bias = torch.from_numpy(case.weights), torch.from_numpy(case.bias)
    forms: list[Attempt] = [
        ("fp32 linear", "fp32", partial(_operator, case, torch.float32, lambda x: torch.nn.functional.linear(x, weight, bias))),
        ("bf16 linear", "bf16", partial(_bf16, case, weight, bias)),
        ("int8 linear_dynamic", "int8", partial(_linear_dynamic, case, bias)),
        ("int8 _weight_int8pack_mm, bf16 activations", "bf16", partial(_int8pack, case, bias)),
        ("int8 _int_mm, quantised with torch operators", "int8", partial(_int_mm, case, bias)),
    ]
    if case.mixed:
        forms.append(("int8/4: linear_dynamic and _weight_int4pack_mm_for_cpu", "bf16", partial(_mixed, case, bias)))
    return attempts(case, "torch", forms, missing)


def _operator(case: LinearCase, dtype: torch.dtype, function: Callable[[Tensor], Tensor]) -> Bound:
    x = torch.zeros((case.rows, case.in_features), dtype=dtype)

    def write(array: Array) -> None:
        x.copy_(torch.from_numpy(np.asarray(array)))

    run = partial(function, x)
    return Bound(write, run, lambda: run().float().numpy(), _HOW)


def _bf16(case: LinearCase, weight: Tensor, bias: Tensor) -> Bound:
    narrow, narrow_bias = weight.bfloat16(), bias.bfloat16()
    return _operator(case, torch.bfloat16, lambda x: torch.nn.functional.linear(x, narrow, narrow_bias))


def _packed(case: LinearCase, channels: np.ndarray, bias: Tensor) -> object:
    scales, zeros = torch.from_numpy(case.scales[channels]).double(), torch.zeros(len(channels), dtype=torch.long)
    codes = torch.from_numpy(case.codes[channels])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.13 announces that these tensors will go; its int8 operators have no other way in
        weight = torch._make_per_channel_quantized_tensor(codes, scales, zeros, 0)
    return torch.ops.quantized.linear_prepack(weight, bias[torch.from_numpy(channels)])


def _linear_dynamic(case: LinearCase, bias: Tensor) -> Bound:
    packed = _packed(case, np.arange(case.out_features), bias)
    # reduce_range (7-bit activations) is for processors whose 16-bit sums would saturate.
    return _operator(case, torch.float32, lambda x: torch.ops.quantized.linear_dynamic(x, packed, False))


def _int8pack(case: LinearCase, bias: Tensor) -> Bound:
    codes, scales, narrow = torch.from_numpy(case.codes), torch.from_numpy(case.scales).bfloat16(), bias.bfloat16()
    return _operator(case, torch.bfloat16, lambda x: torch._weight_int8pack_mm(x, codes, scales).add_(narrow))


def _int_mm(case: LinearCase, bias: Tensor) -> Bound:
    codes, scales = torch.from_numpy(np.ascontiguousarray(case.codes.T)), torch.from_numpy(case.scales)

    def function(x: Tensor) -> Tensor:
        step = x.abs().amax(1, keepdim=True).mul_(1 / 127)
        product = torch._int_mm((x / step).round_().to(torch.int8), codes)
        return torch.addcmul(bias, product.to(torch.float32), step * scales)

    return _operator(case, torch.float32, function)


def _mixed(case: LinearCase, bias: Tensor) -> Bound:
    group = 32
    if case.in_features % group:
        raise Missing(f"inputs are not a multiple of {group}")
    ((_, wide), (_, narrow)), back = case.groups(lambda widths: np.maximum(widths, 4))
    order = torch.from_numpy(back.astype(np.int64))
    eights = _packed(case, wide, bias)
    padding = -len(narrow) % 16  # the packing wants whole blocks of channels
    codes = torch.from_numpy(np.pad(case.codes[narrow].astype(np.int32), ((0, padding), (0, 0)))) + 8
    fours = torch._convert_weight_to_int4pack_for_cpu(codes, 1)
    scales = torch.from_numpy(np.pad(case.scales[narrow], (0, padding))).expand(case.in_features // group, -1)
    parameters = torch.stack([scales, torch.zeros_like(scales)], -1).contiguous().bfloat16()
    offset = bias[torch.from_numpy(narrow)]

    def function(x: Tensor) -> Tensor:
        product = torch._weight_int4pack_mm_for_cpu(x.bfloat16(), fours, group, parameters)[:, : len(narrow)]
        return torch.cat([torch.ops.quantized.linear_dynamic(x, eights, False), product.float() + offset], 1).index_select(1, order)

    return _operator(case, torch.float32, function)
