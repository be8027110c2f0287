"""The bundle's manifest: what is inside, what each artifact needs, how well it was checked, where it came from.

A manifest has one spelling only (:meth:`Manifest.to_bytes`); :func:`parse` refuses every other one, so that equal
bundles are equal files and nothing can be added that a reader would skip. ``make schemas`` writes the JSON schema beside
this module from the classes here.

A bundle that is opened without a key brings a stranger's manifest, so what parsing costs is bounded by this module and not by its bytes:
first their number, then depth, lengths and number of the values, and only what is left meets the classes, where the first error ends it.
"""

import json
import operator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from chordkit.documents import Document, parse_json
from chordkit.errors import BundleError
from chordkit.export.artifact import Artifact, Label, RuntimeRange
from chordkit.export.bundle.container import MAX_BYTES, MAX_MEMBERS, name_problem
from chordkit.export.parity import ParityReport

FORMAT_VERSION = 5
"""The one that is written, and the highest that is read: 2 brought user vectors, 3 the counter, the lock's hash and the SBOM, 4 words for
items, masters whose catalogue has grown, and the temperature, 5 what runtimes an artifact runs on, layouts, and other shapes of calls."""
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
MASTER = "master.chrm"
ITEMS = "items.json"
NAMES = "names.json"
CATEGORIES = "categories.json"
VECTORS = "vectors.safetensors"
SBOM = "sbom.cdx.json"

# An artifact takes about 2,000 bytes of a manifest, a strategy 270: 500 of the one or 3,900 of the other, forty times the largest so far.
MAX_MANIFEST_BYTES = 1 << 20
MAX_DEPTH = 8
MAX_LIST = MAX_MEMBERS
MAX_FIELDS = 256
MAX_TEXT = 4096
MAX_VALUES = 1 << 16
MAX_COUNTER = 2**53 - 1  # what every JSON reader can hold

Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0)]
Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Field(strict=False)]
"""What JSON has as a list."""
Scalar = int | float | str
OptionValue = bool | int | float | str | None | list[bool | int | float | str | None]
Counter = Annotated[int, Field(ge=0, le=MAX_COUNTER)]


def _is_none(value: object) -> bool:
    return value is None


