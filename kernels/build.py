"""Builds ``chordkit.kernels._native``: libchord and its cffi binding in one extension module.

``setup.py`` hands :data:`ffibuilder` to setuptools. The declarations come from the C headers themselves, so that the binding
cannot drift from the library.
"""

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
COMPILE_ARGS = ["-std=c11", "-O3", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-g0"]
"""No contraction: all variants must round alike. The two others let compilers vectorise the portable code."""


def sources() -> list[str]:
    """All C files of the library, relative to the project (setuptools wants relative paths)."""
    files = [*sorted((HERE / "libchord" / "src").glob("*.c")), *sorted((HERE / "libchord" / "ukernels").rglob("*.c"))]
    return [path.relative_to(PROJECT).as_posix() for path in files]


def declarations(header: Path) -> str:
    """What cffi can read of a header: no comments, no preprocessor, no inline functions, constants as numbers."""
    text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"static inline [^{]*\{[^\n]*\}$|static inline [^{]*\{.*?^\}", "", text, flags=re.DOTALL | re.MULTILINE)
    text = text.replace('extern "C" {', "").replace("CHORD_API", "")
    text = re.sub(r"extern const chord_ukernels chord_ukernels_(?!scalar)\w+;", "", text)
    return re.sub(r"^\}\s*$", "", text, flags=re.MULTILINE)


def _ffi() -> FFI:
    ffi = FFI()
    ffi.cdef(declarations(HERE / "libchord" / "include" / "chord.h"))
    ffi.cdef(declarations(HERE / "libchord" / "ukernels" / "ukernels.h"))
    ffi.set_source(
        "chordkit.kernels._native",
        '#include "kernels/libchord/include/chord.h"\n#include "kernels/libchord/ukernels/ukernels.h"\n',
        sources=sources(),
        include_dirs=["."],
        extra_compile_args=COMPILE_ARGS,
        depends=[path.relative_to(PROJECT).as_posix() for path in HERE.rglob("*.h")],
    )
    return ffi


ffibuilder = _ffi()
