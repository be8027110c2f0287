"""Results of the runtimes' own tools, for who has them already: read into one small schema, as untrusted text.

All of these tools time random or constant inputs and check no output, so that a number of theirs stands beside ours and is never mixed with
them. The formats are those of the tools' sources:

- ``benchmark_model`` of TFLite and LiteRT: its log (``tensorflow/lite/tools/benchmark/benchmark_model.cc``), also out of logcat, and the
  message ``BenchmarkResult`` of ``--result_file_path`` (``benchmark/proto/benchmark_result.proto`` there);
- ``executor_runner`` of ExecuTorch: its log (``examples/portable/executor_runner/executor_runner.cpp``), and ``benchmark_results.json`` of
  its Android benchmark app (``extension/benchmark/android``);
- ``onnxruntime_perf_test``: what it prints (``onnxruntime/test/perftest/performance_runner.cc``), percentiles with its option ``-s``.
"""

import math
import os
import re
import statistics
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chordkit.documents import parse_json
from chordkit.errors import DeviceError

MAX_BYTES = 16 << 20
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

Us = Annotated[float, Field(ge=0, le=1e12)]


class OfficialResult(BaseModel):
    """What a tool says of one artifact. Times in us.

    Attributes:
        tool: its name; version where it tells.
        model: the name of its file, where it tells.
        n: timed calls; 0 where it does not tell.
        init_us: loading; first_us: the first call.
        random_inputs: the inputs were random or constant, no real history.
        checked: whether its scores were held against a reference, which no tool does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tool: str
    version: str | None = None
    model: Annotated[str, Field(max_length=200)] | None = None
    n: Annotated[int, Field(ge=0, le=1 << 53)]
    min_us: Us | None = None
    mean_us: Us
    p50_us: Us | None = None
    p90_us: Us | None = None
    p95_us: Us | None = None
    p99_us: Us | None = None
    max_us: Us | None = None
    std_us: Us | None = None
    init_us: Us | None = None
    first_us: Us | None = None
    random_inputs: bool = True
    checked: bool = False


def read_official(path: str | os.PathLike[str]) -> OfficialResult:
    """The result in a file of one of the tools; which tool, its contents say.

    Raises:
        DeviceError: the file cannot be read, or no tool's result is in it.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeviceError(f"{path}: the result cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise DeviceError(f"{path}: a result above {MAX_BYTES} bytes is not read; give the tool's output alone")
    try:
        return parse_official(data)
    except DeviceError as error:
        raise DeviceError(f"{path}: {error}") from None


def parse_official(data: bytes) -> OfficialResult:
    """:func:`read_official` of the contents.

    Raises:
        DeviceError: no tool's result is in them.
    """
    text = data.decode("utf-8", errors="replace")
    for mark, parse in _MARKS:
        if mark in text:
            return parse(text)
    if text.lstrip().startswith("["):
        return executorch_app(text)
    if b"\0" in data or "\ufffd" in text:
        return benchmark_result(data)
    raise DeviceError(
        "it is no output of benchmark_model, executor_runner or onnxruntime_perf_test, and no benchmark_results.json; "
        "give what the tool printed to its end"
    )


def benchmark_model(text: str) -> OfficialResult:
    """What ``benchmark_model`` prints, the last run in it. The statistics of the timed calls are the last ones before the summary.

    Raises:
        DeviceError: the summary is missing or damaged.
    """
    tool = "benchmark_model"
    summaries = list(re.finditer(r"[Ii]nference timings in us: (.*)", text))
    if not summaries:
        raise DeviceError(f"{tool}: has no line 'Inference timings in us'; its run did not come to an end")
    names = r"Init|First inference|Warmup(?: \(avg\))?|Inference(?: \(avg\))?|no stats"
    summary = dict(re.findall(rf"({names}): ({_NUMBER})", summaries[-1].group(1)))
    mean = summary.get("Inference (avg)", summary.get("Inference", summary.get("no stats")))
    if mean is None:
        raise DeviceError(f"{tool}, Inference (avg): is missing in {summaries[-1].group(0)[:80]!r}")
    before = text[: summaries[-1].start()]
    # With operator profiling there are statistics of all operators together, too, under a name of their own.
    counted = re.findall(r"(?<!\): )(count=\d+ .*)", before) or re.findall(r"Timings \(microseconds\): (count=\d+ .*)", before)
    if not counted:
        raise DeviceError(f"{tool}, count: no line has the statistics of the timed calls; give its whole output")
    # Values that are all equal are printed as the current one alone.
    fields = dict(re.findall(rf"(\w+)=({_NUMBER})", counted[-1]))
    return _result(
        tool,
        model=_model(text, r"Graph: \[(.+)\]"),
        n=fields["count"],
        mean_us=mean,
        min_us=fields.get("min", fields.get("curr")),
        max_us=fields.get("max", fields.get("curr")),
        p50_us=fields.get("median"),
        p95_us=fields.get("p95"),
        std_us=fields.get("std", "0"),
        init_us=summary.get("Init"),
        first_us=summary.get("First inference"),
    )


