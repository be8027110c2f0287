"""The k best at the end of a LiteRT graph: ``TOPK_V2``, which puts the lower index first where scores are equal."""

from __future__ import annotations

import numpy as np

from chordkit.export.targets.litert.flatbuffer import OperatorSpec, TensorSpec
from chordkit.export.targets.litert.graph import Builder


def append_top(builder: Builder, scores: TensorSpec, candidates: TensorSpec | None, top: int) -> dict[str, TensorSpec]:
    """Append the choice of the ``top`` best; outputs ``ids`` int32 and ``scores`` float32, both ``[batch, top]``.

    Args:
        builder: the graph that is written.
        scores: ``[batch, C]``; of the whole catalogue ``[batch, items + 1]``, where column 0 is nobody's.
        candidates: the ids that the scores are of; None = the catalogue.
        top: how many.
    """
    batch, columns = scores.shape
    if candidates is None:
        bounds = [builder.constant(np.asarray(values, np.int32)) for values in ((0, 1), (batch, columns - 1))]
        scores = builder.emit("SLICE", [scores, *bounds], (batch, columns - 1), ("SliceOptions", {}))
    best, places = TensorSpec((batch, top)), TensorSpec((batch, top), "INT32")
    size = builder.constant(np.asarray(top, np.int32))
    builder.add(OperatorSpec("TOPK_V2", [scores, size], [best, places], ("TopKV2Options", {})))
    if candidates is None:
        ids = _plus(builder, places, np.asarray(1, np.int32))
    else:
        # Rows of one long list: GATHER learnt of batches late.
        flat = builder.reshape(candidates, (batch * columns,))
        if batch > 1:
            places = _plus(builder, places, np.arange(0, batch * columns, columns, dtype=np.int32)[:, None])
        ids = builder.emit("GATHER", [flat, places], (batch, top), ("GatherOptions", {}), "INT32")
    best.name, ids.name = "scores", "ids"
    return {"ids": ids, "scores": best}


def _plus(builder: Builder, places: TensorSpec, number: np.ndarray) -> TensorSpec:
    return builder.emit("ADD", [places, builder.constant(number)], places.shape, ("AddOptions", {}), "INT32")
