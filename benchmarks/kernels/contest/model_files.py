"""Every file that a peer can be given for a re-ranker, in the form that its runtime runs fastest and in the others."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from chordkit.errors import CheckFailed, MissingRuntimeError
from chordkit.export.artifact import Activations, ArtifactSpec, Layout, Precision
from chordkit.export.targets import lower
from contest.bind_executorch import bind_executorch
from contest.bind_litert import bind_litert
from contest.bind_onnx import bind_onnx, quantized_dynamically
from contest.bind_openvino import FORMS, bind_openvino
from contest.contender import Bound, Contender, Missing
from contest.model import ModelCase

_NAMES = ("history", "candidates")
_OWN = {"litert": "litert", "onnx": "onnxruntime", "executorch": "executorch", "openvino": "openvino"}
"""Whose files a target's are: wrong there, they end the run."""


@dataclass(frozen=True)
class _Way:
    """A runtime that takes the file, a further label, and what it computes with where that is not what the file says."""

    runtime: str
    label: str
    bind: Callable[[bytes, ModelCase], Bound]
    computes: str = ""


@dataclass(frozen=True)
class _File:
    """One file of a peer: what to lower, and the ways to run it."""

    target: str
    precision: Precision
    ways: tuple[_Way, ...]
    activations: Activations = "fp32"
    layout: Layout = "size"

    @property
    def label(self) -> str:
        """What is stored, and computed with."""
        stored = f"{self.precision}, layout {self.layout}" if self.precision is Precision.STRATEGY else str(self.precision)
        return stored + (f", {self.activations} activations" if self.target == "litert" and self.precision is not Precision.FP32 else "")


def _litert(data: bytes, case: ModelCase) -> Bound:
    return bind_litert(data, _NAMES)


def _executorch(data: bytes, case: ModelCase) -> Bound:
    shapes = [(1, case.histories.shape[1]), (1, case.candidates.shape[1])]
    return bind_executorch(data, [(shape, np.int32) for shape in shapes])


def _onnx(data: bytes, case: ModelCase) -> Bound:
    # As chordkit's own runner does: otherwise dequantised weights are not folded at load but computed in every call.
    return bind_onnx(data, _NAMES, {"session.disable_quant_qdq": "1"})


def _onnx_dynamic(data: bytes, case: ModelCase) -> Bound:
    # Its int8 weights are its own: held against the float model, as far off as 8-bit activations may be.
    return bind_onnx(quantized_dynamically(data), _NAMES)


def _openvino(form: str) -> Callable[[bytes, ModelCase], Bound]:
    return lambda data, case: bind_openvino(data, _NAMES, form)


def _openvinos(precision: Precision) -> tuple[_Way, ...]:
    # With compressed weights OpenVINO quantises activations in groups as it goes, unless told not to.
    quantised = "" if precision is Precision.FP32 else "int8"
    return tuple(_Way("openvino", f" ({form})", _openvino(form), "bf16" if form == "bf16" else quantised) for form in FORMS)


def _files() -> Iterator[_File]:
    litert, executorch, onnx = _Way("litert", "", _litert), _Way("executorch", "", _executorch), _Way("onnxruntime", "", _onnx)
    dynamic = _Way("onnxruntime", " as its quantize_dynamic makes int8 of it", _onnx_dynamic, "int8")
    yield _File("litert", Precision.FP32, (litert,))
    yield _File("onnx", Precision.FP32, (onnx, dynamic, *_openvinos(Precision.FP32)))
    yield _File("executorch", Precision.FP32, (executorch,))
    yield _File("openvino", Precision.FP32, _openvinos(Precision.FP32))
    quantised: tuple[tuple[Precision, Layout], ...] = (
        (Precision.INT8, "size"),
        (Precision.STRATEGY, "size"),
        (Precision.STRATEGY, "speed"),
    )
    for precision, layout in quantised:
        for activations in ("fp32", "int8"):
            yield _File("litert", precision, (litert,), activations, layout)
        yield _File("onnx", precision, (onnx, *_openvinos(precision)), layout=layout)
        yield _File("executorch", precision, (executorch,), layout=layout)
        if layout == "size":
            yield _File("openvino", precision, _openvinos(precision))


def model_peers(case: ModelCase, runtimes: Collection[str], missing: dict[str, str], note: str = "") -> list[Contender]:
    """Each of ``runtimes`` with every file it can run, checked; what cannot be run goes into ``missing`` with the reason.

    ``note`` comes behind each name.
    """
    contenders = []
    for file in _files():
        ways = [way for way in file.ways if way.runtime in runtimes]
        if not ways:
            continue
        spec = ArtifactSpec(file.target, file.precision, case.candidates.shape[1], file.activations, layout=file.layout)
        widths = np.full(len(case.widths), 8, np.uint8) if file.precision is Precision.INT8 else case.widths
        try:
            data = lower(spec, case.backbone if file.precision is Precision.FP32 else (case.master, widths))
        except MissingRuntimeError as error:
            missing.update({f"{way.runtime} {file.label}{note}": str(error) for way in ways})
            continue
        for way in ways:
            own = " its own file," if file.target == "openvino" else ""
            name = f"{way.runtime}{own} {file.label}{way.label}{note}"
            try:
                contender = Contender(name, way.runtime, way.bind(data, case), way.computes or file.activations)
            except (Missing, ImportError) as error:
                missing[name] = str(error)
                continue
            try:
                case.check(contender, file.precision)
            except CheckFailed as error:
                if way.runtime == _OWN[file.target]:
                    raise
                missing[name] = (
                    f"wrong answer, of a file that was made for {_OWN[file.target]}: {error.args[0].partition('reference: ')[2]}"
                )
                continue
            contenders.append(contender)
    return contenders