class _Model(Document):
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
    """The frozen backbone; ``fingerprint`` is what every strategy for it carries (contract 2).

    ``temperature`` is what its scores are divided by to be logits of what people choose, which a phone needs that trains for its user;
    None = not known.
    """

    architecture: str
    config: dict[str, Scalar | list[int]]
    fingerprint: Hex16
    channels: Several[ChannelEntry]
    temperature: Annotated[float, Field(gt=0, le=1e6)] | None = Field(default=None, exclude_if=_is_none)


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
        runs_on: the versions of its runtime that it runs on; None = it runs on no package, or no other version was tried.
    """

    member: str
    requires: dict[str, str]
    parity: ParityReport | None
    runs_on: RuntimeRange | None = Field(default=None, exclude_if=_is_none)


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
    references: Several[Label]


class Provenance(_Model):
    """How the model came to be. Holds no time of day: the same run twice gives the same bundle.

    Attributes:
        seed: of everything random.
        commit: of the checkout that made it, with a ``+`` where files differed from it; None outside a checkout.
        versions: of the packages that computed.
        lock_sha256: of everything that was installed to compute with, see :func:`chordkit.provenance.lock`; None where it was not said.
        options: of training.
        metrics: of the trained model.
    """

    seed: int
    commit: str | None
    versions: dict[str, str]
    lock_sha256: Hex64 | None = Field(default=None, exclude_if=_is_none)
    options: dict[str, OptionValue] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)


class WordsSection(_Model):
    """Words for people, by index like ``items.json``, "" where an item has none: the members that hold names and categories."""

    names: Literal["names.json"] | None = Field(default=None, exclude_if=_is_none)
    categories: Literal["categories.json"] | None = Field(default=None, exclude_if=_is_none)

    @property
    def members(self) -> set[str]:
        """Those that are there."""
        return {member for member in (self.names, self.categories) if member is not None}

    @model_validator(mode="after")
    def _not_empty(self) -> "WordsSection":
        if not self.members:
            raise ValueError("words: neither names nor categories")
        return self


class SbomSection(_Model):
    """The bill of materials, a CycloneDX document: what the other members are, and the packages they need."""

    member: str
    format: Annotated[str, Field(pattern=r"^CycloneDX \d+\.\d+$")]


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
    """``manifest.json`` of a bundle.

    ``counter`` grows with every release of a bundle, so that a device can refuse to go back; 0 = never counted, as all before version 3.
    """

    format_version: Annotated[int, Field(ge=1, le=FORMAT_VERSION)]
    name: Label
    counter: Counter = 0
    backbone: BackboneSection
    dataset: DatasetSection
    artifacts: Several[ArtifactEntry]
    strategies: Several[StrategyEntry]
    user_vectors: Several[UserVectorEntry] = Field(default=(), exclude_if=operator.not_)
    words: WordsSection | None = Field(default=None, exclude_if=_is_none)
    vectors: VectorsSection
    provenance: Provenance
    sbom: SbomSection | None = Field(default=None, exclude_if=_is_none)
    members: Several[MemberEntry]
    signature: SignatureSection | None

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        self._require_version()
        listed = {member.name for member in self.members}
        if listed & {MANIFEST, SIGNATURE}:
            raise ValueError("members: the manifest and its signature cannot list themselves")
        if len(listed) != len(self.members):
            raise ValueError("members: a name comes twice")
        used = {MASTER, ITEMS, self.vectors.member} | ({self.sbom.member} if self.sbom else set())
        used |= self.words.members if self.words else set()
        used |= {x.member for entries in (self.artifacts, self.strategies, self.user_vectors) for x in entries}
        if used != listed:
            name = min(used ^ listed)
            raise ValueError(f"members: {name!r} is {'not listed' if name in used else 'listed but used by nothing'}")
        for kind in ("artifacts", "strategies", "user_vectors"):
            names = [entry.name for entry in getattr(self, kind)]
            if len(set(names)) != len(names):
                raise ValueError(f"{kind}: a name comes twice")
        self._require_names()
        strategies, references = {entry.name for entry in self.strategies}, set(self.vectors.references)
        for artifact in self.artifacts:
            if artifact.strategy is not None and artifact.strategy not in strategies:
                raise ValueError(f"artifacts: {artifact.name} was made with strategy {artifact.strategy!r}, which is not in the bundle")
            if artifact.reference not in references:
                raise ValueError(f"artifacts: {artifact.name} refers to test vectors {artifact.reference!r}, which are not in the bundle")
            if artifact.user_vector is not bool(self.user_vectors):
                takes, has = ("a", "none") if artifact.user_vector else ("no", "some")
                raise ValueError(f"artifacts: {artifact.name} takes {takes} user vector, and the bundle has {has}")
            if artifact.catalogue and artifact.candidates != self.dataset.items:
                raise ValueError(
                    f"artifacts: {artifact.name} chooses among {artifact.candidates} items, the data set has {self.dataset.items}"
                )
            if not artifact.catalogue and artifact.candidates != self.vectors.candidates:
                raise ValueError(
                    f"artifacts: {artifact.name} scores {artifact.candidates} candidates, the test vectors have {self.vectors.candidates}"
                )
        return self

    def _require_version(self) -> None:
        """A manifest of an older version says nothing that its version could not say."""
        if self.format_version < 3:
            if self.format_version != (needed := 2 if self.user_vectors else 1):
                raise ValueError(f"format_version: {self.format_version}, and with {len(self.user_vectors)} user vectors it is {needed}")
            if self.counter or self.sbom or self.provenance.lock_sha256:
                raise ValueError(f"format_version: {self.format_version}, and a counter, an SBOM and the lock's hash came with 3")
        if self.format_version < 4 and (self.words or self.backbone.temperature):
            raise ValueError(f"format_version: {self.format_version}, and words for items and the temperature came with 4")
        if self.format_version < 5 and any(entry.is_special or entry.runs_on is not None for entry in self.artifacts):
            raise ValueError(f"format_version: {self.format_version}, and runtimes, layouts and shapes of calls of an artifact came with 5")

    def _require_names(self) -> None:
        """An entry's member is called as the entry is, so that two of them cannot be exchanged by their names."""
        for kind, entries, ending in (("strategies", self.strategies, ".chrd"), ("user_vectors", self.user_vectors, ".chru")):
            for entry in entries:
                if entry.member != f"{kind}/{entry.name}{ending}":
                    raise ValueError(f"{kind}: {entry.name} lies in {entry.member}, and its member is {kind}/{entry.name}{ending}")
        for artifact in self.artifacts:
            if artifact.member != MASTER and artifact.member.rpartition(".")[0] != f"artifacts/{artifact.name}":
                raise ValueError(f"artifacts: {artifact.name} lies in {artifact.member}, and its member is called as it is")

    def to_bytes(self) -> bytes:
        """The manifest's one spelling: UTF-8 JSON, sorted keys, indented by one space, a final newline."""
        document = self.model_dump(mode="json", exclude={"counter"} if self.format_version < 3 else None)
        return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def parse(data: bytes, label: str) -> Manifest:
    """Read a manifest, at a cost that does not depend on what is in it: tenths of a second and some 30 MB for the worst.

    Raises:
        BundleError: too large, not JSON, of a newer format version, not what the schema says, or not in its one spelling.
    """
    require_size(len(data), label)
    try:
        document = parse_json(data, MAX_MANIFEST_BYTES)
        if problem := _problem_with_size(document):
            raise BundleError(f"{label}: {MANIFEST} {problem}; make the bundle anew")
        version = _format_version(document)
        if version is not None and version > FORMAT_VERSION:
            raise BundleError(
                f"{label}: the bundle has format version {version} and this chordkit reads up to {FORMAT_VERSION}; "
                "update chordkit, or make the bundle with this version"
            )
        if version is not None and version >= 3 and "counter" not in document:
            raise BundleError(f"{label}: {MANIFEST}: counter: Field required; make the bundle anew")
        # Not from the bytes: each of its errors would hold a copy of what is wrong, and of the whole document where a field is missing.
        manifest = Manifest.model_validate(document)
        if manifest.to_bytes() != data:
            raise BundleError(f"{label}: {MANIFEST} is not written the way chordkit writes it; make the bundle anew")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = ": ".join(part for part in (field, first["msg"].removeprefix("Value error, ")) if part)
        raise BundleError(f"{label}: {MANIFEST}: {_printable(reason)}; make the bundle anew") from None
    except ValueError:  # not UTF-8, not JSON, a lone surrogate, a name twice, nested without end
        raise BundleError(f"{label}: {MANIFEST} is not JSON; fetch the bundle again or make it anew") from None
    return manifest


