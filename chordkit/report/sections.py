"""From what the stages return to what the report shows."""

from pathlib import Path
from typing import Any

from chordkit import __version__
from chordkit.data import Dataset
from chordkit.export.bundle import ArtifactEntry, Manifest
from chordkit.hypernetwork import Comparison
from chordkit.quantization import MasterWeights
from chordkit.report.model import (
    ArtifactSummary,
    BackboneAccuracy,
    BundleSummary,
    DatasetSummary,
    LatencySummary,
    LayerWidths,
    ParitySummary,
    Personalisation,
    StrategyAccuracy,
    UserStrategy,
)
from chordkit.runtime_bench.results import BenchReport, Machine, Result
from chordkit.strategy import Strategy, average_bits, wire_bytes
from chordkit.training import Metrics

_KINDS = {"own": "own", "other": "other", "mean": "mean", "static": "static", "fp32": "fp32", "reference": "fp32"}
_PROTOCOLS = {"test": "full", "test_masked": "masked", "test_negatives": "sampled"}


def environment(machine: Machine) -> dict[str, Any]:
    """Version, commit, machine and runtimes, as the report's fields."""
    commit = "unknown" if machine.commit is None else machine.commit[:12] + ("+" if machine.commit_dirty else "")
    return {
        "chordkit": __version__,
        "commit": commit,
        "machine": {
            "cpu": machine.cpu,
            "architecture": machine.architecture,
            "cores": machine.cores,
            "memory GiB": round(machine.memory_bytes / 2**30, 1),
            "kernel": machine.kernel,
            "virtual machine": machine.virtual,
            "governor": machine.governor or "unknown",
            "load average": [f"{load:.2f}" for load in machine.load_average],
            "flags": list(machine.flags),
            "python": machine.python,
        },
        "runtimes": dict(machine.versions),
    }


def dataset_summary(dataset: Dataset) -> DatasetSummary:
    """What the models were trained on."""
    return DatasetSummary(
        name=dataset.name, users=dataset.users, items=dataset.items, interactions=dataset.interactions, fingerprint=dataset.fingerprint
    )


def backbone_accuracy(metrics: dict[str, Metrics]) -> list[BackboneAccuracy]:
    """The trained backbone in its three protocols."""
    return [
        BackboneAccuracy(
            protocol=name,
            ndcg5=metrics[key].ndcg5,
            ndcg10=metrics[key].ndcg10,
            hr5=metrics[key].hr5,
            hr10=metrics[key].hr10,
        )
        for key, name in _PROTOCOLS.items()
    ]


def strategy_accuracy(comparison: Comparison) -> list[StrategyAccuracy]:
    """Own strategy and everything it should beat."""
    return [
        StrategyAccuracy(
            name=row.label,
            kind=_KINDS.get(row.key, "uniform"),  # type: ignore[arg-type]
            average_bits=row.average_bits,
            ndcg10=row.metrics.ndcg10,
            hr10=row.metrics.hr10,
            own_minus_this=None if row.key == "own" else comparison.difference(row.key),
        )
        for row in comparison.rows
    ]


def accuracy_protocol(comparison: Comparison) -> str:
    """How accuracy was measured, in a sentence."""
    return (
        f"The last item of each of {comparison.users:,} users, ranked among the whole catalogue, seen items included. The channel layers "
        "of the backbone are frozen at random weights (CHORD's setting); embeddings, norms and biases were trained together with the "
        "hypernetwork. All rows but the last run that backbone, each with the widths named; the last is an ordinary backbone trained in "
        "FP32."
    )


def _latency(result: Result) -> LatencySummary:
    isolated = result.isolated
    return LatencySummary(
        load_ms=isolated.load_ms if isolated else 0.0,
        first_call_us=isolated.first_call_us if isolated else 0.0,
        min_us=result.latency.min_us,
        p50_us=result.latency.p50_us,
        p90_us=result.latency.p90_us,
        p99_us=result.latency.p99_us,
        coefficient_of_variation=result.latency.coefficient_of_variation,
        calls=result.latency.n,
        peak_memory_mib=isolated.peak_bytes / 2**20 if isolated and isolated.peak_bytes is not None else None,
        comparable=result.comparable,
    )


