"""A ``.tflite`` on its runtime."""

from chordkit.errors import CapabilityError
from chordkit.export.targets.runner import Ids, Runner, Scores, Vector, first_line


class LitertRunner(Runner):
    """A ``.tflite`` on LiteRT with XNNPACK."""

    def __init__(self, data: bytes, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CapabilityError(f"litert: the runtime refuses the file ({first_line(error)}); export it again") from None
        inputs = {detail["name"]: detail for detail in self._interpreter.get_input_details()}
        self._history, self._candidates = inputs["history"]["index"], inputs["candidates"]["index"]
        self._user = inputs["user"]["index"] if "user" in inputs else None
        self.dim = int(inputs["user"]["shape"][1]) if "user" in inputs else None
        self._scores = self._interpreter.get_output_details()[0]["index"]
        self.length, self.candidates = (int(inputs[name]["shape"][1]) for name in ("history", "candidates"))
        tables = [
            detail["shape"]
            for detail in self._interpreter.get_tensor_details()
            if detail["name"].startswith("item_embedding") and len(detail["shape"]) == 2
        ]
        self.items = int(tables[0][0]) - 1 if tables else None

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        self._interpreter.set_tensor(self._history, history[None])
        self._interpreter.set_tensor(self._candidates, candidates[None])
        if user is not None:
            self._interpreter.set_tensor(self._user, user[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._scores)[0]
