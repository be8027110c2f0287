"""The stages of ``chordkit demo``, each the library call behind a command, in the order of the way of the data.

Every stage leaves files in the output folder and is skipped over by its own means when a run is repeated after a kill: training
resumes from its checkpoints, everything else is quick and starts clean.
"""

import datetime
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chordkit.backbones import default_config, find_architecture
from chordkit.data import Dataset, SplitPart, load_named, split, world_behind
from chordkit.demo.beside import DATASET, rivals_beside
from chordkit.demo.cloud import PHONES, in_the_cloud
from chordkit.demo.emulated import on_emulated_phone
from chordkit.demo.shipments import CANDIDATES, PERSONAL, Shipment, clear, export, full_shipment, personal_shipment, static_shipment
from chordkit.demo.training import HELD_OUT, Trainer, TrainingPlan, full_rival, static_rival
from chordkit.demo.users import describe_users, to_bytes
from chordkit.errors import DataError, MissingRuntimeError
from chordkit.evaluation import ExperimentOptions, Models, SeedResult, Summary, measure_models, summarise_seeds
from chordkit.evaluation.truth import Attainable, attainable
from chordkit.export import bundle
from chordkit.export.artifact import Precision
from chordkit.export.assembly import assemble
from chordkit.export.targets import Target, all_targets, find_target
from chordkit.files import write_bytes
from chordkit.hypernetwork import TrainedHypernetwork, make_strategies, to_strategy
from chordkit.progress import Progress
from chordkit.report import Report, save_html, save_json, sections
from chordkit.report.evaluation_document import SummaryDocument, headline, strategy_accuracy
from chordkit.report.model import Benefit, Cloud, Stage
from chordkit.report.sizes import strategy_sizes
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.results import BenchReport, Settings
from chordkit.strategy import Strategy, to_wire
from chordkit.training import TrainedBackbone

HISTORIES = 1000
PUBLIC_KEY = "demo.pub.pem"
DEMO_USERS = "demo_users.json"
_PERSONAL_MODEL = "personal"


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
        hypernetwork_epochs: of all that is trained from it at most; None = the demo's own.
        histories: on which parity is checked.
        phones: simulated, that ask a service and get releases; 0 = neither is shown.
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
    phones: int = PHONES
    bench: Settings = field(default_factory=lambda: Settings(rounds=25, block_ms=8.0, processes=1))
    seed: int = 0

    @property
    def plan(self) -> TrainingPlan:
        """How everything is trained."""
        return TrainingPlan(self.architecture, self.epochs, self.hypernetwork_epochs, self.seed)


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
    """Where everything is.

    Attributes:
        report: what was found out.
        html: the same as a page.
        json: the same as a document.
        users: whom the app of ``android_demo`` shows with the personal model.
        bundle: the personal model.
        static: the static rival, which an owner ships where a personal strategy is not worth it.
        full: the fp32 rival, and what becomes of it when it is quantised evenly.
    """

    report: Report
    html: Path
    json: Path
    users: Path
    bundle: Path
    static: Path
    full: Path


