"""Results of benchmark runs made up for tests, with the raw samples that they are made from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from chordkit.runtime_bench.results import (
    Android,
    Battery,
    BenchReport,
    Cluster,
    ClusterState,
    Counts,
    Isolated,
    Machine,
    Result,
    Settings,
    State,
    Warmup,
)
from chordkit.runtime_bench.samples import SampleBlock, Samples, launches
from chordkit.runtime_bench.statistics import launch_ratio, summarise_launches

BASELINE = "litert-fp32"
TIMES = {"native-int8": 40.0, BASELINE: 200.0, "onnx-int8": 300.0}
CLOCKS = Cluster(cpus=(4, 5), core="Cortex-A76", min_khz=710_400, max_khz=2_841_600)
STATE = State(
    at="2026-11-25T10:00:00+00:00",
    load_average=(1.0, 0.5, 0.2),
    clusters=(ClusterState(cpus=(4, 5), governor="schedutil", khz=(2_457_600,), allowed_min_khz=710_400, allowed_max_khz=2_841_600),),
    battery=Battery(level_percent=82, temperature_c=31.0, powered=True),
    thermal_status=0,
    temperatures_c={"skin": 33.0},
)
PHONE = Machine(
    cpu="a phone's", architecture="aarch64", abi="arm64-v8a", clusters=(CLOCKS,), flags=("asimddp",), cores=8, memory_bytes=8 << 30,
    kernel="6.1", virtual=False, pinned_cpu=4, python=None, versions={"chordkit": "0.2.0"}, commit="0123456789abcdef", commit_dirty=False,
    android=Android(manufacturer="Maker", model="Phone 8", soc="SoC 3", release="15", sdk=35, build="AP4A.250105.002", build_type="user",
                    security_patch="2025-01-05"),
)  # fmt: skip
EMULATED = PHONE.model_copy(update={"cpu": "Cortex-A76", "emulated": True, "android": None, "clusters": ()})


def made_samples(times: Mapping[str, float] = TIMES, *, seed: int = 0, noise: float = 0.01, blocks: int = 20, calls: int = 10) -> Samples:
    """Three launches of each; a launch and a call are ``noise`` away from ``times``."""
    generator = np.random.default_rng(seed)
    kept = {}
    for name, us in times.items():
        moved = us * np.exp(noise / 2 * generator.standard_normal(3))
        kept[name] = tuple(
            tuple(
                SampleBlock(name, launch, block, 0.01 * block, 1, level * np.exp(noise * generator.standard_normal(calls)))
                for block in range(blocks)
            )
            for launch, level in enumerate(moved)
        )
    return kept


def made_report(
    samples: Samples | None = None, *, machine: Machine = PHONE, result: Mapping[str, Any] | None = None, **fields: Any
) -> BenchReport:
    """A run over ``samples``; ``result`` changes every contender, ``fields`` the report."""
    samples = made_samples() if samples is None else samples
    base = launches(samples[BASELINE]) if BASELINE in samples else None
    results = []
    for name, kept in samples.items():
        target, _, precision = name.partition("-")
        values = {
            "name": name, "target": target, "precision": precision, "file_bytes": 123_456, "sha256": "ab" * 32, "runtime": f"{target} 1",
            "isolated": Isolated(processes=3, runtime_import_ms=None, load_ms=1.5, adoption_us=None, first_call_us=99.0, runtime_bytes=None,
                                 peak_bytes=3 << 20),
            "warmup": Warmup(calls=900, seconds=0.3, converged=True), "latency": summarise_launches(launches(kept)),
            "ratio": None if base is None else launch_ratio(launches(kept), base), "counts": Counts(per_call=1000.0), "contention": None,
            "comparable": True, "reasons": (),
        }  # fmt: skip
        results.append(Result(**{**values, **(result or {})}))
    report = BenchReport(
        device="emulator:cortex-a76" if machine.emulated else "adb:SERIAL", machine=machine, settings=Settings(),
        baseline=BASELINE if base is not None else None, histories=64, candidates=100, before=STATE, after=STATE, steal=None,
        samples="run.jsonl", results=tuple(results), comparable=True, reasons=(),
    )  # fmt: skip
    return report.model_copy(update=fields)
