"""A process that measures for another: one JSON request on stdin, one JSON answer on stdout."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from chordkit.errors import ChordkitError, DeviceError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "XNNPACK_NUM_THREADS"), "1")


def ask(name: str, module: str, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """What ``python -m module`` answers to ``request``; ``name`` is what a sentence about its failure begins with.

    Raises:
        DeviceError: the process failed, was killed, or took longer than ``timeout_s``; the sentence has its last words.
    """
    command = [sys.executable, "-m", module]
    try:
        child = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **_ONE_THREAD},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"{name}: its fresh process took more than {timeout_s:g} s; try the artifact alone with `chordkit validate`"
        ) from None
    try:
        told: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        words = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DeviceError(f"{name}: the measuring process ended with status {child.returncode}: {words}") from None
    if "error" in told:
        raise DeviceError(f"{name}: {told['error']}")
    return told


def answer(measure: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The child: what a runtime prints goes to stderr, so that stdout holds the answer alone."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        told = measure(json.load(sys.stdin))
    except (ChordkitError, ImportError) as error:
        told = {"error": str(error)}
    json.dump(told, stream)
    stream.flush()
    # A runtime's destructors are not what is measured, and some of them crash at exit.
    os._exit(0)
