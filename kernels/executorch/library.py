"""libchord_executorch, the library of the ExecuTorch operators (``chord::rerank`` and others): built, found, loaded.

It is compiled from ``kernels/executorch`` and libchord's own sources against the headers of the installed ``executorch`` wheel, since
that package has no stable binary interface: once for a set of sources, a compiler and a version of ExecuTorch, into the user's cache.

For a device::

    python -m chordkit.kernels.executorch --target aarch64 --out build/executorch
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from chordkit import files
from chordkit.errors import InputError, MissingRuntimeError
from chordkit.kernels import build as libchord
from chordkit.kernels.executorch.bindings import bindings

HERE = Path(__file__).resolve().parent
EXPORTS = HERE / "exports.map"
NAME = "libchord_executorch.so"
OPERATORS = ("chord::linear.out", "chord::rerank.out", "chord::rerank_for.out")
VERSION = 1
"""CHORD_EXECUTORCH_VERSION of ``chord_executorch.h``: which operator schemas a library has."""

LIBRARY_VARIABLE = "CHORDKIT_EXECUTORCH_OPS"
"""Environment variable: a library that was built elsewhere, for machines without a compiler."""

_SHARED = ["-fPIC", "-g0", "-pthread"]
C_FLAGS = ["-x", "c", *libchord.flags(), *_SHARED]
CXX_FLAGS = [
    *("-x", "c++", "-std=c++17", *(flag for flag in libchord.flags() if not flag.startswith("-std=")), *_SHARED),
    *("-fvisibility-inlines-hidden", "-DC10_USING_CUSTOM_GENERATED_MACROS"),
]
LINK_FLAGS = ["-shared", "-pthread", "-s", f"-Wl,-soname,{NAME}", "-Wl,-z,max-page-size=16384", "-Wl,-z,relro,-z,now", "-Wl,--gc-sections"]
BENCH_LIBRARIES = tuple(f"executorch{part}" for part in ("", "_threadpool", "_backend_xnnpack", "_kernels_optimized", "_kernels_quantized"))
"""What a program on the C++ runtime is linked with to run the targets' files."""
COMPILERS = {"x86_64": "x86_64-linux-gnu-g++", "aarch64": "aarch64-linux-gnu-g++"}


def compiler(target: str | None = None) -> list[str]:
    """The C++ compiler for ``target`` (``x86_64`` or ``aarch64``; None = this machine) as the beginning of a command.

    ``CXX`` names another one for this machine.

    Raises:
        InputError: an unknown target.
        MissingRuntimeError: there is none; the message has the command that installs it.
    """
    if target is not None and target not in COMPILERS:
        raise InputError(f"target {target!r} is unknown; use {' or '.join(COMPILERS)}")
    native = target in (None, platform.machine())
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++", "clang++-19"] if native else [COMPILERS[str(target)]]
    for name in names:
        if (words := name.split()) and shutil.which(words[0]):
            return words
    package = "g++" if native else f"g++-{target.replace('_', '-')}-linux-gnu"  # type: ignore[union-attr]
    raise MissingRuntimeError(
        f"the ExecuTorch operators need a C++ compiler ({' or '.join(dict.fromkeys(filter(None, names)))}): "
        f"apt-get install {package}, or name a built library in {LIBRARY_VARIABLE}"
    )


def executorch_folder() -> Path:
    """The installed ``executorch`` package, whose headers and runtime the library is built against.

    Raises:
        MissingRuntimeError: it is not installed, or carries no headers.
    """
    found = util.find_spec("executorch")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise MissingRuntimeError("the package executorch is not installed; pip install 'chordkit[executorch]'")
    folder = Path(places[0])
    if not (folder / "include" / "executorch").is_dir():
        raise MissingRuntimeError(f"{folder}: this executorch has no C++ headers; pip install executorch==1.5.1")
    return folder


def sources() -> list[Path]:
    """Everything that is compiled: libchord's C files and the operators' C++ files."""
    return [*libchord.sources(), *sorted(HERE.glob("*.cc"))]


def headers() -> list[Path]:
    """What these include."""
    return [*libchord.headers(), *sorted(HERE.glob("*.h"))]


def _includes(executorch: Path) -> list[str]:
    include = executorch / "include"
    return ["-isystem", str(include), "-isystem", str(include / "executorch" / "runtime" / "core" / "portable_type" / "c10")]


