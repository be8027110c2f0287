"""The report of whatever there is: bundles, results of evaluations and benchmarks, files of trainings; each is known by its content."""

import datetime
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chordkit import __version__
from chordkit.documents import MOST_BYTES, parse_json
from chordkit.errors import ChordkitError, InputError
from chordkit.estimate import Estimate
from chordkit.evaluation.accuracy import Accuracy, load_accuracy
from chordkit.export import bundle as bundles
from chordkit.export.bundle import Bundle, Keys, Manifest
from chordkit.export.stages import load_stages
from chordkit.files import read_bytes
from chordkit.report import sections
from chordkit.report.evaluation_document import EvaluationDocument, load_evaluation
from chordkit.report.model import (
    BackboneAccuracy,
    BundleSummary,
    DatasetSummary,
    Epoch,
    Report,
    Sizes,
    StagesSummary,
    TrainingLog,
    UserStrategy,
    load_json,
)
from chordkit.report.sizes import strategy_sizes
from chordkit.report.stages_section import stages_summaries
from chordkit.runtime_bench.compare import load_report
from chordkit.runtime_bench.results import BenchReport
from chordkit.training.checkpoint import read_tensors

# Of a bundle with thousands of strategies a page shows the first ones.
SHOWN_STRATEGIES = 12
_ZIP = b"PK\x03\x04"


@dataclass
class _Found:
    """What the sources hold, in the order in which they were given."""

    report: Report | None = None
    manifests: dict[str, Manifest] = field(default_factory=dict)
    bundles: list[BundleSummary] = field(default_factory=list)
    strategies: list[UserStrategy] = field(default_factory=list)
    sizes: Sizes | None = None
    accuracy: list[Accuracy] = field(default_factory=list)
    evaluations: list[EvaluationDocument] = field(default_factory=list)
    benches: list[BenchReport] = field(default_factory=list)
    trainings: list[TrainingLog] = field(default_factory=list)
    walks: list[StagesSummary] = field(default_factory=list)
    backbone: list[BackboneAccuracy] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather_report(
    sources: Sequence[str | os.PathLike[str]],
    title: str | None = None,
    *,
    public_key: Keys | None = None,
    revoked: Iterable[str] = (),
    minimum: int = 0,
) -> Report:
    """A report of all that ``sources`` hold.

    Args:
        sources: bundles (.chord); JSON of ``evaluate benefit``, ``evaluate accuracy``, ``validate --stages``, ``bench`` and ``demo``;
            trained backbones and checkpoints of trainings (.safetensors). No kind is needed.
        title: of the page; None = after the first source.
        public_key: required signer of the bundles; None checks their integrity only.
        revoked: identifiers of keys that are no longer accepted.
        minimum: the lowest counter of a bundle that is accepted.

    Raises:
        InputError: a source is none of these, two are named alike, or two benchmarks of one kind were given.
        BundleError: a bundle is refused.
    """
    found = _Found()
    for source in sources:
        path = Path(source)
        if not path.is_file():
            raise InputError(f"{path}: no such file; give a bundle, a result of evaluate or bench, or a trained file")
        with path.open("rb") as stream:
            start = stream.read(16)
        if start.startswith(_ZIP):
            with bundles.open(path, public_key, revoked=revoked, minimum=minimum) as opened:
                _add_bundle(found, path, opened)
        elif start.lstrip()[:1] == b"{":
            _add_document(found, path)
        else:
            _add_training(found, path)
    return _report(found, title or f"chordkit: {Path(sources[0]).name}")


def report_of_accuracy(accuracy: Accuracy) -> Report:
    """The page of ``chordkit evaluate accuracy``."""
    return _report(_Found(accuracy=[accuracy]), f"Accuracy on {accuracy.dataset}")


def report_of_evaluation(evaluation: EvaluationDocument) -> Report:
    """The page of ``chordkit evaluate benefit``."""
    return _report(_Found(evaluations=[evaluation]), f"What a personal model is worth: {evaluation.dataset}, {evaluation.architecture}")


def _add_bundle(found: _Found, path: Path, opened: Bundle) -> None:
    manifest = opened.manifest
    if path.stem in found.manifests:
        raise InputError(f"{path}: two bundles are called {path.stem}; rename one")
    found.manifests[path.stem] = manifest
    whose = len(manifest.strategies)
    holds = f"{len(manifest.artifacts)} artifacts, {whose} {'strategy' if whose == 1 else 'strategies'}, {manifest.dataset.items:,} items"
    found.bundles.append(sections.bundle_summary(path, opened.size, manifest, holds))
    master = opened.master()
    shown = [(entry.name, opened.strategy(entry.name)) for entry in manifest.strategies[:SHOWN_STRATEGIES]]
    found.strategies += [sections.user_strategy(name, strategy, master) for name, strategy in shown]
    if whose > len(shown):
        found.notes.append(f"{path.name} holds {whose:,} strategies; the first {len(shown)} are shown.")
    if shown and found.sizes is None:
        found.sizes = strategy_sizes(master, shown[0][1].widths)


