"""The stages of ``chordkit demo``, each the library call behind a command, in the order of the way of the data.

Every stage leaves files in the output folder and is skipped over by its own means when a run is repeated after a kill: training
resumes from its checkpoints, everything else is quick and starts clean.
"""

import datetime
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chordkit.backbones import Backbone, config_to_dict, default_config, find_architecture
from chordkit.data import Dataset, Split, load_named, split
from chordkit.errors import DataError, MissingRuntimeError
from chordkit.export import bundle
from chordkit.export.assembly import assemble
from chordkit.export.collection import Sources, export_artifacts, write_folder
from chordkit.export.targets import Target, all_targets, find_target
from chordkit.files import sha256, write_bytes
from chordkit.hypernetwork import (
    Comparison,
    TrainedHypernetwork,
    compare_strategies,
    make_strategies,
    save_hypernetwork,
    to_strategy,
    train_hypernetwork,
)
from chordkit.hypernetwork.options import HypernetworkOptions, demo_options
from chordkit.progress import Progress
from chordkit.quantization import MasterWeights
from chordkit.report import Report, save_html, save_json, sections
from chordkit.report.model import Stage
from chordkit.runtime_bench.bundles import bench_bundle
from chordkit.runtime_bench.results import BenchReport, Settings
from chordkit.strategy import Strategy, to_wire
from chordkit.training import TrainedBackbone, TrainingOptions, default_options, save_backbone, train_backbone

