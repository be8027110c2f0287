"""AndroidX Benchmark's document: its names and types, ns, and nothing that was not measured."""

import json
from typing import Any

import numpy as np
import pytest

from chordkit.runtime_bench.androidx import benchmark_data
from chordkit.runtime_bench.results import Cluster
from tests.runtime_bench.reports import EMULATED, PHONE, STATE, TIMES, made_report, made_samples

# androidx.benchmark.json.BenchmarkData, commit 1edea9564662658016d20a348a5ebe01f40c0bf7, and coefficientOfVariation of later ones.
BUILD = {"brand": str, "device": str, "fingerprint": str, "id": str, "model": str, "type": str, "version": dict}
CONTEXT = {"build": dict, "cpuCoreCount": int, "cpuLocked": bool, "cpuMaxFreqHz": int, "memTotalBytes": int,
           "sustainedPerformanceModeEnabled": bool, "artMainlineVersion": int, "payload": dict}  # fmt: skip
LEFT_OUT = {"osCodenameAbbreviated", "compilationMode"}
BENCHMARK = {"name": str, "params": dict, "className": str, "totalRunTimeNs": int, "metrics": dict, "sampledMetrics": dict,
             "warmupIterations": int, "repeatIterations": int, "thermalThrottleSleepSeconds": int}  # fmt: skip
METRIC = {"minimum": float, "maximum": float, "median": float, "coefficientOfVariation": float, "runs": list}


def _is(document: dict[str, Any], names: dict[str, type], optional: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    assert set(names) <= set(document) <= set(names) | optional
    assert {name: type(document[name]) for name in names} == names


@pytest.mark.parametrize("machine", [PHONE, EMULATED])
def test_the_document_has_androidxs_names_and_types(machine: Any) -> None:
    samples = made_samples()
    document = json.loads(json.dumps(benchmark_data(made_report(samples, machine=machine), samples), allow_nan=False))
    assert list(document) == ["context", "benchmarks"]
    _is(document["context"], CONTEXT, LEFT_OUT)
    _is(document["context"]["build"], BUILD)
    assert {type(value) for value in document["context"]["payload"].values()} == {str}
    for benchmark in document["benchmarks"]:
        _is(benchmark, BENCHMARK)
        assert {type(value) for value in benchmark["params"].values()} == {str}
        for metric in benchmark["metrics"].values():
            _is(metric, METRIC)


def test_times_are_nanoseconds_and_runs_are_the_raw_samples() -> None:
    samples = made_samples()
    benchmark = benchmark_data(made_report(samples), samples)["benchmarks"][0]
    metric = benchmark["metrics"]["timeNs"]
    raw = np.concatenate([block.us for launch in samples["native-int8"] for block in launch])
    assert np.allclose(metric["runs"], raw * 1000, atol=1e-3) and len(metric["runs"]) == 3 * 20 * 10
    assert metric["median"] == pytest.approx(float(np.median(raw)) * 1000)
    assert metric["coefficientOfVariation"] == pytest.approx(raw.std(ddof=1) / raw.mean())
    assert benchmark["totalRunTimeNs"] == round(raw.sum() * 1000)
    assert benchmark["metrics"]["instructions"]["runs"] == [1000.0]


def test_without_samples_runs_are_empty_and_the_rest_is_what_the_result_says() -> None:
    report = made_report()
    metric = benchmark_data(report)["benchmarks"][0]["metrics"]["timeNs"]
    assert metric["runs"] == [] and metric["minimum"] == round(report.results[0].latency.min_us * 1000, 3)


def test_what_is_not_known_is_what_android_says_then() -> None:
    context = benchmark_data(made_report(machine=EMULATED))["context"]
    assert context["build"] == {**dict.fromkeys(["brand", "device", "fingerprint", "id", "model", "type"], "unknown"),
                                "version": {"codename": "unknown", "sdk": 0}}  # fmt: skip
    assert (context["cpuMaxFreqHz"], context["artMainlineVersion"], context["cpuLocked"]) == (-1, -1, False)
    assert "osCodenameAbbreviated" not in context and "compilationMode" not in context
    assert context["payload"]["emulated"] == "true"


def test_a_fingerprint_is_taken_apart() -> None:
    fingerprint = "google/husky/husky:14/UQ1A.240105.004/11206848:userdebug/dev-keys"
    android = PHONE.android.model_copy(update={"build": fingerprint, "sdk": 34}) if PHONE.android else None
    context = benchmark_data(made_report(machine=PHONE.model_copy(update={"android": android})))["context"]
    build = context["build"]
    assert (build["brand"], build["device"], build["id"], build["fingerprint"]) == ("google", "husky", "UQ1A.240105.004", fingerprint)
    assert context["osCodenameAbbreviated"] == "U"
    assert benchmark_data(made_report())["context"]["osCodenameAbbreviated"] == "REL", "from API 35 on"
    assert benchmark_data(made_report())["context"]["build"]["id"] == "AP4A.250105.002"


def test_clocks_are_locked_when_the_lowest_allowed_is_not_the_lowest_there_is() -> None:
    def locked(allowed: int | None) -> bool:
        clocks = tuple(cluster.model_copy(update={"allowed_min_khz": allowed}) for cluster in STATE.clusters)
        return bool(benchmark_data(made_report(before=STATE.model_copy(update={"clusters": clocks})))["context"]["cpuLocked"])

    assert locked(1_500_000) and not locked(710_400) and not locked(None)
    another = PHONE.model_copy(update={"clusters": (*PHONE.clusters, Cluster(cpus=(0,), core=None, min_khz=300_000, max_khz=None))})
    clocks = tuple(cluster.model_copy(update={"allowed_min_khz": 1_500_000}) for cluster in STATE.clusters)
    context = benchmark_data(made_report(machine=another, before=STATE.model_copy(update={"clusters": clocks})))["context"]
    assert context["cpuLocked"] is False, "nothing is known of the other cluster's clock"
    assert context["cpuMaxFreqHz"] == 2_841_600_000


def test_the_wait_of_the_run_is_told_once() -> None:
    benchmarks = benchmark_data(made_report(waited_s=41.6))["benchmarks"]
    assert [benchmark["thermalThrottleSleepSeconds"] for benchmark in benchmarks] == [42, *[0] * (len(TIMES) - 1)]
