"""An export folder: the artifacts of one backbone, made and found together.

``export.json`` beside the files says what each of them is; it is written last, so that a folder with it is complete.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.documents import Document, read_document
from chordkit.errors import InputError, UserVectorError
from chordkit.export.artifact import Activations, Artifact, ArtifactSpec, Layout, Precision, find_precision, is_label
from chordkit.export.bundle import ArtifactContents
from chordkit.export.targets import Target, artifact_name, find_target, lower
from chordkit.files import alone, read_bytes, write_bytes, write_json
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights, quantize_table
from chordkit.strategy import Strategy, UserVector, encode_user_vector, to_wire

INDEX = "export.json"
MASTER_FILE = "master.chrm"


@dataclass(frozen=True)
class Sources:
    """What artifacts are made from.

    Attributes:
        master: the master weights, of int8 and strategy artifacts.
        backbone: the float model behind it, of fp32 artifacts; None = none are made.
        strategies: by name.
        user_vectors: by name, the same as a strategy's for the same user. With any, all artifacts take a user vector.

    Raises:
        UserVectorError: a user vector is not for this master.
    """

    master: MasterWeights
    backbone: Backbone | None
    strategies: Mapping[str, Strategy]
    user_vectors: Mapping[str, UserVector] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, vector in self.user_vectors.items():
            if (vector.fingerprint, len(vector.codes)) != (self.master.fingerprint, self.master.dim):
                raise UserVectorError(
                    f"user vector {name}: it is {len(vector.codes)} numbers for backbone {vector.fingerprint.hex()}, not {self.master.dim} "
                    f"for {self.master.fingerprint.hex()}; make it again for this backbone"
                )


class IndexEntry(Artifact):
    """An artifact of an export folder: its file there, and that file's SHA-256."""

    file: str
    sha256: str


class Index(Document):
    """``export.json``; ``fingerprint`` is the digest of the master weights.

    Version 2 where artifacts take a user vector, 3 where one is made for a runtime by name, or has another layout or shape of calls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["chordkit-export"] = "chordkit-export"
    version: Literal[1, 2, 3] = 1
    fingerprint: str
    artifacts: tuple[IndexEntry, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is written: an artifact's reference follows from the rest."""
        return self.model_dump(mode="json", exclude={"artifacts": {"__all__": {"reference"}}})


def plan(targets: Sequence[Target], precisions: Sequence[Precision] | None, sources: Sources) -> list[tuple[Target, Precision, str | None]]:
    """The artifacts that a request means, in order: for each target its precisions, and for ``strategy`` each of the strategies.

    ``precisions`` None means all that the sources allow and the target can run.

    Raises:
        InputError: a precision needs something that the sources lack, or a name of a strategy or user vector cannot be a file's.
        CapabilityError: a precision was asked for that a target cannot run.
    """
    chosen = precisions is not None
    if precisions is None:
        given = {Precision.FP32: sources.backbone is not None, Precision.INT8: True, Precision.STRATEGY: bool(sources.strategies)}
        precisions = [precision for precision, possible in given.items() if possible]
    if Precision.FP32 in precisions and sources.backbone is None:
        raise InputError("precision fp32 needs the float backbone; give it, or leave fp32 out")
    if Precision.STRATEGY in precisions and not sources.strategies:
        raise InputError("precision strategy needs at least one strategy; give one, or leave strategy out")
    for name in (*sources.strategies, *sources.user_vectors):
        if not is_label(name) or name in list(Precision):
            kind = "strategy" if name in sources.strategies else "user vector"
            raise InputError(f"{kind} name {name!r}: use ASCII letters, digits and _ + . - and none of {', '.join(Precision)}")
    wanted: list[tuple[Target, Precision, str | None]] = []
    for target in targets:
        for precision in precisions:
            if not chosen and precision not in target.capability.precisions:
                continue
            names = list(sources.strategies) if precision is Precision.STRATEGY else [None]
            wanted += [(target, precision, name) for name in names]
    return wanted


