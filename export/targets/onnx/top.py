"""The k best at the end of an ONNX graph: ``TopK``, whose definition puts the lower index first where scores are equal."""

import numpy as np

from chordkit.export.targets.onnx.graph import GraphBuilder, Value

_INT32 = 6  # TensorProto.INT32


def append_top(builder: GraphBuilder, scores: Value, candidates: Value | None, top: int) -> dict[str, Value]:
    """Append the choice of the ``top`` best; outputs ``ids`` int32 and ``scores`` float32, both ``[batch, top]``.

    Args:
        builder: the graph that is written.
        scores: ``[batch, C]``; of the whole catalogue ``[batch, items + 1]``, where column 0 is nobody's.
        candidates: the ids that the scores are of; None = the catalogue.
        top: how many.
    """
    batch = scores.shape[0]
    if candidates is None:
        bounds = [np.array([number], np.int64) for number in (1, scores.shape[1], 1)]
        scores = builder.emit("Slice", [scores, *map(builder.constant, bounds)], (batch, scores.shape[1] - 1))
    shape = (batch, top)
    size = builder.constant(np.array([top], np.int64))
    best, places = builder.emit_several("TopK", [scores, size], [shape, shape], axis=1, largest=1, sorted=1)
    if candidates is None:
        ids = builder.emit("Add", [builder.emit("Cast", [places], shape, to=_INT32), builder.constant(np.array(1, np.int32))], shape)
    else:
        ids = builder.emit("GatherElements", [candidates, places], shape, axis=1)
    return {"ids": ids, "scores": best}
