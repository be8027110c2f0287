"""A program with some of its parts exchanged; torch has no way to say that but its constructor."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature


def renewed(
    program: ExportedProgram,
    *,
    state: Mapping[str, Tensor] | None = None,
    module: torch.fx.GraphModule | None = None,
    signature: ExportGraphSignature | None = None,
    constants: Mapping[str, Any] | None = None,
) -> ExportedProgram:
    """The same program with other parts; what is None stays, and ``program`` is left as it is.

    Args:
        program: any exported program.
        state: parameters and buffers by their paths.
        module: with its graph.
        signature: of the graph.
        constants: those that are no part of the state.
    """
    root = program.graph_module if module is None else module
    return ExportedProgram(
        root=root,
        graph=root.graph,
        graph_signature=program.graph_signature if signature is None else signature,
        state_dict=program.state_dict if state is None else dict(state),
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants if constants is None else dict(constants),
        verifiers=program.verifiers,
    )
