"""A report with everything that a demo finds out."""

import numpy as np
import pytest

from chordkit.estimate import Estimate
from chordkit.report import Report
from chordkit.report.model import (
    ArtifactSummary,
    BackboneAccuracy,
    Benefit,
    BundleSummary,
    Cloud,
    DatasetSummary,
    Headline,
    LatencySummary,
    LayerWidths,
    ParitySummary,
    Personalisation,
    ReleaseHeld,
    RolloutStep,
    ServedStrategies,
    Stage,
    StoppedRelease,
    StrategyAccuracy,
    Truth,
    UserStrategy,
)


@pytest.fixture
def report() -> Report:
    rng = np.random.default_rng(0)

    def around(value: float) -> Estimate:
        return Estimate(value=value, low=value - 0.004, high=value + 0.004)

    def row(key: str, bits: float, ndcg: float) -> StrategyAccuracy:
        return StrategyAccuracy(
            key=key, name=f"the {key} one", personal=key == "own", average_bits=bits, products=0.25, phone_bytes=80_000, wire_bytes=216,
            masked_ndcg10=around(ndcg), n100_ndcg10=around(0.5), likelihood=around(-4.5),
            own_minus_this=None if key == "own" else around(0.07 - ndcg),
            own_minus_this_likelihood=None if key == "own" else around(0.0321),
        )  # fmt: skip

    def artifact(target: str, precision: str, p50: float) -> ArtifactSummary:
        return ArtifactSummary(
            name=f"{target}-{precision}", target=target, precision=precision, average_bits=3.0, bytes=123_456,
            parity=ParitySummary(histories=1000, max_error=1e-6, mean_error=1e-7, relative_rms_error=1e-7, kendall_tau=1.0,
                                 top10_overlap=1.0, ndcg_difference=0.0, tolerance="rms 1e-5", passed=precision != "int8"),
            latency=LatencySummary(load_ms=1.5, first_call_us=300, min_us=p50 * 0.9, p50_us=p50, p90_us=p50 * 1.2, p99_us=p50 * 2,
                                   coefficient_of_variation=0.1, calls=5000, peak_memory_mib=12.5),
        )  # fmt: skip

    def strategy(user: str) -> UserStrategy:
        names = [f"blocks.{block}.{layer}" for block in range(2) for layer in ("query", "key", "value", "output", "ffn1", "ffn2")]
        layers = [LayerWidths(layer=name, widths="".join(rng.choice(["2", "4", "8"], 64, p=[0.65, 0.25, 0.1]))) for name in names]
        return UserStrategy(user=user, average_bits=3.0, wire_bytes=216, layers=layers)

    return Report(
        title="A </script><b>hostile</b> title", created="2026-11-21T12:00:00Z", chordkit="0.1.0", commit="0123abc", seed=0,
        machine={"cpu": "a CPU", "cores": 2, "features": ["avx2", "fma"]}, runtimes={"ai-edge-litert": "2.3.0"},
        dataset=DatasetSummary(name="synthetic", users=2500, items=1300, interactions=150_000, fingerprint="00"),
        backbone={"architecture": "sasrec", "dim": 64},
        backbone_accuracy=[BackboneAccuracy(protocol=name, ndcg5=around(0.05), ndcg10=around(0.07), hr5=around(0.09), hr10=around(0.13))
                           for name in ("full", "masked", "sampled")],
        benefits=[Benefit(
            headline=Headline(worth_it=True, sentence="Personal strategies gain +0.1.", against="one static strategy",
                              likelihood=around(0.1), masked_ndcg10=around(0.01), validation="ship the personal strategy"),
            truth=[Truth(measure="masked_likelihood", sentence="Their taste is worth 0.871 nats.", taste=around(-3.7), context=around(-4.6),
                         own=around(-4.4), static=around(-4.5), share=around(0.11))],
            strategy_accuracy=[row("own", 2.0, 0.07), row("static", 2.0, 0.06), row("fp32", 32.0, 0.065), row("uniform2", 2.0, 0.05)],
            accuracy_protocol="Five held-out items.",
            personalisation=Personalisation(users=2500, mean_pairwise_difference=0.3, mean_difference_in_time=0.1),
        )],
        latency_protocol="Interleaved, one thread.",
        artifacts=[artifact(target, precision, p50) for target, p50 in (("litert", 55.0), ("executorch", 120.0), ("onnx", 150.0))
                   for precision in ("fp32", "int8", "strategy")],
        strategies=[strategy(f"user {index}") for index in range(4)],
        cloud=Cloud(
            strategies=ServedStrategies(requests=540, accepted=539, profile_bytes=772, answer_bytes=324, p50_ms=4.2, p99_ms=9.1),
            phones=120, bundle_bytes=281_746,
            rollout=[
                RolloutStep(what="release 1 to 20 %", held=[ReleaseHeld(release=0, phones=90), ReleaseHeld(release=1, phones=30)],
                            failed=0, bytes=9_000_000, idle_bytes=1625),
                RolloutStep(what="release 2 to 40 %", held=[ReleaseHeld(release=1, phones=85), ReleaseHeld(release=2, phones=35)],
                            failed=13, bytes=13_000_000),
            ],
            stopped=StoppedRelease(release=2, percent=40, phones=120, reports=27, failures=8, adopted=35),
        ),
        bundles=[BundleSummary(file="demo.chord", holds="all", bytes=2_000_000, members=14, signed=True, backbone_fingerprint="ab" * 8)],
        stages=[Stage(name="train", seconds=50.0)], notes=["A note."],
    )  # fmt: skip
