"""Results of the runtimes' own tools: read from what they print, refused where that is damaged.

The texts are written after the tools' sources, which runners/official.py names; the numbers are invented.
"""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import DeviceError
from chordkit.runtime_bench.runners.official import MAX_BYTES, OfficialResult, parse_official, read_official

# benchmark_model.cc: LogParams, Run, OnBenchmarkEnd; statistics of tensorflow/core/util/stats_calculator.h, percentiles since LiteRT.
BENCHMARK_MODEL = """\
INFO: STARTING!
INFO: Min num runs: [50]
INFO: Graph: [/data/local/tmp/m.tflite]
INFO: Initialized session in 1.25ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=9 first=871 curr=516 min=515 max=871 avg=581.4 std=114 p5=516 median=519 p95=871

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=1900 first=521 curr=497 min=490 max=686 avg=507.432 std=16 p5=496 median=505 p95=520

INFO: Inference timings in us: Init: 1195, First inference: 871, Warmup (avg): 581.4, Inference (avg): 507.432
INFO: Memory footprint delta from the start of the tool (MB): init=5.5 overall=5.5
"""
OLD_MODEL = """\
count=50 first=79449 curr=81350 min=77385 max=88213 avg=79760.9 std=1929

Number of nodes executed: 31
Timings (microseconds): count=50 first=79000 curr=81000 min=77000 max=88000 avg=79700 std=1900
Memory (bytes): count=0
31 nodes observed

Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9
"""
# executor_runner.cpp: the lines "Model loaded", "Iteration" and "Model executed successfully" after the prefix of ET_LOG.
EXECUTOR_RUNNER = """\
I 00:00:00.000404 executorch:executor_runner.cpp:320] Model file m.pte is loaded.
I 00:00:00.002000 executorch:executor_runner.cpp:480] Model loaded in 1.500000 ms.
I 00:00:00.003000 executorch:executor_runner.cpp:640] Iteration 1 of 4: 0.900000 ms
I 00:00:00.004000 executorch:executor_runner.cpp:640] Iteration 2 of 4: 0.500000 ms
I 00:00:00.005000 executorch:executor_runner.cpp:640] Iteration 3 of 4: 0.400000 ms
I 00:00:00.006000 executorch:executor_runner.cpp:640] Iteration 4 of 4: 0.600000 ms
I 00:00:00.007000 executorch:executor_runner.cpp:652] Model executed successfully 4 time(s) in 2.400000 ms.
I 00:00:00.007100 executorch:executor_runner.cpp:660] 1 outputs:
"""
# ModelRunner.kt and BenchmarkMetric.kt of extension/benchmark/android.
APP = [
    {"benchmarkModel": {"name": "m", "backend": "x", "quantization": "q8"}, "metric": metric, "actualValue": value, "targetValue": 0.0}
    for metric, value in (
        ("avg_inference_latency(ms)", 0.75), ("trimmean_inference_latency(ms)", 0.7), ("model_load_time(ms)", 3.5), ("load_status", 0.0),
        ("ram_pss_usage(mb)", 12.0),
    )
]  # fmt: skip
# performance_runner.cc: Run, and DumpToFile with -s.
PERF_TEST = """\
Setting intra_op_num_threads to 1
Session creation time cost: 0.0102016 s
First inference time cost: 2 ms
Total inference time cost: 0.185739 s
Total inference requests: 100
Average inference time cost: 1.85739 ms
Total inference run time: 0.18581 s
Number of inferences per second: 538.184 
Avg CPU usage: 96 %
Peak working set size: 36696064 bytes
Avg CPU usage:96
Peak working set size:36696064
Runs:100
Min Latency: 0.00183404 s
Max Latency: 0.00190312 s
P50 Latency: 0.00185674 s
P90 Latency: 0.00187215 s
P95 Latency: 0.00187393 s
P99 Latency: 0.00190312 s
P999 Latency: 0.00190312 s
"""  # noqa: W291 - the tool prints that blank


def field(number: int, kind: int, data: bytes) -> bytes:
    return bytes([number << 3 | kind]) + data


def floats(**values: float) -> bytes:
    numbers = {"avg": 1, "min": 2, "max": 3, "stddev": 4, "median": 5, "p5": 6, "p95": 7, "init": 8, "first": 9, "warm": 10}
    return b"".join(field(numbers[name], 5, struct.pack("<f", value)) for name, value in values.items())


def message(latency: bytes) -> bytes:
    """A BenchmarkResult of benchmark_result.proto: name, latency_metrics, memory_metrics, misc_metrics."""
    misc = field(1, 5, struct.pack("<f", 0.1)) + field(2, 0, b"\xec\x0e")
    parts = [(1, b"run"), (2, latency), (3, field(1, 0, b"\x80\x2c")), (4, misc)]
    return b"".join(field(number, 2, bytes([len(data)]) + data) for number, data in parts)


RESULT_FILE = message(floats(avg=0.5, min=0.25, max=2.0, stddev=0.125, median=0.375, p5=0.3, p95=1.0, init=4.0, first=8.0, warm=1.0))


def test_benchmark_model_is_read_from_its_log() -> None:
    result = parse_official(BENCHMARK_MODEL.encode())
    assert result == OfficialResult(
        tool="benchmark_model",
        model="m.tflite",
        n=1900,
        min_us=490,
        mean_us=507.432,
        p50_us=505,
        p95_us=520,
        max_us=686,
        std_us=16,
        init_us=1195,
        first_us=871,
    )
    assert result.random_inputs and not result.checked
    logcat = "".join(f"11-26 10:00:00.000  812  812 I tflite  : {line}\n" for line in BENCHMARK_MODEL.splitlines())
    assert parse_official(logcat.encode()) == result


