"""What a dynamically linked 64-bit program needs: its interpreter and libraries, read from its own ELF tables."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chordkit.errors import DeviceError

_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRTAB = 1, 5


@dataclass(frozen=True)
class Elf:
    """``needed``: names of libraries; ``interpreter``: None for a static program."""

    interpreter: str | None
    needed: tuple[str, ...]


def read(path: Path) -> Elf | None:
    """The tables of ``path``; None when it is no 64-bit little-endian ELF file, or a damaged one.

    Raises:
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        return _parse(data)
    except (struct.error, ValueError, StopIteration):
        return None


def _parse(data: bytes) -> Elf:
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    loads: list[tuple[int, int, int]] = []
    dynamic: list[tuple[int, int]] = []
    interpreter = None
    for index in range(count):
        kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, table + index * size)
        if kind == _LOAD:
            loads.append((address, offset, length))
        elif kind == _DYNAMIC:
            dynamic = [struct.unpack_from("<qQ", data, offset + at) for at in range(0, length - length % 16, 16)]
        elif kind == _INTERPRETER:
            interpreter = data[offset : offset + length].rstrip(b"\0").decode()
    needed: tuple[str, ...] = ()
    if any(tag == _NEEDED for tag, _ in dynamic):
        strings = next(value for tag, value in dynamic if tag == _STRTAB)
        start = next(offset + strings - address for address, offset, length in loads if address <= strings < address + length)
        needed = tuple(_text(data, start + value) for tag, value in dynamic if tag == _NEEDED)
    return Elf(interpreter, needed)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def libraries(root: Path) -> dict[str, Path]:
    """Shared libraries below ``root`` by file name; the shallowest of equal names."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.so*"), key=lambda path: (len(path.parts), path.as_posix())):
        found.setdefault(path.name, path)
    return found


def closure(programs: Iterable[Path], known: Mapping[str, Path]) -> dict[str, Path]:
    """Every library that ``programs`` need, directly or not, the interpreter included, by name.

    Raises:
        DeviceError: one is not among ``known``.
    """
    todo, found = list(programs), dict[str, Path]()
    while todo:
        path = todo.pop()
        elf = read(path)
        if elf is None:
            continue
        for name in [*elf.needed, *([Path(elf.interpreter).name] if elf.interpreter else [])]:
            if name in found:
                continue
            if name not in known:
                raise DeviceError(f"{path}: needs {name}, which none of the fetched packages has; fetch the machine's packages anew")
            found[name] = known[name]
            todo.append(known[name])
    return dict(sorted(found.items()))