def _parity(entry: ArtifactEntry) -> ParitySummary | None:
    report = entry.parity
    if report is None:
        return None
    limits = report.tolerance
    return ParitySummary(
        histories=report.n,
        max_error=report.max_abs_error,
        mean_error=report.mean_abs_error,
        relative_rms_error=report.relative_rms_error,
        kendall_tau=report.kendall_tau,
        top10_overlap=report.top10_overlap,
        ndcg_difference=report.ndcg_difference,
        tolerance=f"rms error {limits.relative_rms_error:.1e} of the spread, tau {limits.kendall_tau:.4f}, "
        f"top-10 {limits.top10_overlap:.3f}",
        passed=report.passed,
    )


def artifact_summaries(manifest: Manifest, measured: BenchReport, master: MasterWeights) -> list[ArtifactSummary]:
    """Every artifact with its bytes, parity and latency, and eager PyTorch beside them."""
    bits = {entry.name: entry.average_bits for entry in manifest.strategies}
    sizes = {member.name: member.bytes for member in manifest.members}
    timed = {result.name: result for result in measured.results}
    summaries = []
    for entry in manifest.artifacts:
        fixed = {"fp32": 32.0, "int8": 8.0}.get(entry.precision)
        summaries.append(
            ArtifactSummary(
                name=entry.name,
                target=entry.target,
                precision=entry.precision,
                user=entry.strategy,
                average_bits=fixed if entry.strategy is None else bits[entry.strategy],
                bytes=sizes[entry.member],
                parity=_parity(entry),
                latency=_latency(timed[entry.name]) if entry.name in timed else None,
            )
        )
    listed = {entry.name for entry in manifest.artifacts}
    summaries += [
        ArtifactSummary(name=result.name, target=result.target, precision=result.precision, latency=_latency(result))
        for result in measured.results
        if result.name not in listed
    ]
    return summaries


def latency_protocol(measured: BenchReport) -> str:
    """How latency was measured, in a sentence."""
    settings = measured.settings
    return (
        f"One rerank of {measured.candidates} candidates, one thread, all artifacts in one interleaved run of {settings.rounds} rounds "
        f"over {measured.histories} real histories; called from Python, so each time includes the runtime's own Python binding. "
        f"Load time, first call and peak memory: median over fresh processes ({settings.processes} each)."
    )


def user_strategy(name: str, strategy: Strategy, master: MasterWeights) -> UserStrategy:
    """A strategy layer by layer."""
    table = master.channel_table
    layers = [
        LayerWidths(layer=layer.name, widths="".join(map(str, strategy.widths[table.layer_slice(layer.name)].tolist())))
        for layer in table.layers
    ]
    return UserStrategy(
        user=name, average_bits=float(average_bits(strategy.widths, table)), wire_bytes=wire_bytes(len(strategy.widths)), layers=layers
    )


def personalisation(comparison: Comparison) -> Personalisation:
    """How much strategies depend on the user."""
    diversity = comparison.diversity
    return Personalisation(
        users=diversity.users, mean_pairwise_difference=diversity.between_users, mean_difference_in_time=diversity.between_moments
    )


def bundle_summary(path: Path, size: int, manifest: Manifest) -> BundleSummary:
    """The deployable file."""
    return BundleSummary(
        file=path.name,
        bytes=size,
        members=len(manifest.members),
        signed=manifest.signature is not None,
        backbone_fingerprint=manifest.backbone.fingerprint,
    )


def notes(measured: BenchReport) -> list[str]:
    """What a reader should know before quoting a number."""
    found = ["A host's latency says which artifact is faster here, not how fast a phone is."]
    if measured.machine.virtual:
        found.append("Measured in a virtual machine: compare ratios within this run, not microseconds across machines.")
    return found + [f"Not comparable: {reason}." for reason in measured.reasons]
