"""A ``.pte`` with libchord's operators on its runtime."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chordkit.errors import CapabilityError, InputError, StrategyError
from chordkit.export.targets.executorch.runner import ExecutorchRunner
from chordkit.export.targets.executorch_chord.lower import PERSONAL_METHOD
from chordkit.export.targets.runner import Scores, checked_ids, first_line
from chordkit.kernels.executorch import library


class ChordOperatorsRunner(ExecutorchRunner):
    """:class:`ExecutorchRunner` with the operator library loaded first.

    Args:
        name: of the target, for messages.
        data: the file.
        threads: of the runtime.

    Raises (beside what the base class raises):
        MissingRuntimeError: the library is not built and there is no C++ compiler.
    """

    def __init__(self, name: str, data: bytes, threads: int) -> None:
        self.name = name
        super().__init__(data, threads)
        # libchord checks and expands weights at the first call: done now, a damaged file is refused here and no user waits.
        try:
            self.scores(np.ones(self.length, np.int32), np.ones(self.candidates, np.int32))
        except InputError as error:
            raise CapabilityError(f"{error}; export it again") from None

    def _load_operators(self) -> None:
        self._library = library.load()

    def _execute(self, method: Any, *inputs: Any) -> Scores:
        try:
            return super()._execute(method, *inputs)
        except RuntimeError as error:
            raise InputError(f"{self.name}: {self._library.last_error() or first_line(error)}") from None


class ExecutorchChordRunner(ChordOperatorsRunner):
    """A ``.pte`` with ``chord::rerank``, which can also be asked with another strategy."""

    def scores_with(self, history: ArrayLike, candidates: ArrayLike, strategy: bytes) -> Scores:
        """:meth:`Runner.scores` with another strategy, in its wire form: the program's method ``rerank_with``.

        Raises:
            InputError: a wrong shape, type or id, or a strategy that is damaged or of another backbone.
            CapabilityError: the program has no such method.
        """
        if PERSONAL_METHOD not in self._program.method_names:
            raise CapabilityError(f"{self.name}: the program has no method {PERSONAL_METHOD}; export it again")
        method = self._program.load_method(PERSONAL_METHOD)
        size = method.metadata.input_tensor_meta(2).sizes()[0]
        if len(strategy) != size:
            raise StrategyError(f"the strategy has {len(strategy)} bytes, the program takes {size}; use one made for this backbone")
        return self._execute(
            method,
            checked_ids(history, self.length, "history", 0, self.items)[None],
            checked_ids(candidates, self.candidates, "candidates", 1, self.items)[None],
            np.frombuffer(strategy, np.uint8).copy(),
        )
