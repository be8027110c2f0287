"""Where the time of a call goes, operator by operator, as a runtime's own profiler tells it, on this machine.

ONNX Runtime writes a trace, ExecuTorch an ETDump, which its Inspector reads. LiteRT's Python package has no profiler. A profiler takes time
of its own, most where operators are short: shares can be trusted, sums cannot (``chordkit bench`` measures calls without one).
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chordkit.errors import MissingRuntimeError
from chordkit.export import bundle
from chordkit.export.bundle import MASTER, ArtifactEntry, Keys
from chordkit.export.targets import find_target

CALLS = 50
_WARM_UP = 5


class OperatorTime(BaseModel):
    """One operator of an artifact.

    Attributes:
        name: as the file or the runtime has it; empty where neither has one.
        kind: the operator.
        us: its time in a call: the mean of all but the slowest tenth, for some clocks tell whole microseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    us: float


class OperatorTimes(BaseModel):
    """The operators of an artifact in the order in which they run, or the reason why they are not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: str
    operators: tuple[OperatorTime, ...] = ()
    reason: str | None = None


def operator_times(
    path: str | os.PathLike[str],
    artifacts: Sequence[str] | None = None,
    *,
    public_key: Keys | None = None,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    calls: int = CALLS,
) -> tuple[OperatorTimes, ...]:
    """Profile the artifacts of a bundle over its own test vectors.

    Args:
        path: the bundle; it is verified first.
        artifacts: names; None = all.
        public_key: required signer, or several that are accepted.
        revoked: identifiers of keys that are no longer accepted.
        minimum: the lowest counter that is accepted.
        calls: of each, after a few that are not counted.

    Raises:
        BundleError: the bundle is refused, or has no artifact of a name.
    """
    with bundle.open(path, public_key, revoked=revoked, minimum=minimum) as opened:
        names = artifacts or [entry.name for entry in opened.manifest.artifacts]
        entries = [opened.artifact_entry(name) for name in names]
        vectors = opened.vectors()
        inputs: dict[str, NDArray] = {"history": vectors.histories, "candidates": vectors.candidates}
        if vectors.users is not None:
            inputs = {"history": vectors.histories, "user": vectors.users, "candidates": vectors.candidates}
        return tuple(_profiled(entry, opened, inputs, calls) for entry in entries)


def _profiled(entry: ArtifactEntry, opened: bundle.Bundle, inputs: dict[str, NDArray], calls: int) -> OperatorTimes:
    profiler = _PROFILERS.get(entry.target)
    if profiler is None:
        told = _REASONS.get(entry.target, "no profiler of its runtime is known here")
        return OperatorTimes(artifact=entry.name, reason=told)
    if entry.user_vector and entry.target == "executorch-chord":
        return OperatorTimes(artifact=entry.name, reason="it takes a user vector in its wire form")
    target = find_target(entry.target)
    if target.installed() is None:
        return OperatorTimes(artifact=entry.name, reason=str(target.missing_runtime()))
    if target.capability.master:
        inputs = inputs | {MASTER: np.frombuffer(opened.member(MASTER), np.uint8).copy()}
    try:
        with tempfile.TemporaryDirectory(prefix="chordkit-profile-") as folder:
            return OperatorTimes(
                artifact=entry.name, operators=tuple(profiler(bytes(opened.artifact(entry.name)), inputs, calls, Path(folder)))
            )
    except MissingRuntimeError as error:
        return OperatorTimes(artifact=entry.name, reason=str(error))


def _rows(inputs: dict[str, NDArray], calls: int) -> Iterable[dict[str, NDArray]]:
    count = len(inputs["history"])
    for call in range(_WARM_UP + calls):
        yield {name: array if name == MASTER else np.ascontiguousarray(array[[call % count]]) for name, array in inputs.items()}


def _typical(times: Sequence[float]) -> float:
    """Of the times of all calls, those of the warm-up first."""
    counted = np.sort(np.asarray(times, np.float64)[_WARM_UP:])
    return float(counted[: max(1, len(counted) * 9 // 10)].mean())


def _onnx(data: bytes, inputs: dict[str, NDArray], calls: int, folder: Path) -> list[OperatorTime]:
    """From ONNX Runtime's trace: each node's kernel in each call."""
    from chordkit.export.targets.onnx import session_options

    options = session_options(1)
    import onnxruntime

    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "onnx")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    for row in _rows(inputs, calls):
        session.run(None, row)
    trace = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found: dict[tuple[str, str], list[float]] = {}
    for event in trace:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            details = event["args"]
            key = (f"{details.get('node_index', '')} {event['name'].removesuffix('_kernel_time')}", details["op_name"])
            found.setdefault(key, []).append(float(event["dur"]))
    return [OperatorTime(name=name.partition(" ")[2], kind=kind, us=_typical(times)) for (name, kind), times in found.items()]


def _executorch(data: bytes, inputs: dict[str, NDArray], calls: int, folder: Path) -> list[OperatorTime]:
    """From an ETDump, read by ExecuTorch's Inspector: operators of the program, and those inside XNNPACK's delegates."""
    import torch

    from chordkit.export.targets.executorch import quiet
    from chordkit.kernels.executorch.bindings import bindings

    with quiet():
        import executorch.kernels.quantized  # noqa: F401  (registers embedding_byte)
        from executorch.devtools import Inspector

        program: Any = bindings()._load_for_executorch_from_buffer(data, enable_etdump=True, debug_buffer_size=0)
        for row in _rows(inputs, calls):
            program.forward(tuple(map(torch.from_numpy, row.values())))
        program.write_etdump_result_to_file(str(folder / "etdump"))
        blocks = Inspector(etdump_path=str(folder / "etdump")).event_blocks
    events = [event for block in blocks if block.name == "Execute" for event in block.events]
    kept = [event for event in events if event.perf_data is not None and event.name not in _WHOLE]
    return [OperatorTime(name=_instance(event), kind=_kind(event.name), us=1000 * _typical(event.perf_data.raw)) for event in kept]


_WHOLE = ("Method::execute", "OPERATOR_CALL", "DELEGATE_CALL", "Program::load_method", "Method::init")


def _kind(name: str) -> str:
    return name.removeprefix("native_call_").partition(" #")[0]


def _instance(event: Any) -> str:
    return "" if event.name.startswith("native_call_") else event.name


def _chord(data: bytes, inputs: dict[str, NDArray], calls: int, folder: Path) -> list[OperatorTime]:
    """The same, once libchord's operators are registered."""
    from chordkit.kernels.executorch import library

    library.load()
    return _executorch(data, inputs, calls, folder)


_PROFILERS: dict[str, Callable[[bytes, dict[str, NDArray], int, Path], list[OperatorTime]]] = {
    "onnx": _onnx,
    "executorch": _executorch,
    "executorch-chord": _chord,
    "executorch-chord-linear": _chord,
}
_REASONS = {
    "litert": "LiteRT's Python package has no profiler; benchmark_model --enable_op_profiling=true of its releases has one",
    "native": "it is one function; on an emulated device --by-layer counts its instructions by layer",
}
