"""Benchmark the artifacts of a bundle, with eager PyTorch beside them."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chordkit.backbones import from_master
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


def bench_bundle(
    path: str | os.PathLike[str],
    artifacts: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    device: Device | None = None,
) -> BenchReport:
    """Time artifacts of a bundle and eager PyTorch, interleaved, over the histories of its test vectors.

    Artifacts that take a user vector have one: that of their strategy's user, else the bundle's first.

    Args:
        path: the bundle; it is verified first.
        artifacts: names; None = all.
        settings: the protocol.
        progress: called with (phase, done, total).
        device: what measures; None = this host.

    Raises:
        BundleError: the bundle is refused, or has no such artifact.
        DeviceError: an artifact cannot be loaded.
    """
    with bundles.open(path) as bundle, tempfile.TemporaryDirectory(prefix="chordkit-bench-") as folder:
        entries = [bundle.artifact_entry(name) for name in artifacts or [entry.name for entry in bundle.manifest.artifacts]]
        contenders = [
            Contender(
                EAGER, "pytorch", "fp32", RunnerSpec("chordkit.runtime_bench.bundles:eager_runner", {"bundle": os.fspath(path)}, ("torch",))
            )
        ]
        contenders += [_contender(bundle, entry, Path(folder)) for entry in entries]
        vectors = bundle.vectors()
        return (device or Host()).measure(contenders, vectors.histories, vectors.candidates, settings, baseline=EAGER, progress=progress)


def _contender(bundle: Bundle, entry: ArtifactEntry, folder: Path) -> Contender:
    """An artifact as files in ``folder``, which is how a device has it."""
    target = find_target(entry.target)
    file, strategy = folder / f"{entry.name}{target.capability.suffix or '.chrm'}", folder / f"{entry.name}.chrd"
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
    return Contender(entry.name, entry.target, entry.precision, spec, file)
