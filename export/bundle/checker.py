"""What is in a bundle (``inspect``), and does all of it hold together and run (``verify``)."""

import os
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from chordkit.errors import BundleError, CheckFailed
from chordkit.export.bundle import reader
from chordkit.export.bundle.manifest import (
    ArtifactEntry,
    BackboneSection,
    DatasetSection,
    MemberEntry,
    Provenance,
    StrategyEntry,
    UserVectorEntry,
    VectorsSection,
)
from chordkit.export.bundle.reader import Bundle
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, Runner
from chordkit.progress import Progress
from chordkit.signing import VerifyingKey

RunnerFactory = Callable[[Bundle, ArtifactEntry], Runner]
"""Loads an artifact of an opened bundle into its runtime."""


class BundleSummary(BaseModel):
    """What a bundle says of itself; nothing is vouched for (see :class:`VerificationReport` for that)."""

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    overhead_bytes: int
    format_version: int
    name: str
    key: str | None
    backbone: BackboneSection
    dataset: DatasetSection
    artifacts: tuple[ArtifactEntry, ...]
    strategies: tuple[StrategyEntry, ...]
    user_vectors: tuple[UserVectorEntry, ...]
    vectors: VectorsSection
    provenance: Provenance
    members: tuple[MemberEntry, ...]


class VectorResult(BaseModel):
    """An artifact run over the bundle's own test vectors on this machine."""

    model_config = ConfigDict(frozen=True)

    artifact: str
    report: ParityReport


class VerificationReport(BaseModel):
    """A verified bundle: what was checked, and how its artifacts ran when that was asked for."""

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    format_version: int
    fingerprint: str
    signed: bool
    key: str | None
    signature_checked: bool
    members: int
    strategies: int
    user_vectors: int
    checks: tuple[str, ...]
    unproven: tuple[str, ...]
    vectors: tuple[VectorResult, ...]
    passed: bool

    def require(self) -> "VerificationReport":
        """This report, if every artifact passed the parity gate when the bundle was made, and reproduced its vectors where it was run.

        Raises:
            CheckFailed: one did not; the sentence names it, and every missed tolerance.
        """
        if self.unproven:
            raise CheckFailed(
                f"{self.path}: artifact {self.unproven[0]} did not pass the parity gate when the bundle was made; make it anew"
            )
        for result in self.vectors:
            result.report.require(f"{self.path}: artifact {result.artifact}")
        return self


def inspect(path: str | os.PathLike[str]) -> BundleSummary:
    """Summarise a bundle without hashing its members.

    Raises:
        BundleError: the container or the manifest cannot be read.
    """
    with reader.open(path, verify=False) as bundle:
        manifest = bundle.manifest
        return BundleSummary(
            path=bundle.label,
            bytes=bundle.size,
            overhead_bytes=bundle.size - sum(member.bytes for member in manifest.members),
            format_version=manifest.format_version,
            name=manifest.name,
            key=None if manifest.signature is None else manifest.signature.key,
            backbone=manifest.backbone,
            dataset=manifest.dataset,
            artifacts=manifest.artifacts,
            strategies=manifest.strategies,
            user_vectors=manifest.user_vectors,
            vectors=manifest.vectors,
            provenance=manifest.provenance,
            members=manifest.members,
        )


def verify(
    path: str | os.PathLike[str],
    public_key: VerifyingKey | None = None,
    *,
    runner_factory: RunnerFactory | None = None,
    artifacts: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Check a bundle to the last byte, parse everything in it, and on request run its artifacts over its test vectors.

    Args:
        path: the ``.chord`` file.
        public_key: required signer; None checks integrity only.
        runner_factory: loads an artifact; None runs none.
        artifacts: names of those to run; None = all.
        progress: called with (phase, done, total).

    Raises:
        BundleError: the bundle is refused, or a member is not what the manifest says it is.
        InputError: the key cannot be used, or a runtime is missing.
    """
    with reader.open(path, public_key) as bundle:
        checks = ["container", "manifest", "members"] + (["signature"] if bundle.signature_checked else [])
        checks += _check_members(bundle)
        unproven = tuple(x.name for x in bundle.manifest.artifacts if x.parity is None or not x.parity.passed)
        checks += [] if unproven else ["parity"]
        names = [entry.name for entry in bundle.manifest.artifacts] if artifacts is None else list(artifacts)
        entries = [bundle.artifact_entry(name) for name in names] if runner_factory is not None else []
        results = tuple(_run(bundle, entry, runner_factory, progress) for entry in entries if runner_factory is not None)
        manifest = bundle.manifest
        return VerificationReport(
            path=bundle.label,
            bytes=bundle.size,
            format_version=manifest.format_version,
            fingerprint=manifest.backbone.fingerprint,
            signed=manifest.signature is not None,
            key=None if manifest.signature is None else manifest.signature.key,
            signature_checked=bundle.signature_checked,
            members=len(manifest.members),
            strategies=len(manifest.strategies),
            user_vectors=len(manifest.user_vectors),
            checks=tuple(checks + ([f"vectors:{result.artifact}" for result in results])),
            unproven=unproven,
            vectors=results,
            passed=not unproven and all(result.report.passed for result in results),
        )


def _check_members(bundle: Bundle) -> list[str]:
    """Parse every member that chordkit itself reads, and hold it against the manifest."""
    section = bundle.manifest.backbone
    master = bundle.master()
    table = tuple((x.name, x.out_channels, x.in_features, x.offset) for x in master.channel_table.layers)
    if table != tuple((x.name, x.out_channels, x.in_features, x.offset) for x in section.channels):
        raise BundleError(f"{bundle.label}: the channel table in manifest.json is not the one of the master weights; make the bundle anew")
    config = {key: list(value) if isinstance(value, tuple) else value for key, value in master.config.items()}
    if config != section.config or str(config.get("architecture")) != section.architecture:
        raise BundleError(
            f"{bundle.label}: the backbone's configuration in manifest.json is not the one of the master weights; make the bundle anew"
        )
    for entry in bundle.manifest.strategies:
        bundle.strategy(entry.name)
    for vector in bundle.manifest.user_vectors:
        bundle.user_vector(vector.name)
    bundle.item_ids()
    bundle.vectors()
    return ["master", "strategies", *(["user_vectors"] if bundle.manifest.user_vectors else []), "items", "vectors"]


def _run(bundle: Bundle, entry: ArtifactEntry, runner_factory: RunnerFactory, progress: Progress | None) -> VectorResult:
    widths = None if entry.strategy is None else bundle.strategy(entry.strategy).widths
    try:
        report = judge(entry, runner_factory(bundle, entry), bundle.master(), widths, bundle.vectors(), progress)
    except CheckFailed as error:
        raise CheckFailed(f"{bundle.label}: artifact {entry.name}: {error}") from None
    return VectorResult(artifact=entry.name, report=report)
