"""The bundle's manifest: what is inside, what each artifact needs, how well it was checked, where it came from.

A manifest has one spelling only (:meth:`Manifest.to_bytes`); :func:`parse` refuses every other one, so that equal
bundles are equal files and nothing can be added that a reader would skip. ``make schemas`` writes the JSON schema beside
this module from the classes here.
"""

import json
import operator
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from chordkit.errors import BundleError
from chordkit.export.artifact import Artifact, Label
from chordkit.export.bundle.container import MAX_BYTES, name_problem
from chordkit.export.parity import ParityReport

FORMAT_VERSION = 2
"""The highest that is read; 2 has user vectors, and a bundle without any is written as 1."""
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MASTER = "master.chrm"
ITEMS = "items.json"
VECTORS = "vectors.safetensors"
MAX_MANIFEST_BYTES = 16 << 20

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0)]
Scalar = int | float | str
OptionValue = bool | int | float | str | None | list[bool | int | float | str | None]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class ChannelEntry(_Model):
    """One layer of the channel table."""

    name: str
    out_channels: Annotated[int, Field(ge=1)]
    in_features: Annotated[int, Field(ge=1)]
    offset: Count


class BackboneSection(_Model):
    """The frozen backbone; ``fingerprint`` is what every strategy for it carries (contract 2)."""

    architecture: str
    config: dict[str, Scalar | list[int]]
    fingerprint: Hex16
    channels: tuple[ChannelEntry, ...]


class DatasetSection(_Model):
    """What the backbone was trained on; the item ids themselves are the member ``items.json``, index 0 is padding."""

    name: str
    fingerprint: Hex64
    users: Count
    items: Annotated[int, Field(ge=1)]
    interactions: Count


class ArtifactEntry(Artifact):
    """An artifact in a bundle.

    Attributes:
        member: the file in the bundle (several artifacts may share one, as native ones share the master).
        requires: package, library or operator -> version it was made and checked with.
        parity: the comparison made when the bundle was made.
    """

    member: str
    requires: dict[str, str]
    parity: ParityReport | None


class StrategyEntry(_Model):
    """One strategy file and the average bits of its channels, counted over weights."""

    name: Label
    member: str
    average_bits: Annotated[float, Field(ge=0, le=8)]


class UserVectorEntry(_Model):
    """One user vector file; a strategy of the same name is the same user's."""

    name: Label
    member: str


class VectorsSection(_Model):
    """Test vectors: ``count`` histories of ``length`` items, ``candidates`` each, scores for each of ``references``.

    They have a user vector for each history where the bundle has user vectors.
    """

    member: str
    count: Count
    length: Count
    candidates: Count
    references: tuple[Label, ...]


class Provenance(_Model):
    """How the model came to be. Holds no time of day: the same run twice gives the same bundle."""

    seed: int
    commit: str | None
    versions: dict[str, str]
    options: dict[str, OptionValue] = {}
    metrics: dict[str, float] = {}


class MemberEntry(_Model):
    """One member's name, size and SHA-256, in file order."""

    name: str
    bytes: Annotated[int, Field(ge=0, le=MAX_BYTES)]
    sha256: Hex64

    @model_validator(mode="after")
    def _name(self) -> "MemberEntry":
        if problem := name_problem(self.name):
            raise ValueError(f"member name {self.name!r}: {problem}")
        return self


class SignatureSection(_Model):
    """Says that ``manifest.sig`` is there, and with which key it was made (see ``chordkit.signing.key_id``)."""

    algorithm: Annotated[str, Field(pattern="^ed25519$")]
    key: Hex16


