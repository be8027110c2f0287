"""OpenVINO: from an exported re-ranker to the bytes of an ``.ovzip``, node by node and without a converter.

``docs/targets/openvino.md`` explains the choices and gives the measurements behind them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import chordkit
from chordkit.errors import CapabilityError
from chordkit.export.targets.openvino.archive import pack
from chordkit.export.targets.openvino.graph import GraphBuilder, serialised
from chordkit.export.targets.openvino.ops import Lowering
from chordkit.export.targets.openvino.top import append_top

_INPUTS = {torch.int32: np.dtype(np.int32), torch.float32: np.dtype(np.float32)}


def lower(program: torch.export.ExportedProgram, items: int, metadata: Mapping[str, str] | None = None, top: int | None = None) -> bytes:
    """Lower an exported re-ranker to an ``.ovzip``: inputs ``history``, perhaps ``user``, perhaps ``candidates``; output ``scores``.

    With ``top`` the outputs are ``ids`` and ``scores`` of the best.

    Quantised weights are stored at their own width (u2, i4, i8) with a float32 scale for each channel, as a constant sub-graph that the
    runtime computes once, when it loads the file: it multiplies in float32 with exactly the reference's weights.

    Args:
        program: from :func:`chordkit.export.program.export_program`.
        items: number of items, kept in the file.
        metadata: more entries for the file's ``rt_info``.
        top: how many of the candidates, or of the catalogue, the file gives; None = scores of all.

    Returns:
        The file's bytes; the same program gives the same bytes.

    Raises:
        CapabilityError: the program has an operator without a lowering.
        ImportError: ``openvino`` is not installed.
    """
    builder = GraphBuilder()
    lowering = Lowering(builder)
    signature = program.graph_signature
    paths = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    constants: dict[str, Any] = {**program.state_dict, **program.constants}
    inputs: dict[str, Any] = {}
    result: torch.fx.Node | None = None
    with torch.no_grad():
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in paths:
                lowering.values[node] = constants[paths[node.name]].detach()
            elif node.op == "placeholder":
                value = node.meta["val"]
                if value.dtype not in _INPUTS:
                    raise CapabilityError(f"openvino: the input {node.name} is {value.dtype}; use int32 ids and a float32 user vector")
                inputs[node.name] = builder.input(node.name, _INPUTS[value.dtype], tuple(value.shape))
                lowering.values[node] = inputs[node.name]
            elif node.op == "call_function":
                lowering.run(node)
            else:
                result = node.args[0][0]
    assert result is not None
    entries = {"version": chordkit.__version__, "items": str(items), **(metadata or {})}
    outputs = {"scores": lowering.values[result]}
    if top is not None:
        outputs = append_top(builder, outputs["scores"], inputs.get("candidates"), top)
    return pack(*serialised(builder.model(list(inputs.values()), outputs, entries)))