def _add_document(found: _Found, path: Path) -> None:
    try:
        document = parse_json(read_bytes(path, "result", MOST_BYTES))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); give a result that chordkit wrote") from None
    kind = document.get("format")
    if kind == "chordkit-report":
        if found.report is not None:
            raise InputError(f"{path}: two reports make no page; give one of them")
        found.report = load_json(path)
    elif kind == "chordkit-accuracy":
        found.accuracy.append(load_accuracy(path))
    elif kind == "chordkit-evaluation":
        found.evaluations.append(load_evaluation(path))
    elif kind == "chordkit-stages":
        found.walks += stages_summaries(load_stages(path))
    elif "format_version" in document and "results" in document:
        found.benches.append(load_report(path))
    else:
        raise InputError(f"{path}: no result that a page shows; give what demo, evaluate, validate --stages or bench wrote")


def _add_training(found: _Found, path: Path) -> None:
    try:
        _, metadata = read_tensors(path, "training")
    except ChordkitError:
        raise InputError(f"{path}: not a bundle, a result, a trained backbone or a checkpoint of chordkit; give one of these") from None
    if metadata.get("format") == "chordkit-backbone":
        found.backbone += _backbone(path, metadata)
    elif isinstance(metadata.get("history"), list):
        found.trainings.append(_training(path, metadata))
    else:
        raise InputError(f"{path}: it tells nothing of its training; give the checkpoint beside it, or the backbone")


def _backbone(path: Path, metadata: dict[str, Any]) -> list[BackboneAccuracy]:
    """What `chordkit train backbone` found out about its backbone; nothing where another command wrote it."""
    provenance = metadata.get("provenance")
    metrics = provenance.get("metrics", {}) if isinstance(provenance, dict) else {}
    try:
        return [
            BackboneAccuracy(
                protocol=f"{sections.PROTOCOLS[part]}, {path.name}",
                **{
                    name: Estimate(value=metrics[part][name]["mean"], low=metrics[part][name]["low"], high=metrics[part][name]["high"])
                    for name in ("ndcg5", "ndcg10", "hr5", "hr10")
                },
            )
            for part in sections.PROTOCOLS
            if part in metrics
        ]
    except (KeyError, TypeError, ValidationError):
        raise InputError(f"{path}: the metrics in it cannot be read; train the backbone again") from None


def _training(path: Path, metadata: dict[str, Any]) -> TrainingLog:
    try:
        return TrainingLog(
            name=f"{path.parent.name}/{path.name}",
            architecture=metadata["configuration"]["architecture"],
            best=metadata["counters"]["best_epoch"],
            epochs=[Epoch.model_validate({name: epoch.get(name) for name in Epoch.model_fields}) for epoch in metadata["history"]],
        )
    except (AttributeError, KeyError, TypeError, ValidationError):
        raise InputError(f"{path}: the checkpoint's log cannot be read; go on with the training, or begin it again") from None


def _report(found: _Found, title: str) -> Report:
    real = [bench for bench in found.benches if not bench.machine.emulated]
    emulated = [bench for bench in found.benches if bench.machine.emulated]
    if len(real) > 1 or len(emulated) > 1:
        raise InputError("report: two benchmarks of one kind make no table; give one, or see `chordkit bench history`")
    added = _parts(found, real[0] if real else None, emulated[0] if emulated else None)
    if found.report is None:
        return Report(title=title, created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **added)
    return _merged(found.report, added)


def _parts(found: _Found, bench: BenchReport | None, emulated: BenchReport | None) -> dict[str, Any]:
    """The fields of a report that the sources fill."""
    manifests = list(found.manifests.values())
    made: dict[str, Any] = {"chordkit": __version__, "commit": manifests[0].provenance.commit or "" if manifests else ""}
    if manifests:
        made |= {"runtimes": manifests[0].provenance.versions, "seed": manifests[0].provenance.seed}
        made["backbone"] = {name: str(value) for name, value in manifests[0].backbone.config.items()}
    measured = bench or emulated
    if measured is not None:
        made |= sections.environment(measured.machine, measured.before)
    return made | {
        "dataset": _dataset(found),
        "benefits": [benefit for each in found.evaluations for benefit in each.benefits()],
        "accuracy": found.accuracy,
        "backbone_accuracy": found.backbone,
        "artifacts": sections.artifact_summaries(found.manifests, bench),
        "walks": found.walks,
        "latency_protocol": "" if bench is None else sections.latency_protocol(bench),
        "emulated": sections.emulated_phone(emulated),
        "strategies": found.strategies,
        "sizes": found.sizes,
        "bundles": found.bundles,
        "trainings": found.trainings,
        "notes": ([] if bench is None else sections.notes(bench)) + found.notes,
    }


def _dataset(found: _Found) -> DatasetSummary | None:
    for manifest in found.manifests.values():
        data = manifest.dataset
        return DatasetSummary(
            name=data.name, users=data.users, items=data.items, interactions=data.interactions, fingerprint=data.fingerprint
        )
    for evaluation in found.evaluations:
        return evaluation.data
    for each in found.accuracy:
        return DatasetSummary(
            name=each.dataset, users=each.users, items=each.items, interactions=each.interactions, fingerprint=each.fingerprint
        )
    return None


def _merged(report: Report, added: dict[str, Any]) -> Report:
    """A report with more in it: lists grow, and what it lacked is filled."""
    changes: dict[str, Any] = {}
    for name, value in added.items():
        old = getattr(report, name)
        if isinstance(old, list):
            changes[name] = [*old, *value]
        elif not old and value:
            changes[name] = value
    return report.model_copy(update=changes)
