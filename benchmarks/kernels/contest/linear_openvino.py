"""A layer in OpenVINO: float32, bfloat16, compressed int8, int4 and int2 weights, and static int8 through FakeQuantize."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from contest.bind_openvino import bind_openvino
from contest.contender import Bound, Contender, Missing
from contest.linear import Attempt, LinearCase, all_eight, attempts, four_or_more, own_widths

_GROUP = "DYNAMIC_QUANTIZATION_GROUP_SIZE"


def openvino_linears(case: LinearCase, missing: dict[str, str]) -> list[Contender]:
    """Every form that the runtime has for this layer; groups of 32 activations have one dynamic scale unless the label says otherwise."""
    per_row = {_GROUP: case.in_features}
    forms: list[Attempt] = [
        ("fp32", "fp32", partial(_bind, case, _float, "f32")),
        ("bf16", "bf16", partial(_bind, case, _float, "bf16")),
        ("int8 weights, dynamic int8 activations", "int8", partial(_bind, case, partial(_compressed, stored=all_eight), "f32")),
        ("int8 weights, one dynamic scale a row", "int8", partial(_bind, case, partial(_compressed, stored=all_eight), "f32", per_row)),
        ("int8 weights, fp32 activations", "fp32", partial(_bind, case, partial(_compressed, stored=all_eight), "f32", {_GROUP: 0})),
        ("int8 FakeQuantize, static", "int8", partial(_bind, case, _static, "f32")),
    ]
    if case.mixed:
        for label, stored in (("int8/4", four_or_more), ("int8/4/2", own_widths)):
            fill = partial(_compressed, stored=stored)
            forms.append((f"{label} weights, dynamic int8 activations", "int8", partial(_bind, case, fill, "f32")))
            forms.append((f"{label} weights, one dynamic scale a row", "int8", partial(_bind, case, fill, "f32", per_row)))
    return attempts(case, "openvino", forms, missing)


def _bind(case: LinearCase, fill: Callable[[LinearCase, Any, Any], Any], form: str, options: dict[str, Any] | None = None) -> Bound:
    try:
        from chordkit.export.targets.openvino.quiet import runtime

        openvino = runtime()
        from openvino import opset13
    except ImportError:
        raise Missing("not installed: pip install 'chordkit[openvino]'") from None
    x = opset13.parameter([case.rows, case.in_features], np.float32, name="x")
    x.output(0).set_names({"x"})
    return bind_openvino(openvino.Model([fill(case, opset13, x)], [x], "layer"), ("x",), form, activations=options)


def _float(case: LinearCase, ops: Any, x: Any) -> Any:
    return ops.add(ops.matmul(x, ops.constant(case.weights), False, True), ops.constant(case.bias[None]))


def _compressed(case: LinearCase, ops: Any, x: Any, stored: Callable[[np.ndarray], np.ndarray]) -> Any:
    groups, order = case.groups(stored)
    parts = []
    for bits, channels in groups:
        weight = ops.convert(_codes(case.codes[channels], bits, ops), "f32")
        if bits == 2:  # there is no signed type of 2 bits
            weight = ops.subtract(weight, ops.constant(np.float32(2)))
        scaled = ops.multiply(weight, ops.constant(case.scales[channels][:, None]))
        parts.append(ops.add(ops.matmul(x, scaled, False, True), ops.constant(case.bias[channels][None])))
    if len(parts) == 1:
        return parts[0]
    return ops.gather(ops.concat(parts, 1), ops.constant(order), ops.constant(np.int32(1)))


def _codes(codes: np.ndarray, bits: int, ops: Any) -> Any:
    import openvino

    if bits == 8:
        return ops.constant(np.ascontiguousarray(codes))
    per_byte, offset = 8 // bits, 2 if bits == 2 else 0
    fields = ((codes.astype(np.int16) + offset) & ((1 << bits) - 1)).astype(np.uint8).reshape(-1, per_byte)
    shifts = (np.arange(per_byte) * bits).astype(np.uint8)
    packed = np.bitwise_or.reduce(fields << shifts, axis=1).astype(np.uint8)
    kind = openvino.Type.u2 if bits == 2 else openvino.Type.i4
    tensor = openvino.Tensor(kind, list(codes.shape))  # memory of its own: a tensor over an array does not keep the array alive
    tensor.data.reshape(-1)[:] = packed
    return openvino.op.Constant(tensor)


def _static(case: LinearCase, ops: Any, x: Any) -> Any:
    high = np.float32(np.abs(case.inputs).max())
    low = np.float32(-high * 128 / 127)
    quantised = ops.fake_quantize(x, *(ops.constant(value) for value in (low, high, low, high)), 256)
    codes = ops.convert(_codes(case.codes, 8, ops), "f32")
    weight = ops.multiply(codes, ops.constant(case.scales[:, None]))
    return ops.add(ops.matmul(quantised, weight, False, True), ops.constant(case.bias[None]))
