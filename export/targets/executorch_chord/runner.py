"""A ``.pte`` with libchord's operators on its runtime."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import CapabilityError, InputError, StrategyError, UserVectorError
from chordkit.export.targets.executorch.runner import ExecutorchRunner
from chordkit.export.targets.executorch_chord.lower import FINGERPRINT_METHOD, PERSONAL_METHOD, USER_METHOD
from chordkit.export.targets.runner import Ids, Scores, Vector, first_line
from chordkit.kernels.executorch import library
from chordkit.strategy import encode_user_vector, quantize_user_vector, user_vector_bytes
from chordkit.strategy.record import FINGERPRINT_BYTES


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
        self._describe()
        # libchord checks and expands weights at the first call: done now, a damaged file is refused here and no user waits.
        try:
            self.first_call()
        except InputError as error:
            raise CapabilityError(f"{error}; export it again") from None

    def _describe(self) -> None:
        """Learn from the program what the first call needs."""

    def _load_operators(self) -> None:
        self._library = library.load()

    def _execute(self, method: Any, *inputs: Any) -> list[NDArray]:
        try:
            return super()._execute(method, *inputs)
        except RuntimeError as error:
            raise InputError(f"{self.name}: {self._library.last_error() or first_line(error)}") from None


class ExecutorchChordRunner(ChordOperatorsRunner):
    """A ``.pte`` with ``chord::rerank``, which can also be asked with another strategy and with a user vector.

    Args:
        name: of the target, for messages.
        data: the file.
        threads: of the runtime.
        master: the master weights, which every call is given; None = not at hand, for a program of before, which has them in it.

    Raises (beside what the base class raises):
        CapabilityError: the master is needed and not given, or is not the program's.
    """

    def __init__(self, name: str, data: bytes, threads: int, master: bytes | None = None) -> None:
        # A copy that stays: the engine uses it where it lies.
        self._weights = None if master is None else np.frombuffer(master, np.uint8).copy()
        self._last: tuple[NDArray[np.uint8], ...] = ()
        super().__init__(name, data, threads)

    def _describe_shapes(self, meta: Any) -> None:
        """The master is the last input, the only one that is no row of a batch."""
        *_, size = (meta.input_tensor_meta(index).sizes() for index in range(meta.num_inputs()))
        if len(size) != 1:
            super()._describe_shapes(meta)
            return
        if self._weights is None:
            raise CapabilityError(f"{self.name}: the program is called with the master weights; give them beside it")
        if size[0] != len(self._weights):
            raise CapabilityError(f"{self.name}: the program is not one of these master weights; export it again, or give its own")
        self._last = (self._weights,)
        super()._describe_shapes(_WithoutLast(meta))

    def _describe(self) -> None:
        if self.dim is not None:
            # The program takes the wire form.
            self.dim -= user_vector_bytes(0)
            number = int(self._program.load_method(FINGERPRINT_METHOD)(())[0])
            self._fingerprint = number.to_bytes(FINGERPRINT_BYTES, "little", signed=True)

    def _call(self, inputs: dict[str, Ids | Vector]) -> list[NDArray]:
        return self._execute(self._method, *inputs.values(), *self._last)

    def _run(self, history: Ids, candidates: Ids, user: Vector | None) -> Scores:
        if user is None:
            return super()._run(history, candidates, None)
        wire = np.frombuffer(encode_user_vector(quantize_user_vector(user, self._fingerprint)), np.uint8).copy()
        return self._execute(self._method, history[None], wire[None], candidates[None], *self._last)[0][0]

    def scores_with(self, history: ArrayLike, candidates: ArrayLike, strategy: bytes, user: bytes | None = None) -> Scores:
        """:meth:`Runner.scores` with another strategy, and a user vector if one is given, in their wire forms.

        The program's methods are ``rerank_with`` and ``rerank_for``.

        Raises:
            InputError: a wrong shape, type or id, or a strategy or user vector that is damaged or of another backbone.
            CapabilityError: the program has no such method.
        """
        name = PERSONAL_METHOD if user is None else USER_METHOD
        if name not in self._program.method_names:
            raise CapabilityError(f"{self.name}: the program has no method {name}; export it again")
        method = self._program.load_method(name)
        files = [_fitting(method, 2, strategy, "strategy", StrategyError)]
        if user is not None:
            files.append(_fitting(method, 3, user, "user vector", UserVectorError))
        return self._execute(method, *(ids[None] for ids in self._ids(history, candidates)), *files, *self._last)[0][0]


class _WithoutLast:
    """What is told of a method's inputs and outputs, but for its last input."""

    def __init__(self, meta: Any) -> None:
        self.input_tensor_meta, self.output_tensor_meta, self.num_outputs = (
            meta.input_tensor_meta,
            meta.output_tensor_meta,
            meta.num_outputs,
        )
        self._inputs = meta.num_inputs() - 1

    def num_inputs(self) -> int:
        return self._inputs


def _fitting(method: Any, index: int, data: bytes, what: str, error: type[InputError]) -> NDArray[np.uint8]:
    """``data`` as input ``index`` of ``method``, whose length a program fixes."""
    size = method.method_meta().input_tensor_meta(index).sizes()[0]
    if len(data) != size:
        raise error(f"the {what} has {len(data)} bytes, the program takes {size}; use one made for this backbone")
    return np.frombuffer(data, np.uint8).copy()
