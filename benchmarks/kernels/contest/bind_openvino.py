"""OpenVINO, bound: one thread, one stream, one infer request, inputs written into the request's own tensors."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

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

_PROBE = f"""
import json, os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from contest.bind_openvino import read_file
from chordkit.export.targets.openvino.quiet import runtime

runtime()
for line in sys.stdin:
    path, options = json.loads(line)
    child = os.fork()
    if not child:
        try:
            core, model = read_file(open(path, "rb").read())
            core.compile_model(model, "CPU", options).create_infer_request().infer()
        except BaseException as error:
            os.write(1, (json.dumps(str(error)) + "\\n").encode())
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 1:
        os.write(1, (json.dumps(status) + "\\n").encode())
"""
"""Compiles what it is told to, each in a child of its own: a line is what it refuses, or how the child ended."""


def bind_openvino(model: Any, names: Sequence[str], form: str, *, activations: Mapping[str, Any] | None = None) -> Bound:
    """Compile a model.

    OpenVINO 2026.4.1 ends the process with a segmentation fault while it compiles SASRec in float32 for one thread, unless its
    snippets are off. So a form with snippets is compiled in a process of its own first.

    Args:
        model: bytes of an ``.onnx`` or ``.ovzip`` file, or an ``openvino.Model``.
        names: its inputs, in the order in which they are written.
        form: one of :data:`FORMS`.
        activations: further compile options.

    Raises:
        Missing: OpenVINO is not installed, refuses the model, or crashes on it.
    """
    try:
        from chordkit.export.targets.openvino.quiet import runtime

        core = runtime().Core()
        from openvino._pyopenvino import InferRequest
    except ImportError:
        raise Missing("not installed: pip install 'chordkit[openvino]'") from None
    options = {**ONE_THREAD, **FORMS[form], **(activations or {})}
    try:
        if isinstance(model, bytes):
            _survives(model, options)
            core, model = read_file(model)
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


def read_file(data: bytes) -> tuple[Any, Any]:
    """OpenVINO's core, and the model of an ``.onnx`` or ``.ovzip`` file in it."""
    from chordkit.export.targets.openvino.archive import unpack
    from chordkit.export.targets.openvino.quiet import runtime

    openvino = runtime()
    core = openvino.Core()
    if not data.startswith(b"PK"):
        return core, core.read_model(data)
    graph, weights = unpack(data)
    return core, core.read_model(graph.decode(), openvino.Tensor(np.frombuffer(weights, np.uint8)))


@cache
def _prober() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _survives(data: bytes, options: Mapping[str, Any]) -> None:
    prober = _prober()
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        print(json.dumps([file.name, dict(options)]), file=prober.stdin, flush=True)
        told = json.loads(prober.stdout.readline())
    if isinstance(told, str):
        raise Missing(f"refuses the file: {_reason(told)}")
    if told < 0:
        raise Missing(f"ends the process with signal {-told} when it compiles this graph")


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "nsupported" in line or "not supported" in line]
    return (told or lines or ["no reason given"])[-1].split(" expected:")[0]
