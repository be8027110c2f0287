"""An ``.onnx`` on its runtime."""

import os
from typing import Any

from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.targets.onnx.graph import ITEMS_KEY
from chordkit.export.targets.runner import GraphRunner, Ids, Vector, first_line


def session_options(threads: int) -> Any:
    """How a session is opened for an artifact: nodes one after the other, weights widened when the file is loaded.

    Raises:
        ImportError: ``onnxruntime`` is not installed.
    """
    # Linux wheels of 1.31 carry a telemetry client, which leaves a file in the temporary folder; whoever wants it says so.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Otherwise dequantised weights are not folded at load but recomputed in every call (docs/targets/onnx.md).
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


class OnnxRunner(GraphRunner):
    """An ``.onnx`` on ONNX Runtime's CPU provider, nodes one after the other."""

    def __init__(self, data: bytes, threads: int) -> None:
        options = session_options(threads)
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exception classes have no public base
            raise CapabilityError(f"onnx: the runtime refuses the file ({first_line(error)}); export it again") from None
        shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self.batch, self.length = (int(size) for size in shapes["history"])
        self.dim = int(shapes["user"][1]) if "user" in shapes else None
        outputs = {item.name: item.shape for item in self._session.get_outputs()}
        self.top = int(outputs["ids"][1]) if "ids" in outputs else None
        items = self._session.get_modelmeta().custom_metadata_map.get(ITEMS_KEY)
        self.items = None if items is None else int(items)
        self.catalogue = "candidates" not in shapes
        self.candidates = self.items or 0 if self.catalogue else int(shapes["candidates"][1])

    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        return self._session.run(None, inputs)
