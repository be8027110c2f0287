"""``on_device``, the program that measures the other runtimes: packed into one file that Python runs."""

import hashlib
import zipfile
from pathlib import Path

from chordkit.runtime_bench.runners.cache import kept

NAME = "on_device.pyz"
PACKAGE = Path(__file__).resolve().with_name("on_device")
_START = "import sys\n\nfrom on_device.program import end, main\n\nend(main(sys.argv[1:]))\n"
_DATE = (1980, 1, 1, 0, 0, 0)


def python_program() -> Path:
    """The program, for ``python on_device.pyz``; the same bytes for the same sources.

    Raises:
        DeviceError: the cache cannot be written.
    """
    members = {"__main__.py": _START.encode()}
    members |= {f"on_device/{path.name}": path.read_bytes() for path in sorted(PACKAGE.glob("*.py"))}
    digest = hashlib.sha256(repr(sorted(members.items())).encode()).hexdigest()

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), data)

    return kept(NAME, digest, make)
