"""From what the stages return to what the report shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chordkit import __version__
from chordkit.data import Dataset
from chordkit.evaluation import Summary
from chordkit.evaluation.truth import Attainable
from chordkit.export.bundle import MASTER, ArtifactEntry, Manifest
from chordkit.export.targets import find_target
from chordkit.hypernetwork import Diversity, TrainedHypernetwork
from chordkit.quantization import MasterWeights
from chordkit.report.model import (
    ArtifactSummary,
    BackboneAccuracy,
    BundleSummary,
    DatasetSummary,
    EmulatedLine,
    EmulatedPhone,
    LatencySummary,
    LayerWidths,
    ParitySummary,
    Personalisation,
    Truth,
    UserStrategy,
)
from chordkit.runtime_bench.protocol import HOST
from chordkit.runtime_bench.results import BenchReport, Machine, Result, State
from chordkit.strategy import Strategy, average_bits, wire_bytes
from chordkit.training import Metrics

PROTOCOLS = {"test": "full", "test_masked": "masked", "test_negatives": "sampled"}


def environment(machine: Machine, state: State) -> dict[str, Any]:
    """Version, commit, machine, its state and runtimes, as the report's fields."""
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
            "governor": next((cluster.governor for cluster in state.clusters if cluster.governor), "unknown"),
            "load average": [f"{load:.2f}" for load in state.load_average or ()],
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
        for key, name in PROTOCOLS.items()
    ]


def truth(found: Sequence[Attainable]) -> list[Truth]:
    """What there was to gain, where that is known."""
    units = {"masked_likelihood": "nats an item", "masked_ndcg10": "in NDCG@10"}

    def sentence(each: Attainable) -> str:
        share, worth = each.share, each.taste.value - each.context.value
        return (
            f"These users are synthetic, so the truth is known: who knows their taste is {worth:.3f} {units[each.measure]} better than who "
            f"knows the last item alone. Above the static strategy, the personal ones reach {100 * share.value:.1f} % of that "
            f"[{100 * share.low:.1f}, {100 * share.high:.1f}]."
        )

    return [Truth(sentence=sentence(each), **vars(each)) for each in found]


def accuracy_protocol(summary: Summary, personal: TrainedHypernetwork, held_out: int) -> str:
    """How accuracy was measured, in a sentence."""
    options = personal.options
    widths = ", ".join("off" if width == 0 else str(width) for width in options.widths)
    return (
        f"The last {held_out} items of each of {summary.users:,} users; the {held_out} before them chose the epoch. Items that the user "
        "has seen do not compete. All begin with the same backbone trained in FP32; the personal strategies, the static one and the FP32 "
        f"rival then learned for {options.epochs} epochs each, from the same windows. The phone sees "
        f"{personal.backbone.config.max_length} items; what lies before reaches it through the strategy alone, which has "
        f"{options.average_bits:g} bits a weight on average, from the widths {widths}."
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


def artifact_summaries(manifests: Mapping[str, Manifest], measured: BenchReport | None) -> list[ArtifactSummary]:
    """Every artifact of the bundles, by name, with the bytes that it runs from, parity and latency, and whatever else was timed."""
    timed = {} if measured is None else {result.name: result for result in measured.results}
    summaries, told = [], set()
    for name, manifest in manifests.items():
        bits = {entry.name: entry.average_bits for entry in manifest.strategies}
        sizes = {member.name: member.bytes for member in manifest.members}
        for entry in manifest.artifacts:
            fixed = {"fp32": 32.0, "int8": 8.0}.get(entry.precision)
            # Of artifacts with one name in two bundles a benchmark says which.
            key = f"{name}/{entry.name}" if f"{name}/{entry.name}" in timed else entry.name
            told.add(key)
            beside = sizes[MASTER] if find_target(entry.target).capability.master else 0
            summaries.append(
                ArtifactSummary(
                    name=entry.name,
                    target=entry.target,
                    precision=entry.precision,
                    bundle=name,
                    user=entry.strategy,
                    average_bits=fixed if entry.strategy is None else bits[entry.strategy],
                    bytes=sizes[entry.member] + beside,
                    parity=_parity(entry),
                    latency=_latency(timed[key]) if key in timed else None,
                )
            )
    return summaries + [
        ArtifactSummary(name=result.name, target=result.target, precision=result.precision, latency=_latency(result))
        for name, result in timed.items()
        if name not in told
    ]


def emulated_phone(measured: BenchReport | None) -> EmulatedPhone | None:
    """What an emulated phone says, if there was one."""
    if measured is None:
        return None
    lines = [
        EmulatedLine(
            name=result.name,
            instructions=result.counts.per_call if result.counts else None,
            adoption_instructions=result.counts.per_adoption if result.counts else None,
            emulated_us=result.latency.p50_us,
            ratio=result.ratio,
            peak_memory_mib=result.isolated.peak_bytes / 2**20 if result.isolated and result.isolated.peak_bytes is not None else None,
        )
        for result in measured.results
    ]
    return EmulatedPhone(device=measured.device, machine=measured.machine.cpu, baseline=measured.baseline, lines=lines)


def latency_protocol(measured: BenchReport) -> str:
    """How latency was measured, in a sentence."""
    settings = measured.settings
    if measured.device != HOST:
        return (
            f"One rerank of {measured.candidates} candidates on {measured.device} ({measured.machine.cpu}), {settings.mode}, over "
            f"{measured.histories} real histories; scores were checked there first."
        )
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


def personalisation(diversity: Diversity) -> Personalisation:
    """How much strategies depend on the user."""
    return Personalisation(
        users=diversity.users, mean_pairwise_difference=diversity.between_users, mean_difference_in_time=diversity.between_moments
    )


def bundle_summary(path: Path, size: int, manifest: Manifest, holds: str) -> BundleSummary:
    """A deployable file; ``holds`` says what is in it, in words."""
    return BundleSummary(
        file=path.name,
        holds=holds,
        bytes=size,
        members=len(manifest.members),
        signed=manifest.signature is not None,
        backbone_fingerprint=manifest.backbone.fingerprint,
    )


def notes(measured: BenchReport) -> list[str]:
    """What a reader should know before quoting a number."""
    found = ["A host's latency says which artifact is faster here, not how fast a phone is."] if measured.device == HOST else []
    if measured.machine.virtual:
        found.append("Measured in a virtual machine: compare ratios within this run, not microseconds across machines.")
    return found + [f"Not comparable: {reason}." for reason in measured.reasons]
