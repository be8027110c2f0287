"""ExecuTorch's passes over a graph in fewer rounds, with the same result. Imported only when ExecuTorch is.

Most passes trace the whole graph anew, which takes most of an export's time. Here those on the way to the edge dialect share one round,
and those that rewrite no operator trace only a graph in which something is new.
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
from executorch.exir.pass_base import ExportPass
from executorch.exir.passes import MemoryFormatOpsPass, OpReplacePass, ScalarToTensorPass, SymToTensorPass
from executorch.exir.passes.dim_order_ops_registry import MemoryFormatOpsMap
from executorch.exir.passes.legalize_portable_dim_order_pass import LegalizePortableDimOrderPass
from executorch.exir.passes.memory_format_ops_pass import DimOrderOpsRevertPass
from executorch.exir.passes.normalize_transpose_pass import NormalizeTransposePass
from executorch.exir.passes.remove_mixed_type_operators import RemoveMixedTypeOperators
from executorch.exir.passes.replace_broken_ops_with_function_ops_pass import ReplaceBrokenOpsWithFunctionalOpsPass
from executorch.exir.program import _program
from torch._export.passes.replace_view_ops_with_view_copy_ops_pass import (
    _NON_FUNCTIONAL_OPS_TO_FUNCTIONAL_OPS,
    get_view_copy_of_view_op,
)
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import GraphModule, traceback
from torch.fx.passes.infra.pass_base import PassResult


class _ToEdge(
    NormalizeTransposePass, ReplaceBrokenOpsWithFunctionalOpsPass, ScalarToTensorPass, SymToTensorPass, RemoveMixedTypeOperators,
    OpReplacePass, MemoryFormatOpsPass,
):  # fmt: skip
    """Passes that rewrite an operator each and hand it on, in ExecuTorch's order."""


# Of XNNPACK's seventeen passes the ones that find anything to do in a re-ranker (the others: images, batch norm, fused attention).
_XNNPACK = [XNNPACKRemoveCloneOpsTransform, DimOrderOpsRevertPass, FuseActivationPass, DecomposeConcatenate, RemoveRedundantCopyPass]
# The operators that a pass rewrites.
_REWRITTEN: dict[type, Any] = {
    DimOrderOpsRevertPass: MemoryFormatOpsMap,
    LegalizePortableDimOrderPass: LegalizePortableDimOrderPass._target_ops,
}
_trace, _all_edge_passes = ExportPass.call, _program._get_aten_to_edge_passes


def _unchanged(module: GraphModule) -> PassResult:
    return PassResult(module, False)


def _copied_views(module: GraphModule) -> PassResult:
    """Views as copies, which have the same shapes."""
    for node in module.graph.nodes:
        if isinstance(node.target, OpOverload):
            copied = _NON_FUNCTIONAL_OPS_TO_FUNCTIONAL_OPS.get(node.target) or get_view_copy_of_view_op(node.target._schema)
            node.target = copied or node.target
    module.recompile()
    return PassResult(module, True)


def _edge_passes(config: Any) -> tuple[list[Any], list[Any]]:
    before, after = _all_edge_passes(config)
    shared = {each.__name__ for each in _ToEdge.__mro__}
    return [each for each in before if getattr(each, "__name__", type(each).__name__) not in shared], after


def _xnnpack_passes(program: ExportedProgram, passes: Any = None) -> XNNPACKPassManager:
    return XNNPACKPassManager(program, passes or _XNNPACK)


def _trace_if_needed(self: ExportPass, module: GraphModule) -> PassResult:
    nodes = [node for node in module.graph.nodes if node.op != "output"]
    if type(self).call_operator is ExportPass.call_operator:
        needed = any("val" not in node.meta for node in nodes)
    else:
        needed = type(self) not in _REWRITTEN or any(node.target in _REWRITTEN[type(self)] for node in nodes)
    return _trace(self, module) if needed else _unchanged(module)


@contextlib.contextmanager
def fewer_rounds() -> Iterator[None]:
    """Let ExecuTorch go through a graph as often as it must."""
    with (
        mock.patch.object(_program, "ReplaceViewOpsWithViewCopyOpsPass", lambda: _copied_views),
        mock.patch.object(_program, "_get_aten_to_edge_passes", _edge_passes),
        mock.patch.object(_program, "OpReplacePass", _ToEdge),
        mock.patch.object(_program, "MemoryFormatOpsPass", lambda: _unchanged),
        mock.patch.object(xnnpack_preprocess, "XNNPACKPassManager", _xnnpack_passes),
        mock.patch.object(ExportPass, "call", _trace_if_needed),
        # Where a node comes from is written once and then read: nodes of later graphs share it.
        mock.patch.object(traceback.NodeSource, "__deepcopy__", lambda self, _: self, create=True),
    ):
        yield
