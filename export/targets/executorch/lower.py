"""ExecuTorch: from an exported re-ranker to the bytes of a ``.pte`` file for the XNNPACK backend.

``docs/targets/executorch.md`` explains the choices and gives the measurements behind them.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch

from chordkit.export.targets.executorch.graph import XnnpackGraph
from chordkit.export.targets.executorch.silence import quiet

# A constant method of the program: ids must lie in 1..items, which the tensor shapes of a .pte cannot tell.
ITEMS_METHOD = "items"
Rewriting: TypeAlias = Callable[[torch.export.ExportedProgram, int | None], XnnpackGraph]


def lower(program: torch.export.ExportedProgram, items: int, graph: Rewriting = XnnpackGraph, top: int | None = None) -> bytes:
    """Lower an exported re-ranker to a ``.pte`` file: ``forward(history, candidates) -> scores``, weights in XNNPACK.

    A program with a user vector becomes ``forward(history, user, candidates)``.

    Args:
        program: from :func:`chordkit.export.program.export_program`. For a strategy its master should have gone through
            ``regroup(master, widths, storage_groups)`` first: without, the file is right but many times slower.
        items: number of items, kept in the file as the constant method ``items``.
        graph: how the program is rewritten before XNNPACK takes its parts.
        top: how many of the candidates, or of the catalogue, ``forward`` gives, as ``(ids, scores)``; None = scores of all.

    Returns:
        The file's bytes; the same program gives the same bytes.

    Raises:
        CapabilityError: the program has an operator without a lowering.
        ImportError: ``executorch`` is not installed.
    """
    with quiet():
        import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte)
        from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge

        from chordkit.export.targets.executorch.compact import SEGMENT_ALIGNMENT, compact_graphs, compact_program
        from chordkit.export.targets.executorch.partition import WHOLE, partitioner
        from chordkit.export.targets.executorch.passes import fewer_rounds

        inputs = tuple(_example(program))
        with torch.no_grad():
            rewritten = torch.export.export(graph(program, top).eval(), inputs, strict=False)
        # The validity check knows core ATen operators only; the linear layers stay whole for XNNPACK.
        config = EdgeCompileConfig(_check_ir_validity=False, preserve_ops=[*WHOLE])  # a list that ExecuTorch adds to
        with fewer_rounds():
            edge = to_edge(rewritten, constant_methods={ITEMS_METHOD: items}, compile_config=config)
            with compact_graphs():
                edge = edge.to_backend(partitioner())
            with compact_program():
                return bytes(edge.to_executorch(ExecutorchBackendConfig(segment_alignment=SEGMENT_ALIGNMENT)).buffer)


def _example(program: torch.export.ExportedProgram) -> Iterator[torch.Tensor]:
    names = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            value: Any = node.meta["val"]
            yield torch.ones(tuple(value.shape), dtype=value.dtype)
