"""Benchmark the artifacts of one or several bundles: on this host with eager PyTorch beside them, or on a device."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import CheckFailed, DeviceError, InputError
from chordkit.export import bundle as bundles
from chordkit.export.bundle import MASTER, ArtifactEntry, Bundle, Keys
from chordkit.export.judge import judge
from chordkit.export.parity import Best, Ids, Scores, VectorSet, depth_for, references
from chordkit.export.targets import Target, find_target
from chordkit.progress import Progress
from chordkit.runtime_bench.app import SUFFIX, AppPart, require_modes
from chordkit.runtime_bench.contender import Argument, Contender, RunnerSpec
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.profiling import profiled
from chordkit.runtime_bench.protocol import HOST, run_host
from chordkit.runtime_bench.results import BenchReport, Settings
from chordkit.runtime_bench.runners.launch import NATIVE
from chordkit.runtime_bench.samples import SampleWriter
from chordkit.runtime_bench.session import run_on_device
from chordkit.signing import TrustedKeys, raw_key

EAGER = "pytorch-eager"
USER_OPERATOR = "chord::rerank_for.out"
"""Takes a user vector in its wire form, as the native engine does; graphs take float32."""
Vectors = NDArray[np.float32]
_HOST_ALONE = "what gives the best, or takes several histories a call, is measured on the host alone (--device host)"


def bench_bundles(
    paths: Sequence[str | os.PathLike[str]],
    artifacts: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    device: Device | None = None,
    baseline: str | None = None,
    samples: SampleWriter | None = None,
    profile: bool = False,
    *,
    public_key: Keys | None = None,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    app: str | None = None,
) -> BenchReport:
    """Time artifacts of one or several bundles over the histories of the first one's test vectors, once their scores are right there.

    On the host all take turns in every launch, and eager PyTorch, the model of the first, runs beside them. On a device they take
    turns, launch by launch. An artifact goes by its name, or, where two bundles have one of that name, by the bundle's file and its
    name, ``shop/litert-int8``.

    Artifacts that take a user vector have one: that of their strategy's user, else the bundle's first.

    A bundle is read once. What is loaded here, or pushed to a device, are copies of the bytes that were verified, in a folder that only
    this user can read; nothing asks for the bundle's path again.

    Args:
        paths: the bundles, which must take the same histories and candidates; each is verified first.
        artifacts: names in the bundles; None = all, on a device all that it can run.
        settings: the protocol.
        progress: called with (phase, done, total).
        device: what measures; None = this host.
        baseline: what ratios are taken against; None = eager PyTorch on the host, the first FP32 artifact that ran on a device.
        samples: takes the raw samples.
        profile: on an emulated device, the native engine's instructions by layer and function as well.
        public_key: required signer of every bundle, or several that are accepted; None checks integrity only.
        revoked: identifiers of keys that are no longer accepted.
        minimum: the lowest counter that is accepted.
        app: package of the installed demo app, in which the native artifacts are measured as well, as ``NAME@app``. It takes one bundle
            and its public key, since the app opens none that nobody vouches for.

    Raises:
        BundleError: a bundle is refused, or an artifact is in none of them.
        InputError: the bundles do not take the same input, or an FP32 artifact has no reference over the first one's histories.
        CapabilityError: a runtime of this host is older than those that an artifact runs on.
        DeviceError: an artifact cannot be loaded, or the device failed.
        CheckFailed: the scores of an artifact are not those of its reference.
    """
    if app is not None:
        _require_app(paths, device, public_key, settings)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chordkit-bench-")))
        opened = [stack.enter_context(bundles.open(path, public_key, revoked=revoked, minimum=minimum)) for path in paths]
        chosen = _chosen(opened, artifacts)
        vectors = opened[0].vectors()
        for path, bundle in zip(paths, opened, strict=True):
            if _input(bundle) != _input(opened[0]):
                raise InputError(f"{path}: it takes other histories, items or candidates than {paths[0]}; measure the two apart")
        contenders = []
        for number, (path, bundle, entries) in enumerate(zip(paths, opened, chosen, strict=True)):
            others = {entry.name for index, each in enumerate(chosen) if index != number for entry in each}
            for entry in entries:
                if device is None or device.name == HOST:
                    find_target(entry.target).require_runtime(entry.runs_on, entry.name)
                name = f"{Path(path).stem}/{entry.name}" if entry.name in others else entry.name
                contenders.append(_contender(name, bundle, entry, vectors, folder / str(number)))
        if app is not None and public_key is not None:
            contenders += _in_app(opened[0], chosen[0], app, TrustedKeys.of(public_key), folder)
        inputs = (vectors.histories, vectors.candidates)
        if device is not None and device.name != HOST:
            must = artifacts is not None
            contenders, left_out = _one_history_for_scores(contenders, device, must)
            report = run_on_device(device, contenders, *inputs, settings, baseline=baseline, must=must, samples=samples, progress=progress)
            report = report.model_copy(update={"skipped": report.skipped | left_out})
            return profiled(report, device, contenders, *inputs) if profile else report
        if profile:
            raise DeviceError("only an emulated device tells instructions by layer; use --device emulator or qemu-user:cortex-a76")
        contenders.insert(0, _eager(opened[0], folder))
        return run_host(contenders, *inputs, settings, baseline=baseline or EAGER, samples=samples, progress=progress)


def _one_history_for_scores(contenders: list[Contender], device: Device, must: bool) -> tuple[list[Contender], dict[str, str]]:
    """Those that a device's programs can call, and the others with the reason; one that must run is an error."""
    others = {each.name: _HOST_ALONE for each in contenders if each.top is not None or each.batch > 1}
    if others and must:
        raise DeviceError(f"{next(iter(others))} cannot be measured on {device.name}: {_HOST_ALONE}")
    return [each for each in contenders if each.name not in others], others


