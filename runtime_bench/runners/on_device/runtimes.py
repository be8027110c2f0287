"""The runtimes: an artifact loaded, its inputs made ready, called."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

import numpy as np

from .system import Refused, read

OLD_LITERT = ("tflite-runtime", ("tflite_runtime.interpreter",))


class Runtime:
    """One loaded artifact: the inputs of every user made ready, then set, called, read.

    Attributes:
        package: that runs it, as ``pip`` knows it; imports: its modules.
        length, candidates: slots of a history, ids scored a call.
        dim: numbers of a user vector; None = it takes none.
    """

    package: str
    imports: tuple[str, ...]
    length: int
    candidates: int
    dim: int | None = None

    def __init__(self, path: str, threads: int) -> None:
        raise NotImplementedError

    def prepare(self, histories: np.ndarray, candidates: np.ndarray, user: np.ndarray | None) -> None:
        """Keep the inputs of all users, in the form that a call takes."""
        raise NotImplementedError

    def set(self, user: int) -> None:
        """Make the inputs of a user those of the next call."""
        raise NotImplementedError

    def call(self) -> None:
        """What is timed."""
        raise NotImplementedError

    def scores(self) -> np.ndarray:
        """Of the last call, float32."""
        raise NotImplementedError


class Litert(Runtime):
    """A ``.tflite`` on LiteRT, or on the older tflite-runtime."""

    package, imports = "ai-edge-litert", ("ai_edge_litert.interpreter",)

    def __init__(self, path: str, threads: int) -> None:
        self._model = sys.modules[self.imports[0]].Interpreter(model_path=path, num_threads=threads)
        self._model.allocate_tensors()
        inputs = {detail["name"]: detail for detail in self._model.get_input_details()}
        self._indexes = {name: int(detail["index"]) for name, detail in inputs.items()}
        self._output = int(self._model.get_output_details()[0]["index"])
        self.length, self.candidates = (int(inputs[name]["shape"][1]) for name in ("history", "candidates"))
        self.dim = int(inputs["user"]["shape"][1]) if "user" in inputs else None

    def prepare(self, histories: np.ndarray, candidates: np.ndarray, user: np.ndarray | None) -> None:
        self._histories, self._candidates = histories[:, None], candidates[:, None]
        if user is not None:
            self._model.set_tensor(self._indexes["user"], user[None])
        self.call = self._model.invoke  # type: ignore[method-assign]

    def set(self, user: int) -> None:
        self._model.set_tensor(self._indexes["history"], self._histories[user])
        self._model.set_tensor(self._indexes["candidates"], self._candidates[user])

    def scores(self) -> np.ndarray:
        return np.asarray(self._model.get_tensor(self._output)[0])


class Onnx(Runtime):
    """An ``.onnx`` on ONNX Runtime's CPU provider, set as ``export/targets/onnx/runner.py`` sets it."""

    package, imports = "onnxruntime", ("onnxruntime",)

    def __init__(self, path: str, threads: int) -> None:
        self._package = sys.modules["onnxruntime"]
        options = self._package.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = self._package.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        self._session = self._package.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self.length, self.candidates = int(shapes["history"][1]), int(shapes["candidates"][1])
        self.dim = int(shapes["user"][1]) if "user" in shapes else None

    def prepare(self, histories: np.ndarray, candidates: np.ndarray, user: np.ndarray | None) -> None:
        value = self._package.OrtValue.ortvalue_from_numpy
        self._output = value(np.zeros((1, self.candidates), np.float32))
        self._bindings = []
        for history, items in zip(histories, candidates):  # noqa: B905 - Python 3.9 has no strict
            binding = self._session.io_binding()
            named = {"history": history, "candidates": items, **({} if user is None else {"user": user})}
            for name, array in named.items():
                binding.bind_ortvalue_input(name, value(array[None]))
            binding.bind_ortvalue_output(self._session.get_outputs()[0].name, self._output)
            self._bindings.append(binding)

    def set(self, user: int) -> None:
        self._binding = self._bindings[user]

    def call(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def scores(self) -> np.ndarray:
        return np.asarray(self._output.numpy()[0])


TARGETS: dict[str, type[Runtime]] = {"litert": Litert, "onnx": Onnx}


def import_runtime(kind: type[Runtime]) -> None:
    """Import the runtime's modules; tflite-runtime takes the place of LiteRT where only that is installed."""
    problem = _problem(kind.imports)
    if problem is not None and kind is Litert and _problem(OLD_LITERT[1]) is None:
        kind.package, kind.imports = OLD_LITERT
    elif problem is not None:
        raise Refused(f"the package {kind.package} cannot be imported here ({problem}); pip install {kind.package}")


def _problem(modules: tuple[str, ...]) -> str | None:
    """Why one of ``modules`` cannot be imported."""
    try:
        for name in modules:
            importlib.import_module(name)
    except Exception as error:  # a package that lacks a part of itself says so in its own way
        return first_line(error)
    return None


def load(kind: type[Runtime], path: str, threads: int) -> Runtime:
    """The artifact on its runtime."""
    read(path)  # says what is wrong with the file; runtimes tell less. It is in the page cache then, as after a push.
    try:
        return kind(path, threads)
    except Exception as error:  # every runtime has its own
        raise Refused(f"{path}: {kind.package} refuses the file ({first_line(error)}); export it again") from None


def first_line(error: BaseException) -> str:
    """Runtimes send call stacks along."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def version_of(package: str) -> str:
    """Its version, as pip knows it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "of unknown version"
