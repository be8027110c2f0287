"""What of an artifact will run where, and in how many bytes: told before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chordkit.errors import CapabilityError
from chordkit.export.artifact import Precision, RuntimeRange, version_numbers
from chordkit.export.bundle import ArtifactContents
from chordkit.export.collection import Sources
from chordkit.export.program import kept_channels
from chordkit.export.targets import Kind, Target, bytes_of, find_target, profiles_of, rows_like, runtime_range, stretches
from chordkit.quantization import MasterWeights, narrowest, packed_row_bytes


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of one layer and one width.

    Attributes:
        layer: its name.
        width: bits of the strategy; 0 = off; 32 = float32.
        channels: how many.
        left_out: how many of them the file does without, because they are off or meet one that is.
        stored: bits that a weight takes in the file.
        container: "native": as wide as the width; "wider": the same numbers in a wider type.
        bytes: of weights and scales.
        oldest: version of the package from which on channels of this width run in such a file, as measured; None where none was tried.
    """

    layer: str
    width: int
    channels: int
    left_out: int
    stored: int
    container: str
    bytes: int
    oldest: str | None


@dataclass(frozen=True)
class Elsewhere:
    """Versions of a runtime other than those that the artifact is for, and what they made of everything in it that was tried.

    Attributes:
        package, oldest, newest: which versions.
        verdict: "right", "wrong" (it answers, and not with the reference's scores) or "refused".
        reason: what the runtime says, or what is wrong.
        runtimes: what to name with ``--runtime`` for a file that runs on the newest of them.
    """

    package: str
    oldest: str
    newest: str
    verdict: str
    reason: str
    runtimes: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """One artifact.

    Attributes:
        artifact: its name.
        target, precision, layout, activations: what it is.
        package: whose runtime runs it; None = chordkit's own engine.
        oldest, newest: versions of it that run everything in the file, as measured; None where none was tried.
        computing: what the runtime makes of the weights.
        groups: layer by layer.
        kinds: bytes by what they are for; empty where nobody has taken such files apart.
        bytes: of the file.
        elsewhere: the other versions that were tried, of all packages that run the target's files.
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
    elsewhere: tuple[Elsewhere, ...]


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
    widths = None if artifact.strategy is None else sources.strategies[artifact.strategy].widths
    runs = runtime_range(artifact, sources.master, widths)
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
        groups=tuple(_groups(artifact, target, sources.master, widths, runs)),
        kinds=_kinds(artifact.target, data),
        bytes=len(data),
        elsewhere=_elsewhere(artifact, sources.master, widths, runs),
    )


def _kinds(target: str, data: bytes) -> dict[Kind, int]:
    try:
        return bytes_of(target, data)
    except CapabilityError:  # nobody has taken such files apart
        return {}


def _groups(
    artifact: ArtifactContents, target: Target, master: MasterWeights, strategy: np.ndarray | None, runs: RuntimeRange | None
) -> list[ChannelGroup]:
    table = master.channel_table
    floats = artifact.precision == Precision.FP32
    widths = np.full(table.channels, 32 if floats else 8) if strategy is None else strategy
    oldest = {} if runs is None else {int(width): _oldest(artifact, master, int(width)) for width in np.unique(widths)}
    leaves_out = target.capability.leaves_out and artifact.layout == "size" and strategy is not None
    kept = kept_channels(master, widths) if leaves_out else {}
    found = []
    for name, layer in master.layers.items():
        own, (channels, inputs) = widths[table.layer_slice(name)], layer.rows.codes.shape
        staying = np.isin(np.arange(channels), kept[name].rows) if name in kept else np.ones(channels, bool)
        inputs = len(kept[name].columns) if name in kept else inputs
        for width in np.unique(own):
            least = target.capability.stored_bits.get(int(width), 32)
            among = target.capability.stored_bits[narrowest(own, 2)] if width == 0 and least and leaves_out else least
            stored = 32 if floats else 8 if artifact.layout == "speed" else max(least, among)
            row = 4 * inputs if floats else packed_row_bytes(inputs, stored) + 4 if stored else 0
            container = "native" if stored == width else "wider"
            chosen = own == width
            count, stay = int(chosen.sum()), int((chosen & staying).sum())
            found.append(ChannelGroup(name, int(width), count, count - stay, stored, container, stay * row, oldest.get(int(width))))
    return found


def _oldest(artifact: ArtifactContents, master: MasterWeights, width: int) -> str | None:
    """From which version on channels of one width run beside int8 ones, in a file that has nothing else."""
    plain = artifact.model_copy(update={"user_vector": False, "top": None, "batch": 1, "catalogue": False})
    eight = replace(master, embeddings={name: replace(table, bits=8) for name, table in master.embeddings.items()})
    found = runtime_range(plain, eight, None if width == 32 else np.array([width]))
    return None if found is None else found.oldest


def _elsewhere(
    artifact: ArtifactContents, master: MasterWeights, widths: np.ndarray | None, runs: RuntimeRange | None
) -> tuple[Elsewhere, ...]:
    return tuple(
        Elsewhere(
            each.package,
            each.oldest,
            each.newest,
            each.verdict,
            each.reason,
            tuple(profile.name for profile in profiles_of(artifact.target) if profile.has(each.package, each.newest))
            if each.verdict != "right"
            else (),
        )
        for each in stretches(rows_like(artifact, master, widths), artifact.target)
        if runs is None
        or each.package != runs.package
        or not (version_numbers(runs.oldest) <= version_numbers(each.newest) <= version_numbers(runs.newest))
    )
