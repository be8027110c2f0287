"""A ``.pte`` on its runtime."""

from typing import Any

import torch
from numpy.typing import NDArray

from chordkit.errors import CapabilityError
from chordkit.export.targets.executorch.lower import ITEMS_METHOD
from chordkit.export.targets.executorch.silence import quiet
from chordkit.export.targets.runner import GraphRunner, Ids, Vector, first_line
from chordkit.kernels.executorch.bindings import Program, bindings


class ExecutorchRunner(GraphRunner):
    """A ``.pte`` on ExecuTorch. ``threads`` sets the thread pool that all programs of the process share."""

    name = "executorch"

    def __init__(self, data: bytes, threads: int) -> None:
        with quiet():
            self._load_operators()
            import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte)

            if bindings()._threadpool_get_thread_count() != threads:
                bindings()._unsafe_reset_threadpool(threads)
            try:
                self._program = Program(data)
                self._method = self._program.load_method("forward")
                known = self._program.method_names
                self.items = int(self._program.load_method(ITEMS_METHOD)(())[0]) if ITEMS_METHOD in known else None
                self._describe_shapes(self._method.method_meta())
            except (RuntimeError, ValueError, AttributeError) as error:
                raise CapabilityError(f"{self.name}: the runtime refuses the file ({first_line(error)}); export it again") from None

    def _load_operators(self) -> None:
        """Register what the program needs besides ExecuTorch; before it is loaded."""

    def _describe_shapes(self, meta: Any) -> None:
        """Learn from the method's inputs and outputs what it takes and gives; a user vector is the input that is no ids."""
        first, *others = (meta.input_tensor_meta(index) for index in range(meta.num_inputs()))
        self.batch, self.length = first.sizes()
        ids = [each.sizes()[1] for each in others if each.dtype() == first.dtype()]
        users = [each.sizes()[1] for each in others if each.dtype() != first.dtype()]
        self.dim = users[0] if users else None
        self.top = meta.output_tensor_meta(0).sizes()[1] if meta.num_outputs() > 1 else None
        self.catalogue = not ids
        self.candidates = ids[0] if ids else self.items or 0

    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        return self._execute(self._method, *inputs.values())

    def _execute(self, method: Any, *inputs: Any) -> list[NDArray]:
        # Copies: the program writes its next answer into the same memory.
        return [output.numpy().copy() for output in method(tuple(map(torch.from_numpy, inputs)))]
