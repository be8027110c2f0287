"""The host protocol, with runners whose behaviour is known."""

import json
import os
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import chordkit
from chordkit.errors import CheckFailed, DeviceError
from chordkit.runtime_bench import protocol, results
from chordkit.runtime_bench.contender import Contender, RunnerSpec
from chordkit.runtime_bench.protocol import run_host
from chordkit.runtime_bench.results import BenchReport, Settings

HISTORIES = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
CANDIDATES = np.array([[1, 2, 3, 4], [5, 4, 3, 2]], np.int32)
FAST = Settings(rounds=8, block_ms=1.0, min_calls=3, warmup_calls=1, warmup_ms=2.0, processes=0)

RUNNERS = '''
import sys, time
import numpy as np

class Spin:
    """Works for a given time on the processor."""
    def __init__(self, us=100.0, allocate=0, noise=""):
        self.us, self.buffer, self.order = us, None, None
        print(noise)
        if allocate:
            self.buffer = np.ones(allocate, np.uint8)
    def scores(self, history, candidates):
        end = time.perf_counter_ns() + self.us * 1e3
        while time.perf_counter_ns() < end:
            pass
        return candidates.astype(np.float32)

class Sleep(Spin):
    """Gives the processor away, as a process does that something else pushes aside."""
    def scores(self, history, candidates):
        time.sleep(self.us / 1e6)
        return candidates.astype(np.float32)

class Broken(Spin):
    def scores(self, history, candidates):
        return np.full(candidates.shape, np.nan, np.float32)

def die():
    sys.exit("the runtime is unhappy")
'''


@pytest.fixture(autouse=True)
def runner_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake_runtime.py").write_text(RUNNERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(chordkit.__file__).parents[1]}")


def _contender(name: str, kind: str = "Spin", file: Path | None = None, **arguments: float | str) -> Contender:
    return Contender(name, "fake", "fp32", RunnerSpec(f"fake_runtime:{kind}", arguments), file)


def test_times_and_ratios_are_those_of_the_runners(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(1234))
    contenders = [_contender("slow", us=300.0), _contender("fast", us=100.0, file=tmp_path / "model.bin")]
    seen: list[tuple[str, int, int]] = []
    report = run_host(contenders, HISTORIES, CANDIDATES, FAST, baseline="slow", progress=lambda *step: seen.append(step))
    slow, fast = report.results
    # A spin ends with the first look at the clock after its time: never early, and in the median within a few us.
    assert 300 <= slow.latency.min_us <= slow.latency.p50_us < 330
    assert 100 <= fast.latency.min_us <= fast.latency.p50_us < 115
    assert fast.ratio is not None and fast.ratio.value == pytest.approx(1 / 3, rel=0.1)
    assert slow.ratio is not None and slow.ratio.value == 1.0
    assert (fast.file_bytes, slow.file_bytes) == (1234, None)
    assert (fast.latency.blocks, slow.latency.blocks) == (8, 8)
    assert fast.latency.n > slow.latency.n  # a block is a length of time, not a number of calls
    assert report.result("fast") is fast and report.result("none") is None
    assert seen[-1] == ("bench: interleaved rounds", 8, 8)


def test_blocks_are_interleaved_in_an_order_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[float] = []
    measure = protocol._block

    def spy(runner, *arguments):  # type: ignore[no-untyped-def]
        order.append(runner.us)
        return measure(runner, *arguments)

    monkeypatch.setattr(protocol, "_block", spy)
    run_host([_contender(str(us), us=float(us)) for us in (1, 2, 3)], HISTORIES, CANDIDATES, FAST)
    rounds = [tuple(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert len(rounds) == 8
    assert all(sorted(round_) == [1.0, 2.0, 3.0] for round_ in rounds)
    assert len(set(rounds)) > 1


def test_a_processor_that_was_not_ours_makes_numbers_not_comparable() -> None:
    report = run_host([_contender("pushed aside", "Sleep", us=300.0)], HISTORIES, CANDIDATES, FAST)
    (result,) = report.results
    assert result.contention.busy < 0.95
    assert not result.comparable and not report.comparable
    assert any("something else used the processor" in reason for reason in report.reasons)


def test_the_machine_is_put_back_as_it_was() -> None:
    before = os.sched_getaffinity(0)
    report = run_host([_contender("a", us=5.0)], HISTORIES, CANDIDATES, FAST)
    assert os.sched_getaffinity(0) == before
    assert report.machine.pinned_cpu in before
    assert report.machine.versions["chordkit"] == chordkit.__version__
    with pytest.raises(CheckFailed):
        run_host([_contender("a", "Broken")], HISTORIES, CANDIDATES, FAST)
    assert os.sched_getaffinity(0) == before


def test_the_report_is_json_of_the_schema_beside_the_code() -> None:
    schema = json.loads(Path(results.__file__).with_name("bench.schema.json").read_text())
    assert schema == results.json_schema(), "run: python -m chordkit.runtime_bench.results > runtime_bench/bench.schema.json"
    report = run_host([_contender("a", us=5.0)], HISTORIES, CANDIDATES, FAST, baseline="a")
    text = report.model_dump_json()
    jsonschema.validate(json.loads(text), schema)
    assert BenchReport.model_validate_json(text) == report


def test_a_fresh_process_tells_load_time_first_call_and_memory() -> None:
    # 64 MB that the loader touches must show up in the peak; the interpreter's own noise is far below 8 MB.
    settings = FAST.model_copy(update={"processes": 2})
    contenders = [_contender("small", us=10.0, noise="a runtime that prints"), _contender("large", us=10.0, allocate=64_000_000)]
    small, large = (result.isolated for result in run_host(contenders, HISTORIES, CANDIDATES, settings).results)
    assert small is not None and large is not None
    assert (small.processes, large.processes) == (2, 2)
    assert small.load_ms < large.load_ms
    assert small.first_call_us >= 10
    if small.peak_bytes is not None and large.peak_bytes is not None:
        assert small.peak_bytes < 8_000_000
        assert 64_000_000 <= large.peak_bytes < 72_000_000


def test_what_cannot_be_measured_is_one_sentence(tmp_path: Path) -> None:
    run = lambda *contenders, **more: run_host(list(contenders), HISTORIES, CANDIDATES, FAST, **more)  # noqa: E731
    with pytest.raises(DeviceError, match="baseline 'b' is none of the contenders: a"):
        run(_contender("a"), baseline="b")
    with pytest.raises(DeviceError, match="own name"):
        run(_contender("a"), _contender("a"))
    with pytest.raises(DeviceError, match="at least one"):
        run()
    with pytest.raises(DeviceError, match="'fake_runtime:Missing' cannot be imported"):
        run(_contender("a", "Missing"))
    with pytest.raises(CheckFailed, match="a: the scores are not 4 finite numbers"):
        run(_contender("a", "Broken"))
    with pytest.raises(DeviceError, match="no such artifact"):
        run(_contender("a", us=1.0, file=tmp_path / "gone"))
    with pytest.raises(DeviceError, match="a: the measuring process ended with status 1: the runtime is unhappy"):
        run_host([_contender("a", "die")], HISTORIES, CANDIDATES, FAST.model_copy(update={"processes": 1}))
