"""``chordkit trainer``: the file with which ExecuTorch trains adapters on a phone."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chordkit.cli.output import JsonOption, emit, rows, writable_file
from chordkit.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from chordkit.export.trainer import TrainerReport

app = typer.Typer(no_args_is_help=True, help="The program with which ExecuTorch trains adapters on a phone.")

_MOST_BYTES = 1 << 26


@app.command(epilog="Example: `chordkit trainer make --master master.chrm --lessons 300 --out trainer.pte`")
def make(
    master: Annotated[Path, typer.Option("--master", "-m", help="Master weights (.chrm) of a backbone; every other of its width will do.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the program goes (.pte).")],
    lessons: Annotated[int, typer.Option(help="It learns from at most so many: the user's own and those from outside.")] = 300,
    candidates: Annotated[
        int | None, typer.Option(help="At most so many items compete in a training; the default is --lessons and 256 others.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the program, let it train, and write it if it trains as torch does; if not, nothing is written and the status is 1."""
    from chordkit.export.trainer import TrainerShape, make_trainer
    from chordkit.files import write_bytes
    from chordkit.quantization import MasterWeights

    shape = TrainerShape(MasterWeights.load(master).dim, lessons, candidates or lessons + 256)
    data, report = make_trainer(shape)
    write_bytes(out, data)
    _tell(as_json, out, data, report)


@app.command(epilog="Example: `chordkit trainer check trainer.pte`")
def check(
    trainer: Annotated[Path, typer.Argument(help="The program (.pte) that 'trainer make' made.")],
    as_json: JsonOption = False,
) -> None:
    """Train 20 steps with the program on its runtime, and hold its parameters against torch's and the closed form; off is status 1."""
    from chordkit.export.trainer import check_trainer_apart
    from chordkit.files import read_bytes

    data = read_bytes(trainer, "trainer", _MOST_BYTES)
    try:
        report = check_trainer_apart(data)
    except (CheckFailed, InputError) as error:
        raise type(error)(f"{trainer}: {error}") from None
    _tell(as_json, trainer, data, report)
    report.require(str(trainer))


def _tell(as_json: bool, path: Path, data: bytes, report: "TrainerReport") -> None:
    payload: dict[str, Any] = {
        "file": str(path),
        "bytes": len(data),
        **asdict(report.shape),
        "passed": report.passed,
        "cases": [
            {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in asdict(case).items()}
            for case in report.cases
        ],
    }
    body = [
        [
            case.name,
            case.lessons,
            case.candidates,
            f"{case.moved:.3g}",
            f"{case.error:.2e}",
            f"{case.allowed:.2e}",
            f"{case.from_torch:.2e}",
            f"{case.step_ms:.2f}",
            "FAILED" if case.problem else "passed",
        ]
        for case in report.cases
    ]
    columns = ["training", "lessons", "candidates", "moved", "error", "allowed", "from torch", "ms a step", "parity"]
    emit(as_json, payload, lambda: rows(f"{path}: {len(data):,} bytes, 20 steps", columns, body))
