"""XNNPACK's partitioner with one more rule: linear layers with quantised weights and float32 activations.

The stock rule takes a dequantised weight to mean that activations are quantised too: it leaves the layer out when they
are not, and its serialiser refuses the float32 bias. The runtime itself has the combination (``f32_qc8w_gemm``,
``f32_qc4w_gemm``): weights are widened inside the kernel, which is exactly the reference semantics. Both rules are
widened here for layers that the stock ones refuse; all others go the stock way. Imported only when ExecuTorch is.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from executorch.backends.xnnpack import xnnpack_preprocess
from executorch.backends.xnnpack._passes import XNNPACKPassManager, XNNPACKRemoveCloneOpsTransform
from executorch.backends.xnnpack._passes.decompose_cat import DecomposeConcatenate
from executorch.backends.xnnpack._passes.fuse_activation_pass import FuseActivationPass
from executorch.backends.xnnpack._passes.remove_redundant_copy_pass import RemoveRedundantCopyPass
from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor, _node_visitor_dict, register_node_visitor
from executorch.backends.xnnpack.operators.quant_params import QuantParams
from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
from executorch.backends.xnnpack.partition.config.gemm_configs import LinearConfig
from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.serialization.xnnpack_graph_schema import XNNFullyConnected, XNNGraph, XNode
from executorch.backends.xnnpack.utils.quant_utils import is_dequant
from executorch.backends.xnnpack.utils.utils import get_input_node, is_param_node
from executorch.backends.xnnpack.utils.xnnpack_constants import XNN_INVALID_VALUE_ID
from executorch.exir.passes.memory_format_ops_pass import DimOrderOpsRevertPass
from torch.export import ExportedProgram
from torch.fx import Node


class WeightOnlyLinearConfig(LinearConfig):
    """``linear(x, dequantize_per_channel(codes, scales, zeros), bias)`` as one float32 node with qcint8 or qcint4 weights."""

    def _detect_precision(self, node: Node) -> ConfigPrecisionType:
        return ConfigPrecisionType.FP32

    def _get_weight_deps(self, node: Node, ep: ExportedProgram, precision: ConfigPrecisionType) -> tuple[bool, list[Node]]:
        weight = get_input_node(node, self.weight_idx)
        if not is_dequant(weight):
            return super()._get_weight_deps(node, ep, precision)
        # The base class tags each dequantise node among the dependencies as part of its linear layer.
        return all(is_param_node(ep, constant) for constant in weight.all_input_nodes), [weight, *weight.all_input_nodes]


_LINEAR = "aten.linear.default"
_STOCK_VISITOR: type[NodeVisitor] = _node_visitor_dict[_LINEAR]


class WeightOnlyLinearVisitor(NodeVisitor):
    """Serialises such a layer; every other linear layer is left to the stock visitor."""

    target = _LINEAR

    def define_node(self, node: Node, xnn_graph: XNNGraph, vals_to_ids: dict[Node, int], debug_handle: int) -> None:
        """Append the layer's tensors and its fully-connected node to ``xnn_graph``."""
        source, weight = get_input_node(node, 0), get_input_node(node, 1)
        if not is_dequant(weight) or is_dequant(source):
            stock = _STOCK_VISITOR(self._exported_program, self.external_ids, self._named_data_store)
            stock.define_node(node, xnn_graph, vals_to_ids, debug_handle)
            return
        bias = get_input_node(node, 2) if len(node.args) > 2 else None
        tensors: list[tuple[Node, Any]] = [(source, None), (weight, QuantParams.from_weights(weight, self._exported_program)), (node, None)]
        for tensor, quant_params in tensors if bias is None else [*tensors, (bias, None)]:
            self.define_tensor(tensor, xnn_graph, vals_to_ids, quant_params=quant_params)
        xnn_graph.xnodes.append(
            XNode(
                xnode_union=XNNFullyConnected(
                    input1_id=vals_to_ids[source],
                    filter_id=vals_to_ids[weight],
                    bias_id=XNN_INVALID_VALUE_ID if bias is None else vals_to_ids[bias],
                    output_id=vals_to_ids[node],
                    flags=0,
                ),
                debug_handle=debug_handle,
                output_min_max=FuseActivationPass.get_fused_activation(node),
            )
        )


register_node_visitor(WeightOnlyLinearVisitor)


def partitioner() -> XnnpackPartitioner:
    """The partitioner for weight-only quantised and float32 graphs."""
    return XnnpackPartitioner([WeightOnlyLinearConfig if config is LinearConfig else config for config in ALL_PARTITIONER_CONFIGS])


# Of XNNPACK's seventeen graph passes the ones that find anything to do in a re-ranker; the others (images, batch norm,
# fused attention) take two thirds of the whole export to find nothing.
_PASSES = [
    XNNPACKRemoveCloneOpsTransform,
    DimOrderOpsRevertPass,
    FuseActivationPass,
    DecomposeConcatenate,
    RemoveRedundantCopyPass,
]


@contextlib.contextmanager
def needed_passes() -> Iterator[None]:
    """Run XNNPACK's serialiser with :data:`_PASSES` only."""

    def manager(program: ExportedProgram, passes: Any = None) -> XNNPACKPassManager:
        return XNNPACKPassManager(program, passes or _PASSES)

    with mock.patch.object(xnnpack_preprocess, "XNNPACKPassManager", manager):
        yield
