"""What is in a bundle (``inspect``), and does all of it hold together and run (``verify``)."""

import os
from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from chordkit.errors import BundleError, CapabilityError, CheckFailed, MasterError
from chordkit.export.artifact import Precision, find_precision
from chordkit.export.bundle import opening, sbom
from chordkit.export.bundle.manifest import (
    MASTER,
    ArtifactEntry,
    BackboneSection,
    DatasetSection,
    MemberEntry,
    Provenance,
    SbomSection,
    StrategyEntry,
    UserVectorEntry,
    VectorsSection,
    WordsSection,
)
from chordkit.export.bundle.opening import Keys
from chordkit.export.bundle.patches import problem_with_patches
from chordkit.export.bundle.reader import Bundle
from chordkit.export.judge import judge
from chordkit.export.parity import (
    FP32_TOLERANCE,
    Expected,
    ParityReport,
    Runner,
    ScoresFn,
    VectorSet,
    compare,
    compare_best,
    depth_for,
    expected_of,
    references,
)
from chordkit.export.targets import Target, all_profiles, find_target
from chordkit.patching import carries_table
from chordkit.progress import Progress
from chordkit.strategy import average_bits

_BITS_ROUNDING = 1e-9  # of a mean of at most 2^32 weights, in float64

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
    counter: int
    key: str | None
    signature_checked: bool
    backbone: BackboneSection
    dataset: DatasetSection
    artifacts: tuple[ArtifactEntry, ...]
    strategies: tuple[StrategyEntry, ...]
    user_vectors: tuple[UserVectorEntry, ...]
    words: WordsSection | None
    vectors: VectorsSection
    provenance: Provenance
    sbom: SbomSection | None
    members: tuple[MemberEntry, ...]


class VectorResult(BaseModel):
    """An artifact run over the bundle's own test vectors on this machine."""

    model_config = ConfigDict(frozen=True)

    artifact: str
    report: ParityReport


class VerificationReport(BaseModel):
    """A verified bundle: what was checked, and how its artifacts ran when that was asked for.

    Attributes:
        checks: what was looked at and is in order.
        unproven: artifacts that did not pass the parity gate when the bundle was made, as the manifest itself says.
        unchecked: artifacts of targets that this chordkit does not know: their hashes are right, and no more can be said.
        vectors: how the artifacts that were run reproduce the test vectors.
        passed: nothing is unproven, and everything that ran agrees.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    format_version: int
    fingerprint: str
    counter: int
    signed: bool
    key: str | None
    signature_checked: bool
    members: int
    strategies: int
    user_vectors: int
    checks: tuple[str, ...]
    unproven: tuple[str, ...]
    unchecked: tuple[str, ...]
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


def inspect(
    path: str | os.PathLike[str], public_key: Keys | None = None, *, revoked: Iterable[str] = (), minimum: int = 0
) -> BundleSummary:
    """Summarise a bundle without hashing its members; keys and ``minimum`` as for :func:`chordkit.export.bundle.open`.

    Raises:
        BundleError: the container or the manifest cannot be read, or the bundle is refused.
        InputError: a key cannot be used.
    """
    with opening.open(path, public_key, revoked=revoked, minimum=minimum, verify=False) as bundle:
        manifest = bundle.manifest
        return BundleSummary(
            path=bundle.label,
            bytes=bundle.size,
            overhead_bytes=bundle.size - sum(member.bytes for member in manifest.members),
            format_version=manifest.format_version,
            name=manifest.name,
            counter=manifest.counter,
            key=None if manifest.signature is None else manifest.signature.key,
            signature_checked=bundle.signature_checked,
            backbone=manifest.backbone,
            dataset=manifest.dataset,
            artifacts=manifest.artifacts,
            strategies=manifest.strategies,
            user_vectors=manifest.user_vectors,
            words=manifest.words,
            vectors=manifest.vectors,
            provenance=manifest.provenance,
            sbom=manifest.sbom,
            members=manifest.members,
        )


def verify(
    path: str | os.PathLike[str],
    public_key: Keys | None = None,
    *,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    runner_factory: RunnerFactory | None = None,
    artifacts: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Check a bundle to the last byte, hold everything in it against everything else, and on request run it over its test vectors.

    What cannot be seen without running is whether an artifact holds this model's numbers: two artifacts of one target and precision may
    have exchanged their bytes before the bundle was signed.

    Args:
        path: the ``.chord`` file.
        public_key: required signer, or several that are accepted; None checks integrity only.
        revoked: identifiers of keys that are no longer accepted.
        minimum: the lowest counter that is accepted.
        runner_factory: loads an artifact; None runs none.
        artifacts: names of those to run; None = all.
        progress: called with (phase, done, total).

    Raises:
        BundleError: the bundle is refused, or a member is not what the manifest says it is.
        CheckFailed: with a ``runner_factory``, the test vectors' scores are not those of the master.
        InputError: the key cannot be used, or a runtime is missing.
    """
    with opening.open(path, public_key, revoked=revoked, minimum=minimum) as bundle:
        checks = ["container", "manifest", "members"] + (["signature"] if bundle.signature_checked else [])
        checks += _check_members(bundle)
        unchecked = _check_artifacts(bundle)
        checks += ["artifacts", *_check_patches(bundle)]
        unproven = tuple(x.name for x in bundle.manifest.artifacts if x.parity is None or not _passed(x.parity))
        checks += [] if unproven else ["parity"]
        names = [entry.name for entry in bundle.manifest.artifacts] if artifacts is None else list(artifacts)
        entries = [bundle.artifact_entry(name) for name in names] if runner_factory is not None else []
        _check_references(bundle, entries)
        results = tuple(_run(bundle, entry, runner_factory, progress) for entry in entries if runner_factory is not None)
        manifest = bundle.manifest
        return VerificationReport(
            path=bundle.label,
            bytes=bundle.size,
            format_version=manifest.format_version,
            fingerprint=manifest.backbone.fingerprint,
            counter=manifest.counter,
            signed=manifest.signature is not None,
            key=None if manifest.signature is None else manifest.signature.key,
            signature_checked=bundle.signature_checked,
            members=len(manifest.members),
            strategies=len(manifest.strategies),
            user_vectors=len(manifest.user_vectors),
            checks=tuple(checks + ([f"vectors:{result.artifact}" for result in results])),
            unproven=unproven,
            unchecked=unchecked,
            vectors=results,
            passed=not unproven and all(result.report.passed for result in results),
        )


