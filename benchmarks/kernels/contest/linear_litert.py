"""A layer in LiteRT: FULLY_CONNECTED with float32, int8, and int8/int4/int2 weights, as chordkit's exporter writes them."""

from functools import partial

import numpy as np

from chordkit.export.targets.litert.flatbuffer import TensorSpec, serialize
from chordkit.export.targets.litert.graph import Builder, LinearWeights, to_spec
from chordkit.export.targets.litert.grouping import Activations, split_linears
from chordkit.export.targets.litert.lower import REQUIRED_VERSION
from contest.bind_litert import bind_litert
from contest.contender import Bound, Contender
from contest.linear import Attempt, LinearCase, attempts


def litert_linears(case: LinearCase, missing: dict[str, str]) -> list[Contender]:
    """Every form that the runtime has for this layer; mixed widths are one FULLY_CONNECTED a width, CONCATENATION and GATHER."""
    eight = np.full(case.out_features, 8, np.uint8)
    forms: list[Attempt] = [
        ("fp32", "fp32", partial(_bind, case, None, "fp32")),
        ("int8, int8 activations", "int8", partial(_bind, case, eight, "int8")),
        ("int8, fp32 activations", "fp32", partial(_bind, case, eight, "fp32")),
    ]
    if case.mixed:
        four = np.maximum(case.widths, 4)
        forms += [
            ("int8/4/2, int8 activations", "int8", partial(_bind, case, case.widths, "int8")),
            ("int8/4, int8 activations", "int8", partial(_bind, case, four, "int8")),
            ("int8/4/2, fp32 activations", "fp32", partial(_bind, case, case.widths, "fp32")),
        ]
    return attempts(case, "litert", forms, missing)


def _bind(case: LinearCase, widths: np.ndarray | None, activations: Activations) -> Bound:
    builder = Builder()
    x = TensorSpec((case.rows, case.in_features), name="x")
    codes, scales = (case.weights, np.ones_like(case.scales)) if widths is None else (case.codes, case.scales)
    y = builder.linear("layer", x, LinearWeights(codes, scales, widths), case.bias)
    y.name = "y"
    nodes = split_linears(builder.nodes, activations)
    return bind_litert(serialize(to_spec(nodes, {"x": x}, {"y": y}), REQUIRED_VERSION), ("x",))
