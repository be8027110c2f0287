"""An ``.ov.zip`` on its runtime."""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from chordkit.errors import CapabilityError
from chordkit.export.targets.openvino.archive import unpack
from chordkit.export.targets.openvino.graph import SECTION
from chordkit.export.targets.openvino.quiet import runtime
from chordkit.export.targets.runner import Ids, Runner, Scores, Vector

if TYPE_CHECKING:
    from openvino import Core

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


class OpenvinoRunner(Runner):
    """An ``.ov.zip`` on OpenVINO's CPU plugin."""

    def __init__(self, data: bytes, threads: int) -> None:
        graph, weights = unpack(data)
        try:
            tensor = runtime().Tensor(np.frombuffer(weights, np.uint8))
            model = _core().read_model(graph.decode(), tensor)
            self._request = _core().compile_model(model, "CPU", {**OPTIONS, "INFERENCE_NUM_THREADS": threads}).create_infer_request()
        except (RuntimeError, ValueError) as error:
            raise CapabilityError(f"openvino: the runtime refuses the file ({_reason(error)}); export it again") from None
        self._inputs = {name: self._request.get_tensor(name).data for name in ("history", "candidates")}
        self.length, self.candidates = (int(self._inputs[name].shape[1]) for name in ("history", "candidates"))
        self.items = int(model.get_rt_info([SECTION, "items"]).astype(str))
        if len(model.inputs) == 3:
            self._inputs["user"] = self._request.get_tensor("user").data
            self.dim = int(self._inputs["user"].shape[1])
        self._scores = self._request.get_output_tensor(0).data

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        self._inputs["history"][0] = history
        self._inputs["candidates"][0] = candidates
        if user is not None:
            self._inputs["user"][0] = user
        self._request.infer({}, share_outputs=True)
        return self._scores[0].copy()


def _reason(error: Exception) -> str:
    """What OpenVINO says behind the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from ")]
    return lines[0] if lines else type(error).__name__