def compile_library(out: Path, command: Sequence[str], executorch: Path, runtime: Path | None, jobs: int = 2) -> Path:
    """Compile and link; ``out`` appears whole or not at all.

    Args:
        out: the library.
        command: the C++ compiler, with what it needs for its target.
        executorch: a package with headers.
        runtime: folder of the ``libexecutorch.so`` to link with and check against; None = by its name alone (another architecture
            whose wheel is not at hand).
        jobs: compilers at once.

    Raises:
        MissingRuntimeError: the compiler refuses; the message has its first complaint.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out.parent) as work:
        objects = _compile(sources(), Path(work), command, command, executorch, jobs)
        checks = ["-Wl,-z,defs"]
        if runtime is None:
            # A library of that name with nothing in it: the real one is there when the program runs.
            runtime, checks = Path(work), []
            (Path(work) / "empty.c").write_text("")
            stand_in = ["-shared", "-nostdlib", "-Wl,-soname,libexecutorch.so", "-o", str(Path(work) / "libexecutorch.so")]
            _run([*command, "-x", "c", str(Path(work) / "empty.c"), "-x", "none", *stand_in])
        finished = Path(work) / NAME
        link = [f"-Wl,--version-script={EXPORTS}", f"-L{runtime}", "-Wl,--no-as-needed", "-lexecutorch", "-lm"]
        _run([*command, *LINK_FLAGS, *checks, "-o", str(finished), *objects, *link])
        os.replace(finished, out)
    return out


def compile_runner(library: Path, command: Sequence[str], executorch: Path) -> Path:
    """``chord_executorch_runner`` (``tools/runner.cc``) beside ``library``: one rerank from the command line of a device.

    Args:
        library: from :func:`compile_library`; the runner looks for it, and for ``libexecutorch.so``, in its own folder.
        command: the C++ compiler, as for the library.
        executorch: the target's package.

    Raises:
        MissingRuntimeError: the compiler refuses.
    """
    runner = library.parent / "chord_executorch_runner"
    source = [*CXX_FLAGS, *_includes(executorch), str(HERE / "tools" / "runner.cc"), "-x", "none", str(library)]
    link = ["-pthread", "-Wl,-rpath,$ORIGIN", f"-L{executorch / 'lib'}", "-lexecutorch"]
    with tempfile.TemporaryDirectory(prefix=".build-", dir=library.parent) as work:
        _run([*command, *source, *link, "-o", str(Path(work) / runner.name)])
        os.replace(Path(work) / runner.name, runner)
    return runner


def bench_sources() -> list[Path]:
    """What ``chord_executorch_bench`` is compiled from besides :func:`sources`: ``chord_runner`` with ExecuTorch in libchord's place."""
    return [*(path for path in libchord.tool("runner") if path.name != "model.c"), HERE / "tools" / "bench.cc"]


