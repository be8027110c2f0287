"""Artifacts on their real runtimes, behind one interface: a history and candidates in, scores out.

Ids and shapes are checked here, at the edge: some runtimes read out of bounds without a word.
"""

import abc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chordkit.errors import CapabilityError, InputError, StrategyError
from chordkit.export.targets import Target, missing_runtime
from chordkit.files import read_bytes

Ids = NDArray[np.int32]
Scores = NDArray[np.float32]

# Modules of each runtime, for whoever times loading without importing.
RUNTIME_IMPORTS: dict[str, tuple[str, ...]] = {
    Target.EXECUTORCH: ("executorch.runtime", "executorch.kernels.quantized"),
    Target.EXECUTORCH_CHORD: ("executorch.runtime", "executorch.kernels.quantized"),
    Target.EXECUTORCH_CHORD_LINEAR: ("executorch.runtime", "executorch.kernels.quantized"),
    Target.LITERT: ("ai_edge_litert.interpreter",),
    Target.ONNX: ("onnxruntime",),
    Target.NATIVE: (),
}


class Runner(abc.ABC):
    """One loaded artifact.

    Attributes:
        length: items in a history; candidates: ids scored per call.
        items: the largest id; None when the artifact does not tell.
    """

    length: int
    candidates: int
    items: int | None

    def scores(self, history: ArrayLike, candidates: ArrayLike) -> Scores:
        """Scores float32 ``[candidates]`` of the ids ``candidates [candidates]`` after ``history [length]``.

        Args:
            history: ids in 0..items, left-padded with 0.
            candidates: ids in 1..items.

        Raises:
            InputError: a wrong shape or type, or an id out of range.
        """
        return self._run(
            _ids(history, self.length, "history", 0, self.items), _ids(candidates, self.candidates, "candidates", 1, self.items)
        )

    @abc.abstractmethod
    def _run(self, history: Ids, candidates: Ids) -> Scores:
        """Scores of checked, contiguous ids."""


def _ids(values: ArrayLike, size: int, what: str, lowest: int, highest: int | None) -> Ids:
    array = np.asarray(values)
    if array.shape != (size,):
        raise InputError(f"{what}: {list(array.shape)} ids were given where the artifact takes [{size}]")
    if array.dtype != np.int32:
        if array.dtype.kind not in "iu":
            raise InputError(f"{what}: ids of type {array.dtype} were given; use int32")
        if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
            raise InputError(f"{what}: an id is negative or larger than int32 can hold")
        array = array.astype(np.int32)
    array = np.ascontiguousarray(array)
    # Ids below the lowest wrap around to huge numbers: one comparison checks both ends.
    last = np.iinfo(np.int32).max if highest is None else highest
    shifted = array.view(np.uint32) if lowest == 0 else (array - np.int32(lowest)).view(np.uint32)
    if int(shifted.max()) > last - lowest:
        wrong = int(array[shifted > last - lowest][0])
        raise InputError(f"{what}: the id {wrong} is not an item; ids lie in {lowest}..{'' if highest is None else highest}")
    return array


class EagerRunner(Runner):
    """The PyTorch model itself, uncompiled: the baseline of every comparison.

    Args:
        backbone: a float model, or the reference of a master (``from_master``).
        threads: of PyTorch, for the whole process; None leaves it as it is.
        candidates: ids scored per call.
    """

    def __init__(self, backbone: Any, threads: int | None = None, candidates: int = 100) -> None:
        import torch

        from chordkit.backbones import Reranker

        if threads is not None:
            torch.set_num_threads(threads)
        self._torch = torch
        self._model = Reranker(backbone).eval()
        self.length, self.candidates, self.items = backbone.config.max_length, candidates, backbone.config.items

    def scores(self, history: ArrayLike, candidates: ArrayLike) -> Scores:
        """See :meth:`Runner.scores`; any number of candidates is taken."""
        self.candidates = int(np.size(np.asarray(candidates)))
        return super().scores(history, candidates)

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        from_numpy = self._torch.from_numpy
        with self._torch.inference_mode():
            return self._model(from_numpy(history[None]), from_numpy(candidates[None])).numpy()[0]


