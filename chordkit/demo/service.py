"""The service in a process of its own on loopback, for as long as the demo's phones ask it."""

import http.client
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chordkit.errors import ServiceError

HOST = "127.0.0.1"
EXCHANGE_S = 0.2
"""Between two moments at which the service tells the registry what phones have reported, and learns which releases there are."""
_READY_S = 60
_END_S = 10


@contextmanager
def running_service(folder: Path, files: tuple[Path, Path], key: Path, channel: Path | None) -> Iterator[str]:
    """``chordkit serve`` with one model, as long as the block runs; gives its address.

    Args:
        folder: for the model's files and what the service says.
        files: the model's master and hypernetwork.
        key: that signs the envelopes.
        channel: whose registry gets what phones report; None = there is none.

    Raises:
        ServiceError: it does not begin.
    """
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    for path, name in zip(files, ("master.chrm", "hypernetwork.safetensors"), strict=True):
        shutil.copyfile(path, models / name)
    port, log = _free_port(), folder / "service.log"
    command = [sys.executable, "-m", "chordkit", "serve", "run", str(models), "--key", str(key), "--port", str(port), "--no-access-log"]
    command += ["--refresh-s", str(EXCHANGE_S), *([] if channel is None else ["--channel", str(channel)])]
    with open(log, "wb") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process:
        try:
            _wait_until_ready(process, port, log)
            yield f"http://{HOST}:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()


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
    lines = log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
    raise ServiceError(f"service: it was not ready after {_READY_S} s, or ended: {lines[-1]}")
