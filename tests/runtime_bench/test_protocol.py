"""The host protocol, with runners whose behaviour is known."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import numpy as np
import pytest

import chordkit
from chordkit.errors import CheckFailed, DeviceError
from chordkit.runtime_bench import isolated, results
from chordkit.runtime_bench.contender import Contender, RunnerSpec
from chordkit.runtime_bench.protocol import run_host
from chordkit.runtime_bench.results import BenchReport, Settings

HISTORIES = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
CANDIDATES = np.array([[1, 2, 3, 4], [5, 4, 3, 2]], np.int32)
FAST = Settings(rounds=8, block_ms=1.0, min_calls=3, warmup_calls=1, warmup_ms=2.0, processes=0)

RUNNERS = '''
import sys
import numpy as np

asked = []  # (us of the runner, history, candidates) of every call
clock = None  # the one that calls take their time from, where a test must know how long they take

class Work:
    """Gives scores after ``us`` of the clock, of which ``busy`` on the processor, of which ``own_thread`` in the calling thread."""
    def __init__(self, us=10.0, busy=1.0, own_thread=1.0, allocate=0, noise=""):
        self.time = (us, busy, own_thread)
        print(noise)
        self.buffer = np.ones(allocate, np.uint8)
    def scores(self, history, candidates):
        asked.append((self.time[0], history.tolist(), candidates.tolist()))
        if clock is not None:
            clock.work(*self.time)
        return candidates.astype(np.float32)

class Broken(Work):
    def scores(self, history, candidates):
        return np.full(candidates.shape, np.nan, np.float32)

def die():
    sys.exit("the runtime is unhappy")

def slow_to_load(ms, first_us, later_us):
    clock.work(1e3 * ms)
    work = Work(first_us)
    def scores(history, candidates):
        clock.work(*work.time)
        work.time = (later_us,)
    work.scores = scores
    return work
'''


@pytest.fixture(autouse=True)
def runners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of fake runners, for this process and for fresh ones."""
    (tmp_path / "fake_runtime.py").write_text(RUNNERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(chordkit.__file__).parents[1]}")
    monkeypatch.delitem(sys.modules, "fake_runtime", raising=False)
    return importlib.import_module("fake_runtime")


@pytest.fixture
def timed(runners: ModuleType, clock: Any) -> Any:
    """The bench's clock, which the fake runners move."""
    runners.clock = clock
    return clock


def _contender(name: str, kind: str = "Work", file: Path | None = None, **arguments: float | str) -> Contender:
    return Contender(name, "fake", "fp32", RunnerSpec(f"fake_runtime:{kind}", arguments), file)


def test_times_and_ratios_are_those_of_the_runners(tmp_path: Path, timed: Any) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(1234))
    contenders = [_contender("slow", us=300.0), _contender("fast", us=100.0, file=tmp_path / "model.bin")]
    seen: list[tuple[str, int, int]] = []
    report = run_host(contenders, HISTORIES, CANDIDATES, FAST, baseline="slow", progress=lambda *step: seen.append(step))
    slow, fast = report.results
    assert (slow.latency.min_us, slow.latency.p50_us, slow.latency.max_us) == (300, 300, 300)
    assert (fast.latency.min_us, fast.latency.p50_us, fast.latency.max_us) == (100, 100, 100)
    assert fast.ratio is not None and (fast.ratio.value, fast.ratio.low, fast.ratio.high) == (100 / 300,) * 3
    assert slow.ratio is not None and slow.ratio.value == 1.0
    assert (fast.file_bytes, slow.file_bytes) == (1234, None)
    assert (fast.latency.blocks, slow.latency.blocks) == (8, 8)
    assert (fast.latency.n, slow.latency.n) == (8 * 10, 8 * 3)  # a block is 1 ms long, whatever a call takes
    assert report.comparable and (fast.contention.busy, fast.contention.other_threads) == (1.0, 0.0)
    assert report.result("fast") is fast and report.result("none") is None
    assert seen[-1] == ("bench: interleaved rounds", 8, 8)


def test_every_contender_walks_through_all_histories_in_order(runners: ModuleType, timed: Any) -> None:
    run_host([_contender("slow", us=300.0), _contender("fast", us=100.0)], HISTORIES, CANDIDATES, FAST)
    both = [(history, candidates) for history, candidates in zip(HISTORIES.tolist(), CANDIDATES.tolist(), strict=True)]
    for us, calls in ((300.0, 3), (100.0, 10)):
        asked = [each[1:] for each in runners.asked if each[0] == us]
        for block in range(8):
            timed_calls = asked[len(asked) - (8 - block) * (calls + 1) :][1 : calls + 1]  # the first one warms up
            assert timed_calls == [both[(block * calls + index) % 2] for index in range(calls)]


