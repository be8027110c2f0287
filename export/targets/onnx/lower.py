"""ONNX: from an exported re-ranker to the bytes of an ``.onnx`` file, node by node and without a converter.

``docs/targets/onnx.md`` explains the choices and gives the measurements behind them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

import chordkit
from chordkit.export.artifact import Layout
from chordkit.export.program import absorbed, constant_paths, walk
from chordkit.export.targets.onnx.graph import ITEMS_KEY, VERSION_KEY, GraphBuilder, Value
from chordkit.export.targets.onnx.ops import Lowering, reshape
from chordkit.export.targets.onnx.top import append_top

if TYPE_CHECKING:
    from onnx import ModelProto

_INPUTS = {torch.int32: np.dtype(np.int32), torch.float32: np.dtype(np.float32)}


def lower(
    program: torch.export.ExportedProgram,
    items: int,
    metadata: Mapping[str, str] | None = None,
    layout: Layout = "size",
    top: int | None = None,
) -> bytes:
    """Lower an exported re-ranker to an ``.onnx`` file: inputs ``history``, perhaps ``user``, ``candidates``; output ``scores``.

    With ``top`` the outputs are ``ids`` and ``scores`` of the best.

    Quantised weights are stored at their own width (INT2, INT4, INT8) with a float32 scale for each channel, as a constant
    sub-graph that a runtime folds when it loads the file: it computes in float32 with exactly the reference's weights.

    Args:
        program: from :func:`chordkit.export.program.export_program`.
        items: number of items, kept in the file's metadata.
        metadata: more entries for the file's ``metadata_props``.
        layout: how the codes lie in the file. ``speed``: each layer's as INT8, so that the bytes of two files differ in the codes and
            scales of the layers alone, where the programs do.
        top: how many of the candidates, or of the catalogue, the file gives; None = scores of all.

    Returns:
        The file's bytes; the same program gives the same bytes.

    Raises:
        CapabilityError: the program has an operator without a lowering.
        ImportError: ``onnx`` is not installed.
    """
    return model(program, items, metadata, layout, top).SerializeToString(deterministic=True)


def model(
    program: torch.export.ExportedProgram,
    items: int,
    metadata: Mapping[str, str] | None = None,
    layout: Layout = "size",
    top: int | None = None,
) -> "ModelProto":
    """What :func:`lower` writes, before it is written; arguments and errors as there."""
    program = absorbed(program)
    builder = GraphBuilder()
    lowering = Lowering(builder, _batch(program), layout, constant_paths(program))
    inputs: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}

    def given(name: str, value: torch.Tensor) -> Value:
        inputs[name] = _INPUTS[value.dtype], tuple(value.shape)
        return Value(name, tuple(value.shape))

    result = walk(program, "onnx", lowering.values, given, lowering.run)
    entries = {VERSION_KEY: chordkit.__version__, ITEMS_KEY: str(items), **(metadata or {})}
    scores = reshape(lowering, tuple(result.meta["val"].shape), lowering.values[result])
    outputs = {"scores": scores}
    if top is not None:
        candidates = Value("candidates", inputs["candidates"][1]) if "candidates" in inputs else None
        outputs = append_top(builder, scores, candidates, top)
    typed = {name: (value, np.dtype(np.int32 if name == "ids" else np.float32)) for name, value in outputs.items()}
    return builder.model(inputs, typed, entries, chordkit.__version__)


def _batch(program: torch.export.ExportedProgram) -> int:
    """Histories per call."""
    first = program.graph_signature.user_inputs[0]
    return next(int(node.meta["val"].shape[0]) for node in program.graph.nodes if node.name == first)