class Manifest(_Model):
    """``manifest.json`` of a bundle."""

    format_version: Annotated[int, Field(ge=1, le=FORMAT_VERSION)]
    name: Label
    backbone: BackboneSection
    dataset: DatasetSection
    artifacts: tuple[ArtifactEntry, ...]
    strategies: tuple[StrategyEntry, ...]
    user_vectors: tuple[UserVectorEntry, ...] = Field(default=(), exclude_if=operator.not_)
    vectors: VectorsSection
    provenance: Provenance
    members: tuple[MemberEntry, ...]
    signature: SignatureSection | None

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if self.format_version != (needed := format_version(self.user_vectors)):
            raise ValueError(f"format_version: {self.format_version}, and with {len(self.user_vectors)} user vectors it is {needed}")
        listed = {member.name for member in self.members}
        if listed & {MANIFEST, SIGNATURE}:
            raise ValueError("members: the manifest and its signature cannot list themselves")
        if len(listed) != len(self.members):
            raise ValueError("members: a name comes twice")
        used = {MASTER, ITEMS, self.vectors.member}
        used |= {x.member for entries in (self.artifacts, self.strategies, self.user_vectors) for x in entries}
        if used != listed:
            name = min(used ^ listed)
            raise ValueError(f"members: {name!r} is {'not listed' if name in used else 'listed but used by nothing'}")
        for kind in ("artifacts", "strategies", "user_vectors"):
            names = [entry.name for entry in getattr(self, kind)]
            if len(set(names)) != len(names):
                raise ValueError(f"{kind}: a name comes twice")
        strategies = {entry.name for entry in self.strategies}
        for artifact in self.artifacts:
            if artifact.strategy is not None and artifact.strategy not in strategies:
                raise ValueError(f"artifacts: {artifact.name} was made with strategy {artifact.strategy!r}, which is not in the bundle")
            if artifact.reference not in self.vectors.references:
                raise ValueError(f"artifacts: {artifact.name} refers to test vectors {artifact.reference!r}, which are not in the bundle")
            if artifact.user_vector is not bool(self.user_vectors):
                takes, has = ("a", "none") if artifact.user_vector else ("no", "some")
                raise ValueError(f"artifacts: {artifact.name} takes {takes} user vector, and the bundle has {has}")
            if artifact.candidates != self.vectors.candidates:
                raise ValueError(
                    f"artifacts: {artifact.name} scores {artifact.candidates} candidates, the test vectors have {self.vectors.candidates}"
                )
        return self

    def to_bytes(self) -> bytes:
        """The manifest's one spelling: UTF-8 JSON, sorted keys, indented by one space, a final newline."""
        return (json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def artifact(self, name: str) -> ArtifactEntry | None:
        """The artifact called ``name``, or None."""
        return next((entry for entry in self.artifacts if entry.name == name), None)


def format_version(user_vectors: Collection[object]) -> int:
    """The version of a bundle with these user vectors: the lowest that can say what is in it."""
    return 2 if user_vectors else 1


def parse(data: bytes, label: str) -> Manifest:
    """Read a manifest.

    Raises:
        BundleError: not JSON, of a newer format version, not what the schema says, or not in its one spelling.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{label}: {MANIFEST} is {len(data)} bytes long, more than any manifest is; make the bundle anew")
    try:
        version = _format_version(data)
        if version is not None and version > FORMAT_VERSION:
            raise BundleError(
                f"{label}: the bundle has format version {version} and this chordkit reads up to {FORMAT_VERSION}; "
                "update chordkit, or make the bundle with this version"
            )
        manifest = Manifest.model_validate_json(data)
        if manifest.to_bytes() != data:
            raise BundleError(f"{label}: {MANIFEST} is not written the way chordkit writes it; make the bundle anew")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = ": ".join(part for part in (field, first["msg"].removeprefix("Value error, ")) if part)
        raise BundleError(f"{label}: {MANIFEST}: {_printable(reason)}; make the bundle anew") from None
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a lone surrogate, nested without end
        raise BundleError(f"{label}: {MANIFEST} is not JSON; fetch the bundle again or make it anew") from None
    return manifest


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``manifest.json``."""
    schema = Manifest.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "chordkit bundle manifest"}


def _printable(text: str) -> str:
    """``text`` on one line and without control characters: it may quote a stranger's file on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:300])


def _format_version(data: bytes) -> int | None:
    """The announced format version, read before anything else is required of the rest."""
    value = json.loads(data)
    version = value.get("format_version") if isinstance(value, dict) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else None