class ExecutorchRunner(Runner):
    """A ``.pte`` on ExecuTorch with XNNPACK. ``threads`` sets the thread pool that all programs of the process share."""

    target = Target.EXECUTORCH

    def __init__(self, data: bytes, threads: int = 1) -> None:
        from chordkit.export.executorch import ITEMS_METHOD, quiet

        with quiet():
            self._load_operators()
            try:
                import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte)
                from executorch.extension.pybindings import portable_lib
                from executorch.runtime import Runtime
            except ImportError as error:
                raise missing_runtime(self.target, error.name) from None
            import torch

            self._from_numpy = torch.from_numpy
            if portable_lib._threadpool_get_thread_count() != threads:
                portable_lib._unsafe_reset_threadpool(threads)
            try:
                self._program = Runtime.get().load_program(data)
                self._method = self._program.load_method("forward")
                known = self._program.method_names
                self.items = int(self._program.load_method(ITEMS_METHOD).execute(())[0]) if ITEMS_METHOD in known else None
                meta = self._method.metadata
                self.length, self.candidates = (meta.input_tensor_meta(index).sizes()[1] for index in range(2))
            except (RuntimeError, ValueError, AttributeError) as error:
                raise CapabilityError(f"{self.target}: the runtime refuses the file ({_first_line(error)}); export it again") from None

    def _load_operators(self) -> None:
        """Register what the program needs besides ExecuTorch; before it is loaded."""

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        # A copy: the program writes its next answer into the same memory.
        return self._method.execute((self._from_numpy(history[None]), self._from_numpy(candidates[None])))[0].numpy()[0].copy()


class ExecutorchChordRunner(ExecutorchRunner):
    """A ``.pte`` with ``chord::rerank``: :class:`ExecutorchRunner` with the operator library loaded first.

    Raises (beside what the base class raises):
        MissingRuntimeError: the library is not built and there is no C++ compiler.
    """

    target = Target.EXECUTORCH_CHORD

    def __init__(self, data: bytes, threads: int = 1) -> None:
        super().__init__(data, threads)
        # libchord checks and expands weights at the first call: done now, a damaged file is refused here and no user waits.
        try:
            self._run(np.ones(self.length, np.int32), np.ones(self.candidates, np.int32))
        except InputError as error:
            raise CapabilityError(f"{error}; export it again") from None

    def _load_operators(self) -> None:
        from chordkit.kernels.executorch import library as executorch_ops

        self._library = executorch_ops.load()

    def scores_with(self, history: ArrayLike, candidates: ArrayLike, strategy: bytes) -> Scores:
        """:meth:`Runner.scores` with another strategy, in its wire form: the program's method ``rerank_with``.

        Raises:
            InputError: a wrong shape, type or id, or a strategy that is damaged or of another backbone.
            CapabilityError: the program has no such method.
        """
        from chordkit.export.executorch_chord import PERSONAL_METHOD

        if PERSONAL_METHOD not in self._program.method_names:
            raise CapabilityError(f"{self.target}: the program has no method {PERSONAL_METHOD}; export it again")
        method = self._program.load_method(PERSONAL_METHOD)
        size = method.metadata.input_tensor_meta(2).sizes()[0]
        if len(strategy) != size:
            raise StrategyError(f"the strategy has {len(strategy)} bytes, the program takes {size}; use one made for this backbone")
        return self._execute(
            method,
            _ids(history, self.length, "history", 0, self.items),
            _ids(candidates, self.candidates, "candidates", 1, self.items),
            np.frombuffer(strategy, np.uint8).copy(),
        )

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        return self._execute(self._method, history, candidates)

    def _execute(self, method: Any, history: Ids, candidates: Ids, *more: np.ndarray) -> Scores:
        tensors = (self._from_numpy(history[None]), self._from_numpy(candidates[None]), *map(self._from_numpy, more))
        try:
            return method.execute(tensors)[0].numpy()[0].copy()
        except RuntimeError as error:
            raise InputError(f"{self.target}: {self._library.last_error() or _first_line(error)}") from None


