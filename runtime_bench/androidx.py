"""A run in the shape of AndroidX Benchmark's ``benchmarkData.json``, for tools that read those files.

Names and meanings are those of ``androidx.benchmark.json.BenchmarkData`` (androidx/androidx,
``benchmark/benchmark-common/src/main/java/androidx/benchmark/json/BenchmarkData.kt``), with ``CpuInfo.kt``, ``DeviceInfo.kt`` and
``CpuEventCounter.kt`` beside it. What is not known is what Android itself says then (``unknown``, -1, an SDK of 0) or is left out; what
AndroidX has no place for (mode, emulated, comparable, commit) is in its ``payload``.
"""

import re
from typing import Any

import numpy as np

from chordkit.runtime_bench.results import Android, BenchReport, Machine, Result, State
from chordkit.runtime_bench.samples import Samples

_UNKNOWN = "unknown"
"""``android.os.Build.UNKNOWN``."""
# ro.build.fingerprint: brand/product/device:release/id/incremental:type/tags
_FINGERPRINT = re.compile(r"([^/]+)/[^/]+/([^:/]+):[^/]+/([^/]+)/[^:]+:([^/]+)/.+")


def benchmark_data(report: BenchReport, samples: Samples | None = None) -> dict[str, Any]:
    """The run as AndroidX's document; times in ns. ``runs`` hold the raw samples, and are empty without them."""
    return {
        "context": _context(report),
        "benchmarks": [_benchmark(report, result, samples, first=index == 0) for index, result in enumerate(report.results)],
    }


def _context(report: BenchReport) -> dict[str, Any]:
    machine = report.machine
    build = _build(machine.android)
    known = [cluster.max_khz for cluster in machine.clusters if cluster.max_khz is not None]
    context: dict[str, Any] = {
        "build": build,
        "cpuCoreCount": machine.cores,
        "cpuLocked": _locked(machine, report.before),
        "cpuMaxFreqHz": max(known) * 1000 if known else -1,
        "memTotalBytes": machine.memory_bytes,
        # chordkit asks no system for it.
        "sustainedPerformanceModeEnabled": False,
        "artMainlineVersion": -1,
    }
    if build["id"] != _UNKNOWN:
        context["osCodenameAbbreviated"] = "REL" if build["version"]["sdk"] >= 35 else build["id"][:1]
    payload = {
        "tool": f"chordkit {machine.versions.get('chordkit', _UNKNOWN)}",
        "commit": machine.commit or _UNKNOWN,
        "device": report.device,
        "emulated": str(machine.emulated).lower(),
        "mode": report.settings.mode,
        "comparable": str(report.comparable).lower(),
        "errors": ",".join(report.before.bad),
    }
    if machine.android is not None:
        payload |= {"manufacturer": machine.android.manufacturer, "release": machine.android.release}
    return {**context, "payload": payload}


def _build(android: Android | None) -> dict[str, Any]:
    """``android.os.Build``: brand, device and id are parts of the fingerprint, where the build is told as one."""
    if android is None:
        names = dict.fromkeys(("brand", "device", "fingerprint", "id", "model", "type"), _UNKNOWN)
        return {**names, "version": {"codename": _UNKNOWN, "sdk": 0}}
    parts = _FINGERPRINT.fullmatch(android.build)
    brand, device, build_id = parts.group(1, 2, 3) if parts else (_UNKNOWN, _UNKNOWN, android.build or _UNKNOWN)
    return {
        "brand": brand,
        "device": device,
        "fingerprint": android.build if parts else _UNKNOWN,
        "id": build_id,
        "model": android.model,
        "type": android.build_type,
        "version": {"codename": _UNKNOWN, "sdk": android.sdk},
    }


def _locked(machine: Machine, state: State) -> bool:
    """CpuInfo's rule: the lowest frequency allowed now is above the lowest that the processor has, everywhere; unknown is unlocked."""
    lowest = {cpu: cluster.min_khz for cluster in machine.clusters for cpu in cluster.cpus}
    allowed = {cpu: cluster.allowed_min_khz for cluster in state.clusters for cpu in cluster.cpus}
    pairs = [(allowed.get(cpu), least) for cpu, least in lowest.items()]
    return bool(pairs) and all(now is not None and least is not None and now > least for now, least in pairs)


def _benchmark(report: BenchReport, result: Result, samples: Samples | None, first: bool) -> dict[str, Any]:
    latency = result.latency
    blocks = [block for launch in (samples or {}).get(result.name, ()) for block in launch]
    metrics: dict[str, Any] = {}
    if blocks:
        runs = np.concatenate([block.us for block in blocks]) * 1000
        total = sum(float(block.us.sum()) * block.batch for block in blocks) * 1000
        spread = float(runs.std(ddof=1) / runs.mean()) if runs.size > 1 and runs.mean() > 0 else 0.0
        metrics["timeNs"] = _metric(float(runs.min()), float(runs.max()), float(np.median(runs)), spread, runs.round(3).tolist())
    else:
        total = latency.mean_us * latency.n * latency.batch * 1000
        spread = latency.coefficient_of_variation
        metrics["timeNs"] = _metric(latency.min_us * 1000, latency.max_us * 1000, latency.p50_us * 1000, spread, [])
    if result.counts is not None:
        each = result.counts.per_call
        metrics["instructions"] = _metric(each, each, each, 0.0, [each])
    benchmark: dict[str, Any] = {
        "name": result.name,
        "params": {"target": result.target, "precision": result.precision, "mode": report.settings.mode},
        "className": "chordkit.runtime_bench",
        # Of the samples alone: their durations, batches counted.
        "totalRunTimeNs": round(total),
        "metrics": metrics,
        "sampledMetrics": {},
    }
    if result.warmup is not None:
        benchmark["warmupIterations"] = result.warmup.calls
    benchmark["repeatIterations"] = latency.batch
    # The wait was the whole run's; once, so that a sum over the benchmarks is right.
    benchmark["thermalThrottleSleepSeconds"] = round(report.waited_s) if first else 0
    return benchmark


def _metric(minimum: float, maximum: float, median: float, spread: float, runs: list[float]) -> dict[str, Any]:
    values = {"minimum": minimum, "maximum": maximum, "median": median}
    return {**{name: round(value, 3) for name, value in values.items()}, "coefficientOfVariation": spread, "runs": runs}
