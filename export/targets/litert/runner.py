"""A ``.tflite`` on its runtime."""

from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.targets.runner import GraphRunner, Ids, Vector, first_line


class LitertRunner(GraphRunner):
    """A ``.tflite`` on LiteRT with XNNPACK."""

    def __init__(self, data: bytes, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError as missing:
            try:
                from tflite_runtime.interpreter import Interpreter  # the package's name before
            except ModuleNotFoundError:
                raise missing from None
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CapabilityError(f"litert: the runtime refuses the file ({first_line(error)}); export it again") from None
        inputs, outputs = (
            {detail["name"]: detail for detail in details}
            for details in (self._interpreter.get_input_details(), self._interpreter.get_output_details())
        )
        self._inputs = {name: inputs[name]["index"] for name in ("history", "user", "candidates") if name in inputs}
        self._results = [outputs[name]["index"] for name in ("ids", "scores") if name in outputs]
        self.batch, self.length = (int(size) for size in inputs["history"]["shape"])
        self.dim = int(inputs["user"]["shape"][1]) if "user" in inputs else None
        self.top = int(outputs["ids"]["shape"][1]) if "ids" in outputs else None
        tables = [
            detail["shape"]
            for detail in self._interpreter.get_tensor_details()
            if detail["name"].startswith("item_embedding") and len(detail["shape"]) == 2
        ]
        self.items = int(tables[0][0]) - 1 if tables else None
        self.catalogue = "candidates" not in inputs
        self.candidates = self.items or 0 if self.catalogue else int(inputs["candidates"]["shape"][1])

    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        for name, values in inputs.items():
            self._interpreter.set_tensor(self._inputs[name], values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._results]
