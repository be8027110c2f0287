"""LiteRT (TensorFlow Lite): from an exported re-ranker to the bytes of a ``.tflite`` file, without a converter.

The torch graph is lowered node by node (:mod:`chordkit.export.targets.litert.table`), so that each operator, each bit of a weight
and each byte of metadata in the file is ours to choose; only the schema classes of ``ai-edge-litert`` are needed.
``docs/targets/litert.md`` explains the choices and gives the measurements behind them.
"""

from __future__ import annotations

import torch

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Activations, Layout
from chordkit.export.program import absorbed, constant_paths, scaled_queries, walk
from chordkit.export.targets.litert import REQUIRED_VERSION, layers, ops  # noqa: F401  (the last two fill the dispatch table)
from chordkit.export.targets.litert.flatbuffer import GraphSpec, TensorSpec, schema, serialize
from chordkit.export.targets.litert.graph import Builder, Node, View, hoisted, to_spec, view, without_dead_nodes
from chordkit.export.targets.litert.grouping import split_linears
from chordkit.export.targets.litert.table import Lowering, Value, lower_node
from chordkit.export.targets.litert.top import append_top
from chordkit.export.targets.profiles import Profile

_INPUTS = {torch.int32: "INT32", torch.float32: "FLOAT32"}


def lower(
    exported: torch.export.ExportedProgram,
    activations: Activations = "fp32",
    layout: Layout = "size",
    profile: Profile | None = None,
    *,
    fold_permutations: bool = True,
    top: int | None = None,
) -> bytes:
    """Lower an exported re-ranker to a ``.tflite`` file.

    Args:
        exported: a program from :func:`chordkit.export.program.export_program`; its inputs keep their names and shapes
            (``history`` int32 ``[1, L]``, perhaps ``user`` float32 ``[1, dim]``, ``candidates`` int32 ``[1, C]``), the output is
            ``scores`` float32.
        activations: how quantised weights are multiplied. ``fp32``: they are dequantised once, when the model is loaded, which is the
            reference semantics; ``int8``: activations are quantised to 8 bits per row on the fly. No effect on a float32 program.
        layout: how the codes lie in the file. The bytes of two files of the layout ``speed`` differ in the codes and scales of the layers
            alone, where the programs do.
        profile: the runtime that is to run the file; None = the newest.
        fold_permutations: absorb the channel order of width groups into the next layer where that is legal; False is
            slower and otherwise the same.
        top: how many of the candidates, or of the catalogue, the file gives, as ``ids`` and ``scores``; None = scores of all.

    Returns:
        The file's bytes.

    Raises:
        CapabilityError: the program uses an operator, or a form of one, that has no lowering.
        ImportError: ``ai-edge-litert`` is not installed.
    """
    schema()
    made = graph(exported, activations, layout, profile, fold_permutations=fold_permutations, top=top)
    return serialize(made, REQUIRED_VERSION if profile is None else profile.oldest)


def graph(
    exported: torch.export.ExportedProgram,
    activations: Activations = "fp32",
    layout: Layout = "size",
    profile: Profile | None = None,
    *,
    fold_permutations: bool = True,
    top: int | None = None,
) -> GraphSpec:
    """What :func:`lower` writes, before it is written; arguments and errors as there."""
    narrowest = 2 if profile is None else profile.narrowest
    sub_byte = layout == "size" and any(bool((value < 8).any()) for name, value in exported.state_dict.items() if name.endswith(".widths"))
    program = absorbed(scaled_queries(exported), keys="float32" if activations == "int8" else "all")
    nodes, inputs, outputs = _trace(program, top, Builder(narrowest=narrowest, mask_bits=narrowest if sub_byte else 8))
    nodes = without_dead_nodes(nodes, list(outputs.values()))
    nodes = hoisted(split_linears(nodes, activations, layout, fold=fold_permutations))
    return to_spec(nodes, inputs, outputs)


def _trace(
    exported: torch.export.ExportedProgram, top: int | None, builder: Builder
) -> tuple[list[Node], dict[str, TensorSpec], dict[str, TensorSpec]]:
    lowering = Lowering(builder, names={name: path.removeprefix("backbone.") for name, path in constant_paths(exported).items()})
    inputs: dict[str, TensorSpec] = {}

    def given(name: str, value: torch.Tensor) -> Value:
        inputs[name] = TensorSpec(tuple(value.shape), _INPUTS[value.dtype], name=name)
        return view(inputs[name])

    def run(node: torch.fx.Node) -> None:
        lowering.values[node] = lower_node(lowering, node)

    result = lowering.values[walk(exported, "litert", lowering.values, given, run)]
    if not isinstance(result, View):
        raise CapabilityError("litert: the program's output does not depend on its inputs; there is nothing to export")
    output = builder.reshape(builder.dense(result)[0], result.shape)
    if top is not None:
        return builder.nodes, inputs, append_top(builder, output, inputs.get("candidates"), top)
    output.name = "scores"
    return builder.nodes, inputs, {"scores": output}