class ExecutorchChordLinearRunner(ExecutorchChordRunner):
    """A ``.pte`` with ``chord::linear``."""

    target = Target.EXECUTORCH_CHORD_LINEAR


class LitertRunner(Runner):
    """A ``.tflite`` on LiteRT with XNNPACK."""

    def __init__(self, data: bytes, threads: int = 1) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise missing_runtime(Target.LITERT, error.name) from None
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CapabilityError(f"litert: the runtime refuses the file ({_first_line(error)}); export it again") from None
        inputs = {detail["name"]: detail for detail in self._interpreter.get_input_details()}
        self._history, self._candidates = inputs["history"]["index"], inputs["candidates"]["index"]
        self._scores = self._interpreter.get_output_details()[0]["index"]
        self.length, self.candidates = (int(inputs[name]["shape"][1]) for name in ("history", "candidates"))
        tables = [
            detail["shape"]
            for detail in self._interpreter.get_tensor_details()
            if detail["name"].startswith("item_embedding") and len(detail["shape"]) == 2
        ]
        self.items = int(tables[0][0]) - 1 if tables else None

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        self._interpreter.set_tensor(self._history, history[None])
        self._interpreter.set_tensor(self._candidates, candidates[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._scores)[0]


class OnnxRunner(Runner):
    """An ``.onnx`` on ONNX Runtime's CPU provider, nodes one after the other."""

    def __init__(self, data: bytes, threads: int = 1) -> None:
        from chordkit.export.onnx import ITEMS_KEY

        try:
            import onnxruntime
        except ImportError as error:
            raise missing_runtime(Target.ONNX, error.name) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Otherwise dequantised weights are not folded at load but recomputed in every call (docs/targets/onnx.md).
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exception classes have no public base
            raise CapabilityError(f"onnx: the runtime refuses the file ({_first_line(error)}); export it again") from None
        shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self.length, self.candidates = int(shapes["history"][1]), int(shapes["candidates"][1])
        items = self._session.get_modelmeta().custom_metadata_map.get(ITEMS_KEY)
        self.items = None if items is None else int(items)

    def _run(self, history: Ids, candidates: Ids) -> Scores:
        return self._session.run(None, {"history": history[None], "candidates": candidates[None]})[0][0]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# One class per runtime; a further one joins here.
RUNNERS: dict[Target, Callable[[bytes, int], Runner]] = {
    Target.EXECUTORCH: ExecutorchRunner,
    Target.EXECUTORCH_CHORD: ExecutorchChordRunner,
    Target.EXECUTORCH_CHORD_LINEAR: ExecutorchChordLinearRunner,
    Target.LITERT: LitertRunner,
    Target.ONNX: OnnxRunner,
}


def load_runner(target: Target | str, artifact: bytes | str | os.PathLike[str], threads: int = 1) -> Runner:
    """Load an artifact on its runtime.

    Args:
        target: the runtime.
        artifact: the file's bytes or its path.
        threads: of the runtime.

    Raises:
        CapabilityError: an unknown target, or the runtime refuses the file.
        InputError: the file cannot be read, or ``threads`` is not positive.
        MissingRuntimeError: the runtime is not installed.
    """
    try:
        runner = RUNNERS[Target(target)]
    except (ValueError, KeyError):
        raise CapabilityError(f"{target}: there is no runner for this target; use {', '.join(RUNNERS)}") from None
    if threads < 1:
        raise InputError(f"threads: {threads} is not a number of threads; use at least 1")
    return runner(artifact if isinstance(artifact, bytes) else read_bytes(artifact, f"{target} artifact"), threads)
