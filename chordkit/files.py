"""Files that are whole or absent: the only way chordkit writes to disk, and who may have made what it loads from there."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from chordkit.errors import InputError

CACHE_VARIABLE = "CHORDKIT_CACHE"
"""Environment variable: where chordkit keeps what it made; the default is ``chordkit`` in the user's cache folder."""

_UNFINISHED = re.compile(r"\.chordkit-[0-9a-f]{8}\.partial")
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def cache_folder(kind: str) -> Path:
    """Where things of one kind are kept, absolute; it may not exist yet.

    Raises:
        InputError: no variable names a place and this user has no home.
    """
    try:
        base = Path(os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chordkit")
    except RuntimeError:
        raise InputError(f"{CACHE_VARIABLE}: this user has no home folder to keep things in; name a folder in this variable") from None
    return base.absolute() / kind


def require_own(path: Path) -> None:
    """Refuse to load code from ``path``, a file or folder of the cache, that somebody else may have put there or may change.

    It and every folder up to the cache's must be a real one, belong to this user or to root, and be writable by nobody else.

    Raises:
        InputError: one of them is not so.
        OSError: it is not there.
    """
    base = cache_folder("").resolve()
    place = path.parent.resolve() / path.name
    for each in (place, *(parent for parent in place.parents if parent.is_relative_to(base))):
        found = each.lstat()
        if stat.S_ISLNK(found.st_mode):
            what = "is a link"
        elif found.st_uid not in (0, os.geteuid()):
            what = f"belongs to another user ({found.st_uid})"
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            what = f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
        else:
            continue
        raise InputError(
            f"{each}: it {what}, so no code is loaded from it; remove it and it is made again, "
            f"or name a folder of your own in {CACHE_VARIABLE}"
        )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process (or thread) at a time in ``folder``, which is made, for its owner alone; the others wait.

    Where the file system has no locks for folders, a file ``.lock`` in it stands for it.

    Raises:
        OSError: the folder cannot be written.
    """
    _make_private(folder)
    with contextlib.ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise _of(folder, error) from None
            fcntl.flock(stack.enter_context(open(folder / ".lock", "w")), fcntl.LOCK_EX)
        yield


def _make_private(folder: Path) -> None:
    if not folder.is_dir():
        _make_private(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)


def sole_writer(path: Path) -> BinaryIO:
    """Open ``path`` for writing from its beginning, as the only one that does; for files that are of use while they grow.

    Raises:
        InputError: another process is writing it.
        OSError: it cannot be written; it carries ``path``.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            stream = open(path, "ab")  # noqa: SIM115 - the caller closes it
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                raise InputError(f"{path}: another run is writing this file; wait for its end, or choose another name") from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    stream.close()
                    raise
            found = os.fstat(stream.fileno())
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(found, path.stat()):
                    if found.st_size:
                        stream.truncate(0)
                    return stream
            # Between being opened and being locked it was finished, and given another name.
            stream.close()


def rename(old: Path, new: Path) -> None:
    """Give a file that is on the disk another name, on the disk too.

    Raises:
        OSError: it cannot be; it carries ``new``.
    """
    with _naming(new):
        os.replace(old, new)
        _sync_folder(new.parent)


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], private: bool = False) -> Iterator[BinaryIO]:
    """Open ``path`` for writing so that it appears complete or not at all.

    The bytes go to a temporary file in the same folder, reach the disk, and take the final name by rename, which reaches the disk too
    (``fsync`` of file and folder); after an exception, or a kill, the old file is still there and untouched. A file that is written again
    keeps its permissions; a new one has those of any new file, or, ``private`` (a signing key), is readable by its owner only from its
    first byte on. What killed writers left in the folder is removed; that of writers that are still at work is not.

    Raises:
        InputError: ``path`` is a device, a pipe or a socket: a file would take its place.
        OSError: the folder cannot be made or written, the disk is full; it carries ``path``.
    """
    path = Path(path)
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}: this is a device, a pipe or a socket, whose place a file would take; give the name of a file")
    with _unfinished(path, private) as (stream, temporary):
        yield stream
        with _naming(path):
            _finish(stream, path, private)
        rename(temporary, path)


