"""Files that are whole or absent: the only way chordkit writes to disk."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from chordkit.errors import InputError

CACHE_VARIABLE = "CHORDKIT_CACHE"
"""Environment variable: where chordkit keeps what it made; the default is ``chordkit`` in the user's cache folder."""


def cache_folder(kind: str) -> Path:
    """Where things of one kind are kept, absolute; it may not exist yet."""
    base = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chordkit"
    return Path(base).absolute() / kind


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time in ``folder``, which is made; the others wait.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], private: bool = False) -> Iterator[BinaryIO]:
    """Open ``path`` for writing so that it appears complete or not at all.

    The bytes go to a temporary file in the same folder, reach the disk (``fsync``), and take the final name by
    rename; after an exception, or a kill, the old file is still there and untouched. A ``private`` file (a signing key)
    is readable by its owner only, from its first byte on.

    Raises:
        OSError: the folder cannot be made or written, the disk is full; it carries ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise _of(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; a finished file gets the permissions any newly created file would have.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o600 if private else 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, temporary):
            raise _of(path, error) from None
        raise


def _of(path: Path, error: OSError) -> OSError:
    """The same error under the name the reader knows, not that of the temporary file."""
    return OSError(error.errno, error.strerror, os.fspath(path))


def write_bytes(path: str | os.PathLike[str], data: bytes, private: bool = False) -> None:
    """Write ``data`` to ``path`` atomically; see :func:`atomic_writer`."""
    with atomic_writer(path, private) as stream:
        stream.write(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON atomically; NaN and infinities are refused (they are not JSON)."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_bytes(path: str | os.PathLike[str], what: str) -> bytes:
    """Read a whole file; ``what`` names its role in the error ("strategy", "master weights").

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what} file") from None
    except OSError as error:
        raise InputError(f"{path}: the {what} file cannot be read: {error.strerror}") from None


def reproducible_safetensors(data: bytes) -> bytes:
    """The same safetensors file with its metadata in the order of their names.

    The library writes them in an order that differs from process to process; sorted, the same content gives the same bytes.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Spaces keep the tensors behind the header on a multiple of 8 bytes; their offsets count from its end.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of ``data``."""
    return hashlib.sha256(data).hexdigest()
