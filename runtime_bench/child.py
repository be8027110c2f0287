"""A process that measures for another: one JSON request on stdin, one JSON answer on stdout, and a turn to wait for in between."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from chordkit.errors import ChordkitError, DeviceError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "XNNPACK_NUM_THREADS"), "1")
_READY, _TURN = "ready\n", "go\n"

Measure = Callable[[dict[str, Any], Callable[[], None]], dict[str, Any]]
"""What the child does with a request; it calls the second argument once it is ready to be measured, and goes on when it is its turn."""


class Child:
    """``python -m module``, begun with ``request``; a context manager that ends it.

    Args:
        name: what a sentence about its failure begins with.
        module: that calls :func:`answer`.
        request: for it.
        timeout_s: how long it may take in all.
    """

    def __init__(self, name: str, module: str, request: Mapping[str, Any], timeout_s: float) -> None:
        self._name, self._timeout_s, self._late = name, timeout_s, False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env={**os.environ, **_ONE_THREAD},
        )
        self._timer = threading.Timer(timeout_s, self._end_late)
        self._timer.daemon = True
        self._timer.start()
        self._first = ""
        self._send(json.dumps(request) + "\n")

    def wait_until_ready(self) -> None:
        """Until it waits for its turn, or has failed."""
        assert self._process.stdout is not None
        self._first = self._process.stdout.readline()

    def answer(self) -> dict[str, Any]:
        """Give it its turn; what it answers.

        Raises:
            DeviceError: the process failed, was killed, or took too long; the sentence has its last words.
        """
        assert self._process.stdout is not None
        if not self._first:
            self.wait_until_ready()
        self._send(_TURN)
        text = self._first.removeprefix(_READY) + self._process.stdout.read()
        status = self._process.wait()
        if self._late:
            raise DeviceError(
                f"{self._name}: its fresh process took more than {self._timeout_s:g} s; try the artifact alone with `chordkit validate`"
            )
        try:
            told: dict[str, Any] = json.loads(text)
        except ValueError:
            self._stderr.seek(0)
            words = (self._stderr.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise DeviceError(f"{self._name}: the measuring process ended with status {status}: {words}") from None
        if "error" in told:
            raise DeviceError(f"{self._name}: {told['error']}")
        return told

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: its answer, or its last words, say why
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _end_late(self) -> None:
        self._late = True
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._process.kill()
        with contextlib.suppress(OSError):  # what was not sent to one that has ended
            self._process.__exit__(None, None, None)
        self._stderr.close()


def ask(name: str, module: str, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """What one :class:`Child` alone answers."""
    with Child(name, module, request, timeout_s) as child:
        return child.answer()


def answer(measure: Measure) -> None:
    """The child: what a runtime prints goes to stderr, so that stdout holds the answer alone."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def wait_for_turn() -> None:
        stream.write(_READY)
        stream.flush()
        sys.stdin.readline()

    try:
        told = measure(json.loads(sys.stdin.readline()), wait_for_turn)
    except (ChordkitError, ImportError) as error:
        told = {"error": str(error)}
    json.dump(told, stream)
    stream.flush()
    # A runtime's destructors are not what is measured, and some of them crash at exit.
    os._exit(0)
