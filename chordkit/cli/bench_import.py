"""``chordkit bench import``: what the runtimes' own tools have measured, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chordkit.cli.output import JsonOption, emit, rows

if TYPE_CHECKING:
    from chordkit.runtime_bench.runners.official import OfficialResult

Files = Annotated[
    list[Path],
    typer.Argument(
        help="What benchmark_model, executor_runner or onnxruntime_perf_test printed, or their result files.", exists=True, dir_okay=False
    ),
]
_TIMES = {"init us": "init_us", "first us": "first_us", "min us": "min_us", "mean us": "mean_us", "p50 us": "p50_us", "p95 us": "p95_us"}
_COLUMNS = ["file", "tool", "model", "n", *_TIMES, "random inputs", "outputs checked"]


def import_(files: Files, as_json: JsonOption = False) -> None:
    """Read the results of the runtimes' own tools, to stand beside ours: they time random inputs and check no output.

    Example: `chordkit bench import benchmark_model.txt`
    """
    from chordkit.runtime_bench.runners.official import read_official

    found = [(str(path), read_official(path)) for path in files]
    payload = {"results": [{"file": file, **result.model_dump(mode="json")} for file, result in found]}
    emit(as_json, payload, lambda: rows("results of the runtimes' own tools", _COLUMNS, [_cells(*each) for each in found]))


def _cells(file: str, result: "OfficialResult") -> list[str]:
    times = (getattr(result, name) for name in _TIMES.values())
    return [
        file,
        result.tool,
        result.model or "",
        f"{result.n:,}" if result.n else "",
        *("" if value is None else f"{value:,.1f}" for value in times),
        "yes" if result.random_inputs else "no",
        "yes" if result.checked else "no",
    ]
