"""The k best at the end of an OpenVINO graph: ``TopK``, stable, so that the earlier candidate comes first where scores are equal."""

from typing import TYPE_CHECKING, Any

import numpy as np

from chordkit.export.targets.openvino.graph import GraphBuilder

if TYPE_CHECKING:
    from openvino import Node


def append_top(builder: GraphBuilder, scores: "Node", candidates: "Node | None", top: int) -> dict[str, Any]:
    """Append the choice of the ``top`` best; outputs ``ids`` int32 and ``scores`` float32, both ``[batch, top]``.

    Args:
        builder: the graph that is written.
        scores: ``[batch, C]``; of the whole catalogue ``[batch, items + 1]``, where column 0 is nobody's.
        candidates: the ids that the scores are of; None = the catalogue.
        top: how many.
    """
    builder.scope = "top"
    if candidates is None:
        bounds = (1, scores.output(0).get_shape()[1], 1, 1)
        scores = builder.emit("slice", scores, *(builder.constant(np.array([number], np.int64)) for number in bounds))
    best = builder.emit("topk", scores, builder.constant(np.array(top, np.int64)), 1, "max", "value", "i32", True)
    if candidates is None:
        ids = builder.emit("add", best.output(1), builder.constant(np.array(1, np.int32)))
    else:
        ids = builder.emit("gather_elements", candidates, best.output(1), 1)
    return {"ids": ids, "scores": best.output(0)}
