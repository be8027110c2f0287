"""From a trained, exported and checked model to the bytes of a bundle."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING

from chordkit.errors import BundleError
from chordkit.export import bundle_zip, test_vectors
from chordkit.export.manifest import (
    FORMAT_VERSION,
    ITEMS,
    MANIFEST,
    MASTER,
    SIGNATURE,
    VECTORS,
    ArtifactEntry,
    BackboneSection,
    ChannelEntry,
    DatasetSection,
    Manifest,
    MemberEntry,
    Provenance,
    SignatureSection,
    StrategyEntry,
    VectorsSection,
    is_label,
)
from chordkit.export.parity import Activations, ParityReport
from chordkit.export.signature import SigningKey, key_id, load_private_key
from chordkit.export.targets import CAPABILITIES, OPERATOR_LIBRARY, Target
from chordkit.export.test_vectors import VectorSet
from chordkit.files import atomic_writer
from chordkit.kernels.executorch import library as executorch_ops
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, average_bits, to_wire

if TYPE_CHECKING:
    from chordkit.data import Dataset

SUFFIXES = {str(target): capability.suffix for target, capability in CAPABILITIES.items()}


@dataclass(frozen=True)
class ArtifactContents:
    """One artifact to be bundled.

    Attributes:
        name: how it will be asked for, e.g. ``litert-int8``.
        target, precision, candidates: as it was made.
        data: the file's bytes; None for a native artifact, which runs from the master itself.
        reference: key of the scores in the test vectors that it reproduces (``fp32``, ``int8``, or the strategy's name).
        strategy: name of the strategy it was made with.
        activations: ``int8`` when its quantised layers quantise their inputs on the fly.
        requires: package, library or operator -> version; empty = the runtime installed here (:func:`runtime_versions`).
        parity: the comparison made with it.
    """

    name: str
    target: str
    precision: str
    candidates: int
    data: bytes | None
    reference: str
    strategy: str | None = None
    activations: Activations = "fp32"
    requires: Mapping[str, str] = field(default_factory=dict)
    parity: ParityReport | None = None


@dataclass(frozen=True)
class BundleContents:
    """Everything that goes into a bundle.

    ``item_ids`` are the data set's own ids by index, ``""`` for padding at index 0; ``vectors`` have the scores of
    every reference that an artifact names.
    """

    name: str
    master: MasterWeights
    dataset: DatasetSection
    item_ids: Sequence[str]
    artifacts: Sequence[ArtifactContents]
    strategies: Mapping[str, Strategy]
    vectors: VectorSet
    provenance: Provenance


def dataset_section(dataset: "Dataset") -> DatasetSection:
    """What the manifest says of a data set."""
    return DatasetSection(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        users=dataset.users,
        items=dataset.items,
        interactions=dataset.interactions,
    )


def runtime_versions(target: str) -> dict[str, str]:
    """What ``target`` needs, with versions: its runtime as far as it is installed here, and for a program with custom operators the
    library that has them (a phone loads it first) and each operator with the version of its schema."""
    try:
        capability = CAPABILITIES[Target(target)]
    except ValueError:
        return {}
    versions = {}
    try:
        package = "chordkit" if capability.runtime is None else capability.runtime[0]
        versions[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
    if capability.operators:
        versions[OPERATOR_LIBRARY] = metadata.version("chordkit")
        versions |= dict.fromkeys(capability.operators, str(executorch_ops.VERSION))
    return versions


def write(path: str | os.PathLike[str], contents: BundleContents, signing_key: SigningKey | None = None) -> Manifest:
    """Write a bundle: complete under its name, or not at all. The same contents and key give the same bytes.

    Args:
        path: where, by custom ending in ``.chord``.
        contents: what goes in.
        signing_key: an Ed25519 key or the PEM file that holds it; None leaves the bundle unsigned.

    Raises:
        BundleError: the contents do not fit together, or are larger than a bundle can be.
        InputError: the key cannot be used.
    """
    members = _members(contents)
    key = None if signing_key is None else load_private_key(signing_key)
    signature = None if key is None else SignatureSection(algorithm="ed25519", key=key_id(key.public_key()))
    manifest = _manifest(contents, members, signature)
    data = manifest.to_bytes()
    framed: list[tuple[str, bytes | memoryview]] = [(MANIFEST, data)]
    if key is not None:
        framed.append((SIGNATURE, key.sign(data)))
    with atomic_writer(path) as stream:
        bundle_zip.write(stream, [*framed, *members.items()])
    return manifest


def _members(contents: BundleContents) -> dict[str, bytes]:
    """Every member but the manifest and its signature, in file order."""
    for kind, names in (
        ("strategy", contents.strategies),
        ("artifact", [x.name for x in contents.artifacts]),
        ("reference", contents.vectors.scores),
    ):
        for name in names:
            if not is_label(name):
                raise BundleError(f"bundle: the {kind} name {name!r} is not allowed; use ASCII letters, digits and _ + . - (100 at most)")
    items = len(contents.item_ids) - 1
    if items != contents.dataset.items:
        raise BundleError(
            f"bundle: {items} item ids were given for a data set of {contents.dataset.items} items; give one per item, after the padding's"
        )
    if problem := test_vectors.problem_with(contents.vectors, items):
        raise BundleError(f"bundle: the test vectors cannot be used: {problem}")
    channels, fingerprint = contents.master.channel_table.channels, contents.master.fingerprint
    for name, strategy in contents.strategies.items():
        if len(strategy.widths) != channels or strategy.fingerprint != fingerprint:
            raise BundleError(f"bundle: strategy {name!r} was made for another backbone; make it with this bundle's master weights")
    members = {MASTER: contents.master.to_bytes()}
    members |= {f"strategies/{name}.chrd": to_wire(strategy) for name, strategy in contents.strategies.items()}
    for artifact in contents.artifacts:
        member = _artifact_member(artifact)
        if artifact.data is not None:
            if member in members:
                raise BundleError(f"bundle: two artifacts are called {artifact.name!r}; give each its own name")
            members[member] = artifact.data
    members[ITEMS] = json.dumps(list(contents.item_ids), ensure_ascii=False, separators=(",", ":")).encode()
    members[VECTORS] = contents.vectors.to_bytes()
    return members


def _artifact_member(artifact: ArtifactContents) -> str:
    if artifact.data is not None:
        return f"artifacts/{artifact.name}{SUFFIXES.get(str(artifact.target), '.bin')}"
    if str(artifact.target) != "native":
        raise BundleError(f"bundle: artifact {artifact.name!r} has no bytes, and only a native one can do without; export it first")
    return MASTER


def _manifest(contents: BundleContents, members: Mapping[str, bytes], signature: SignatureSection | None) -> Manifest:
    master = MasterWeights.from_bytes(members[MASTER])  # as a reader will see it: the file's numbers are 32 bits wide
    table = master.channel_table
    vectors = contents.vectors
    try:
        return Manifest(
            format_version=FORMAT_VERSION,
            name=contents.name,
            backbone=BackboneSection(
                architecture=str(master.config["architecture"]),
                config={key: list(value) if isinstance(value, tuple) else value for key, value in master.config.items()},
                fingerprint=master.fingerprint.hex(),
                channels=tuple(
                    ChannelEntry(name=x.name, out_channels=x.out_channels, in_features=x.in_features, offset=x.offset) for x in table.layers
                ),
            ),
            dataset=contents.dataset,
            artifacts=tuple(_artifact_entry(artifact) for artifact in contents.artifacts),
            strategies=tuple(
                StrategyEntry(name=name, member=f"strategies/{name}.chrd", average_bits=float(average_bits(strategy.widths, table)))
                for name, strategy in contents.strategies.items()
            ),
            vectors=VectorsSection(
                member=VECTORS,
                count=len(vectors.histories),
                length=vectors.histories.shape[1],
                candidates=vectors.candidates.shape[1],
                references=tuple(sorted(vectors.scores)),
            ),
            provenance=contents.provenance,
            members=tuple(
                MemberEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in members.items()
            ),
            signature=signature,
        )
    except ValueError as error:  # pydantic's ValidationError is one
        details = getattr(error, "errors", None)
        reason = details(include_url=False)[0]["msg"].removeprefix("Value error, ") if details else str(error)
        raise BundleError(f"bundle: the contents do not fit together: {reason}") from None


def _artifact_entry(artifact: ArtifactContents) -> ArtifactEntry:
    return ArtifactEntry(
        name=artifact.name,
        member=_artifact_member(artifact),
        target=str(artifact.target),
        precision=str(artifact.precision),
        activations=artifact.activations,
        candidates=artifact.candidates,
        strategy=artifact.strategy,
        reference=artifact.reference,
        requires=dict(artifact.requires) or runtime_versions(artifact.target),
        parity=artifact.parity,
    )