def _require_app(paths: Sequence[object], device: Device | None, keys: Keys | None, settings: Settings | None) -> None:
    """Refuse what cannot be measured in the app."""
    if device is None or not device.apps:
        raise DeviceError(f"--app: {HOST if device is None else device.name} has no apps; give a phone that adb knows, --device adb:SERIAL")
    if len(paths) != 1:
        raise InputError(f"--app: the app measures one bundle at a time, and {len(paths)} were given; measure them one after the other")
    if keys is None:
        raise InputError("--app: the app opens signed bundles alone; give the key that the bundle was signed with, --public-key")
    require_modes(settings or Settings())


def _in_app(bundle: Bundle, entries: Sequence[ArtifactEntry], package: str, keys: TrustedKeys, folder: Path) -> list[Contender]:
    """The native artifacts once more, for the app."""
    manifest, file = bundle.manifest, folder / "app.chord"
    key = keys.find(manifest.signature.key) if manifest.signature is not None else None
    assert key is not None, "a bundle that was opened with keys is signed with one of them"
    file.write_bytes(bundle.file())
    sha256, users = hashlib.sha256(bundle.file()).hexdigest(), [each.name for each in manifest.user_vectors]
    found = []
    for entry in entries:
        if entry.target == NATIVE:
            contender = _contender(f"{entry.name}{SUFFIX}", bundle, entry, bundle.vectors(), folder / "app")
            backbone, user = manifest.backbone.fingerprint, _whose(entry, users)
            part = AppPart(package, file, sha256, raw_key(key).hex(), backbone, entry.strategy, contender.strategy_sha256, user)
            found.append(replace(contender, app=part))
    if not found:
        raise InputError(
            f"{bundle.label}: it has no native artifact among those to be measured, and the app runs no other; leave --app out"
        )
    return found


def _whose(entry: ArtifactEntry, users: Sequence[str]) -> str | None:
    """Whose user vector an artifact is measured with: that of its strategy's user, else the first."""
    return (entry.strategy if entry.strategy in users else users[0]) if users else None


def _input(bundle: Bundle) -> tuple[int, int, int]:
    """Items of the catalogue, of a history, and to score."""
    vectors = bundle.vectors()
    return bundle.master().items, vectors.histories.shape[1], vectors.candidates.shape[1]


def _chosen(opened: Sequence[Bundle], artifacts: Sequence[str] | None) -> list[list[ArtifactEntry]]:
    """The entries of each bundle that are to be measured."""
    if artifacts is None:
        return [list(bundle.manifest.artifacts) for bundle in opened]
    known = {entry.name for bundle in opened for entry in bundle.manifest.artifacts}
    for name in artifacts:
        if name not in known:
            opened[0].artifact_entry(name)  # says what there is instead
    return [[entry for entry in bundle.manifest.artifacts if entry.name in artifacts] for bundle in opened]


def _eager(bundle: Bundle, folder: Path) -> Contender:
    """Eager PyTorch on a bundle's master, for the first of its users if it has any."""
    master, user = folder / "eager.chrm", folder / "eager.user"
    master.write_bytes(bundle.member(MASTER))
    names = [entry.name for entry in bundle.manifest.user_vectors]
    if names:
        bundle.user_vector(names[0]).values.tofile(user)
    arguments: dict[str, Argument] = {
        "master": str(master),
        "candidates": bundle.manifest.vectors.candidates,
        "user": str(user) if names else None,
    }
    return Contender(EAGER, "pytorch", "fp32", RunnerSpec("chordkit.runtime_bench.recipes:eager_runner", arguments, ("torch",)))


