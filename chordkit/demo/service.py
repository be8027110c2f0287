"""Strategies on request: the service in a process of its own on loopback, and phones that ask it."""

import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from chordkit.errors import EnvelopeError, ServiceError
from chordkit.report.model import ServedStrategies
from chordkit.service import Client
from chordkit.strategy import Envelope, envelope_bytes

_READY_S = 60
_END_S = 10
HOST = "127.0.0.1"


@contextmanager
def running_service(folder: Path, master: Path, hypernetwork: Path, key: Path) -> Iterator[str]:
    """``chordkit serve`` with one model, as long as the block runs; gives its address.

    Args:
        folder: for the model's files and what the service says.
        master: the backbone.
        hypernetwork: what makes its strategies.
        key: that signs the envelopes.

    Raises:
        ServiceError: it does not begin.
    """
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(master, models / "master.chrm")
    shutil.copyfile(hypernetwork, models / "hypernetwork.safetensors")
    port = _free_port()
    command = [sys.executable, "-m", "chordkit", "serve", "run", str(models), "--key", str(key), "--port", str(port), "--no-access-log"]
    with open(folder / "service.log", "wb") as log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(process, port, folder / "service.log")
            yield f"http://{HOST}:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def ask_for_strategies(url: str, public_key: Path, fingerprint: bytes, profiles: np.ndarray) -> tuple[ServedStrategies, list[Envelope]]:
    """One phone after the other asks for the strategy of a profile (float32 ``[phones, width]``), and checks what it gets.

    Raises:
        ServiceError: the service says no.
    """
    taken: list[float] = []
    accepted: list[Envelope] = []
    with Client(url, public_keys=public_key) as client:
        for number, profile in enumerate(profiles):
            subject, begun = number.to_bytes(4, "big"), time.perf_counter()
            try:
                accepted.append(client.strategy(fingerprint, profile, subject=subject))
            except EnvelopeError:
                continue
            finally:
                taken.append((time.perf_counter() - begun) * 1000)
    answer = envelope_bytes(len(accepted[0].payload), len(accepted[0].subject)) if accepted else 0
    p50, p99 = np.percentile(taken, (50, 99))
    return ServedStrategies(
        requests=len(profiles),
        accepted=len(accepted),
        profile_bytes=profiles.shape[1] * 4,
        answer_bytes=answer,
        p50_ms=round(float(p50), 2),
        p99_ms=round(float(p99), 2),
    ), accepted


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
    return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and process.poll() is None:
        connection = http.client.HTTPConnection(HOST, port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    lines: Sequence[str] = log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
    raise ServiceError(f"service: it was not ready after {_READY_S} s, or ended: {lines[-1]}")