def require_origin(master: MasterWeights, backbone: Backbone) -> None:
    """Refuse a float backbone that is not the one behind ``master``: its int8 codes, which no policy changes, must be the master's.

    Raises:
        InputError: it is another backbone.
    """
    layers = backbone.channel_layers()
    kept = {name: (layer.rows.codes, 8) for name, layer in master.layers.items()}
    kept |= {name: (table.codes, table.bits) for name, table in master.embeddings.items()}
    modules = dict(backbone.named_modules())
    same = list(layers) == list(master.layers) and all(
        isinstance(weight := getattr(modules.get(name), "weight", None), Tensor)
        and weight.shape == codes.shape
        and np.array_equal(quantize_table(weight.detach().cpu().numpy(), bits).codes, codes)
        for name, (codes, bits) in kept.items()
    )
    if not same:
        raise InputError(
            f"the float backbone is not the one behind the master weights {master.fingerprint.hex()}; "
            "give the .fp32.safetensors file that was written beside them"
        )


def export_artifacts(
    targets: Sequence[Target | str],
    sources: Sources,
    precisions: Sequence[Precision | str] | None = None,
    candidates: int | None = None,
    progress: Progress | None = None,
    *,
    activations: Activations | None = None,
    runtime: str | None = None,
    layout: Layout | None = None,
    top: int | None = None,
    batch: int = 1,
    catalogue: bool = False,
) -> list[ArtifactContents]:
    """Lower a backbone to every target and precision asked for, one artifact a strategy where the precision is ``strategy``.

    Args:
        targets: by name, or as objects.
        sources: what they are made from.
        precisions: None = all that the sources allow and each target can run.
        candidates: scored per call; fixed in files. None = 100, or all items where there are fewer.
        progress: called with (phase, done, total).
        activations: what quantised layers compute with; None = each target's default.
        runtime: name of a profile of the targets; None = each target's newest runtime.
        layout: how the codes lie in files; None = the runtime's default.
        top: how many of its candidates an artifact answers with; None = all candidates' scores.
        batch: histories per call.
        catalogue: whether the candidates are all items, a part of the artifact.

    Raises:
        CapabilityError: a target, or that runtime of it, cannot run what was asked; the message names both.
        MissingRuntimeError: a target's package is not installed.
        InputError: see :func:`plan`.
    """
    items = sources.master.items
    if catalogue and candidates not in (None, items):
        raise InputError(
            f"{candidates} candidates are not the whole catalogue of {items} items; give the number or the catalogue, not both"
        )
    if candidates is None:
        candidates = items if catalogue else min(100, items)
    if candidates > items:
        raise InputError(f"{candidates} candidates are more than the {items} items of the backbone; ask for at most {items}")
    if sources.backbone is not None:
        require_origin(sources.master, sources.backbone)
    found = [find_target(target) if isinstance(target, str) else target for target in targets]
    wanted = plan(found, None if precisions is None else [find_precision(precision) for precision in precisions], sources)
    # All of them before the first is made, which takes seconds each.
    architecture = str(sources.master.config["architecture"])
    asked = ArtifactSpec("", Precision.INT8, candidates, activations, bool(sources.user_vectors), runtime, layout, top, batch, catalogue)
    specs = []
    for target, precision, _ in wanted:
        computes = None if precision is Precision.FP32 else activations
        specs.append(target.settle(replace(asked, target=target.name, precision=precision, activations=computes), architecture))
    artifacts = []
    for done, (spec, (target, _, strategy)) in enumerate(zip(specs, wanted, strict=True)):
        if progress is not None:
            progress("export", done, len(wanted))
        artifacts.append(_export(target, spec, strategy, sources))
    if progress is not None:
        progress("export", len(wanted), len(wanted))
    return artifacts


def _export(target: Target, spec: ArtifactSpec, strategy: str | None, sources: Sources) -> ArtifactContents:
    master = sources.master
    assert spec.activations is not None and spec.layout is not None  # export_artifacts() has settled both
    data = None
    if target.capability.suffix is not None:
        widths = np.full(master.channel_table.channels, 8, np.uint8) if strategy is None else sources.strategies[strategy].widths
        source = sources.backbone if spec.precision is Precision.FP32 else (master, widths)
        assert source is not None  # plan() has seen to it
        data = lower(spec, source)
    return ArtifactContents(
        name=artifact_name(spec, strategy),
        target=target.name,
        precision=spec.precision,
        activations=spec.activations,
        candidates=spec.candidates,
        strategy=strategy,
        user_vector=spec.user_vector,
        runtime=spec.runtime,
        layout=spec.layout,
        top=spec.top,
        batch=spec.batch,
        catalogue=spec.catalogue,
        data=data,
    )