def executor_runner(text: str) -> OfficialResult:
    """What ``executor_runner`` logs: every iteration where it tells them, else their sum.

    Raises:
        DeviceError: the sum is missing or damaged.
    """
    tool = "executor_runner"
    found = re.search(rf"Model executed successfully (\d+) time\(s\) in ({_NUMBER}) ms\.", text)
    if found is None:
        raise DeviceError(f"{tool}: has no line 'Model executed successfully N time(s) in T ms.'; take one of ExecuTorch 0.4 or newer")
    n, total = int(found.group(1)), _finite(tool, "time", found.group(2))
    if n == 0:
        raise DeviceError(f"{tool}: executed the model no time; give --num_executions")
    times = sorted(_finite(tool, "Iteration", each) * 1e3 for each in re.findall(rf"Iteration \d+ of \d+: ({_NUMBER}) ms", text))
    if times and len(times) != n:
        raise DeviceError(f"{tool}, Iteration: {len(times)} lines where {n} iterations ran; give its whole output")
    loaded = re.search(rf"Model loaded in ({_NUMBER}) ms\.", text)
    first = re.search(rf"Iteration 1 of \d+: ({_NUMBER}) ms", text)
    more: dict[str, Any] = {}
    if times:
        quantiles = {50: "p50_us", 90: "p90_us", 95: "p95_us", 99: "p99_us"}
        more = {name: times[min(n - 1, math.ceil(n * percent / 100) - 1)] for percent, name in quantiles.items()}
        more |= {"min_us": times[0], "max_us": times[-1], "std_us": statistics.pstdev(times)}
    return _result(
        tool,
        model=_model(text, r"Model file (\S+) is loaded"),
        n=n,
        mean_us=total * 1e3 / n,
        init_us=None if loaded is None else _finite(tool, "Model loaded", loaded.group(1)) * 1e3,
        first_us=None if first is None else _finite(tool, "Iteration", first.group(1)) * 1e3,
        random_inputs="Loading inputs from input file(s)" not in text,
        **more,
    )


def executorch_app(text: str) -> OfficialResult:
    """``benchmark_results.json`` of ExecuTorch's Android benchmark app, which tells means only.

    Raises:
        DeviceError: it is no such file, or of an app that could not load its model.
    """
    tool = "executorch benchmark app"
    try:
        rows = parse_json(text)
    except ValueError:
        raise DeviceError(f"{tool}: benchmark_results.json is not JSON; copy it from the device anew") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("metric"), str) for row in rows):
        raise DeviceError(f"{tool}, metric: benchmark_results.json is no list of metrics")
    values = {row["metric"]: row.get("actualValue") for row in rows}
    if values.get("load_status", 0) != 0:
        raise DeviceError(f"{tool}, load_status: the app could not load the model (status {str(values['load_status'])[:20]})")
    if "avg_inference_latency(ms)" not in values:
        raise DeviceError(f"{tool}, avg_inference_latency(ms): is missing; the app's run did not come to an end")
    mean, loaded = values["avg_inference_latency(ms)"], values.get("model_load_time(ms)")
    about = rows[0].get("benchmarkModel")
    return _result(
        tool,
        model=_file_name(about["name"]) if isinstance(about, dict) and isinstance(about.get("name"), str) else None,
        n=0,
        mean_us=_finite(tool, "avg_inference_latency(ms)", mean) * 1e3,
        init_us=None if loaded is None else _finite(tool, "model_load_time(ms)", loaded) * 1e3,
    )


