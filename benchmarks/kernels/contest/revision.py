"""The engine of another revision: its library compiled in the cache as this one's, and called in the same way, in turns, in one process."""

import hashlib
import importlib.util
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI

from chordkit.errors import CheckFailed, DeviceError, InputError
from chordkit.kernels import build as libchord
from chordkit.runtime_bench.runners.cache import kept
from chordkit.runtime_bench.runners.native import c_compiler

HERE = Path(__file__).resolve().parent
_FOLDERS = ("include", "src", "ukernels", "sources.txt", "flags.txt")
_ABI = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}


def library(revision: str | None) -> Path:
    """The shared library of a commit, by any name that git knows; of a file, itself; of None, the one of this checkout.

    Raises:
        InputError: git knows no such revision.
        DeviceError: it cannot be compiled, or kept.
    """
    if revision is not None and Path(revision).is_file():
        return Path(revision).resolve()
    files = _own() if revision is None else _of_commit(revision)
    command = [*c_compiler(_ABI[os.uname().machine]), "-shared", "-fPIC", "-g0", "-pthread"]
    digest = hashlib.sha256(repr((command, sorted(files.items()))).encode()).hexdigest()

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, data in files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(data)
            flags, patterns = ([line for line in _lines(folder / each) if line] for each in ("flags.txt", "sources.txt"))
            sources = [str(source) for pattern in patterns for source in sorted(folder.glob(pattern))]
            done = subprocess.run([*command, *flags, "-o", str(path), *sources, "-lm"], capture_output=True, text=True, check=False)
            if done.returncode:
                complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-300:])
                raise DeviceError(f"the engine of {revision or 'this checkout'} does not compile: {complaint}")

    return kept("libchord.so", digest, make)


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def _own() -> dict[str, bytes]:
    root = libchord.LIBCHORD
    paths = [path for name in _FOLDERS for path in (root / name, *(root / name).rglob("*"))]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


def _of_commit(revision: str) -> dict[str, bytes]:
    names = [f"kernels/libchord/{name}" for name in _FOLDERS]
    done = subprocess.run(["git", "archive", revision, *names], cwd=libchord.PROJECT, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"--before {revision}: git has no such engine ({done.stderr.decode().strip()}); give a commit, or a built library")
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                found[member.name.removeprefix("kernels/libchord/")] = stream.read()
    return found


@cache
def _binding() -> tuple[Any, Any]:
    """``loaded.c`` as a module."""
    ffi = FFI()
    ffi.cdef(libchord.declarations(HERE / "loaded.h"))
    sources = [HERE / "loaded.c", HERE / "loaded.h", libchord.LIBCHORD / "include" / "chord.h"]
    includes = [str(HERE), str(libchord.LIBCHORD / "include")]
    ffi.set_source(
        "_loaded", sources[0].read_text(encoding="utf-8"), include_dirs=includes, libraries=["dl"], extra_compile_args=["-O2", "-g0"]
    )

    def make(path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.replace(ffi.compile(tmpdir=folder), path)

    path = kept("_loaded.abi3.so", hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest(), make)
    spec = importlib.util.spec_from_file_location("_loaded", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ffi, module.lib


class Loaded:
    """One library with one model, under one strategy.

    Args:
        path: from :func:`library`.
        master: master weights.
        strategy: in its wire form.
        variant: name of a kernel variant; None = the fastest here.

    Raises:
        InputError: the file is no library of the engine, or the variant is not supported here.
    """

    def __init__(self, path: Path, master: bytes, strategy: bytes, variant: str | None = None) -> None:
        self.ffi, self.lib = _binding()
        wrong = self.ffi.new("char[300]")
        name = self.ffi.NULL if variant is None else self.ffi.new("char[]", variant.encode())
        self._keep = (self.ffi.from_buffer(master), self.ffi.from_buffer(strategy), name)
        self._loaded = self.lib.loaded_open(str(path).encode(), self._keep[0], len(master), name, wrong, len(wrong))
        if self._loaded == self.ffi.NULL:
            raise InputError(self.ffi.string(wrong).decode())
        self.adopt = partial(self.lib.loaded_adopt, self._loaded, self._keep[1], len(strategy))
        self.reopen = partial(self.lib.loaded_reopen, self._loaded)
        self.forget = partial(self.lib.loaded_forget, self._loaded)
        self.cool_code = partial(self.lib.loaded_cool_code, self._loaded)
        self.cool_data = partial(self.lib.loaded_cool_data, self._loaded)
        for call in (self.adopt, self.reopen):
            if call():
                raise CheckFailed(f"{path}: it refuses a strategy, or its own master, with status {call()}")

    def rerank(self, histories: np.ndarray, candidates: np.ndarray) -> tuple[Callable[[], int], np.ndarray]:
        """A call without arguments that reranks ``[users, ...]`` in turn, and where its scores stand afterwards."""
        histories, candidates = (np.ascontiguousarray(np.atleast_2d(each), np.int32) for each in (histories, candidates))
        scores = np.empty(candidates.shape, np.float32)
        ids = [(self.ffi.from_buffer("int32_t[]", each), each.shape[1]) for each in (histories, candidates)]
        out = self.ffi.from_buffer("float[]", scores)
        call = partial(self.lib.loaded_rerank, self._loaded, len(histories), *ids[0], *ids[1], out)
        if call():
            raise CheckFailed(f"the engine refuses a rerank with status {call()}")
        return call, scores


def in_turn(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """One call after another, as one."""

    def run() -> None:
        for call in calls:
            call()

    return run
