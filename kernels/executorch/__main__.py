"""``python -m chordkit.kernels.executorch``: build libchord_executorch for this machine's cache or for a device."""

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from chordkit.errors import InputError
from chordkit.kernels.executorch.library import COMPILERS, NAME, build, compile_library, compile_runner, compiler, executorch_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; see :mod:`chordkit.kernels.executorch.library`."""
    parser = argparse.ArgumentParser(prog="python -m chordkit.kernels.executorch", description=f"Build {NAME}.")
    parser.add_argument("--out", type=Path, help="folder: the library goes to OUT/TARGET/; without it, it is built into the cache")
    parser.add_argument("--target", choices=sorted(COMPILERS), default=platform.machine(), help="architecture (with --out)")
    parser.add_argument("--compiler", help="C++ compiler with its options, when it is not the usual one (with --out)")
    parser.add_argument(
        "--executorch", type=Path, help="executorch package of the target, e.g. an unpacked wheel, to link with (with --out)"
    )
    parser.add_argument("--runner", action="store_true", help="also build a command-line runner (with --out)")
    options = parser.parse_args(arguments)
    try:
        if options.out is None:
            path = build()
        else:
            package = options.executorch or executorch_folder()
            own = options.executorch is not None or options.target == platform.machine()
            command = options.compiler.split() if options.compiler else compiler(options.target)
            path = compile_library(options.out / options.target / NAME, command, package, package / "lib" if own else None)
            if options.runner and not own:
                raise InputError("--runner needs the target's own ExecuTorch: unpack its wheel and name it with --executorch")
            if options.runner:
                print(compile_runner(path, command, package))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{path} {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