def _contender(name: str, bundle: Bundle, entry: ArtifactEntry, inputs: VectorSet, folder: Path) -> Contender:
    """An artifact as files in ``folder``, which is how a device has it."""
    target = find_target(entry.target)
    file, strategy = folder / f"{entry.name}{target.capability.suffix or '.chrm'}", folder / f"{entry.name}.chrd"
    folder.mkdir(exist_ok=True)
    file.write_bytes(bundle.artifact(entry.name))
    if entry.strategy is not None:
        strategy.write_bytes(bundle.strategy_bytes(entry.strategy))
    master = folder / "master.chrm" if target.capability.master else None
    if master is not None:
        master.write_bytes(bundle.member(MASTER))
    whose = _whose(entry, [each.name for each in bundle.manifest.user_vectors])
    user, wire, values = None, None, None
    if whose is not None:
        user, wire, values = folder / f"{entry.name}.user", folder / f"{entry.name}.chru", bundle.user_vector(whose).values
        values.tofile(user)
        wire.write_bytes(bundle.user_vector_bytes(whose))
    arguments = {
        "target": entry.target,
        "path": str(file),
        "strategy": None if entry.strategy is None else str(strategy),
        "candidates": entry.candidates,
        "user": None if user is None else str(user),
        "master": None if master is None else str(master),
    }
    return Contender(
        name=name,
        target=entry.target,
        precision=entry.precision,
        spec=RunnerSpec("chordkit.runtime_bench.recipes:artifact_runner", arguments, target.imports),
        file=file,
        strategy=None if entry.strategy is None or target.capability.suffix else strategy,
        user=wire if takes_wire(target) else user,
        master=master,
        top=entry.top,
        batch=entry.batch,
        check=_Check(name, bundle, entry, inputs, values),
    )


def takes_wire(target: Target) -> bool:
    """Whether a program of the target takes a user vector in its wire form, as the engine does; graphs take float32."""
    return target.capability.suffix is None or USER_OPERATOR in target.capability.operators


class _Check:
    """Holds scores of the bench's inputs against the reference of an artifact, as ``validate`` does; what passed once passes again."""

    def __init__(self, name: str, bundle: Bundle, entry: ArtifactEntry, inputs: VectorSet, user: Vectors | None) -> None:
        self._name, self._bundle, self._entry, self._inputs, self._user = name, bundle, entry, inputs, user
        self._passed: bytes | None = None

    def __call__(self, scores: Scores) -> None:
        if scores.tobytes() == self._passed:
            return
        if not np.isfinite(scores).all():
            raise CheckFailed(f"{self._name}: a score is not finite, so it is not worth timing; run `chordkit validate`")
        vectors, rows = self._reference()
        widths = None if self._entry.strategy is None else self._bundle.strategy(self._entry.strategy).widths
        report = judge(self._entry, _Given(self._entry, scores[rows]), self._bundle.master(), widths, vectors)
        if not report.passed:
            reasons = "; ".join(report.reasons)
            raise CheckFailed(f"{self._name}: its scores are not those of its reference here, so it is not timed: {reasons}")
        self._passed = scores.tobytes()

    def _reference(self) -> tuple[VectorSet, NDArray[np.intp]]:
        """The inputs with the scores they must give, and their rows."""
        own, given = self._bundle.vectors(), self._inputs
        rows = np.arange(len(given.histories))
        if not (np.array_equal(own.histories, given.histories) and np.array_equal(own.candidates, given.candidates)):
            strategies = {} if self._entry.strategy is None else {self._entry.strategy: self._bundle.strategy(self._entry.strategy)}
            known = references(self._bundle.master(), None, strategies).get(self._entry.reference)
            if known is None:  # the floats that the master was made from, which no bundle holds
                raise InputError(
                    f"{self._name}: what it must score over the histories of another bundle is not known, so it would be timed unseen; "
                    "give its bundle first, or measure it apart"
                )
            users = None if self._user is None else np.tile(self._user, (len(rows), 1))
            given = replace(given, scores={}, best={}, users=users).with_scores({self._entry.reference: known})
            if self._entry.catalogue and self._entry.top is not None:
                given = given.with_best({self._entry.reference: known}, depth_for(self._entry.top, self._bundle.master().items))
            return given, rows
        if self._user is not None and own.users is not None:
            rows = np.flatnonzero((own.users == self._user).all(axis=1))
        return own.rows(rows), rows


class _Given:
    """Answers that were given elsewhere, in the order of the test vectors, a history at a time."""

    def __init__(self, entry: ArtifactEntry, answers: Scores) -> None:
        self.top, self.batch, self.catalogue = entry.top, entry.batch, entry.catalogue
        self._rows = iter(answers)

    def scores(self, history: Ids, candidates: Ids, user: Vectors | None = None) -> Scores:
        return self._next(history)

    def best(self, history: Ids, candidates: Ids | None = None, user: Vectors | None = None) -> Best:
        answer = self._next(history)
        return Best(answer[..., 0, :].astype(np.int32), answer[..., 1, :].astype(np.float32))

    def _next(self, history: Ids) -> Scores:
        if history.ndim == 1:
            return next(self._rows)
        found = list(islice(self._rows, len(history)))
        return np.stack(found + found[-1:] * (len(history) - len(found)))
