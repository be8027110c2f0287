"""The way through a program that every exporter takes which writes its file node by node."""

from collections.abc import Callable
from typing import Any

import torch

from chordkit.errors import CapabilityError

_INPUTS = (torch.int32, torch.float32)


def constant_paths(program: torch.export.ExportedProgram) -> dict[str, str]:
    """Of each constant, by its node's name, where it stands in the model."""
    signature = program.graph_signature
    return {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}


def walk(
    program: torch.export.ExportedProgram,
    target: str,
    values: dict[torch.fx.Node, Any],
    given: Callable[[str, torch.Tensor], Any],
    run: Callable[[torch.fx.Node], None],
) -> torch.fx.Node:
    """Visit the nodes of a program in the order in which they run.

    Args:
        program: from :func:`chordkit.export.program.export_program`.
        target: whose file is written, for the sentence.
        values: gets each constant, detached, and of each input what ``given`` makes of it.
        given: an input's name, and a tensor of its type and shape.
        run: visits one ``call_function`` node.

    Returns:
        The node of the result.

    Raises:
        CapabilityError: an input is neither ids nor float32.
    """
    paths = constant_paths(program)
    constants: dict[str, Any] = {**program.state_dict, **program.constants}
    with torch.no_grad():
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in paths:
                values[node] = constants[paths[node.name]].detach()
            elif node.op == "placeholder":
                value = node.meta["val"]
                if value.dtype not in _INPUTS:
                    raise CapabilityError(f"{target}: the input {node.name} is {value.dtype}; use int32 ids and a float32 user vector")
                values[node] = given(node.name, value)
            elif node.op == "call_function":
                run(node)
    result: torch.fx.Node = program.graph.output_node().args[0][0]
    return result
