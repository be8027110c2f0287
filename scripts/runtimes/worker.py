"""Runs artifacts on one version of one runtime, in a process that has nothing else: standard library, numpy, the runtime.

``python -I -S worker.py JOB``, where JOB is a JSON file:

- ``paths``: folders of the environment, the first one first.
- ``runtime``: ``litert``, ``tflite``, ``onnx``, ``executorch`` or ``openvino``.
- ``artifacts``: for each its ``name``, ``file``, ``inputs`` (``.npy`` files in the order history, perhaps user, candidates) and ``scores``,
  the ``.npy`` to write.

Each line on stdout is JSON: ``{"begin": name}``, then ``{"done": name}`` or ``{"refused": name, "reason": first line}``. The first line is
``{"ready": true}``, or ``{"unusable": reason}`` when the runtime cannot be imported. What the runtime itself prints goes to stderr.
"""

import json
import os
import sys
import zipfile
from typing import Any

INPUTS = ("history", "user", "candidates")


def first_line(error: BaseException) -> str:
    """What a runtime says, without the trace that some of them append."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


class TfLite:
    """A ``.tflite`` on an interpreter of TensorFlow Lite's kind."""

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter

    def load(self, path: str) -> None:
        with open(path, "rb") as file:
            self.data = file.read()  # the interpreter does not own the bytes
        try:
            self.model = self.interpreter(model_content=self.data, num_threads=1)
        except AttributeError:  # ai-edge-litert 1.1.0 cannot be told, and takes one by itself
            self.model = self.interpreter(model_content=self.data)
        self.model.allocate_tensors()
        self.indices = {detail["name"]: detail["index"] for detail in self.model.get_input_details()}
        self.output = self.model.get_output_details()[0]["index"]

    def run(self, inputs: dict[str, Any]) -> Any:
        for name, value in inputs.items():
            self.model.set_tensor(self.indices[name], value[None])
        self.model.invoke()
        return self.model.get_tensor(self.output)[0]


class Onnx:
    """An ``.onnx`` on ONNX Runtime, with the options of chordkit's runner."""

    def __init__(self) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        self.runtime = onnxruntime

    def load(self, path: str) -> None:
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        with open(path, "rb") as file:
            data = file.read()
        self.session = self.runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: dict[str, Any]) -> Any:
        return self.session.run(None, {name: value[None] for name, value in inputs.items()})[0][0]


class ExecuTorch:
    """A ``.pte`` on ExecuTorch; tensors of torch carry its inputs and outputs, and nothing else of torch runs."""

    def __init__(self) -> None:
        import torch

        try:  # in this order: the folder behind the version's own has the newest ExecuTorch, and the two are one namespace
            from executorch.extension.pybindings import _portable_lib as binding
        except ImportError:  # from 1.5 on
            from executorch.extension.pybindings import _C as binding
        import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte; finds the binding that it links to once that is loaded)

        binding._unsafe_reset_threadpool(1)
        self.torch, self.runtime = torch, binding

    def load(self, path: str) -> None:
        self.module = self.runtime._load_for_executorch(path)

    def run(self, inputs: dict[str, Any]) -> Any:
        return self.module.run_method("forward", tuple(self.torch.from_numpy(value[None]) for value in inputs.values()))[0].numpy()[0]


class OpenVino:
    """A model of OpenVINO, packed as chordkit packs it, on the CPU plugin with the options of chordkit's runner."""

    def __init__(self) -> None:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # it would send what nobody asked for
        import openvino

        self.runtime, self.core = openvino, openvino.Core()
        self.options = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0, "SNIPPETS_MODE": "DISABLE"}
        self.options["INFERENCE_NUM_THREADS"] = 1

    def load(self, path: str) -> None:
        import numpy

        with zipfile.ZipFile(path) as archive:
            graph, weights = archive.read("model.xml").decode(), archive.read("model.bin")
        self.weights = self.runtime.Tensor(numpy.frombuffer(weights, numpy.uint8))
        self.model = self.core.compile_model(self.core.read_model(graph, self.weights), "CPU", self.options)

    def run(self, inputs: dict[str, Any]) -> Any:
        return self.model({name: value[None] for name, value in inputs.items()})[0][0]


def open_runtime(name: str) -> Any:
    """The runtime called ``name``; an exception when it cannot be imported."""
    if name == "litert":
        from ai_edge_litert.interpreter import Interpreter

        return TfLite(Interpreter)
    if name == "tflite":
        from tflite_runtime.interpreter import Interpreter

        return TfLite(Interpreter)
    return {"onnx": Onnx, "executorch": ExecuTorch, "openvino": OpenVino}[name]()


def run_artifact(runtime: Any, artifact: dict[str, Any]) -> None:
    """Scores of every row of the artifact's inputs, written where it says."""
    import numpy

    inputs = {name: numpy.load(path) for name, path in artifact["inputs"].items()}
    runtime.load(artifact["file"])
    ordered = [name for name in INPUTS if name in inputs]
    count = len(inputs[ordered[0]])
    scores = [numpy.array(runtime.run({name: inputs[name][row] for name in ordered}), numpy.float32) for row in range(count)]
    numpy.save(artifact["scores"], numpy.stack(scores))


def main(path: str) -> None:
    """Run a job and tell of it."""
    # Runtimes print; the lines that are ours go to what stdout was.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def tell(**what: object) -> None:
        told.write(json.dumps(what) + "\n")
        told.flush()

    with open(path) as file:
        job = json.load(file)
    sys.path[:0] = job["paths"]
    try:
        import numpy  # noqa: F401  (none of an artifact's time)

        runtime = open_runtime(job["runtime"])
    except Exception as error:
        tell(unusable=first_line(error))
        return
    tell(ready=True)
    for artifact in job["artifacts"]:
        tell(begin=artifact["name"])
        try:
            run_artifact(runtime, artifact)
        except Exception as error:
            tell(refused=artifact["name"], reason=first_line(error))
        else:
            tell(done=artifact["name"])


if __name__ == "__main__":
    main(sys.argv[1])
