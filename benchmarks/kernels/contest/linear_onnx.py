"""A layer in ONNX Runtime: float32, dynamically quantised int8, statically quantised int8, and MatMulNBits of 8, 4 and 2 bits."""

from collections.abc import Callable
from functools import partial

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from contest.bind_onnx import bind_onnx
from contest.contender import Bound, Contender
from contest.linear import Attempt, LinearCase, all_eight, attempts, four_or_more, own_widths

_BLOCK = 32
_INT8_SUMS = 4  # accuracy_level of MatMulNBits: activations in 8 bits


class _Graph:
    """Nodes and constants in the making."""

    def __init__(self, case: LinearCase) -> None:
        self.case, self.nodes, self.constants = case, [], []

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def bind(self) -> Bound:
        case = self.case
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [case.rows, case.in_features])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [case.rows, case.out_features])
        graph = helper.make_graph(self.nodes, "layer", [x], [y], self.constants)
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return bind_onnx(model.SerializeToString(), ("x",))


def onnx_linears(case: LinearCase, missing: dict[str, str]) -> list[Contender]:
    """Every form that the runtime has for this layer."""
    forms: list[Attempt] = [
        ("fp32 Gemm", "fp32", partial(_build, case, _float)),
        ("int8 MatMulInteger, dynamic", "int8", partial(_build, case, _dynamic)),
        ("int8 MatMulIntegerToFloat, static", "int8", partial(_build, case, _static)),
        ("int8 MatMulNBits, int8 activations", "int8", partial(_build, case, partial(_nbits, stored=all_eight))),
    ]
    if case.mixed:
        forms += [
            ("int8/4/2 MatMulNBits, int8 activations", "int8", partial(_build, case, partial(_nbits, stored=own_widths))),
            ("int8/4 MatMulNBits, int8 activations", "int8", partial(_build, case, partial(_nbits, stored=four_or_more))),
        ]
    return attempts(case, "onnxruntime", forms, missing)


def _build(case: LinearCase, fill: Callable[[_Graph], None]) -> Bound:
    graph = _Graph(case)
    fill(graph)
    return graph.bind()


def _float(graph: _Graph) -> None:
    case = graph.case
    weight, bias = graph.constant("w", case.weights), graph.constant("b", case.bias)
    graph.add("Gemm", ["x", weight, bias], ["y"], transB=1)


def _dynamic(graph: _Graph) -> None:
    case = graph.case
    graph.add("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"])
    weight, scales = graph.constant("w", case.codes.T), graph.constant("s", case.scales)
    graph.add("MatMulInteger", ["xq", weight, "xz"], ["sums"])
    graph.add("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT)
    graph.add("Mul", ["xs", scales], ["scale"])
    graph.add("Mul", ["floats", "scale"], ["product"])
    graph.add("Add", ["product", graph.constant("b", case.bias)], ["y"])


def _static(graph: _Graph) -> None:
    # What quantise and dequantise nodes are fused into; written out, because the fusion does not find them in every shape.
    case = graph.case
    step, zero = graph.constant("xs", np.float32(np.abs(case.inputs).max() / 127)), graph.constant("xz", np.uint8(128))
    graph.add("QuantizeLinear", ["x", step, zero], ["xq"])
    inputs = ["xq", graph.constant("w", case.codes.T), step, graph.constant("s", case.scales), zero]
    inputs += [graph.constant("z", np.zeros(case.out_features, np.int8)), graph.constant("b", case.bias)]
    graph.add("MatMulIntegerToFloat", inputs, ["y"], "com.microsoft")


def _nbits(graph: _Graph, stored: Callable[[np.ndarray], np.ndarray]) -> None:
    case = graph.case
    groups, order = case.groups(stored)
    parts = []
    for bits, channels in groups:
        blocks = case.in_features // _BLOCK
        codes = (case.codes[channels].astype(np.int16) + (1 << (bits - 1))).astype(np.uint8).reshape(len(channels), blocks, -1, 8 // bits)
        shifts = (np.arange(8 // bits) * bits).astype(np.uint8)
        weight = graph.constant(f"w{bits}", np.bitwise_or.reduce(codes << shifts, axis=3).astype(np.uint8))
        scales = graph.constant(f"s{bits}", np.repeat(case.scales[channels], blocks).reshape(len(channels), blocks))
        bias = graph.constant(f"b{bits}", case.bias[channels])
        part = "y" if len(groups) == 1 else f"y{bits}"
        attributes = {"K": case.in_features, "N": len(channels), "bits": bits, "block_size": _BLOCK, "accuracy_level": _INT8_SUMS}
        parts.append(graph.add("MatMulNBits", ["x", weight, scales, "", "", bias], [part], "com.microsoft", **attributes))
    if len(groups) > 1:
        graph.add("Concat", parts, ["joined"], axis=1)
        graph.add("Gather", ["joined", graph.constant("order", order)], ["y"], axis=1)
