"""A layer in ExecuTorch with XNNPACK: float32, weight-only and dynamically quantised int8, and int8 with int4 parts."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contest.bind_executorch import bind_executorch
from contest.contender import Bound, Contender, Missing
from contest.linear import Attempt, LinearCase, attempts

_RANGES = {8: (-128, 127), 4: (-8, 7)}


def executorch_linears(case: LinearCase, missing: dict[str, str]) -> list[Contender]:
    """Every form that the backend has: the file format knows no 2-bit weights, so the narrowest channels take 4 bits."""
    forms: list[Attempt] = [
        ("fp32", "fp32", partial(_bind, case, None, False)),
        ("int8, dynamic int8 activations", "int8", partial(_bind, case, 8, True)),
        ("int8, fp32 activations", "fp32", partial(_bind, case, 8, False)),
    ]
    if case.mixed:
        forms += [
            ("int8/4, dynamic int8 activations", "int8", partial(_bind, case, 4, True)),
            ("int8/4, fp32 activations", "fp32", partial(_bind, case, 4, False)),
        ]
    return attempts(case, "executorch", forms, missing)


class _Layer(nn.Module):
    """One linear layer a stored width, their results concatenated and brought back in order."""

    def __init__(self, case: LinearCase, narrowest: int | None, dynamic: bool) -> None:
        super().__init__()
        self.dynamic, self.narrowest = dynamic, narrowest
        self.register_buffer("bias", torch.from_numpy(case.bias))
        if narrowest is None:
            self.register_buffer("weight", torch.from_numpy(case.weights))
            return
        groups, order = case.groups(lambda widths: np.where(widths > narrowest, 8, narrowest))
        self.bits = [bits for bits, _ in groups]
        for bits, channels in groups:
            self.register_buffer(f"codes{bits}", torch.from_numpy(case.codes[channels]))
            self.register_buffer(f"scales{bits}", torch.from_numpy(case.scales[channels]))
            self.register_buffer(f"zeros{bits}", torch.zeros(len(channels), dtype=torch.int64))
        self.register_buffer("order", torch.from_numpy(order.astype(np.int64)))

    def forward(self, x: Tensor) -> Tensor:
        if self.narrowest is None:
            return F.linear(x, self.get_buffer("weight"), self.get_buffer("bias"))
        quantized = torch.ops.quantized_decomposed
        if self.dynamic:
            scale, zero = quantized.choose_qparams.tensor(x, -128, 127, 1e-9, torch.int8)
            x = quantized.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
            x = quantized.dequantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
        parts = []
        for bits in self.bits:
            codes, scales, zeros = (self.get_buffer(f"{name}{bits}") for name in ("codes", "scales", "zeros"))
            weight = quantized.dequantize_per_channel(codes, scales, zeros, 0, *_RANGES[bits], torch.int8)
            parts.append(F.linear(x, weight))
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, 1).index_select(1, self.get_buffer("order"))
        # Weight-only kernels of XNNPACK multiply their bias by the channel's scale, so it is added outside (docs/targets/executorch.md).
        return joined + self.get_buffer("bias")


def _bind(case: LinearCase, narrowest: int | None, dynamic: bool) -> Bound:
    from chordkit.export.targets.executorch.lower import quiet

    with quiet():
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

            from chordkit.export.targets.executorch.partition import partitioner
        except ImportError:
            raise Missing("not installed: pip install 'chordkit[executorch]'") from None
        layer = _Layer(case, narrowest, dynamic).eval()
        with torch.no_grad():
            program = torch.export.export(layer, (torch.zeros(case.rows, case.in_features),), strict=False)
        parts = [XnnpackPartitioner(), partitioner()] if dynamic else [partitioner()]
        edge = to_edge_transform_and_lower(program, partitioner=parts, compile_config=EdgeCompileConfig(_check_ir_validity=False))
        names = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
        left = [name for name in names if "linear" in name or "mm" in name.split(".")[-2:][0] or "dequantize_per_channel" in name]
        if left:
            raise Missing(f"XNNPACK does not take it: {', '.join(sorted(set(left)))} stay outside")
        data = bytes(edge.to_executorch().buffer)
    return bind_executorch(data, [((case.rows, case.in_features), np.float32)])
