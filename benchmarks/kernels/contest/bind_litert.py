"""LiteRT, bound: inputs written through views of the interpreter's own tensors, one ``Invoke`` a call."""

from collections.abc import Sequence

import numpy as np

from contest.contender import Array, Bound

HOW = "inputs in the interpreter's tensors, Invoke() of the wrapped interpreter (without the checks of invoke()), XNNPACK"


def bind_litert(data: bytes, names: Sequence[str]) -> Bound:
    """A ``.tflite`` file; ``names`` are its inputs, in the order in which they are written."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}
    views = [interpreter.tensor(indices[name]) for name in names]
    output = interpreter.tensor(interpreter.get_output_details()[0]["index"])

    def write(*arrays: Array) -> None:
        for view, array in zip(views, arrays, strict=True):
            np.copyto(view().reshape(array.shape), array)

    # invoke() counts the references to the interpreter first; only the bare call is timed.
    return Bound(write, interpreter._interpreter.Invoke, lambda: output().copy(), HOW)
