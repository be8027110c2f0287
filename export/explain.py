"""What of an artifact will run where, and in how many bytes: told before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Precision
from chordkit.export.bundle import ArtifactContents
from chordkit.export.collection import Sources
from chordkit.export.targets import Kind, Target, bytes_of, find_target, profiles_of, runtime_range
from chordkit.quantization import packed_row_bytes


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of one layer and one width.

    Attributes:
        layer: its name.
        width: bits of the strategy; 0 = off; 32 = float32.
        channels: how many.
        stored: bits that a weight takes in the file.
        container: "native": as wide as the width; "wider": the same numbers in a wider type.
        bytes: of weights and scales.
    """

    layer: str
    width: int
    channels: int
    stored: int
    container: str
    bytes: int


@dataclass(frozen=True)
class Older:
    """A runtime that does not run the artifact, and what to ask for instead.

    Attributes:
        runtime: its name, for ``--runtime``.
        package, oldest, newest: which versions.
        why: what keeps it.
    """

    runtime: str
    package: str
    oldest: str
    newest: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """One artifact.

    Attributes:
        artifact: its name.
        target, precision, layout, activations: what it is.
        package: whose runtime runs it; None = chordkit's own engine.
        oldest, newest: versions of it that were run; None where there is no package.
        computing: what the runtime makes of the weights.
        groups: layer by layer.
        kinds: bytes by what they are for; empty where nobody has taken such files apart.
        bytes: of the file.
        older: runtimes that this file is not for.
    """

    artifact: str
    target: str
    precision: str
    layout: str
    activations: str
    package: str | None
    oldest: str | None
    newest: str | None
    computing: str
    groups: tuple[ChannelGroup, ...]
    kinds: dict[Kind, int]
    bytes: int
    older: tuple[Older, ...]


def explain(artifacts: Sequence[ArtifactContents], sources: Sources) -> list[Explanation]:
    """What :func:`chordkit.export.collection.export_artifacts` has made, explained from the files themselves.

    Args:
        artifacts: made from ``sources``.
        sources: the master and the strategies.

    Raises:
        CapabilityError: a target is not known here.
    """
    return [_explain(artifact, sources) for artifact in artifacts]


def _explain(artifact: ArtifactContents, sources: Sources) -> Explanation:
    target = find_target(artifact.target)
    data = sources.master.to_bytes() if artifact.data is None else artifact.data
    runs = runtime_range(artifact.target, artifact.runtime)
    return Explanation(
        artifact=artifact.name,
        target=artifact.target,
        precision=artifact.precision,
        layout=artifact.layout,
        activations=artifact.activations,
        package=runs.package if runs else None,
        oldest=runs.oldest if runs else None,
        newest=runs.newest if runs else None,
        computing=(target.capability.computing or {}).get(artifact.activations, ""),
        groups=tuple(_groups(artifact, target, sources)),
        kinds=_kinds(artifact.target, data),
        bytes=len(data),
        older=_older(artifact, target),
    )


def _kinds(target: str, data: bytes) -> dict[Kind, int]:
    try:
        return bytes_of(target, data)
    except CapabilityError:  # nobody has taken such files apart
        return {}


def _groups(artifact: ArtifactContents, target: Target, sources: Sources) -> list[ChannelGroup]:
    table = sources.master.channel_table
    floats = artifact.precision == Precision.FP32
    widths = np.full(table.channels, 32 if floats else 8)
    if artifact.strategy is not None:
        widths = sources.strategies[artifact.strategy].widths
    found = []
    for name, layer in sources.master.layers.items():
        inputs = layer.rows.codes.shape[1]
        for width, channels in zip(*np.unique(widths[table.layer_slice(name)], return_counts=True), strict=True):
            stored = 32 if floats else 8 if artifact.layout == "speed" else target.capability.stored_bits[int(width)]
            row = 4 * inputs if floats else packed_row_bytes(inputs, stored) + 4 if stored else 0
            container = "native" if stored == width else "wider"
            found.append(ChannelGroup(name, int(width), int(channels), stored, container, int(channels) * row))
    return found


def _older(artifact: ArtifactContents, target: Target) -> tuple[Older, ...]:
    """Profiles of the target that the file is not made for: those that do not have its layout or its activations."""
    quantised = artifact.precision == Precision.STRATEGY
    return tuple(
        Older(profile.name, profile.package, profile.oldest, profile.newest, profile.why)
        for profile in profiles_of(target.name)
        if (quantised and artifact.layout not in profile.layouts) or artifact.activations not in profile.activations
    )
