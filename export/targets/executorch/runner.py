"""A ``.pte`` on its runtime."""

from typing import Any

import torch

from chordkit.errors import CapabilityError
from chordkit.export.targets.executorch.lower import ITEMS_METHOD
from chordkit.export.targets.executorch.silence import quiet
from chordkit.export.targets.runner import Ids, Runner, Scores, Vector, first_line
from chordkit.kernels.executorch.bindings import Program, bindings


class ExecutorchRunner(Runner):
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
                meta = self._method.method_meta()
                sizes = [meta.input_tensor_meta(index).sizes()[1] for index in range(meta.num_inputs())]
                self.length, *user, self.candidates = sizes
                self.dim = user[0] if user else None
            except (RuntimeError, ValueError, AttributeError) as error:
                raise CapabilityError(f"{self.name}: the runtime refuses the file ({first_line(error)}); export it again") from None

    def _load_operators(self) -> None:
        """Register what the program needs besides ExecuTorch; before it is loaded."""

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        inputs = [history, candidates] if user is None else [history, user, candidates]
        return self._execute(self._method, *(each[None] for each in inputs))

    def _execute(self, method: Any, *inputs: Any) -> Scores:
        # A copy: the program writes its next answer into the same memory.
        return method(tuple(map(torch.from_numpy, inputs)))[0].numpy()[0].copy()
