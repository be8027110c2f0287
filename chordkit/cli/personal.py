"""``chordkit strategy pack`` and ``unpack``: one user's whole model in a file, for a device without the master weights."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import MasterOption, read_strategy
from chordkit.cli.output import JsonOption, emit, key_values, writable_file

PACK_EXAMPLE = "Example: `chordkit strategy pack 42.chrd --master master.chrm --out 42.chrp`"
UNPACK_EXAMPLE = "Example: `chordkit strategy unpack 42.chrp --out 42.chrm`"


def pack(
    strategy: Annotated[Path, typer.Argument(help="The user's strategy (.chrd).")],
    master: MasterOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the personal file (.chrp) goes.")],
    as_json: JsonOption = False,
) -> None:
    """One user's model at its widths, in as few bytes as they take: a seventh less than the master weights at 3 bits and d = 64."""
    from chordkit.files import write_bytes
    from chordkit.quantization import MasterWeights, write_personal

    weights = MasterWeights.load(master)
    data = write_personal(weights, read_strategy(strategy, weights).widths)
    write_bytes(out, data)
    payload = {"file": str(out), "bytes": len(data), "backbone": weights.fingerprint.hex()}
    emit(as_json, payload, lambda: key_values("personal file", payload))


def unpack(
    file: Annotated[Path, typer.Argument(help="A personal file (.chrp).")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the master weights (.chrm) go.")],
    strategy: Annotated[
        Path | None, typer.Option(callback=writable_file, help="Where the strategy (.chrd) for them goes; needed where channels are off.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Master weights whose int8 codes are one user's: at 8 bits, and with the same channels off, they score as hers did.

    They have a fingerprint of their own; another strategy does not fit them.
    """
    from chordkit.errors import InputError, MasterError
    from chordkit.files import read_bytes, write_bytes
    from chordkit.quantization import read_personal
    from chordkit.strategy import Strategy, to_wire

    try:
        personal = read_personal(read_bytes(file, "personal file"))
    except MasterError as error:
        raise MasterError(f"{file}: {error}") from None
    widths = personal.master_widths
    if strategy is None and not widths.all():
        raise InputError(f"{file}: {int((widths == 0).sum())} of its channels are off, which the weights alone cannot say; give --strategy")
    if strategy is not None:
        write_bytes(strategy, to_wire(Strategy(widths, personal.master.fingerprint)))
    personal.master.save(out)
    payload = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "backbone": personal.master.fingerprint.hex(),
        "made of": personal.fingerprint.hex(),
    }
    emit(as_json, payload, lambda: key_values("master weights", payload))
