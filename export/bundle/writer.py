"""From a trained, exported and checked model to the bytes of a bundle."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field

from chordkit.errors import BundleError, CheckFailed
from chordkit.export.artifact import Artifact, is_label
from chordkit.export.bundle import catalogue, container, sbom
from chordkit.export.bundle.manifest import (
    CATEGORIES,
    FORMAT_VERSION,
    ITEMS,
    MANIFEST,
    MASTER,
    NAMES,
    SBOM,
    SIGNATURE,
    VECTORS,
    ArtifactEntry,
    BackboneSection,
    ChannelEntry,
    DatasetSection,
    Manifest,
    MemberEntry,
    Provenance,
    SbomSection,
    SignatureSection,
    StrategyEntry,
    UserVectorEntry,
    VectorsSection,
    WordsSection,
    parse,
)
from chordkit.export.bundle.patches import problem_with_patches
from chordkit.export.parity import ParityReport, VectorSet, problem_with
from chordkit.export.targets import find_target, runtime_range
from chordkit.files import atomic_writer
from chordkit.quantization import MasterWeights
from chordkit.signing import SigningKey, key_id, load_private_key
from chordkit.strategy import Strategy, UserVector, average_bits, encode_user_vector, to_wire

if TYPE_CHECKING:
    from chordkit.data import Dataset


class ArtifactContents(Artifact):
    """An artifact to be bundled.

    Attributes:
        data: the file's bytes; None for a target without files, whose artifacts run from the master itself.
        requires: package, library or operator -> version; empty = what its target needs here.
        parity: the comparison made with it; without one, or with one that it did not pass, it goes into no bundle.
    """

    data: bytes | None = Field(repr=False)
    requires: dict[str, str] = Field(default_factory=dict)
    parity: ParityReport | None = None


@dataclass(frozen=True)
class BundleContents:
    """Everything that goes into a bundle.

    ``item_ids`` are the data set's own ids by index, ``""`` for padding at index 0; ``item_names`` and ``item_categories`` are words for
    people by the same index, each empty where there are none. ``vectors`` have the scores of
    every reference that an artifact names. With ``user_vectors``, which are named as their users' strategies are, every artifact takes
    a user vector and ``vectors`` have one for each history; without, none does. ``temperature`` makes logits of scores, None = not
    known. ``counter`` grows from release to release, so that devices can refuse to go back; 0 = not counted. With ``sbom`` a bill of
    materials travels inside.
    """

    name: str
    master: MasterWeights
    dataset: DatasetSection
    item_ids: Sequence[str]
    artifacts: Sequence[ArtifactContents]
    strategies: Mapping[str, Strategy]
    vectors: VectorSet
    provenance: Provenance
    user_vectors: Mapping[str, UserVector] = field(default_factory=dict)
    item_names: Sequence[str] = ()
    item_categories: Sequence[str] = ()
    temperature: float | None = None
    counter: int = 0
    sbom: bool = False


def dataset_section(dataset: "Dataset") -> DatasetSection:
    """What the manifest says of a data set."""
    return DatasetSection(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        users=dataset.users,
        items=dataset.items,
        interactions=dataset.interactions,
    )


def write(path: str | os.PathLike[str], contents: BundleContents, signing_key: SigningKey | None = None) -> Manifest:
    """Write a bundle: complete under its name, or not at all. The same contents and key give the same bytes.

    Args:
        path: where, by custom ending in ``.chord``.
        contents: what goes in.
        signing_key: an Ed25519 key or the PEM file that holds it; None leaves the bundle unsigned.

    Raises:
        BundleError: the contents do not fit together, or are larger than a bundle can be.
        CapabilityError: an artifact is of an unknown target.
        CheckFailed: an artifact missed its tolerance or was never compared, or a patch table does not make what was exported; nothing is
            written or signed.
        InputError: the key cannot be used.
        MissingRuntimeError: an SBOM is wanted, and the package that writes it is not installed.
    """
    for artifact in contents.artifacts:
        if artifact.parity is None:
            raise CheckFailed(f"bundle: artifact {artifact.name} was never compared with its reference; chordkit.export.assembly does it")
        artifact.parity.require(f"artifact {artifact.name}")
    members = _members(contents)
    wires = {name: to_wire(strategy) for name, strategy in contents.strategies.items()}
    files = [(artifact, artifact.data) for artifact in contents.artifacts if artifact.data is not None]
    if problem := problem_with_patches(files, contents.master, wires):
        raise CheckFailed(f"bundle: {problem}; export all artifacts again")
    key = None if signing_key is None else load_private_key(signing_key)
    signature = None if key is None else SignatureSection(algorithm="ed25519", key=key_id(key.public_key()))
    manifest = _manifest(contents, members, signature)
    data = manifest.to_bytes()
    parse(data, "bundle")  # what no reader takes is not signed
    framed: list[tuple[str, bytes | memoryview]] = [(MANIFEST, data)]
    if key is not None:
        framed.append((SIGNATURE, key.sign(data)))
    with atomic_writer(path) as stream:
        container.write(stream, [*framed, *members.items()])
    return manifest


def _members(contents: BundleContents) -> dict[str, bytes]:
    """Every member but the manifest and its signature, in file order."""
    for kind, names in (
        ("strategy", contents.strategies),
        ("user vector", contents.user_vectors),
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
    if problem := catalogue.problem_with_ids(contents.item_ids):
        raise BundleError(f"bundle: the item ids cannot be used: {problem}")
    for member, words in _words(contents).items():
        if problem := catalogue.problem_with_words(words, items):
            raise BundleError(f"bundle: {member} cannot be written: {problem}; chordkit.export.bundle.fitting_words mends its texts")
    if problem := problem_with(contents.vectors, items):
        raise BundleError(f"bundle: the test vectors cannot be used: {problem}")
    contents.master.require_origin()
    channels, fingerprint = contents.master.channel_table.channels, contents.master.fingerprint
    for name, strategy in contents.strategies.items():
        if len(strategy.widths) != channels or strategy.fingerprint != fingerprint:
            raise BundleError(f"bundle: strategy {name!r} was made for another backbone; make it with this bundle's master weights")
    dim, users = contents.master.dim, contents.vectors.users
    for name, vector in contents.user_vectors.items():
        if len(vector.codes) != dim or vector.fingerprint != fingerprint:
            raise BundleError(f"bundle: user vector {name!r} was made for another backbone; make it for this bundle's master weights")
    if (None if users is None else users.shape[1]) != (dim if contents.user_vectors else None):
        raise BundleError(f"bundle: the test vectors need user vectors of {dim} numbers where the bundle has user vectors, and only there")
    members = {MASTER: contents.master.to_bytes()}
    members |= {f"strategies/{name}.chrd": to_wire(strategy) for name, strategy in contents.strategies.items()}
    members |= {f"user_vectors/{name}.chru": encode_user_vector(vector) for name, vector in contents.user_vectors.items()}
    for artifact in contents.artifacts:
        member = _artifact_member(artifact)
        if artifact.data is not None:
            if member in members:
                raise BundleError(f"bundle: two artifacts are called {artifact.name!r}; give each its own name")
            members[member] = artifact.data
    members[ITEMS] = catalogue.to_bytes(contents.item_ids)
    members |= {member: catalogue.to_bytes(words) for member, words in _words(contents).items()}
    members[VECTORS] = contents.vectors.to_bytes()
    if contents.sbom:
        files = {artifact.name: _artifact_member(artifact) for artifact in contents.artifacts}
        members[SBOM] = sbom.document(contents.name, members, _requirements(contents), files, contents.provenance)
    return members


def _words(contents: BundleContents) -> dict[str, Sequence[str]]:
    """The members with words for people: those that hold any."""
    return {name: words for name, words in ((NAMES, contents.item_names), (CATEGORIES, contents.item_categories)) if any(words)}


def _requirements(contents: BundleContents) -> dict[str, dict[str, str]]:
    """Per artifact what it requires."""
    return {artifact.name: artifact.requires or find_target(artifact.target).requires() for artifact in contents.artifacts}


def _artifact_member(artifact: ArtifactContents) -> str:
    suffix = find_target(artifact.target).capability.suffix
    if (artifact.data is None) is not (suffix is None):
        raise BundleError(
            f"bundle: artifact {artifact.name!r} has no bytes, and {artifact.target} runs from a file; export it first"
            if artifact.data is None
            else f"bundle: artifact {artifact.name!r} has a file, and {artifact.target} runs from the master weights; leave the file out"
        )
    return MASTER if suffix is None else f"artifacts/{artifact.name}{suffix}"


def _manifest(contents: BundleContents, members: Mapping[str, bytes], signature: SignatureSection | None) -> Manifest:
    master = MasterWeights.from_bytes(members[MASTER])  # as a reader will see it: the file's numbers are 32 bits wide
    table = master.channel_table
    vectors, requires = contents.vectors, _requirements(contents)
    try:
        return Manifest(
            format_version=FORMAT_VERSION,
            name=contents.name,
            counter=contents.counter,
            backbone=BackboneSection(
                architecture=str(master.config["architecture"]),
                config={key: list(value) if isinstance(value, tuple) else value for key, value in master.config.items()},
                fingerprint=master.fingerprint.hex(),
                channels=tuple(
                    ChannelEntry(name=x.name, out_channels=x.out_channels, in_features=x.in_features, offset=x.offset) for x in table.layers
                ),
                temperature=contents.temperature,
            ),
            dataset=contents.dataset,
            artifacts=tuple(_artifact_entry(artifact, contents, requires[artifact.name]) for artifact in contents.artifacts),
            strategies=tuple(
                StrategyEntry(name=name, member=f"strategies/{name}.chrd", average_bits=float(average_bits(strategy.widths, table)))
                for name, strategy in contents.strategies.items()
            ),
            user_vectors=tuple(UserVectorEntry(name=name, member=f"user_vectors/{name}.chru") for name in contents.user_vectors),
            words=_words_section(members),
            vectors=VectorsSection(
                member=VECTORS,
                count=len(vectors.histories),
                length=vectors.histories.shape[1],
                candidates=vectors.candidates.shape[1],
                references=tuple(sorted(vectors.scores)),
            ),
            provenance=contents.provenance,
            sbom=SbomSection(member=SBOM, format=sbom.FORMAT) if contents.sbom else None,
            members=tuple(
                MemberEntry(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in members.items()
            ),
            signature=signature,
        )
    except ValueError as error:  # pydantic's ValidationError is one
        details = getattr(error, "errors", None)
        reason = details(include_url=False)[0]["msg"].removeprefix("Value error, ") if details else str(error)
        raise BundleError(f"bundle: the contents do not fit together: {reason}") from None


def _words_section(members: Mapping[str, bytes]) -> WordsSection | None:
    there = {"names": NAMES if NAMES in members else None, "categories": CATEGORIES if CATEGORIES in members else None}
    return WordsSection.model_validate(there) if any(there.values()) else None


def _artifact_entry(artifact: ArtifactContents, contents: BundleContents, requires: dict[str, str]) -> ArtifactEntry:
    strategy = None if artifact.strategy is None else contents.strategies.get(artifact.strategy)
    runs_on = runtime_range(artifact, contents.master, None if strategy is None else strategy.widths)
    return ArtifactEntry.of(artifact, member=_artifact_member(artifact), requires=requires, parity=artifact.parity, runs_on=runs_on)
