"""``chordkit patch``: one file for everybody becomes one user's."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.output import JsonOption, emit, key_values, writable_file

EXAMPLE = "Example: `chordkit patch artifacts/litert-int8-speed.tflite --strategy 42.chrd --out 42.tflite`"


def patch(
    master_file: Annotated[Path, typer.Argument(help="An int8 artifact of layout speed (.tflite, .onnx), as it was exported.")],
    strategy: Annotated[Path, typer.Option("--strategy", "-s", help="The user's strategy (.chrd).")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the user's artifact goes.")],
    as_json: JsonOption = False,
) -> None:
    """Rewrite codes and scales in place: byte for byte what `chordkit export` writes for this strategy, without any converter.

    numpy does it in about a millisecond; a phone does the same (docs/patching.md).
    """
    from chordkit.errors import PatchError, StrategyError
    from chordkit.files import read_bytes, write_bytes
    from chordkit.patching import MasterFile

    try:
        everybody = MasterFile(read_bytes(master_file, "artifact"))
    except PatchError as error:
        raise PatchError(f"{master_file}: {error}") from None
    try:
        mine = everybody.patched(read_bytes(strategy, "strategy"))
    except StrategyError as error:
        raise StrategyError(f"{strategy}: {error}") from None
    write_bytes(out, mine)
    payload = {"file": str(out), "bytes": len(mine), "channels": everybody.channels, "backbone": everybody.fingerprint.hex()}
    emit(as_json, payload, lambda: key_values("artifact", payload))