def write_folder(folder: str | os.PathLike[str], artifacts: Sequence[ArtifactContents], sources: Sources) -> Index:
    """Write artifacts, their strategies, the user vectors that they take, for targets without files the master, and last the index.

    What the folder holds of the same backbone already stays, unless it is of the same name. One process at a time.

    Raises:
        InputError: the folder's artifacts are of another backbone, or one that would stay is of another strategy of the same name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        return _write(folder, artifacts, sources)


def _write(folder: Path, artifacts: Sequence[ArtifactContents], sources: Sources) -> Index:
    kept = _kept(folder, artifacts, sources)
    master = sources.master.to_bytes()
    if any(artifact.data is None for artifact in artifacts):
        write_bytes(folder / MASTER_FILE, master)
    for strategy in sorted({artifact.strategy for artifact in artifacts if artifact.strategy is not None}):
        write_bytes(folder / f"{strategy}.chrd", to_wire(sources.strategies[strategy]))
    for name, vector in sources.user_vectors.items():
        write_bytes(folder / f"{name}.chru", encode_user_vector(vector))
    entries = kept
    for artifact in artifacts:
        file, data = MASTER_FILE, master
        if artifact.data is not None:
            file, data = f"{artifact.name}{find_target(artifact.target).capability.suffix}", artifact.data
            write_bytes(folder / file, data)
        entries.append(IndexEntry.of(artifact, file=file, sha256=hashlib.sha256(data).hexdigest()))
    index = Index(version=_index_version(entries), fingerprint=sources.master.digest.hex(), artifacts=tuple(entries))
    write_json(folder / INDEX, index.to_json())
    return index


def _index_version(entries: Sequence[IndexEntry]) -> Literal[1, 2, 3]:
    if any(entry.is_special for entry in entries):
        return 3
    return 2 if any(entry.user_vector for entry in entries) else 1


def _kept(folder: Path, artifacts: Sequence[ArtifactContents], sources: Sources) -> list[IndexEntry]:
    """The entries of an earlier export into the folder that stay; see :func:`write_folder`."""
    path = folder / INDEX
    if not path.exists():
        return []
    index = _read_index(path)
    if index.fingerprint != sources.master.digest.hex():
        raise InputError(
            f"{folder}: it holds artifacts of other master weights, {index.fingerprint}; empty it, or export into another folder"
        )
    replaced = {artifact.name for artifact in artifacts}
    kept = [entry for entry in index.artifacts if entry.name not in replaced]
    for entry in kept:
        strategy = sources.strategies.get(entry.strategy or "")
        file = folder / f"{entry.strategy}.chrd"
        if strategy is not None and (not file.exists() or read_bytes(file, "strategy") != to_wire(strategy)):
            raise InputError(
                f"{folder}: {entry.name} is of another strategy that is called {entry.strategy!r} too; export its target again as well, "
                "give the strategy another name, or export into another folder"
            )
    return kept


def _read_index(path: Path) -> Index:
    return read_document(path, Index, "export index", "export again")


def read_folder(folder: str | os.PathLike[str]) -> tuple[str, list[ArtifactContents]]:
    """The digest of the master weights, in hexadecimal, and the artifacts of an export folder.

    Raises:
        InputError: there is no index, it is malformed or of another version, or a file is not the one that the index names.
        CapabilityError: an artifact is of a target that is unknown here.
    """
    path = Path(folder) / INDEX
    index = _read_index(path)
    artifacts = []
    for entry in index.artifacts:
        if Path(entry.file).name != entry.file:
            raise InputError(f"{path}: file {entry.file!r} is not in the folder; export again")
        data = read_bytes(Path(folder) / entry.file, "artifact")
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise InputError(f"{Path(folder) / entry.file}: not the file that {INDEX} describes; export again")
        own_file = find_target(entry.target).capability.suffix is not None
        artifacts.append(ArtifactContents.of(entry, data=data if own_file else None))
    return index.fingerprint, artifacts
