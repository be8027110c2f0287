"""Load time, first call and memory of one artifact, in a process that has done nothing else.

In the process that compares all runtimes these numbers would depend on who came first. The child is
``python -m chordkit.runtime_bench.isolated``. Where there are two processors, two of them import their runtimes side by side, which takes
most of their time; then one after the other loads and calls, while nothing else runs.
"""

import contextlib
import importlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chordkit.export.parity import Ids
from chordkit.processes import processors
from chordkit.runtime_bench.calls import calls_of
from chordkit.runtime_bench.child import Child, answer
from chordkit.runtime_bench.contender import Contender, RunnerSpec
from chordkit.runtime_bench.results import Isolated

TIMEOUT_S = 300
_CALLS = 50
_ADOPTIONS = 20


def measure_isolated(
    contenders: Sequence[Contender],
    history: Ids,
    candidates: Ids,
    processes: int,
    cpu: int | None,
    done: Callable[[int], None] = lambda _: None,
) -> list[Isolated]:
    """Load and call each contender in ``processes`` fresh processes, alone; medians of each number.

    Args:
        contenders: what is loaded.
        history: of the call.
        candidates: of the call.
        processes: of each.
        cpu: on which they load and call; None = on any.
        done: called with the number of contenders that are done.

    Raises:
        DeviceError: a process failed, was killed, or took longer than five minutes; the sentence has its last words.
    """
    wanted = [contender for contender in contenders for _ in range(processes)]
    together, answers = min(2, processors()), []
    for start in range(0, len(wanted), together):
        with contextlib.ExitStack() as stack:
            children = [stack.enter_context(_child(each, history, candidates, cpu)) for each in wanted[start : start + together]]
            for child in children:
                child.wait_until_ready()
            answers += [child.answer() for child in children]
        done(len(answers) // processes)
    return [_medians(answers[index : index + processes]) for index in range(0, len(answers), processes)]


def _child(contender: Contender, history: Ids, candidates: Ids, cpu: int | None) -> Child:
    request = {"spec": contender.spec.to_json(), "history": history.tolist(), "candidates": candidates.tolist(), "cpu": cpu}
    return Child(contender.name, "chordkit.runtime_bench.isolated", request, TIMEOUT_S)


def _medians(answers: Sequence[dict[str, Any]]) -> Isolated:
    peaks = [answer["peak_bytes"] for answer in answers if answer["peak_bytes"] is not None]

    def median(name: str) -> float:
        return float(statistics.median(answer[name] for answer in answers))

    return Isolated(
        processes=len(answers),
        runtime_import_ms=median("runtime_import_ms"),
        load_ms=median("load_ms"),
        adoption_us=median("adoption_us") if answers[0]["adoption_us"] is not None else None,
        first_call_us=median("first_call_us"),
        runtime_bytes=int(median("runtime_bytes")),
        peak_bytes=int(statistics.median(peaks)) if peaks else None,
    )


def _status(field: str) -> int | None:
    with contextlib.suppress(OSError), open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None


def _reset_peak() -> bool:
    """Set VmHWM back to what is resident now (Linux: proc(5), clear_refs); False where that is not possible."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")
        stream.flush()
        return True
    return False


def _measure(request: dict[str, Any], wait_for_turn: Callable[[], None] = lambda: None) -> dict[str, Any]:
    spec = RunnerSpec.from_json(request["spec"])
    history, candidates = (np.asarray(request[name], np.int32) for name in ("history", "candidates"))
    before = _status("VmRSS") or 0
    start = time.perf_counter_ns()
    for name in spec.imports:
        importlib.import_module(name)
    imported = time.perf_counter_ns()
    runtime = (_status("VmRSS") or 0) - before
    importlib.import_module(spec.factory.partition(":")[0])  # ours, not the runtime's: neither its time nor its memory counts
    resident = _status("VmRSS") or 0
    wait_for_turn()
    if request["cpu"] is not None:
        os.sched_setaffinity(0, {request["cpu"]})
    can_reset = _reset_peak()
    load = time.perf_counter_ns()
    runner = spec.create()
    loaded = time.perf_counter_ns()
    call = calls_of(runner, [(history, candidates)])[0]
    call()
    called = time.perf_counter_ns()
    for _ in range(_CALLS):
        call()
    peak = _status("VmHWM")
    adoptions, adopt = [], getattr(runner, "adopt", lambda: False)
    for _ in range(_ADOPTIONS):
        before_adoption = time.perf_counter_ns()
        if not adopt():
            break
        adoptions.append((time.perf_counter_ns() - before_adoption) / 1e3)
    return {
        "runtime_import_ms": (imported - start) / 1e6,
        "load_ms": (loaded - load) / 1e6,
        "adoption_us": statistics.median(adoptions) if adoptions else None,
        "first_call_us": (called - loaded) / 1e3,
        "runtime_bytes": max(0, runtime),
        "peak_bytes": max(0, peak - resident) if can_reset and peak is not None else None,
    }


if __name__ == "__main__":
    answer(_measure)
