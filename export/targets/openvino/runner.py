"""An ``.ovzip`` on its runtime."""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.targets.openvino.archive import unpack
from chordkit.export.targets.openvino.graph import SECTION
from chordkit.export.targets.openvino.quiet import runtime
from chordkit.export.targets.runner import GraphRunner, Ids, Vector

if TYPE_CHECKING:
    from openvino import Core

# float32 as in the reference, whatever the processor has and the file stores. Without "snippets", its code generation for parts of
# graphs: with one thread 2026.4.1 ends the process while it looks for two linear layers in a row (docs/targets/openvino.md).
OPTIONS: dict[str, Any] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    "SNIPPETS_MODE": "DISABLE",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "ENABLE_CPU_PINNING": False,
}


@functools.cache
def _core() -> "Core":
    return runtime().Core()


class OpenvinoRunner(GraphRunner):
    """An ``.ovzip`` on OpenVINO's CPU plugin."""

    def __init__(self, data: bytes, threads: int) -> None:
        graph, weights = unpack(data)
        try:
            model = _core().read_model(graph.decode(), runtime().Tensor(np.frombuffer(weights, np.uint8)))
            self._request = _core().compile_model(model, "CPU", {**OPTIONS, "INFERENCE_NUM_THREADS": threads}).create_infer_request()
            self.items = int(model.get_rt_info([SECTION, "items"]).astype(str))
        except (RuntimeError, ValueError) as error:
            raise CapabilityError(f"openvino: the runtime refuses the file ({_reason(error)}); export it again") from None
        self._inputs = {each.get_any_name(): self._request.get_tensor(each.get_any_name()).data for each in model.inputs}
        outputs = [each.get_any_name() for each in model.outputs]
        self._results = [self._request.get_tensor(name).data for name in outputs]
        self.batch, self.length = (int(size) for size in self._inputs["history"].shape)
        self.dim = int(self._inputs["user"].shape[1]) if "user" in self._inputs else None
        self.top = int(self._results[0].shape[1]) if "ids" in outputs else None
        self.catalogue = "candidates" not in self._inputs
        self.candidates = self.items if self.catalogue else int(self._inputs["candidates"].shape[1])

    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        for name, values in inputs.items():
            self._inputs[name][:] = values
        self._request.infer({}, share_outputs=True)
        return [result.copy() for result in self._results]


def _reason(error: Exception) -> str:
    """What OpenVINO says behind the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return lines[0] if lines else type(error).__name__