@pytest.mark.parametrize("rows", [[0], [0, 0], [0, 1, 1], [1, 0, 1]], ids=str)
def test_what_keeps_its_last_history_is_never_timed_with_it(runners: ModuleType, timed: Any, rows: list[int]) -> None:
    # Calls of 4 us: three to a sample, after three of warm-up.
    settings = FAST.model_copy(update={"warmup_calls": 3})
    report = run_host([_contender("a", us=4.0)], HISTORIES[rows], CANDIDATES[rows], settings)
    asked = [history for _, history, _ in runners.asked]
    scored, walked = asked[: 2 * len(rows)], asked[-report.results[0].latency.n * 3 :]
    assert scored[::2] == HISTORIES[rows].tolist(), "the given histories are those whose scores are looked at"
    assert report.histories == len(rows)
    blocks = np.reshape(walked, (8, -1, 3))  # the last block is whole, of those before only the warm-up stands between
    assert all((block[1:] != block[:-1]).any(axis=1).all() for block in blocks[-1:])


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ({"busy": 0.5}, "in 8 of 8 blocks something else used the processor"),
        ({"own_thread": 0.75}, "25% of its work ran in other threads"),
    ],
)
def test_a_processor_that_was_not_ours_makes_numbers_not_comparable(timed: Any, shares: dict[str, float], reason: str) -> None:
    report = run_host([_contender("pushed aside", us=300.0, **shares)], HISTORIES, CANDIDATES, FAST)
    (result,) = report.results
    assert not result.comparable and not report.comparable
    assert len(report.reasons) == 1 and report.reasons[0].startswith(f"pushed aside: {reason}")


def test_the_machine_is_put_back_as_it_was() -> None:
    before = os.sched_getaffinity(0)
    report = run_host([_contender("a")], HISTORIES, CANDIDATES, FAST)
    assert os.sched_getaffinity(0) == before
    assert report.machine.pinned_cpu in before
    assert report.machine.versions["chordkit"] == chordkit.__version__
    with pytest.raises(CheckFailed):
        run_host([_contender("a", "Broken")], HISTORIES, CANDIDATES, FAST)
    assert os.sched_getaffinity(0) == before


def test_the_report_is_json_of_the_schema_beside_the_code() -> None:
    schema = json.loads(Path(results.__file__).with_name("bench.schema.json").read_text())
    report = run_host([_contender("a")], HISTORIES, CANDIDATES, FAST, baseline="a")
    text = report.model_dump_json()
    jsonschema.validate(json.loads(text), schema)
    assert BenchReport.model_validate_json(text) == report


def test_import_load_and_first_call_are_told_apart(timed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_runtime.py").write_text("import fake_runtime\nfake_runtime.clock.work(7_000)\n")
    monkeypatch.delitem(sys.modules, "heavy_runtime", raising=False)
    spec = RunnerSpec("fake_runtime:slow_to_load", {"ms": 5, "first_us": 300, "later_us": 100}, ("heavy_runtime",))
    request = {"spec": spec.to_json(), "history": HISTORIES[0].tolist(), "candidates": CANDIDATES[0].tolist(), "cpu": None}
    answer = isolated._measure(request)
    assert (answer["runtime_import_ms"], answer["load_ms"], answer["first_call_us"]) == (7.0, 5.0, 300.0)
    assert timed.wall == 12_300_000 + 50 * 100_000  # the calls during which memory is watched


def test_a_fresh_process_tells_the_memory_of_one_artifact() -> None:
    # 64 MB that the loader touches must show up in the peak; the interpreter's own noise is far below 8 MB.
    settings = FAST.model_copy(update={"processes": 2})
    contenders = [_contender("small", noise="a runtime that prints"), _contender("large", allocate=64_000_000)]
    small, large = (result.isolated for result in run_host(contenders, HISTORIES, CANDIDATES, settings).results)
    assert small is not None and large is not None
    assert (small.processes, large.processes) == (2, 2)
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
        run(_contender("a", file=tmp_path / "gone"))
    with pytest.raises(DeviceError, match="a: the measuring process ended with status 1: the runtime is unhappy"):
        run_host([_contender("a", "die")], HISTORIES, CANDIDATES, FAST.model_copy(update={"processes": 1}))