def _check_members(bundle: Bundle) -> list[str]:
    """Parse every member that chordkit itself reads, and hold it against the manifest."""
    section = bundle.manifest.backbone
    master = bundle.master()
    try:
        master.require_origin()
    except MasterError as error:
        raise BundleError(f"{bundle.label}: {MASTER}: {error}; make the bundle anew") from None
    table = tuple((x.name, x.out_channels, x.in_features, x.offset) for x in master.channel_table.layers)
    if table != tuple((x.name, x.out_channels, x.in_features, x.offset) for x in section.channels):
        raise BundleError(f"{bundle.label}: the channel table in manifest.json is not the one of the master weights; make the bundle anew")
    config = {key: list(value) if isinstance(value, tuple) else value for key, value in master.config.items()}
    if config != section.config or str(config.get("architecture")) != section.architecture:
        raise BundleError(
            f"{bundle.label}: the backbone's configuration in manifest.json is not the one of the master weights; make the bundle anew"
        )
    for entry in bundle.manifest.strategies:
        bits = average_bits(bundle.strategy(entry.name).widths, master.channel_table)
        if abs(bits - entry.average_bits) > _BITS_ROUNDING:
            raise BundleError(
                f"{bundle.label}: strategy {entry.name} has {bits:.4f} average bits, and manifest.json says {entry.average_bits:.4f}; "
                "make the bundle anew"
            )
    for vector in bundle.manifest.user_vectors:
        bundle.user_vector(vector.name)
    if bundle.manifest.dataset.items != master.items:
        raise BundleError(
            f"{bundle.label}: manifest.json speaks of {bundle.manifest.dataset.items} items, the master weights have {master.items}; "
            "make the bundle anew"
        )
    bundle.item_ids()
    words = (["names"] if bundle.item_names() else []) + (["categories"] if bundle.item_categories() else [])
    if bundle.vectors().histories.shape[1] != section.config.get("max_length"):
        raise BundleError(
            f"{bundle.label}: the test vectors' histories are not of the length that the backbone takes; make the bundle anew"
        )
    checked = ["master", "strategies", *(["user_vectors"] if bundle.manifest.user_vectors else []), "items", *words, "vectors"]
    if bundle.manifest.sbom is None:
        return checked
    name = bundle.manifest.sbom.member
    others = {member.name: member for member in bundle.manifest.members if member.name != name}
    if problem := sbom.problem(bytes(bundle.member(name)), others):
        raise BundleError(f"{bundle.label}: {name}: {problem}; make the bundle anew")
    return [*checked, "sbom"]


def _check_artifacts(bundle: Bundle) -> tuple[str, ...]:
    """Hold every artifact against what its target can run and what its files look like; names of those whose target is unknown here."""
    unknown = []
    for entry in bundle.manifest.artifacts:
        try:
            target = find_target(entry.target)
        except CapabilityError:
            unknown.append(entry.name)
            continue
        if problem := _problem_with_artifact(bundle, entry, target):
            raise BundleError(f"{bundle.label}: artifact {entry.name}: {problem}; make the bundle anew")
    return tuple(unknown)


