"""Benchmark the artifacts of one or several bundles, with eager PyTorch beside them."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from chordkit.backbones import from_master
from chordkit.errors import InputError
from chordkit.export import bundle as bundles
from chordkit.export.bundle import ArtifactEntry, Bundle
from chordkit.export.targets import EagerRunner, Runner, find_target, load_runner
from chordkit.progress import Progress
from chordkit.runtime_bench.contender import Contender, RunnerSpec
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.devices.host import Host
from chordkit.runtime_bench.results import BenchReport, Settings

EAGER = "pytorch-eager"


def artifact_runner(target: str, path: str, strategy: str | None, candidates: int, user: str | None = None) -> Runner:
    """Load an artifact on its runtime, one thread, from its file, the file of its strategy, and one of its user's numbers, float32."""
    wire = None if strategy is None else Path(strategy).read_bytes()
    runner = load_runner(target, Path(path).read_bytes(), strategy=wire, candidates=candidates, threads=1)
    return runner if user is None else runner.for_user(np.fromfile(user, np.float32))


def eager_runner(bundle: str) -> Runner:
    """The PyTorch reference of a bundle, int8 weights dequantised to FP32; with the first of its user vectors, if it has any."""
    with bundles.open(bundle, verify=False) as opened:
        backbone = from_master(opened.master())
        if not opened.manifest.user_vectors:
            return EagerRunner(backbone, threads=1)
        runner = EagerRunner(backbone, threads=1, candidates=opened.manifest.vectors.candidates, user_vector=True)
        return runner.for_user(opened.user_vector(opened.manifest.user_vectors[0].name).values)


def bench_bundles(
    paths: Sequence[str | os.PathLike[str]],
    artifacts: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    device: Device | None = None,
) -> BenchReport:
    """Time artifacts of one or several bundles, interleaved, over the histories of the first one's test vectors.

    Eager PyTorch, the model of the first, runs beside them. An artifact goes by its name, or, where two bundles have one of that name, by
    the bundle's file and its name, ``shop/litert-int8``.

    Artifacts that take a user vector have one: that of their strategy's user, else the bundle's first.

    Args:
        paths: the bundles, which must take the same histories and candidates; each is verified first.
        artifacts: names in the bundles; None = all.
        settings: the protocol.
        progress: called with (phase, done, total).
        device: what measures; None = this host.

    Raises:
        BundleError: a bundle is refused, or an artifact is in none of them.
        InputError: the bundles do not take the same input.
        DeviceError: an artifact cannot be loaded.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chordkit-bench-")))
        opened = [stack.enter_context(bundles.open(path)) for path in paths]
        chosen = _chosen(opened, artifacts)
        vectors = opened[0].vectors()
        for path, bundle in zip(paths, opened, strict=True):
            if _input(bundle) != _input(opened[0]):
                raise InputError(f"{path}: it takes other histories, items or candidates than {paths[0]}; measure the two apart")
        spec = RunnerSpec("chordkit.runtime_bench.bundles:eager_runner", {"bundle": os.fspath(paths[0])}, ("torch",))
        contenders = [Contender(EAGER, "pytorch", "fp32", spec)]
        for number, (path, bundle, entries) in enumerate(zip(paths, opened, chosen, strict=True)):
            others = {entry.name for index, each in enumerate(chosen) if index != number for entry in each}
            for entry in entries:
                name = f"{Path(path).stem}/{entry.name}" if entry.name in others else entry.name
                contenders.append(_contender(name, bundle, entry, folder / str(number)))
        return (device or Host()).measure(contenders, vectors.histories, vectors.candidates, settings, baseline=EAGER, progress=progress)


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


def _contender(name: str, bundle: Bundle, entry: ArtifactEntry, folder: Path) -> Contender:
    """An artifact as files in ``folder``, which is how a device has it."""
    target = find_target(entry.target)
    file, strategy = folder / f"{entry.name}{target.capability.suffix or '.chrm'}", folder / f"{entry.name}.chrd"
    folder.mkdir(exist_ok=True)
    file.write_bytes(bundle.artifact(entry.name))
    if entry.strategy is not None:
        strategy.write_bytes(bundle.strategy_bytes(entry.strategy))
    names = [each.name for each in bundle.manifest.user_vectors]
    user = folder / f"{entry.name}.user" if names else None
    if user is not None:
        bundle.user_vector(entry.strategy if entry.strategy in names else names[0]).values.tofile(user)
    arguments = {
        "target": entry.target,
        "path": str(file),
        "strategy": None if entry.strategy is None else str(strategy),
        "candidates": entry.candidates,
        "user": None if user is None else str(user),
    }
    spec = RunnerSpec("chordkit.runtime_bench.bundles:artifact_runner", arguments, target.imports)
    return Contender(name, entry.target, entry.precision, spec, file)
