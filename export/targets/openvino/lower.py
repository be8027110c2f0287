"""OpenVINO: from an exported re-ranker to the bytes of an ``.ovzip``, node by node and without a converter.

``docs/targets/openvino.md`` explains the choices and gives the measurements behind them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import chordkit
from chordkit.export.program import absorbed, walk
from chordkit.export.targets.openvino.archive import pack
from chordkit.export.targets.openvino.graph import GraphBuilder, serialised
from chordkit.export.targets.openvino.ops import Lowering
from chordkit.export.targets.openvino.top import append_top

if TYPE_CHECKING:
    from openvino import Model

_INPUTS = {torch.int32: np.dtype(np.int32), torch.float32: np.dtype(np.float32)}


def model(program: torch.export.ExportedProgram, items: int, metadata: Mapping[str, str] | None = None, top: int | None = None) -> "Model":
    """What :func:`lower` makes, as the model that is then serialised; arguments and errors as there."""
    program = absorbed(program, keys="none")  # docs/targets/openvino.md
    builder = GraphBuilder()
    lowering = Lowering(builder)
    inputs: dict[str, Any] = {}

    def given(name: str, value: torch.Tensor) -> Any:
        inputs[name] = builder.input(name, _INPUTS[value.dtype], tuple(value.shape))
        return inputs[name]

    result = walk(program, "openvino", lowering.values, given, lowering.run)
    entries = {"version": chordkit.__version__, "items": str(items), **(metadata or {})}
    outputs = {"scores": lowering.values[result]}
    if top is not None:
        outputs = append_top(builder, outputs["scores"], inputs.get("candidates"), top)
    return builder.model(list(inputs.values()), outputs, entries)


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
    return pack(*serialised(model(program, items, metadata, top)))