def _check_patches(bundle: Bundle) -> list[str]:
    """Hold every patch table against the master weights and against the artifacts that were exported for strategies."""
    files = [(entry, bundle.artifact(entry.name)) for entry in bundle.manifest.artifacts if entry.member != MASTER]
    if not any(carries_table(data) for _, data in files):
        return []
    wires = {entry.name: bundle.strategy_bytes(entry.name) for entry in bundle.manifest.strategies}
    if problem := problem_with_patches(files, bundle.master(), wires):
        raise BundleError(f"{bundle.label}: {problem}; make the bundle anew")
    return ["patches"]


def _problem_with_artifact(bundle: Bundle, entry: ArtifactEntry, target: Target) -> str | None:
    """What an artifact of a known target cannot be, or None."""
    suffix, runtime = target.capability.suffix, target.capability.runtime
    if entry.member != (MASTER if suffix is None else f"artifacts/{entry.name}{suffix}"):
        return f"it lies in {entry.member}, and {target} runs {'from the master weights' if suffix is None else f'{suffix} files'}"
    if entry.reference != (entry.strategy or entry.precision) or (entry.strategy is None) is (entry.precision == Precision.STRATEGY):
        return f"precision {entry.precision}, strategy {entry.strategy} and reference {entry.reference} do not belong together"
    if missing := sorted({*target.capability.operators, "chordkit" if runtime is None else runtime[0]} - entry.requires.keys()):
        return f"it requires {missing[0]}, and manifest.json does not say so"
    if entry.parity is not None and entry.parity.candidates != entry.candidates:
        return f"it was compared with {entry.parity.candidates} candidates and scores {entry.candidates}"
    widths = None if entry.strategy is None else bundle.strategy(entry.strategy).widths
    try:
        target.check_shape(entry)
        target.check(
            bundle.manifest.backbone.architecture,
            find_precision(entry.precision),
            activations=entry.activations,
            widths=widths,
            user_vector=entry.user_vector,
            runtime=entry.runtime if entry.runtime in {profile.name for profile in all_profiles()} else None,
            layout=entry.layout,
        )
    except CapabilityError as error:
        return str(error)
    return None if suffix is None else target.problem_with_file(bundle.artifact(entry.name))


def _passed(report: ParityReport) -> bool:
    """Whether a report passes by its own figures and not by its own word alone."""
    limits = report.tolerance
    return (
        report.passed
        and not report.reasons
        and report.n > 0
        and report.non_finite == 0
        and report.score_spread > 0
        and report.relative_rms_error <= limits.relative_rms_error
        and report.max_relative_error <= limits.max_relative_error
        and report.kendall_tau >= limits.kendall_tau
        and report.top10_overlap >= limits.top10_overlap
        and abs(report.ndcg_difference) <= limits.ndcg_difference
    )


def _check_references(bundle: Bundle, entries: Sequence[ArtifactEntry]) -> None:
    """The scores that quantised artifacts are held against are those of this bundle's master; floats are in no bundle."""
    quantised = [entry for entry in entries if entry.precision != Precision.FP32]
    if not quantised:
        return
    vectors, strategies = bundle.vectors(), {each.strategy for each in quantised if each.strategy is not None}
    known = references(bundle.master(), None, {name: bundle.strategy(name) for name in sorted(strategies)})
    for name in sorted({entry.reference for entry in quantised}):
        report = compare(vectors.scores[name], known[name](*vectors.inputs), FP32_TOLERANCE.for_few(len(vectors.histories)))
        report.require(f"{bundle.label}: {name} of the test vectors")
        if name in vectors.best:
            _check_best(bundle, name, vectors, known[name])


def _check_best(bundle: Bundle, name: str, vectors: VectorSet, known: ScoresFn) -> None:
    """The reference's best of the whole catalogue are the master's own."""
    items, given = bundle.master().items, vectors.best[name]
    best = vectors.with_best({name: known}, depth_for(given.ids.shape[1], items)).best[name]
    expected = Expected(best.ids, best.scores, True, expected_of(vectors.candidates, vectors.scores[name]).spread)
    compare_best(given, expected, FP32_TOLERANCE, candidates=items).require(f"{bundle.label}: the best of {name} in the test vectors")


def _run(bundle: Bundle, entry: ArtifactEntry, runner_factory: RunnerFactory, progress: Progress | None) -> VectorResult:
    widths = None if entry.strategy is None else bundle.strategy(entry.strategy).widths
    try:
        report = judge(
            entry, runner_factory(bundle, entry), bundle.master(), widths, bundle.vectors(), progress, bundle.artifact(entry.name)
        )
    except CheckFailed as error:
        raise CheckFailed(f"{bundle.label}: artifact {entry.name}: {error}") from None
    return VectorResult(artifact=entry.name, report=report)