def require_size(size: int, label: str) -> None:
    """Refuse a manifest by its length, before a byte of it is looked at.

    Raises:
        BundleError: it is longer than any manifest is.
    """
    if size > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{label}: {MANIFEST} is {size:,} bytes long, more than the {MAX_MANIFEST_BYTES:,} of the longest; "
            "make the bundle anew, with fewer strategies or artifacts"
        )


def _problem_with_size(document: object) -> str | None:
    """What of a parsed document is longer or deeper than a manifest has it, or None; a level at a time, so nothing recurses."""
    level, values = [document], 0
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            if isinstance(value, str) and len(value) > MAX_TEXT:
                return f"holds a text of {len(value):,} characters, where {MAX_TEXT:,} are possible"
            if isinstance(value, list):
                if len(value) > MAX_LIST:
                    return f"holds a list of {len(value):,} entries, where {MAX_LIST:,} are possible"
                below += value
            if isinstance(value, dict):
                if len(value) > MAX_FIELDS:
                    return f"holds an object of {len(value):,} fields, where {MAX_FIELDS} are possible"
                if max(map(len, value), default=0) > MAX_TEXT:
                    return f"has a field whose name is longer than {MAX_TEXT:,} characters"
                below += value.values()
        values += len(below)
        if values > MAX_VALUES:
            return f"holds more than {MAX_VALUES:,} values"
        if not below:
            return None
        level = below
    return f"is nested more than {MAX_DEPTH} deep"


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``manifest.json``."""
    schema = Manifest.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "chordkit bundle manifest"}


def _printable(text: str) -> str:
    """``text`` on one line and without control characters: it may quote a stranger's file on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:300])


def _format_version(document: object) -> int | None:
    """The announced format version, read before anything else is required of the rest."""
    version = document.get("format_version") if isinstance(document, dict) else None
    return version if isinstance(version, int) and not isinstance(version, bool) else None
