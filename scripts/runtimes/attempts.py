"""What one version of a runtime makes of artifacts: right, wrong without a word, or refused. The end of its process is a verdict too."""

import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chordkit.errors import CheckFailed
from scripts.runtimes.artifacts import Made
from scripts.runtimes.environments import Environment, Unavailable

WORKER = Path(__file__).with_name("worker.py")
START_S, ARTIFACT_S = 180.0, 60.0
"""Longest that a runtime may take to be imported, and to load and run one artifact; beyond that it hangs."""
_EMULATED = 10
"""How many times longer under emulation."""

_NOISE = (
    (re.compile(r"\S*/[\w/.-]+\.(?:cc|h|cpp|py):\d+:?\s*"), ""),  # where in its sources a runtime stands
    (re.compile(r"\S+::\S+\([^()]*\)\s*"), ""),  # in which function
    (re.compile(r"\s*An older version of this builtin might be supported\b.*"), ""),  # TensorFlow Lite's advice
    (re.compile(r"\btensor \d+"), "a tensor"),
    (re.compile(r"0x[0-9a-f]{4,}"), "0x..."),
    (re.compile(r"/\S*/"), ""),  # folders of this machine
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Outcome:
    """What one version made of one artifact.

    Attributes:
        verdict: "right", "wrong" or "refused".
        reason: of a refusal, what the runtime said; of a wrong answer, what is wrong with it; "" where it is right.
        error: relative root mean square of the scores' error; None where there are no scores.
    """

    verdict: str
    reason: str = ""
    error: float | None = None


def attempt(environment: Environment, artifacts: Sequence[Made]) -> dict[str, Outcome]:
    """What a runtime makes of ``artifacts``, by the name of the trial.

    Raises:
        Unavailable: the runtime cannot be imported in its environment.
    """
    found: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = {made.trial.name: _written(made, folder) for made in artifacts}
        left = {made.trial.name: made for made in artifacts}
        while left:
            told = _run(environment, [jobs[name] for name in left], folder)
            if told.unusable is not None and not told.outcomes and not told.done:
                raise Unavailable(f"{environment.package.name} {environment.version}: {told.unusable}")
            found |= told.outcomes | {name: _judged(left[name], folder / f"{name}.scores.npy") for name in told.done}
            left = {name: made for name, made in left.items() if name not in found}
    return {made.trial.name: found[made.trial.name] for made in artifacts}


@dataclass(frozen=True)
class _Told:
    """What one process of the worker told before it ended."""

    done: list[str]
    outcomes: dict[str, Outcome]
    unusable: str | None


def _written(made: Made, folder: Path) -> dict[str, object]:
    name = made.trial.name
    file = folder / f"{name}.bin"
    file.write_bytes(made.data)
    inputs = {}
    for key, array in made.inputs.items():
        inputs[key] = str(folder / f"{name}.{key}.npy")
        np.save(inputs[key], np.ascontiguousarray(array), allow_pickle=False)
    return {"name": name, "file": str(file), "inputs": inputs, "scores": str(folder / f"{name}.scores.npy")}


def _run(environment: Environment, jobs: Sequence[dict[str, object]], folder: Path) -> _Told:
    job = folder / "job.json"
    job.write_text(
        json.dumps(
            {
                "paths": [str(path) for path in environment.paths],
                "runtime": environment.package.runtime,
                "artifacts": jobs,
            }
        )
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*environment.python, "-I", "-S", str(WORKER), str(job)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables, cwd=folder,
    )  # fmt: skip
    done: list[str] = []
    outcomes: dict[str, Outcome] = {}
    begun: str | None = None
    ready, hung = False, False
    lines = _Lines(process)
    patience = _EMULATED if environment.emulated else 1
    try:
        while (line := lines.next(patience * (ARTIFACT_S if ready else START_S))) is not None:
            event = json.loads(line)
            if "unusable" in event:
                return _Told(done, outcomes, event["unusable"])
            if "ready" in event:
                ready = True
            elif "begin" in event:
                begun = event["begin"]
            elif "done" in event:
                done, begun = [*done, event["done"]], None
            else:
                outcomes[event["refused"]], begun = Outcome("refused", tidied(event["reason"])), None
        hung = lines.late
        if not hung:
            process.wait(ARTIFACT_S)
    finally:
        process.kill()
        status = process.wait()
        lines.close()
    how = f"no answer after {ARTIFACT_S:g} s" if hung else _end(status)
    if begun is not None:
        outcomes[begun] = Outcome("refused", f"{how} in the process of the runtime")
        return _Told(done, outcomes, None)
    return _Told(done, outcomes, None if ready and (done or outcomes) else f"importing it: {how}")


class _Lines:
    """The lines of a process, each waited for no longer than told; ``late`` says that one did not come in time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._rest, self.late = process, b"", False

    def close(self) -> None:
        """Read no more."""
        if self._process.stdout is not None:
            self._process.stdout.close()

    def next(self, seconds: float) -> bytes | None:
        """The next line, or None at the end or where it is late."""
        stream = self._process.stdout
        if stream is None:
            return None
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.late = True
                return None
            data = os.read(stream.fileno(), 65536)
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line


def _end(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _judged(made: Made, path: Path) -> Outcome:
    try:
        scores = np.load(path, allow_pickle=False)
        report = made.expected.judge(scores)
    except (OSError, ValueError, CheckFailed) as problem:
        return Outcome("wrong", tidied(str(problem)))
    error = rounded(report.relative_rms_error)
    if report.passed:
        return Outcome("right", "", error)
    missed = dict.fromkeys("scores are not finite" if "NaN" in reason else reason.split()[0] for reason in report.reasons)
    return Outcome("wrong", "missed: " + ", ".join(missed), error)


def rounded(value: float) -> float:
    """``value`` to two digits: more of them are of the machine, not of the runtime."""
    return float(f"{value:.1e}")


def tidied(reason: str) -> str:
    """``reason`` without what differs from build to build and from machine to machine, on one line of at most 200 characters."""
    for pattern, instead in _NOISE:
        reason = pattern.sub(instead, reason)
    return reason.strip()[:200].strip()