def test_an_old_benchmark_model_has_no_percentiles_and_operators_are_not_its_calls() -> None:
    result = parse_official(OLD_MODEL.encode())
    assert (result.n, result.mean_us, result.min_us, result.std_us, result.init_us) == (50, 79760.9, 77385, 1929, 38467)
    assert result.p50_us is None and result.first_us is None


def test_benchmark_model_with_equal_times_prints_one() -> None:
    text = "count=5 curr=42(all same)\nInference timings in us: Init: 1, First inference: 50, Warmup (avg): 45, Inference (avg): 42\n"
    result = parse_official(text.encode())
    assert (result.n, result.min_us, result.max_us, result.std_us) == (5, 42, 42, 0)


def test_benchmark_model_is_read_from_its_result_file() -> None:
    result = parse_official(RESULT_FILE)
    assert result == OfficialResult(
        tool="benchmark_model",
        n=1900,
        mean_us=500,
        min_us=250,
        max_us=2000,
        std_us=125,
        p50_us=375,
        p95_us=1000,
        init_us=4000,
        first_us=8000,
    )


def test_executor_runner_is_read_with_its_iterations() -> None:
    result = parse_official(EXECUTOR_RUNNER.encode())
    assert (result.tool, result.model, result.n, result.init_us, result.first_us) == ("executor_runner", "m.pte", 4, 1500, 900)
    assert (
        result.mean_us == pytest.approx(600)
        and result.p50_us == pytest.approx(500)
        and result.p99_us == result.max_us == pytest.approx(900)
    )
    assert result.min_us == pytest.approx(400) and result.random_inputs


def test_an_executor_runner_without_iterations_tells_the_mean_alone() -> None:
    lines = [line for line in EXECUTOR_RUNNER.splitlines() if "Iteration" not in line and "Model loaded" not in line]
    result = parse_official("\n".join(lines).encode())
    assert (result.n, result.p50_us, result.min_us, result.init_us) == (4, None, None, None) and result.mean_us == pytest.approx(600)


def test_the_executorch_app_tells_means() -> None:
    result = parse_official(json.dumps(APP).encode())
    assert (result.tool, result.model, result.n, result.mean_us, result.init_us) == ("executorch benchmark app", "m", 0, 750, 3500)


def test_perf_test_is_read_with_its_percentiles() -> None:
    result = parse_official(PERF_TEST.encode())
    assert (result.tool, result.n) == ("onnxruntime_perf_test", 100)
    assert result.mean_us == pytest.approx(1857.39) and result.p50_us == pytest.approx(1856.74) and result.p99_us == pytest.approx(1903.12)
    assert result.init_us == pytest.approx(10201.6) and result.first_us == pytest.approx(2000)
    without = parse_official(PERF_TEST.partition("Min Latency")[0].encode())
    assert without.p50_us is None and without.mean_us == result.mean_us


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no output of benchmark_model"),
        (b"hello", "no output of benchmark_model"),
        (b"[1, 2]", "no list of metrics"),
        (b"[", "not JSON"),
        (json.dumps([{**APP[3], "actualValue": 32.0}]).encode(), "could not load the model"),
        (json.dumps(APP[2:]).encode(), "avg_inference_latency"),
        (json.dumps([{**APP[0], "actualValue": None}]).encode(), "is no number"),
        (json.dumps([{**APP[0], "actualValue": True}]).encode(), "is no number"),
        (json.dumps([{**APP[0], "actualValue": -1}]).encode(), "mean_us"),
        (BENCHMARK_MODEL.replace("count=", "n=").encode(), "statistics of the timed calls"),
        (BENCHMARK_MODEL.replace("Inference (avg): 507.432", "").encode(), "Inference (avg)"),
        (BENCHMARK_MODEL.replace("avg): 507.432", "avg): 1e999").encode(), "mean_us"),
        (EXECUTOR_RUNNER.replace(" in 2.400000 ms", "").encode(), "Model executed successfully N time(s)"),
        (EXECUTOR_RUNNER.replace("successfully 4", "successfully 0").encode(), "no time"),
        (EXECUTOR_RUNNER.replace("successfully 4", "successfully 5").encode(), "4 lines where 5"),
        (PERF_TEST.replace("requests: 100", "requests:").encode(), "Total inference requests"),
        (PERF_TEST.replace("0.00185674", "1e999").encode(), "P50 Latency"),
        (RESULT_FILE[:20], "breaks off"),
        (message(b""), "avg_ms"),
        (message(floats(avg=float("nan"))), "mean_us"),
        (message(field(1, 0, b"\x05")), "is no number"),
        (b"\x00\x01\x02\xff", "benchmark_model"),
    ],
)
def test_what_is_damaged_is_refused_by_field(data: bytes, sentence: str) -> None:
    with pytest.raises(DeviceError) as caught:
        parse_official(data)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(PERF_TEST)
    assert read_official(file).n == 100
    file.write_text("hello")
    with pytest.raises(DeviceError, match=f"^{file}: it is no output"):
        read_official(file)
    file.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(DeviceError, match="above"):
        read_official(file)
    with pytest.raises(DeviceError, match="cannot be read"):
        read_official(tmp_path / "none")


SAMPLES = [text.encode() for text in (BENCHMARK_MODEL, OLD_MODEL, EXECUTOR_RUNNER, PERF_TEST, json.dumps(APP))] + [RESULT_FILE]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4)
)
def test_a_damaged_result_is_read_or_refused_and_nothing_else(sample: bytes, edits: list[tuple[int, bytes, int]]) -> None:
    data = bytearray(sample)
    for at, new, gone in edits:
        at %= len(data) + 1
        data[at : at + gone] = new
    try:
        result = parse_official(bytes(data))
    except DeviceError as error:
        assert "\n" not in str(error)
    else:
        assert result.mean_us >= 0
