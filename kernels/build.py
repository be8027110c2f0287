"""What libchord is compiled from and how, and ``chordkit.kernels._native``: the library and its cffi binding in one module.

``libchord/sources.txt`` and ``libchord/flags.txt`` are the lists of every build. ``setup.py`` hands :func:`ffibuilder` to setuptools,
which runs this file by itself: it imports nothing of chordkit.
"""

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
LIBCHORD = HERE / "libchord"


def _lines(name: str) -> list[str]:
    return [line for line in (LIBCHORD / name).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def sources() -> list[Path]:
    """All C files of the library."""
    return [path for pattern in _lines("sources.txt") for path in sorted(LIBCHORD.glob(pattern))]


PARTS = ("learn", "personal")
"""Parts beside the library that are in the binding: their folder, and their header ``include/chord_<part>.h``."""


def part_sources(part: str) -> list[Path]:
    """All C files of a part that are not the library's."""
    return sorted({path for pattern in _lines(f"{part}/sources.txt") for path in LIBCHORD.glob(pattern)} - set(sources()))


def headers() -> list[Path]:
    """All that the C files include of the library's own."""
    return sorted(
        path
        for folder in ("include", "src", "ukernels", *PARTS)
        for path in (LIBCHORD / folder).rglob("*")
        if path.suffix in (".h", ".inc")
    )


def flags() -> list[str]:
    """How the C files are compiled, by gcc or clang."""
    return _lines("flags.txt")


def tool(name: str) -> list[Path]:
    """The C files of a program of ``libchord/tools``, to be compiled together with :func:`sources`."""
    return sorted((LIBCHORD / "tools" / name).glob("*.c"))


def declarations(header: Path) -> str:
    """What cffi can read of a header: no comments, no preprocessor, no inline functions, constants as numbers.

    They come from the C headers themselves, so that the binding cannot drift from the library.
    """
    text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"static inline [^{]*\{[^\n]*\}$|static inline [^{]*\{.*?^\}", "", text, flags=re.DOTALL | re.MULTILINE)
    text = text.replace('extern "C" {', "").replace("CHORD_API", "")
    return re.sub(r"^\}\s*$", "", text, flags=re.MULTILINE)


def ffibuilder() -> FFI:
    """The binding; paths are relative to the project, as setuptools wants them."""
    ffi = FFI()
    include = LIBCHORD / "include"
    included = [
        include / "chord.h",
        LIBCHORD / "ukernels" / "ukernels.h",
        *(include / f"chord_{part}.h" for part in PARTS),
        HERE / "crew.h",
    ]
    lists = [LIBCHORD / "sources.txt", LIBCHORD / "flags.txt", *(LIBCHORD / part / "sources.txt" for part in PARTS)]
    for header in included:
        ffi.cdef(declarations(header))
    ffi.set_source(
        "chordkit.kernels._native",
        "".join(f'#include "{name}"\n' for name in _relative(included)),
        sources=_relative([*sources(), *(path for part in PARTS for path in part_sources(part)), HERE / "crew.c"]),
        include_dirs=["."],
        extra_compile_args=[*flags(), "-g0", "-pthread"],
        extra_link_args=["-pthread"],
        depends=_relative([*headers(), HERE / "crew.h", *lists]),
    )
    return ffi


def _relative(paths: list[Path]) -> list[str]:
    return [path.relative_to(PROJECT).as_posix() for path in paths]