def compile_bench(out: Path, command: Sequence[str], c_command: Sequence[str], executorch: Path, version: str, jobs: int = 2) -> Path:
    """``chord_executorch_bench`` (``tools/bench.cc``), which measures any program of chordkit's on a device; the operators are part of it.

    Args:
        out: the program. It is linked with the libraries of ``executorch``, which the device's loader must find.
        command: the C++ compiler, as for the library.
        c_command: the compiler of libchord.
        executorch: the target's package, and version its version, for the records.
        jobs: compilers at once.

    Raises:
        MissingRuntimeError: a compiler refuses.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    more = [f'-DCHORD_EXECUTORCH_RUNTIME="executorch {version}"', f"-I{libchord.LIBCHORD / 'tools' / 'runner'}"]
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out.parent) as work:
        objects = _compile([*sources(), *bench_sources()], Path(work), [*command, *more], c_command, executorch, jobs)
        finished = Path(work) / out.name
        # Backends and kernels register themselves when they are loaded: nothing calls them by name.
        link = [f"-L{executorch / 'lib'}", "-Wl,--no-as-needed", *(f"-l{name}" for name in BENCH_LIBRARIES), "-lm"]
        _run([*command, "-pthread", "-s", "-o", str(finished), *objects, *link])
        os.replace(finished, out)
    return out


def _compile(
    files: Sequence[Path], folder: Path, command: Sequence[str], c_command: Sequence[str], executorch: Path, jobs: int
) -> list[str]:
    """Object files in ``folder``."""
    objects = [str(folder / f"{path.parent.name}_{path.name}.o") for path in files]

    def compile_one(source: Path, target: str) -> None:
        compiling = [*command, *CXX_FLAGS, *_includes(executorch)] if source.suffix == ".cc" else [*c_command, *C_FLAGS]
        _run([*compiling, "-c", str(source), "-o", target])

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compile_one, files, objects))
    return objects


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line or "undefined" in line), done.stderr.strip()[-300:])
        raise MissingRuntimeError(f"the ExecuTorch operators cannot be compiled with {command[0]}: {complaint}")


def cache_folder() -> Path:
    """Where libraries for this machine, these sources and this version of ExecuTorch are kept, one a compiler."""
    digest = hashlib.sha256(repr((C_FLAGS, CXX_FLAGS, LINK_FLAGS, platform.machine(), metadata.version("executorch"))).encode())
    for path in [*sources(), *headers(), EXPORTS]:
        digest.update(path.relative_to(HERE.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return files.cache_folder("executorch-ops") / digest.hexdigest()[:24]


def build() -> Path:
    """The library for this machine, compiled when it is not in the cache yet.

    Raises:
        MissingRuntimeError: ExecuTorch or a C++ compiler is missing, or the cache cannot be written.
        InputError: somebody else may have written the library that is there (:func:`chordkit.files.require_own`).
    """
    if given := os.environ.get(LIBRARY_VARIABLE):
        if not os.path.isfile(given):
            raise MissingRuntimeError(f"{LIBRARY_VARIABLE}: there is no file {given}; python -m chordkit.kernels.executorch builds it")
        return Path(given)
    executorch = executorch_folder()
    folder = cache_folder()
    try:
        command = compiler()
    except MissingRuntimeError:
        # A library made while there was a compiler is as good as ever.
        if kept := sorted(folder.glob(f"*/{NAME}")):
            files.require_own(kept[0])
            return kept[0]
        raise
    version = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    path = folder / hashlib.sha256(repr((shutil.which(command[0]), command, version)).encode()).hexdigest()[:12] / NAME
    try:
        if path.is_file():
            files.require_own(path)
            return path
        with files.alone(path.parent):
            return path if path.is_file() else compile_library(path, command, executorch, executorch / "lib")
    except OSError as error:
        raise MissingRuntimeError(
            f"{path.parent}: the ExecuTorch operators cannot be kept there ({error.strerror}); name a folder in {files.CACHE_VARIABLE}"
        ) from None


@dataclass(frozen=True)
class Counts:
    """What the operators keep: ``models`` and ``layers`` ready to run and their ``bytes``; how many were ``opened``, and strategies
    ``adopted``, since the library was loaded."""

    models: int
    layers: int
    bytes: int
    opened: int
    adopted: int


class _Counts(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("struct_size", "models", "layers", "reserved")),
        *((name, ctypes.c_uint64) for name in ("bytes", "opened", "adopted")),
    )  # fmt: skip


class Library:
    """The loaded library; ``path`` is the file. The operators themselves are ExecuTorch's to call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))
        self._library.chord_executorch_last_error.restype = ctypes.c_char_p
        self.version = int(self._library.chord_executorch_version())

    def last_error(self) -> str:
        """Why this thread's last refused call was refused; empty when none was."""
        return bytes(self._library.chord_executorch_last_error()).decode(errors="replace")

    def counts(self) -> Counts:
        """What is kept."""
        counts = _Counts(struct_size=ctypes.sizeof(_Counts))
        self._library.chord_executorch_count(ctypes.byref(counts))
        return Counts(counts.models, counts.layers, counts.bytes, counts.opened, counts.adopted)

    def limit(self, models: int = 8, layers: int = 512) -> None:
        """How much is kept while nothing runs."""
        self._library.chord_executorch_limit(ctypes.c_uint32(models), ctypes.c_uint32(layers))

    def trim(self) -> None:
        """Free everything that is not in use."""
        self._library.chord_executorch_trim()


_loaded: Library | None = None
_loading = threading.Lock()


def load() -> Library:
    """Register the operators with ExecuTorch, once a process: a second copy from another path would abort it.

    Raises:
        MissingRuntimeError: ExecuTorch or a C++ compiler is missing, or the library is another version's.
    """
    global _loaded
    with _loading:
        if _loaded is None:
            try:
                executorch = bindings()
            except ImportError as error:
                raise MissingRuntimeError(f"the package {error.name} is not installed; pip install 'chordkit[executorch]'") from None
            path = (_registered(executorch) and _mapped()) or build()
            try:
                library = Library(path)
            except (OSError, AttributeError) as error:
                given = f"{LIBRARY_VARIABLE}: " if os.environ.get(LIBRARY_VARIABLE) else ""
                raise MissingRuntimeError(f"{given}{path}: the library does not load ({error}); build it anew") from None
            if library.version != VERSION:
                raise MissingRuntimeError(f"{path}: operators of version {library.version}, this chordkit needs {VERSION}; build it anew")
            _loaded = library
        return _loaded


def _registered(executorch: Any) -> bool:
    return OPERATORS[0] in executorch._get_operator_names()


def _mapped() -> Path | None:
    """The file of a copy that somebody else has loaded."""
    with open("/proc/self/maps") as stream:
        for line in stream:
            path = line.split(maxsplit=5)[-1].strip()
            if path.endswith(NAME):
                return Path(path)
    return None