def onnxruntime_perf_test(text: str) -> OfficialResult:
    """What ``onnxruntime_perf_test`` prints.

    Raises:
        DeviceError: a line is missing or damaged.
    """
    tool = "onnxruntime_perf_test"

    def value(name: str, unit: str, scale: float) -> float | None:
        found = re.search(rf"^\s*{re.escape(name)}: ({_NUMBER}) {unit}\s*$", text, re.MULTILINE)
        return None if found is None else _finite(tool, name, found.group(1)) * scale

    mean = value("Average inference time cost", "ms", 1e3)
    requests = re.search(r"^Total inference requests: (\d{1,15})\s*$", text, re.MULTILINE)
    if mean is None or requests is None:
        raise DeviceError(f"{tool}: has no 'Average inference time cost' or no 'Total inference requests'; its run did not come to an end")
    percentiles = {"Min": "min_us", "P50": "p50_us", "P90": "p90_us", "P95": "p95_us", "P99": "p99_us", "Max": "max_us"}
    return _result(
        tool,
        n=int(requests.group(1)),
        mean_us=mean,
        init_us=value("Session creation time cost", "s", 1e6),
        # Printed as whole ms.
        first_us=value("First inference time cost", "ms", 1e3),
        **{field: value(f"{name} Latency", "s", 1e6) for name, field in percentiles.items()},
    )


def benchmark_result(data: bytes) -> OfficialResult:
    """The message ``BenchmarkResult`` that ``benchmark_model --result_file_path`` writes.

    Raises:
        DeviceError: it is no such message, or has no latencies.
    """
    tool = "benchmark_model"
    message = _message(data)
    latency = _message(_bytes(message, 2, "latency_metrics"))
    misc = _message(_bytes(message, 4, "misc_metrics")) if 4 in message else {}
    names = {1: "mean_us", 2: "min_us", 3: "max_us", 4: "std_us", 5: "p50_us", 7: "p95_us", 8: "init_us", 9: "first_us"}
    values: dict[str, Any] = {}
    for number, name in names.items():
        if number in latency:
            value = latency[number]
            if not isinstance(value, float):
                raise DeviceError(f"{tool}, {name}: is no number in the result file")
            values[name] = value * 1e3
    if "mean_us" not in values:
        raise DeviceError(f"{tool}, avg_ms: is missing in the result file")
    runs = misc.get(2, 0)
    return _result(tool, n=runs if isinstance(runs, int) else 0, **values)


def _bytes(message: Mapping[int, bytes | int | float], number: int, name: str) -> bytes:
    value = message.get(number)
    if not isinstance(value, bytes):
        raise DeviceError(f"benchmark_model, {name}: is missing; the file is no result of --result_file_path")
    return value


def _message(data: bytes) -> dict[int, bytes | int | float]:
    """The fields of a protocol buffer message (protobuf.dev/programming-guides/encoding), the last of each number."""
    fields: dict[int, bytes | int | float] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = 0
        for shift in range(0, 70, 7):
            if at >= len(data):
                break
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise DeviceError("benchmark_model: the result file breaks off; copy it from the device anew")

    def take(size: int) -> bytes:
        nonlocal at
        if size > len(data) - at:
            raise DeviceError("benchmark_model: the result file breaks off; copy it from the device anew")
        at += size
        return data[at - size : at]

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            fields[number] = varint()
        elif kind == 1:
            fields[number] = float(struct.unpack("<d", take(8))[0])
        elif kind == 2:
            fields[number] = take(varint())
        elif kind == 5:
            fields[number] = float(struct.unpack("<f", take(4))[0])
        else:
            raise DeviceError("benchmark_model: the file is no result of --result_file_path; give that, or what the tool printed")
    return fields


def _model(text: str, pattern: str) -> str | None:
    """The file that a log names last."""
    found = re.findall(pattern, text)
    return _file_name(found[-1]) if found else None


def _file_name(path: str) -> str | None:
    return "".join(filter(str.isprintable, path.rpartition("/")[2]))[:200] or None


def _finite(tool: str, field: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DeviceError(f"{tool}, {field}: {str(value)[:40]!r} is no number")
    return number


def _result(tool: str, **values: Any) -> OfficialResult:
    try:
        return OfficialResult(tool=tool, **values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DeviceError(f"{tool}, {'.'.join(map(str, first['loc']))}: {first['msg']}; give its whole output") from None


_MARKS: tuple[tuple[str, Callable[[str], OfficialResult]], ...] = (
    ("nference timings in us: ", benchmark_model),
    ("Model executed successfully", executor_runner),
    ("Average inference time cost: ", onnxruntime_perf_test),
)
