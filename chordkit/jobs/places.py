"""Where tables are: folders of this machine, and whatever fsspec opens by its URL (s3://, gs://, abfs://, memory://)."""

import contextlib
import fnmatch
import posixpath
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from chordkit.errors import InputError, MissingRuntimeError
from chordkit.files import atomic_writer

ENDING = ".parquet"
# Of what makes a version of a file: what stores say, then what file systems say.
_VERSION_FIELDS = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Place:
    """A folder.

    Attributes:
        url: as it was given.
        system: of fsspec.
        path: in that file system.
    """

    url: str
    system: Any
    path: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """The place that a path or URL names.

        Raises:
            InputError: its protocol is unknown.
            MissingRuntimeError: its package is not installed.
        """
        try:
            system, path = url_to_fs(url)
        except ImportError as error:
            raise MissingRuntimeError(f"{url}: {' '.join(str(error).split())}") from None
        except ValueError as error:
            raise InputError(f"{url}: no such place can be opened: {error}") from None
        return cls(url, system, str(path).rstrip("/") or "/")

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return isinstance(self.system, LocalFileSystem)

    @property
    def of_this_process(self) -> bool:
        """Whether no other process sees it."""
        return isinstance(self.system, fsspec.get_filesystem_class("memory"))

    def inside(self, name: str) -> str:
        """The path of a file in it."""
        return posixpath.join(self.path, name)

    def said(self, name: str) -> str:
        """A file in it as its owner would write it."""
        return posixpath.join(self.url.rstrip("/"), name)

    def open(self, name: str) -> IO[bytes]:
        """A file in it, for reading."""
        stream: IO[bytes] = self.system.open(self.inside(name), "rb")
        return stream

    @contextlib.contextmanager
    def writer(self, name: str) -> Iterator[IO[bytes]]:
        """A file in it that appears whole or not at all: by a rename here, by one upload of the whole elsewhere."""
        path = self.inside(name)
        if self.local:
            with atomic_writer(Path(path)) as stream:
                yield stream
            return
        with tempfile.NamedTemporaryFile() as file:
            yield file
            file.flush()
            self.system.makedirs(posixpath.dirname(path), exist_ok=True)
            self.system.put_file(file.name, path)

    def read_all(self, folder: str) -> dict[str, bytes]:
        """The contents of the files of a folder in it, by their names; nothing where there is none."""
        where = self.inside(folder)
        self.system.invalidate_cache()
        if not self.system.isdir(where):
            return {}
        paths = [each for each in self.system.ls(where, detail=False) if not posixpath.basename(each).startswith(".")]
        if not paths:
            return {}
        found = self.system.cat(paths, on_error="omit")
        return {posixpath.basename(path): data for path, data in found.items()}

    def files(self) -> dict[str, str]:
        """The tables in it, by their names from here on, in order: what tells a file from a changed one. What begins with a dot or an
        underline, as marks of other tools do, is none."""
        self.system.invalidate_cache()
        found = self.system.find(self.path, detail=True)
        names = {posixpath.relpath(path, self.path): about for path, about in found.items()}
        shown = {name: about for name, about in names.items() if not any(part[0] in "._" for part in name.split("/"))}
        return {name: version(shown[name]) for name in sorted(shown) if name.endswith(ENDING)}


def version(about: dict[str, Any]) -> str:
    """What changes with the content of a file, out of what its file system says of it."""
    return ", ".join([f"{about.get('size')} bytes", *(f"{key} {about[key]}" for key in _VERSION_FIELDS if about.get(key) is not None)])


def find_tables(source: str) -> tuple[Place, dict[str, str]]:
    """The folder and the tables in it that a path or URL stands for: a folder, with those in it; a table; or a pattern of tables.

    Raises:
        InputError: there is no table.
    """
    place = Place.of(source)
    if place.system.isdir(place.path):
        chosen = place, place.files()
    else:
        parent, pattern = posixpath.split(place.path)
        folder = Place(posixpath.dirname(source.rstrip("/")), place.system, parent)
        if any(mark in parent for mark in "*?["):
            raise InputError(f"{source}: a pattern stands for the names of tables alone; give a folder, and those in its folders are taken")
        known = folder.files() if folder.system.isdir(parent) else {}
        chosen = folder, {name: what for name, what in known.items() if name == pattern or fnmatch.fnmatchcase(name, pattern)}
    if not chosen[1]:
        raise InputError(f"{source}: there is no table ({ENDING}) of histories; give a folder, a file or a pattern")
    return chosen