def write_together(contents: Mapping[Path, tuple[bytes, bool]]) -> None:
    """Write new files of which one is of no use without the others: all appear, or an error leaves none.

    Each is (bytes, private), as in :func:`atomic_writer`. Every byte is on the disk before the first name appears, so that what may still
    fail is next to nothing; names are given in order, and a kill between two leaves the first.

    Raises:
        OSError: one exists already (nothing is ever overwritten), or cannot be written; it carries its path.
    """
    made: list[Path] = []
    with contextlib.ExitStack() as stack:
        pairs = []
        for path, (data, private) in contents.items():
            with _naming(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            stream, temporary = stack.enter_context(_unfinished(path, private))
            with _naming(path):
                stream.write(data)
                _finish(stream, path, private)
            pairs.append((path, temporary))
        try:
            for path, temporary in pairs:
                with _naming(path):
                    _place(temporary, path)
                    made.append(path)
                    _sync_folder(path.parent)
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _unfinished(path: Path, private: bool) -> Iterator[tuple[BinaryIO, Path]]:
    """A temporary file beside ``path``, locked while its writer lives; gone afterwards unless it has taken another name."""
    with _naming(path):
        _sweep(path.parent)
        # While it grows, a file that was not for everybody's eyes is not either.
        descriptor, temporary = _locked(path.parent, 0o600 if private or path.exists() else 0o666)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream, temporary
    except OSError as error:
        # Of the caller's own writing: a stream's error has no name.
        if error.errno is not None and error.filename is None:
            raise _of(path, error) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _locked(folder: Path, mode: int) -> tuple[int, Path]:
    while True:
        temporary = folder / f".chordkit-{secrets.token_hex(4)}.partial"
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                temporary.unlink(missing_ok=True)
                raise
        if os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        # Between being made and being locked it was taken for a dead writer's.
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left: our own, by name and owner, whose lock died with its writer. No clock is asked how old it is."""
    for entry in os.scandir(folder):
        if not _UNFINISHED.fullmatch(entry.name):
            continue
        # Another sweeper may be faster; what cannot be opened or removed is not ours to remove.
        with contextlib.suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found = os.fstat(descriptor)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
            finally:
                os.close(descriptor)


def _finish(stream: BinaryIO, path: Path, private: bool) -> None:
    """Give the temporary file the permissions of the file that it replaces, and bring it to the disk."""
    stream.flush()
    if not private:
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(stream.fileno(), stat.S_IMODE(path.stat().st_mode) & 0o777)
    os.fsync(stream.fileno())


def _place(temporary: Path, path: Path) -> None:
    """Give a file its name unless somebody has it."""
    try:
        os.link(temporary, path)
    except PermissionError:
        # A file system without links (a memory stick's).
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)) from None
        os.rename(temporary, path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems keep names on the disk without being asked, and cannot be asked.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the block under the name the reader knows, not that of the temporary file or of no file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise _of(path, error) from None


def _of(path: Path, error: OSError) -> OSError:
    return OSError(error.errno, error.strerror, os.fspath(path))


def write_bytes(path: str | os.PathLike[str], data: bytes, private: bool = False) -> None:
    """Write ``data`` to ``path`` atomically; see :func:`atomic_writer`."""
    with atomic_writer(path, private) as stream:
        stream.write(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented UTF-8 JSON atomically; NaN and infinities are refused (they are not JSON)."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_bytes(path: str | os.PathLike[str], what: str, limit: int | None = None) -> bytes:
    """Read a whole file; ``what`` names its role in the error ("strategy", "master weights").

    Raises:
        InputError: the file does not exist, cannot be read, is a device, or is larger than ``limit`` bytes.
    """
    try:
        with open(path, "rb") as stream:
            kind = os.fstat(stream.fileno()).st_mode
            if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                raise InputError(f"{path}: the {what} file is a device, which never ends; give a file")
            data = stream.read() if limit is None else stream.read(limit + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what} file") from None
    except OSError as error:
        raise InputError(f"{path}: the {what} file cannot be read: {error.strerror}") from None
    if limit is not None and len(data) > limit:
        raise InputError(f"{path}: the {what} file is larger than {limit} bytes, which none is; give the right file")
    return data


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
