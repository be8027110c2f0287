"""The adb program inside adbutils' wheel, run with a limit on time and on output.

The program is used instead of adbutils' own client because a process can be ended whatever it hangs in, and because that client starts
the adb of ``PATH``. Debian's adb 29 ends with status 0 when a connection is lost; this one does not. The adb server of the user is
used as it is (``ANDROID_ADB_SERVER_PORT`` and ``ADB_SERVER_SOCKET`` hold); adb starts one where none runs and replaces one that
speaks another version.
"""

import importlib.util
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.runtime_bench.devices.device import Completed

QUICK_S = 20.0
"""Limit for what answers at once; a server that has to be started takes up to five seconds of it."""

OUTPUT_LIMIT = 16 << 20
"""Most bytes that a command may write; results are files."""


def adb_path() -> Path:
    """The adb of adbutils' wheel.

    Raises:
        MissingRuntimeError: adbutils is not installed, or its wheel for this system carries no adb.
    """
    spec = importlib.util.find_spec("adbutils")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("adb", "adb.exe"):
            path = Path(folder, "binaries", name)
            if path.is_file():
                return path
    if spec:
        raise MissingRuntimeError(
            "adbutils is installed without its adb; `pip install --force-reinstall --only-binary :all: adbutils` mends it"
        )
    raise MissingRuntimeError(
        "adbutils is not installed, so Android devices cannot be reached; `pip install chordkit[android]` brings it and adb"
    )


def call(arguments: Sequence[str], timeout_s: float = QUICK_S) -> Completed:
    """Run adb and take what it writes.

    Raises:
        TimeoutError: adb hangs, or what it waits for takes longer than ``timeout_s``; adb is ended.
        DeviceError: adb cannot be started, or writes more than :data:`OUTPUT_LIMIT`.
        MissingRuntimeError: there is no adb.
    """
    command = [str(adb_path()), *arguments]
    try:
        # A session of its own: the server that adb may start must survive a Ctrl-C in our terminal.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0
        )
    except (OSError, ValueError) as problem:
        raise DeviceError(f"{command[0]} cannot be started ({problem})") from None
    with process:
        try:
            stdout, stderr = _collect(process, time.monotonic() + timeout_s)
        except BaseException:
            process.kill()
            raise
    return Completed(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def server_port() -> str:
    """Where the adb server listens, for messages."""
    return os.environ.get("ADB_SERVER_SOCKET") or f"port {os.environ.get('ANDROID_ADB_SERVER_PORT', '5037')}"


def _collect(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """What the process writes until its pipes close, or it ended and they are silent (a server that it started may hold them)."""
    pipes: tuple[IO[bytes], IO[bytes]] = (process.stdout, process.stderr)  # type: ignore[assignment]
    written = {pipe.fileno(): bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ended = process.poll() is not None
            ready = selector.select(min(left, 0.2))
            if ended and not ready:
                break
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                written[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
            if sum(map(len, written.values())) > OUTPUT_LIMIT:
                raise DeviceError(f"a command wrote more than {OUTPUT_LIMIT >> 20} MiB to its output; results belong into a file")
    try:
        process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    stdout, stderr = written.values()
    return bytes(stdout), bytes(stderr)
