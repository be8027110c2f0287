"""XNNPACK's partitioner with one more rule: linear layers with quantised weights and float32 activations.

The stock rule takes a dequantised weight to mean that activations are quantised too and leaves the layer out when they
are not. The runtime itself has the combination (``f32_qc8w_gemm``, ``f32_qc4w_gemm``): weights are widened inside the
kernel, which is exactly the reference semantics. Not with a bias, though: these kernels multiply it by the channel's
scale, so a bias is added by a node of its own. Imported only when ExecuTorch is.
"""

import torch
from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
from executorch.backends.xnnpack.partition.config.gemm_configs import LinearConfig
from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.utils.quant_utils import is_dequant
from executorch.backends.xnnpack.utils.utils import get_input_node, is_param_node
from torch.export import ExportedProgram
from torch.fx import Node


class WeightOnlyLinearConfig(LinearConfig):
    """``linear(x, dequantize_per_channel(codes, scales, zeros))`` as one float32 node with qcint8 or qcint4 weights."""

    def _detect_precision(self, node: Node) -> ConfigPrecisionType:
        return ConfigPrecisionType.FP32

    def _get_weight_deps(self, node: Node, ep: ExportedProgram, precision: ConfigPrecisionType) -> tuple[bool, list[Node]]:
        weight = get_input_node(node, self.weight_idx)
        if not is_dequant(weight):
            return super()._get_weight_deps(node, ep, precision)
        if len(node.args) > 2 and node.args[2] is not None:
            return False, []
        # The base class tags each dequantise node among the dependencies as part of its linear layer.
        return all(is_param_node(ep, constant) for constant in weight.all_input_nodes), [weight, *weight.all_input_nodes]


# What stays whole for XNNPACK. Its own way there decomposes three times, for layers that it might not take; it takes all of ours.
WHOLE = [torch.ops.aten.linear.default]


def partitioner() -> XnnpackPartitioner:
    """The partitioner for weight-only quantised and float32 graphs."""
    return XnnpackPartitioner([WeightOnlyLinearConfig if config is LinearConfig else config for config in ALL_PARTITIONER_CONFIGS])
