"""OpenVINO, bound: one thread, one stream, one infer request, inputs written into the request's own tensors."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from contest.contender import Array, Bound, Missing

HOW = "one infer request, inputs in its own tensors, infer() of the base class with shared outputs, 1 thread, 1 stream, latency hint"
ONE_THREAD = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
FORMS: dict[str, dict[str, Any]] = {
    "f32": {"INFERENCE_PRECISION_HINT": "f32"},
    "f32, no snippets": {"INFERENCE_PRECISION_HINT": "f32", "SNIPPETS_MODE": "DISABLE"},
    "bf16": {"INFERENCE_PRECISION_HINT": "bf16"},
}
"""Precision of the arithmetic. Without a hint OpenVINO takes bf16 where the processor has it. Code generation for fused subgraphs
("snippets") can be switched off because it crashes here on some graphs (see :func:`bind_openvino`)."""

_PROBE = """
import json, sys
from chordkit.export.targets.openvino.quiet import runtime
openvino = runtime()
core = openvino.Core()
model = core.read_model(open(sys.argv[1], "rb").read())
core.compile_model(model, "CPU", json.loads(sys.argv[2])).create_infer_request().infer()
"""


def bind_openvino(model: Any, names: Sequence[str], form: str, *, activations: Mapping[str, Any] | None = None) -> Bound:
    """Compile a model.

    OpenVINO 2026.4.1 ends the process with a segmentation fault while it compiles SASRec in float32 for one thread, unless its
    snippets are off. So a form with snippets is compiled in a process of its own first.

    Args:
        model: bytes of an ``.onnx`` file, or an ``openvino.Model``.
        names: its inputs, in the order in which they are written.
        form: one of :data:`FORMS`.
        activations: further compile options.

    Raises:
        Missing: OpenVINO is not installed, refuses the model, or crashes on it.
    """
    try:
        from chordkit.export.targets.openvino.quiet import runtime

        openvino = runtime()
        from openvino._pyopenvino import InferRequest
    except ImportError:
        raise Missing("not installed: pip install 'chordkit[openvino]'") from None
    options = {**ONE_THREAD, **FORMS[form], **(activations or {})}
    core = openvino.Core()
    try:
        if isinstance(model, bytes):
            _survives(model, options)
            model = core.read_model(model)
        compiled = core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise Missing(f"refuses the file: {_reason(str(error))}") from None
    request = compiled.create_infer_request()
    tensors = [request.get_tensor(name) for name in names]
    output = request.get_output_tensor(0)

    def write(*arrays: Array) -> None:
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.data[:] = array.reshape(tensor.shape)

    # The wrapper of infer() makes a dictionary of results in every call; the base class is what it calls.
    run = partial(InferRequest.infer, request, {}, share_outputs=True, decode_strings=False)
    return Bound(write, run, lambda: output.data.copy(), HOW)


def _survives(data: bytes, options: Mapping[str, Any]) -> None:
    import json

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        done = subprocess.run([sys.executable, "-c", _PROBE, str(path), json.dumps(options)], capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise Missing(f"ends the process with signal {-done.returncode} when it compiles this graph")
    if done.returncode:
        raise Missing(f"refuses the file: {_reason(done.stderr)}")


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "nsupported" in line or "not supported" in line]
    return (told or lines or ["no reason given"])[-1].split(" expected:")[0]
