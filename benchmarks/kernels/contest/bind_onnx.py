"""ONNX Runtime, bound: inputs and output are OrtValues of an IOBinding."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from contest.contender import Array, Bound

HOW = "IOBinding with fixed OrtValues for inputs and output, sequential execution, run_with_iobinding of the wrapped session"


def bind_onnx(data: bytes, names: Sequence[str], entries: Mapping[str, str] | None = None) -> Bound:
    """An ``.onnx`` file; ``entries`` are session options by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    types = {"tensor(int32)": np.int32, "tensor(float)": np.float32}
    shapes = {item.name: (item.shape, types[item.type]) for item in (*session.get_inputs(), *session.get_outputs())}
    values = {name: onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype) for name, (shape, dtype) in shapes.items()}
    binding = session.io_binding()
    for name in names:
        binding.bind_ortvalue_input(name, values[name])
    output = values[session.get_outputs()[0].name]
    binding.bind_ortvalue_output(session.get_outputs()[0].name, output)

    def write(*arrays: Array) -> None:
        for name, array in zip(names, arrays, strict=True):
            values[name].update_inplace(np.ascontiguousarray(array).reshape(shapes[name][0]))

    keep = (session, binding, values)

    def read() -> Array:
        assert keep
        return output.numpy().copy()

    return Bound(write, partial(session._sess.run_with_iobinding, binding._iobinding, None), read, HOW)


def quantized_dynamically(data: bytes) -> bytes:
    """A float32 ``.onnx`` file with its matrix products as ONNX Runtime's own tool quantises them: int8 per channel, 8-bit activations."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        previous = logging.root.manager.disable
        logging.disable(logging.WARNING)  # it recommends a preprocessing that changes nothing here
        try:
            quantize_dynamic(
                onnx.load_from_string(data), path, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"]
            )
        finally:
            logging.disable(previous)
        return path.read_bytes()
