"""What each target can run: the one table behind every refusal and behind the README's support matrix.

A combination that is not in the table is refused before anything is lowered, with the reason. What is in the table is
tested on the real runtime (tests/export).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import Literal

import numpy as np

from chordkit.errors import CapabilityError, MissingRuntimeError


class Target(StrEnum):
    """What chordkit exports to: a runtime, and for ExecuTorch whose kernels do the work (its own, or libchord's as operators)."""

    EXECUTORCH = "executorch"
    EXECUTORCH_CHORD = "executorch-chord"
    EXECUTORCH_CHORD_LINEAR = "executorch-chord-linear"
    LITERT = "litert"
    ONNX = "onnx"
    NATIVE = "native"


class Precision(StrEnum):
    """How the weights of an artifact are stored: all float32, all int8, or each channel as its user's strategy says."""

    FP32 = "fp32"
    INT8 = "int8"
    STRATEGY = "strategy"


Activations = Literal["fp32", "int8"]


@dataclass(frozen=True)
class Capability:
    """What one target can run.

    Attributes:
        runtime: package and version that runs the files, and that they are tested with; None = no package.
        extra: chordkit's installation extra that brings it.
        suffix: of its files.
        operators: custom operators that a program calls, by name; the library that has them must be loaded first.
        architectures: backbones with a lowering.
        precisions: what the weights may be.
        stored_bits: width of a channel -> bits an element takes in the file.
        activations: with what quantised layers may compute; the first is the default.
        refusals: reason for what is missing, by the name of the missing thing.
        note: one sentence for the support matrix.
    """

    runtime: tuple[str, str] | None
    extra: str | None
    suffix: str
    operators: tuple[str, ...]
    architectures: tuple[str, ...]
    precisions: tuple[Precision, ...]
    stored_bits: Mapping[int, int]
    activations: tuple[Activations, ...]
    refusals: Mapping[str, str]
    note: str


_ALL = tuple(Precision)
_QUANTISED = (Precision.INT8, Precision.STRATEGY)
_BACKBONES = ("sasrec", "caser")
_FROM_MASTER = {"fp32": "it computes with 8-bit activations", "precision fp32": "it runs from the int8 master weights"}
OPERATOR_LIBRARY = "libchord_executorch"
"""The library that has the ``chord::`` operators; its version is chordkit's."""

CAPABILITIES: dict[Target, Capability] = {
    Target.EXECUTORCH: Capability(
        runtime=("executorch", "1.5.1"),
        extra="executorch",
        suffix=".pte",
        operators=(),
        architectures=_BACKBONES,
        precisions=_ALL,
        stored_bits={0: 4, 2: 4, 4: 4, 8: 8},
        activations=("fp32",),
        refusals={"int8": "its XNNPACK files keep float32 activations, which reproduce the reference exactly"},
        note="XNNPACK has no 2-bit weights: int2 channels and channels that are off take 4 bits",
    ),
    Target.EXECUTORCH_CHORD: Capability(
        runtime=("executorch", "1.5.1"),
        extra="executorch",
        suffix=".pte",
        operators=("chord::rerank.out",),
        architectures=_BACKBONES,
        precisions=_QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        refusals=_FROM_MASTER,
        note="one operator, `chord::rerank`, over the int8 master inside the file; method `rerank_with` takes a new strategy as an input",
    ),
    Target.EXECUTORCH_CHORD_LINEAR: Capability(
        runtime=("executorch", "1.5.1"),
        extra="executorch",
        suffix=".pte",
        operators=("chord::linear.out",),
        architectures=_BACKBONES,
        precisions=_QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        refusals={
            "fp32": "`chord::linear` computes with 8-bit activations",
            "precision fp32": "`chord::linear` has int8, int4 and int2 weights",
        },
        note="ExecuTorch's graph with `chord::linear` for the linear layers; codes are packed at their widths when first used",
    ),
    Target.LITERT: Capability(
        runtime=("ai-edge-litert", "2.3.0"),
        extra="litert",
        suffix=".tflite",
        operators=(),
        architectures=_BACKBONES,
        precisions=_ALL,
        stored_bits={0: 2, 2: 2, 4: 4, 8: 8},
        activations=("fp32", "int8"),
        refusals={},
        note="channels that are off take 2 bits",
    ),
    Target.ONNX: Capability(
        runtime=("onnxruntime", "1.31.1"),
        extra="onnx",
        suffix=".onnx",
        operators=(),
        architectures=_BACKBONES,
        precisions=_ALL,
        stored_bits={0: 0, 2: 2, 4: 4, 8: 8},
        activations=("fp32",),
        refusals={"int8": "ONNX Runtime has no kernel for int2 and int4 weights with int8 activations; weights are widened once, at load"},
        note="weights are widened to float32 when the file is loaded; int2 needs opset 25",
    ),
    Target.NATIVE: Capability(
        runtime=None,
        extra=None,
        suffix=".native",
        operators=(),
        architectures=_BACKBONES,
        precisions=_QUANTISED,
        stored_bits={0: 8, 2: 8, 4: 8, 8: 8},
        activations=("int8",),
        refusals=_FROM_MASTER,
        note="no file of its own: it maps the bundle's int8 master weights and adopts a strategy in microseconds",
    ),
}


def check(
    target: Target | str,
    architecture: str,
    precision: Precision | str,
    *,
    activations: Activations | None = None,
    widths: np.ndarray | None = None,
) -> None:
    """Refuse what a target cannot run.

    Args:
        target: runtime.
        architecture: of the backbone, as in its configuration.
        precision: of the weights.
        activations: None = the target's default.
        widths: the channels' widths, for ``int8`` and ``strategy``.

    Raises:
        CapabilityError: the combination does not work; the sentence names it and the reason.
    """
    try:
        target, precision = Target(target), Precision(precision)
    except ValueError as error:
        raise CapabilityError(f"{error}; targets are {', '.join(Target)}, precisions {', '.join(Precision)}") from None
    capability = CAPABILITIES[target]
    if architecture not in capability.architectures:
        raise CapabilityError(f"{target}: the architecture {architecture!r} has no lowering; use {' or '.join(capability.architectures)}")
    if precision not in capability.precisions:
        reason = capability.refusals.get(f"precision {precision}", "unknown")
        raise CapabilityError(f"{target}: precision {precision} is not supported: {reason}; use {' or '.join(capability.precisions)}")
    activations = activations or capability.activations[0]
    if activations not in capability.activations:
        reason = capability.refusals.get(activations, "unknown")
        raise CapabilityError(f"{target}: {activations} activations are not supported: {reason}; use {' or '.join(capability.activations)}")
    if precision is Precision.FP32 and activations == "int8":
        raise CapabilityError(f"{target}: an fp32 artifact has no int8 activations; use precision int8 or strategy")
    if widths is not None:
        _check_widths(target, precision, np.asarray(widths), capability)


def _check_widths(target: Target, precision: Precision, widths: np.ndarray, capability: Capability) -> None:
    unknown = set(np.unique(widths).tolist()) - set(capability.stored_bits)
    if unknown:
        allowed = ", ".join(map(str, capability.stored_bits))
        raise CapabilityError(f"{target}: channels of {min(unknown)} bits cannot be stored; use {allowed}")
    if precision is Precision.INT8 and (widths != 8).any():
        raise CapabilityError(f"{target}: precision int8 was asked for, but some channels have other widths; use strategy")


def required_runtime(target: Target | str) -> str | None:
    """The runtime that a target's files are tested with, as ``package==version``; None for the native engine."""
    runtime = CAPABILITIES[Target(target)].runtime
    return None if runtime is None else "==".join(runtime)


def installed(target: Target | str) -> str | None:
    """The installed version of a target's runtime, or None when it is missing (or, natively, no package)."""
    runtime = CAPABILITIES[Target(target)].runtime
    if runtime is None:
        return None
    try:
        return metadata.version(runtime[0])
    except metadata.PackageNotFoundError:
        return None


def missing_runtime(target: Target | str, package: str | None = None) -> MissingRuntimeError:
    """The error to raise when a target's runtime (or another package that it needs) cannot be imported."""
    target = Target(target)
    capability = CAPABILITIES[target]
    package = package or (capability.runtime[0] if capability.runtime else str(target))
    return MissingRuntimeError(f"{target}: the package {package} is not installed; pip install 'chordkit[{capability.extra}]'")


def support_matrix_markdown() -> str:
    """The support matrix of the README, a Markdown table, from :data:`CAPABILITIES`."""
    lines = [
        "| target | runtime | backbones | precisions | int8 / int4 / int2 / off stored in | activations | remarks |",
        "|---|---|---|---|---|---|---|",
    ]
    for target, capability in CAPABILITIES.items():
        cells = [
            str(target),
            f"`{required_runtime(target)}`" if capability.runtime else "chordkit's own engine",
            ", ".join(capability.architectures) or "—",
            ", ".join(capability.precisions) or "—",
            " / ".join(str(capability.stored_bits[width]) for width in (8, 4, 2, 0)) + " bits",
            ", ".join(capability.activations),
            capability.note,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
