"""The one door to every target: from a backbone, or a master with widths, to the bytes of an artifact."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from chordkit.backbones import Backbone
from chordkit.errors import CapabilityError, InputError
from chordkit.export.targets.target import Activations, Precision, Target, check
from chordkit.quantization import MasterWeights

Source = Backbone | tuple[MasterWeights, np.ndarray]


@dataclass(frozen=True)
class ArtifactSpec:
    """What is to be made.

    Attributes:
        target: runtime.
        precision: of the weights.
        candidates: scored per call; fixed in the artifact.
        user: label of the user or strategy, for names and reports only.
        activations: what quantised layers compute with.
    """

    target: Target
    precision: Precision
    candidates: int = 100
    user: str | None = None
    activations: Activations = "fp32"

    def __post_init__(self) -> None:
        # Plain strings (of a command line, of a test) are as good as the enumerations.
        try:
            object.__setattr__(self, "target", Target(self.target))
            object.__setattr__(self, "precision", Precision(self.precision))
        except ValueError as error:
            raise CapabilityError(f"{error}; targets are {', '.join(Target)}, precisions {', '.join(Precision)}") from None


def lower(spec: ArtifactSpec, source: Source) -> bytes:
    """Make an artifact.

    Args:
        spec: what is to be made.
        source: a float backbone for ``fp32``; a master with widths uint8 ``[channels]`` for ``int8`` and ``strategy``.

    Returns:
        The file's bytes; the same spec and source give the same bytes.

    Raises:
        CapabilityError: the target cannot run this, see :mod:`chordkit.export.targets.target`.
        InputError: the source is not of the kind that the precision needs, or ``candidates`` is not positive.
        StrategyError: the widths do not fit the master.
        MissingRuntimeError: the target's package is not installed.
    """
    widths = source[1] if isinstance(source, tuple) else None
    if (spec.precision is Precision.FP32) != (widths is None):
        needed = "the float backbone" if spec.precision is Precision.FP32 else "master weights with widths"
        raise InputError(f"{spec.target}: precision {spec.precision} is made from {needed}; give that")
    architecture = str(source[0].config["architecture"]) if isinstance(source, tuple) else source.config.architecture
    check(spec.target, architecture, spec.precision, activations=spec.activations, widths=widths)
    return _LOWERINGS[spec.target](spec, source)


def _items(source: Source) -> int:
    table = source[0].embeddings["item_embedding"].codes if isinstance(source, tuple) else source.item_embedding.weight
    return int(table.shape[0]) - 1


def _program(spec: ArtifactSpec, source: Source) -> torch.export.ExportedProgram:
    from chordkit.export.program.marked import export_program

    return export_program(source, spec.candidates)


def _executorch(spec: ArtifactSpec, source: Source) -> bytes:
    from chordkit.export.program.grouping import regroup
    from chordkit.export.targets.executorch import lower as executorch
    from chordkit.export.targets.executorch.graph import storage_groups

    if isinstance(source, tuple):
        source = regroup(*source, storage_groups)
    return executorch.lower(_program(spec, source), _items(source))


def _executorch_chord(spec: ArtifactSpec, source: Source) -> bytes:
    from chordkit.export.targets.executorch_chord import lower as executorch_chord

    assert isinstance(source, tuple)  # the capability table has no fp32 here
    return executorch_chord.lower(*source, spec.candidates)


def _executorch_chord_linear(spec: ArtifactSpec, source: Source) -> bytes:
    from chordkit.export.targets.executorch_chord_linear import lower as executorch_chord_graph

    return executorch_chord_graph.lower(_program(spec, source), _items(source))


def _litert(spec: ArtifactSpec, source: Source) -> bytes:
    from chordkit.export.targets.litert import lower as litert

    return litert.lower(_program(spec, source), litert.Activations.INT8 if spec.activations == "int8" else litert.Activations.FLOAT)


def _onnx(spec: ArtifactSpec, source: Source) -> bytes:
    from chordkit.export.targets.onnx import lower as onnx

    metadata = {"chordkit.precision": str(spec.precision)}
    if isinstance(source, tuple):
        metadata["chordkit.fingerprint"] = source[0].fingerprint.hex()
    return onnx.lower(_program(spec, source), _items(source), metadata)


def _native(spec: ArtifactSpec, source: Source) -> bytes:
    raise CapabilityError("native: there is nothing to export: the engine runs from the master weights and a strategy")


_LOWERINGS: dict[Target, Callable[[ArtifactSpec, Source], bytes]] = {
    Target.EXECUTORCH: _executorch,
    Target.EXECUTORCH_CHORD: _executorch_chord,
    Target.EXECUTORCH_CHORD_LINEAR: _executorch_chord_linear,
    Target.LITERT: _litert,
    Target.ONNX: _onnx,
    Target.NATIVE: _native,
}
