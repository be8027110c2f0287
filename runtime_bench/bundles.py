"""Benchmark the artifacts of a bundle, with eager PyTorch beside them."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chordkit.backbones import from_master
from chordkit.export import bundle_read
from chordkit.export.assembly import bundle_runner
from chordkit.export.bundle_write import SUFFIXES
from chordkit.export.parity import Runner
from chordkit.export.runners import RUNTIME_IMPORTS, EagerRunner, load_runner
from chordkit.export.targets import Target
from chordkit.progress import Progress
from chordkit.runtime_bench.contender import Contender, RunnerSpec
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.devices.host import Host
from chordkit.runtime_bench.results import BenchReport, Settings

EAGER = "pytorch-eager"


def file_runner(target: str, path: str) -> Runner:
    """Load an artifact file on its runtime, one thread."""
    return load_runner(target, Path(path).read_bytes(), threads=1)


def native_runner(bundle: str, artifact: str) -> Runner:
    """The native engine on the master and the strategy of a bundle."""
    with bundle_read.open(bundle, verify=False) as opened:
        return bundle_runner(opened, opened.artifact_entry(artifact))


def eager_runner(bundle: str) -> Runner:
    """The PyTorch reference of a bundle, int8 weights dequantised to FP32."""
    with bundle_read.open(bundle, verify=False) as opened:
        return EagerRunner(from_master(opened.master()), threads=1)


def bench_bundle(
    path: str | os.PathLike[str],
    artifacts: Sequence[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    device: Device | None = None,
) -> BenchReport:
    """Time artifacts of a bundle and eager PyTorch, interleaved, over the histories of its test vectors.

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
    with bundle_read.open(path) as bundle, tempfile.TemporaryDirectory(prefix="chordkit-bench-") as folder:
        entries = [bundle.artifact_entry(name) for name in artifacts or [entry.name for entry in bundle.manifest.artifacts]]
        contenders = [
            Contender(
                EAGER, "pytorch", "fp32", RunnerSpec("chordkit.runtime_bench.bundles:eager_runner", {"bundle": os.fspath(path)}, ("torch",))
            )
        ]
        for entry in entries:
            file = Path(folder) / f"{entry.name}{SUFFIXES[entry.target]}"
            file.write_bytes(bundle.artifact(entry.name))
            imports = RUNTIME_IMPORTS[entry.target]
            if entry.target == Target.NATIVE:
                spec = RunnerSpec(
                    "chordkit.runtime_bench.bundles:native_runner", {"bundle": os.fspath(path), "artifact": entry.name}, imports
                )
            else:
                spec = RunnerSpec("chordkit.runtime_bench.bundles:file_runner", {"target": entry.target, "path": str(file)}, imports)
            contenders.append(Contender(entry.name, entry.target, entry.precision, spec, file))
        vectors = bundle.vectors()
        return (device or Host()).measure(contenders, vectors.histories, vectors.candidates, settings, baseline=EAGER, progress=progress)