HISTORIES = 1000
CANDIDATES = 100
# One thread: the layers are small, a second thread gains little on an idle machine and spins away minutes on a busy one.
_THREADS = 1


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does.

    Attributes:
        out: folder for everything it leaves.
        data: a data set as :func:`chordkit.data.load_named` takes it.
        architecture: name of a backbone, as in :data:`chordkit.backbones.ARCHITECTURES`.
        targets: exported to; every one must be installed. None = all of the demo's, without those that need a C++ compiler if there is
            none; the report says so.
        users: how many users' strategies are shown and bundled.
        exported_users: for how many of them artifacts are exported.
        epochs: of the backbone at most; None = the demo's own.
        hypernetwork_epochs: of the hypernetwork at most; None = the demo's own.
        histories: on which parity is checked.
        bench: how latency is measured; its seed is replaced by ``seed``.
        seed: of everything random.
    """

    out: Path
    data: str = "synthetic"
    architecture: str = "sasrec"
    targets: tuple[Target, ...] | None = None
    users: int = 5
    exported_users: int = 2
    epochs: int | None = None
    hypernetwork_epochs: int | None = None
    histories: int = HISTORIES
    bench: Settings = field(default_factory=lambda: Settings(rounds=25, block_ms=8.0, processes=1))
    seed: int = 0


@dataclass
class _Clock:
    """Wall time of each stage."""

    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.stages.append(Stage(name=name, seconds=round(time.perf_counter() - started, 2)))


@dataclass(frozen=True)
class DemoResult:
    """Where everything is."""

    report: Report
    html: Path
    json: Path
    bundle: Path


def run(options: DemoOptions, progress: Progress | None = None) -> DemoResult:
    """Train, personalise, export, validate, bundle, measure, report.

    Args:
        options: what to do.
        progress: called with (phase, done, total).

    Raises:
        DataError: the data set cannot be read or is too small.
        MissingRuntimeError: a target's runtime is not installed; said before anything is trained.
        CheckFailed: an artifact does not pass the parity gate; nothing is signed.
        CheckpointError: the folder holds checkpoints of another run.
        OSError: the folder cannot be written.
    """
    targets, left_out = _targets(options)
    default_config(options.architecture, CANDIDATES)
    out, clock = options.out, _Clock()
    with clock.stage("data"):
        dataset = load_named(options.data, seed=options.seed, progress=progress)
        if dataset.users < options.users or dataset.items < CANDIDATES:
            raise DataError(
                f"{options.data}: {dataset.users} users and {dataset.items} items are too few; "
                f"the demo needs {options.users} and {CANDIDATES}"
            )
        dataset.save(out / "dataset.safetensors")
    with clock.stage("train the backbone (FP32)"):
        trained = _train_backbone(dataset, options, progress)
    with clock.stage("train the personal model"):
        hyper = _train_hypernetwork(dataset, trained.backbone, options, progress)
    parts = split(dataset, hyper.backbone.config.max_length)
    with clock.stage("compare strategies"):
        comparison = compare_strategies(hyper, parts.test, reference=trained.backbone, seed=options.seed, progress=progress)
    with clock.stage("make strategies"):
        strategies, names = _strategies(hyper, dataset, parts, options)
    sources = Sources(hyper.master, hyper.backbone, strategies)
    with clock.stage("export"):
        exported = dict(list(strategies.items())[: options.exported_users])
        artifacts = export_artifacts(targets, Sources(hyper.master, hyper.backbone, exported), None, CANDIDATES, progress)
        write_folder(out / "artifacts", artifacts, sources)
    path = out / "demo.chord"
    with clock.stage("validate, bundle, sign"):
        contents = assemble(
            "demo",
            sources,
            dataset,
            artifacts,
            histories=options.histories,
            seed=options.seed,
            options=trained.options.to_json(),
            metrics={"fp32_test_ndcg10": trained.metrics["test"].ndcg10.value},
            progress=progress,
        )
        bundle.write(path, contents, _signing_key(out))
        bundle.verify(path, out / "demo.pub.pem").require()
    with clock.stage("measure on this host"):
        measured = bench_bundle(path, None, options.bench.model_copy(update={"seed": options.seed}), progress)
    report = _report(options, dataset, trained, hyper, comparison, strategies, names, path, measured, left_out, clock)
    html, document = out / "report.html", out / "report.json"
    save_json(report, document)
    save_html(report, html)
    return DemoResult(report, html, document, path)


def _targets(options: DemoOptions) -> tuple[tuple[Target, ...], list[str]]:
    """What is exported to, and a note for each target that is left out because it cannot be built here.

    Raises:
        MissingRuntimeError: a target that was asked for by name, or one that needs no compiler, is not installed.
    """
    if options.targets is not None:
        for target in options.targets:
            target.prepare()
        return options.targets, []
    targets, left_out = [], []
    for target in all_targets():
        better = target.covers_for
        if not target.knows(options.architecture) or (better is not None and find_target(better).knows(options.architecture)):
            continue
        try:
            target.prepare()
        except MissingRuntimeError as error:
            # A compiler is not in any package: the demo goes on without what needs one.
            if not target.capability.operators:
                raise
            left_out.append(f"{target} was left out: {error}.")
            continue
        targets.append(target)
    return tuple(targets), left_out


def _training_options(options: DemoOptions) -> TrainingOptions:
    epochs = options.epochs or find_architecture(options.architecture).demo_epochs
    return default_options(options.architecture, seed=options.seed, epochs=epochs, threads=_THREADS)


def _hypernetwork_options(options: DemoOptions) -> HypernetworkOptions:
    chosen = demo_options(seed=options.seed, threads=_THREADS)
    return chosen if options.hypernetwork_epochs is None else replace(chosen, epochs=options.hypernetwork_epochs)


def checkpoint_folder(dataset: Dataset, options: DemoOptions) -> Path:
    """Where this run keeps its checkpoints: the same run finds them again, another data set or seed does not stumble over them."""
    identity = {
        "dataset": dataset.fingerprint,
        "configuration": config_to_dict(default_config(options.architecture, dataset.items)),
        "backbone": _training_options(options).to_json(),
        "hypernetwork": _hypernetwork_options(options).to_json(),
    }
    return options.out / "checkpoints" / sha256(json.dumps(identity, sort_keys=True).encode())[:16]


def _train_backbone(dataset: Dataset, options: DemoOptions, progress: Progress | None) -> TrainedBackbone:
    config = default_config(options.architecture, dataset.items)
    trained = train_backbone(dataset, config, _training_options(options), checkpoint_folder(dataset, options), progress)
    save_backbone(options.out / "backbone.safetensors", trained.backbone, {"dataset_fingerprint": dataset.fingerprint})
    return trained


def _train_hypernetwork(dataset: Dataset, backbone: Backbone, options: DemoOptions, progress: Progress | None) -> TrainedHypernetwork:
    hyper = train_hypernetwork(dataset, backbone, None, _hypernetwork_options(options), checkpoint_folder(dataset, options), progress)
    hyper.master.save(options.out / "master.chrm")
    save_backbone(options.out / "master.fp32.safetensors", hyper.backbone, {"dataset_fingerprint": dataset.fingerprint})
    save_hypernetwork(options.out / "hypernetwork.safetensors", hyper.hypernetwork, {"dataset_fingerprint": dataset.fingerprint})
    return hyper


def _strategies(
    hyper: TrainedHypernetwork, dataset: Dataset, parts: Split, options: DemoOptions
) -> tuple[dict[str, Strategy], dict[str, str]]:
    """Strategies of a few users drawn at random: by file-safe name, and the name a person reads."""
    users = np.sort(np.random.default_rng(options.seed).choice(dataset.users, options.users, replace=False))
    rows = np.searchsorted(parts.test.users, users)
    widths = make_strategies(hyper.hypernetwork, parts.test.recent(hyper.options.pools[-1])[rows])
    for stale in (options.out / "strategies").glob("user*.chrd"):
        stale.unlink()
    strategies, names = {}, {}
    for user, chosen in zip(users, widths, strict=True):
        name = f"user{user + 1}"
        strategies[name] = to_strategy(hyper.hypernetwork, chosen)
        names[name] = f"user {dataset.user_ids[user]}"
        write_bytes(options.out / "strategies" / f"{name}.chrd", to_wire(strategies[name]))
    return strategies, names


def _signing_key(out: Path) -> Path:
    """The demo's own key pair; made once."""
    private, public = out / "demo.pem", out / "demo.pub.pem"
    if not (private.exists() and public.exists()):
        private.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        bundle.generate_key_pair(private, public)
    return private


def _report(
    options: DemoOptions,
    dataset: Dataset,
    trained: TrainedBackbone,
    hyper: TrainedHypernetwork,
    comparison: Comparison,
    strategies: dict[str, Strategy],
    names: dict[str, str],
    path: Path,
    measured: BenchReport,
    left_out: list[str],
    clock: _Clock,
) -> Report:
    master: MasterWeights = hyper.master
    with bundle.open(path, verify=False) as opened:
        manifest, size = opened.manifest, opened.size
    return Report(
        title=f"chordkit demo: {find_architecture(options.architecture).title} on {dataset.name}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seed=options.seed,
        **sections.environment(measured.machine),
        dataset=sections.dataset_summary(dataset),
        backbone={key: str(value) for key, value in master.config.items()},
        backbone_accuracy=sections.backbone_accuracy(trained.metrics),
        strategy_accuracy=sections.strategy_accuracy(comparison),
        accuracy_protocol=sections.accuracy_protocol(comparison),
        artifacts=sections.artifact_summaries(manifest, measured, master),
        latency_protocol=sections.latency_protocol(measured),
        strategies=[sections.user_strategy(names[name], strategy, master) for name, strategy in strategies.items()],
        personalisation=sections.personalisation(comparison),
        bundle=sections.bundle_summary(path, size, manifest),
        stages=clock.stages,
        notes=sections.notes(measured) + left_out,
    )
