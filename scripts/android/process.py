"""Running the programs that do the work."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from chordkit.errors import InputError


class BuildError(InputError):
    """Something that the Android build needs is missing or wrong; the message is one sentence and what the tool said."""


def run(command: Iterable[str | Path], doing: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a program to its end and return what it printed.

    Args:
        command: the program and its arguments.
        doing: what it is run for, as it stands in an error: "signing the APK".
        environment: variables besides this process's own.
        folder: where it runs.

    Raises:
        BuildError: it failed; with the end of what it said.
    """
    words = [str(word) for word in command]
    variables = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=variables, cwd=folder)
    except OSError as error:
        raise BuildError(f"{doing} failed: {words[0]} cannot be started ({error.strerror})") from None
    if done.returncode:
        said = "\n".join((done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-30:])
        raise BuildError(f"{doing} failed: {Path(words[0]).name} ended with status {done.returncode}:\n{said}")
    return done.stdout


def program(name: str, package: str) -> str:
    """The path of an installed program.

    Raises:
        BuildError: it is missing; the message says how to get it.
    """
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"{name} is not installed; on Debian: sudo apt-get install --no-install-recommends {package}")
    return path
