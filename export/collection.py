"""An export folder: the artifacts of one backbone, made and found together.

``export.json`` beside the files says what each of them is; it is written last, so that a folder with it is complete.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from chordkit.backbones import Backbone
from chordkit.errors import CapabilityError, InputError
from chordkit.export.bundle.manifest import is_label
from chordkit.export.bundle.writer import SUFFIXES, ArtifactContents
from chordkit.export.targets.lowering import ArtifactSpec, lower
from chordkit.export.targets.target import CAPABILITIES, Precision, Target, check
from chordkit.files import read_bytes, write_bytes, write_json
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights, quantize_table
from chordkit.strategy import Strategy, to_wire

INDEX = "export.json"
MASTER_FILE = "master.chrm"


@dataclass(frozen=True)
class Sources:
    """What artifacts are made from.

    Attributes:
        master: the master weights, of int8 and strategy artifacts.
        backbone: the float model behind it, of fp32 artifacts; None = none are made.
        strategies: by name.
    """

    master: MasterWeights
    backbone: Backbone | None
    strategies: Mapping[str, Strategy]


class IndexEntry(BaseModel):
    """One artifact of an export folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: str
    sha256: str
    target: Target
    precision: Precision
    activations: str
    candidates: int
    strategy: str | None


class Index(BaseModel):
    """``export.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "chordkit-export"
    version: int = 1
    fingerprint: str
    artifacts: tuple[IndexEntry, ...]


def plan(targets: Sequence[Target], precisions: Sequence[Precision] | None, sources: Sources) -> list[tuple[Target, Precision, str | None]]:
    """The artifacts that a request means, in order: for each target its precisions, and for ``strategy`` each of the strategies.

    ``precisions`` None means all that the sources allow and the target can run.

    Raises:
        InputError: a precision needs something that the sources lack, or a strategy's name cannot be a file's.
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
    for name in sources.strategies:
        if not is_label(name) or name in list(Precision):
            raise InputError(f"strategy name {name!r}: use ASCII letters, digits and _ + . - and none of {', '.join(Precision)}")
    wanted: list[tuple[Target, Precision, str | None]] = []
    for target in targets:
        for precision in precisions:
            if not chosen and precision not in CAPABILITIES[target].precisions:
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
    targets: Sequence[Target],
    precisions: Sequence[Precision] | None,
    sources: Sources,
    candidates: int = 100,
    progress: Progress | None = None,
) -> list[ArtifactContents]:
    """Lower a backbone to every target and precision asked for; None = all that are possible.

    Raises:
        CapabilityError: a target cannot run what was asked; the message names both.
        MissingRuntimeError: a target's package is not installed.
        InputError: see :func:`plan`.
    """
    table = sources.master.channel_table
    items = len(sources.master.embeddings["item_embedding"].codes) - 1
    if candidates > items:
        raise InputError(f"{candidates} candidates are more than the {items} items of the backbone; ask for at most {items}")
    if sources.backbone is not None:
        require_origin(sources.master, sources.backbone)
    wanted = plan(targets, precisions, sources)
    artifacts = []
    for done, (target, precision, strategy) in enumerate(wanted):
        if progress is not None:
            progress("export", done, len(wanted))
        source: Backbone | tuple[MasterWeights, np.ndarray]
        if precision is Precision.FP32:
            assert sources.backbone is not None
            source = sources.backbone
        elif strategy is None:
            source = (sources.master, np.full(table.channels, 8, np.uint8))
        else:
            source = (sources.master, sources.strategies[strategy].widths)
        activations = CAPABILITIES[target].activations[0]
        spec = ArtifactSpec(target=target, precision=precision, candidates=candidates, activations=activations)
        reference = strategy or str(precision)
        if target is Target.NATIVE:
            check(target, str(sources.master.config["architecture"]), precision)
        artifacts.append(
            ArtifactContents(
                name=f"{target}-{reference}",
                target=str(target),
                precision=str(precision),
                candidates=candidates,
                # The native engine runs from the master and the strategy themselves.
                data=lower(spec, source) if target is not Target.NATIVE else None,
                reference=reference,
                strategy=strategy,
                activations=spec.activations,
            )
        )
    if progress is not None:
        progress("export", len(wanted), len(wanted))
    return artifacts


def write_folder(folder: str | os.PathLike[str], artifacts: Sequence[ArtifactContents], sources: Sources) -> Index:
    """Write artifacts, and last their index. Native artifacts are the master and the strategies themselves."""
    folder = Path(folder)
    native = [artifact for artifact in artifacts if artifact.data is None]
    master = sources.master.to_bytes()
    if native:
        write_bytes(folder / MASTER_FILE, master)
    for strategy in sorted({artifact.strategy for artifact in native if artifact.strategy is not None}):
        write_bytes(folder / f"{strategy}.chrd", to_wire(sources.strategies[strategy]))
    entries = []
    for artifact in artifacts:
        file, data = MASTER_FILE, master
        if artifact.data is not None:
            file, data = f"{artifact.name}{SUFFIXES[artifact.target]}", artifact.data
            write_bytes(folder / file, data)
        entries.append(
            IndexEntry(
                name=artifact.name,
                file=file,
                sha256=hashlib.sha256(data).hexdigest(),
                target=Target(artifact.target),
                precision=Precision(artifact.precision),
                activations=artifact.activations,
                candidates=artifact.candidates,
                strategy=artifact.strategy,
            )
        )
    index = Index(fingerprint=sources.master.fingerprint.hex(), artifacts=tuple(entries))
    write_json(folder / INDEX, json.loads(index.model_dump_json()))
    return index


def read_folder(folder: str | os.PathLike[str]) -> tuple[str, list[ArtifactContents]]:
    """The backbone's fingerprint and the artifacts of an export folder.

    Raises:
        InputError: there is no index, it is malformed, or a file is not the one that the index names.
    """
    path = Path(folder) / INDEX
    try:
        index = Index.model_validate_json(read_bytes(path, "export index"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: {field}: {first['msg']}; export again") from None
    artifacts = []
    for entry in index.artifacts:
        if Path(entry.file).name != entry.file:
            raise InputError(f"{path}: file {entry.file!r} is not in the folder; export again")
        data = read_bytes(Path(folder) / entry.file, "artifact")
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise InputError(f"{Path(folder) / entry.file}: not the file that {INDEX} describes; export again")
        if entry.activations not in ("fp32", "int8"):
            raise CapabilityError(f"{path}: activations {entry.activations!r} are unknown; export again")
        artifacts.append(
            ArtifactContents(
                name=entry.name,
                target=str(entry.target),
                precision=str(entry.precision),
                candidates=entry.candidates,
                data=None if entry.target is Target.NATIVE else data,
                reference=entry.strategy or str(entry.precision),
                strategy=entry.strategy,
                activations="int8" if entry.activations == "int8" else "fp32",
            )
        )
    return index.fingerprint, artifacts
