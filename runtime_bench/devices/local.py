"""What devices on this machine share: files that arrive whole, programs that are ended with all that they started."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from chordkit.runtime_bench.devices.device import Completed

_GRACE_S = 2.0


def copy_whole(source: Path, destination: Path) -> None:
    """Copy a file, executable where it is so; ``destination`` appears whole or stays as it was, and missing folders are made.

    Raises:
        OSError: it cannot be read or written.
    """
    part = destination.with_name(f".{destination.name}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        part.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        os.replace(part, destination)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def completed(process: subprocess.Popen[bytes], timeout_s: float) -> Completed:
    """Wait for a process that leads a session of its own; whatever interrupts the waiting ends the whole session.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_GRACE_S)
            raise
    # A shell's way to tell of a signal, which other devices use too.
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return Completed(status, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