def run(options: DemoOptions, progress: Progress | None = None) -> DemoResult:
    """Train, personalise, compare, export, validate, bundle, measure, report.

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
        dataset.save(out / DATASET)
    trainer = Trainer(dataset, options.plan, out, progress)
    clear(out)
    with rivals_beside(out, options.plan, targets) as beside:
        with clock.stage("train the backbone (FP32)"):
            trained = trainer.start()
        beside.begin()
        with clock.stage("train the personal strategies"):
            personal = trainer.joint(_PERSONAL_MODEL, trained.backbone)
        part = split(dataset, personal.backbone.config.max_length, HELD_OUT, HELD_OUT).test
        with clock.stage("make strategies"):
            strategies, names = _strategies(personal, dataset, part, options)
        ours = personal_shipment(personal, dict(list(strategies.items())[: options.exported_users]))
        with clock.stage("export the personal model"):
            artifacts = {PERSONAL: export(ours, targets, out, progress=progress)}
        with clock.stage("train the static and the FP32 rival"):
            beside.wait_until_trained()
            static, full = static_rival(trainer, trained.backbone), full_rival(trainer, trained.backbone)
        models = Models(personal=personal, static=static, full=full, start=trained.backbone)
        with clock.stage("compare"):
            result = measure_models(dataset, models, _experiment(options), options.seed, progress)
            summary = summarise_seeds([result], seen_masked=_experiment(options).personal.seen_masked)
            world = world_behind(dataset)
            truth = attainable(result, world, part) if world is not None else ()
        rivals = static_shipment(static), full_shipment(full, personal.options.average_bits)
        with clock.stage("export the rivals"):
            export(rivals[1], targets, out, (Precision.STRATEGY,), progress)
            beside.wait_until_exported()
            artifacts |= {each.name: export(each, targets, out, progress=progress) for each in rivals}
    shipments = [ours, *rivals]
    write_bytes(out / "strategies" / "static.chrd", to_wire(rivals[0].sources.strategies["static"]))
    paths = [_path(out, each) for each in shipments]
    with ThreadPoolExecutor(1) as beside_it:
        with clock.stage("validate, bundle, sign"):
            holds = {}
            for each in shipments:
                holds[each.name] = assemble(
                    each.name,
                    each.sources,
                    dataset,
                    artifacts[each.name],
                    histories=options.histories,
                    seed=options.seed,
                    options=each.trained.options.to_json(),
                    metrics={f"{line.key}_masked_ndcg10": line.values["masked_ndcg10"].value for line in summary.lines},
                    progress=progress,
                )
                bundle.write(_path(out, each), holds[each.name], _signing_key(out))
                bundle.verify(_path(out, each), out / PUBLIC_KEY).require()
                if each is ours:  # instructions are counted there, as many whatever else runs meanwhile
                    counting = beside_it.submit(on_emulated_phone, paths[0], out / PUBLIC_KEY, artifacts[PERSONAL], progress)
            shown = dict(zip(_shown_users(dataset, options).tolist(), strategies.items(), strict=True))
            master = ours.sources.master
            people = describe_users(dataset, part, personal, shown, master, candidates=CANDIDATES, key=_signing_key(out), seed=options.seed)
            write_bytes(out / DEMO_USERS, to_bytes(people))
        with clock.stage("serve and release, to simulated phones"):
            files = out / f"{_PERSONAL_MODEL}.chrm", out / f"{_PERSONAL_MODEL}.hypernetwork.safetensors"
            keys = _signing_key(out), out / PUBLIC_KEY
            cloud, missing = in_the_cloud(out, personal, part, files, holds[PERSONAL], keys, options.phones, options.seed)
        with clock.stage("count instructions on an emulated phone, begun beside these"):
            emulated, trouble = counting.result()
    with clock.stage("measure on this host"):
        settings = options.bench.model_copy(update={"seed": options.seed})
        measured = bench_bundles(paths, None, settings, progress, public_key=out / PUBLIC_KEY)
    drawn = {names[name]: strategy for name, strategy in strategies.items()}
    notes = left_out + trouble + missing
    found = _Findings(dataset, trained, personal, result, summary, truth, drawn, shipments, measured, emulated, cloud, notes)
    report = _report(options, found, clock)
    html, document = out / "report.html", out / "report.json"
    save_json(report, document)
    save_html(report, html)
    return DemoResult(report, html, document, out / DEMO_USERS, *paths)


def _path(out: Path, shipment: Shipment) -> Path:
    return out / f"{shipment.name}.chord"


def _experiment(options: DemoOptions) -> ExperimentOptions:
    plan = options.plan
    return ExperimentOptions(options.architecture, plan.personal, plan.start, (options.seed,), HELD_OUT, HELD_OUT, vectors=False, ages=())


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


def _strategies(
    personal: TrainedHypernetwork, dataset: Dataset, part: SplitPart, options: DemoOptions
) -> tuple[dict[str, Strategy], dict[str, str]]:
    """Strategies of a few users drawn at random: by file-safe name, and the name a person reads."""
    users = _shown_users(dataset, options)
    # Each user's last row: all but the very last interaction.
    rows = np.searchsorted(part.users, users, side="right") - 1
    widths = make_strategies(personal.hypernetwork, part.recent(personal.options.pools[-1])[rows])
    for stale in (options.out / "strategies").glob("user*.chrd"):
        stale.unlink()
    strategies, names = {}, {}
    for user, chosen in zip(users, widths, strict=True):
        name = f"user{user + 1}"
        strategies[name] = to_strategy(personal.hypernetwork, chosen)
        names[name] = f"user {dataset.user_ids[user]}"
        write_bytes(options.out / "strategies" / f"{name}.chrd", to_wire(strategies[name]))
    return strategies, names


def _shown_users(dataset: Dataset, options: DemoOptions) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(options.seed).choice(dataset.users, options.users, replace=False))


def _signing_key(out: Path) -> Path:
    """The demo's own key pair; made once."""
    private, public = out / "demo.pem", out / PUBLIC_KEY
    if not (private.exists() and public.exists()):
        private.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        bundle.generate_key_pair(private, public)
    return private


@dataclass(frozen=True)
class _Findings:
    """What the stages found out."""

    dataset: Dataset
    trained: TrainedBackbone
    personal: TrainedHypernetwork
    result: SeedResult
    summary: Summary
    truth: tuple[Attainable, ...]
    strategies: Mapping[str, Strategy]
    shipments: list[Shipment]
    measured: BenchReport
    emulated: BenchReport | None
    cloud: Cloud | None
    notes: list[str]


def _report(options: DemoOptions, found: _Findings, clock: _Clock) -> Report:
    master, measured, summary = found.personal.master, found.measured, found.summary
    told = SummaryDocument.of(summary)
    manifests, bundles = {}, []
    for each in found.shipments:
        path = _path(options.out, each)
        with bundle.open(path, verify=False) as opened:
            manifests[each.name] = opened.manifest
            bundles.append(sections.bundle_summary(path, opened.size, opened.manifest, each.holds))
    return Report(
        title=f"chordkit demo: {find_architecture(options.architecture).title} on {found.dataset.name}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seed=options.seed,
        **sections.environment(measured.machine, measured.before),
        dataset=sections.dataset_summary(found.dataset),
        benefits=[
            Benefit(
                headline=headline(told),
                truth=sections.truth(found.truth),
                strategy_accuracy=strategy_accuracy(told),
                accuracy_protocol=sections.accuracy_protocol(summary, found.personal, HELD_OUT),
                personalisation=sections.personalisation(found.result.diversity),
            )
        ],
        backbone={key: str(value) for key, value in master.config.items()},
        backbone_accuracy=sections.backbone_accuracy(found.trained.metrics),
        artifacts=sections.artifact_summaries(manifests, measured),
        latency_protocol=sections.latency_protocol(measured),
        emulated=sections.emulated_phone(found.emulated),
        cloud=found.cloud,
        strategies=[sections.user_strategy(name, strategy, master) for name, strategy in found.strategies.items()],
        sizes=strategy_sizes(master, next(iter(found.strategies.values())).widths),
        bundles=bundles,
        stages=clock.stages,
        notes=sections.notes(measured) + found.notes,
    )
