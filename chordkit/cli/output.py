"""What every command shares: how it speaks to a person, to a machine, and how it shows that it is still at work."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

ProgressCallback = Callable[[str, int, int], None]

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, for machines.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]


def emit(as_json: bool, payload: dict[str, Any], view: RenderableType | Callable[[], RenderableType]) -> None:
    """Print a command's result: ``payload`` as JSON for machines, or ``view`` for people."""
    if as_json:
        sys.stdout.write(json.dumps(payload, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        Console().print(view() if callable(view) else view)


def key_values(title: str, values: dict[str, Any]) -> Table:
    """A two-column table of names and values."""
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
    return table


def rows(title: str, columns: list[str], body: list[list[Any]]) -> Table:
    """A table with a header; the first column is left-aligned, the others right-aligned."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in body:
        table.add_row(*[str(cell) for cell in row])
    return table


@contextlib.contextmanager
def progress_bar() -> Iterator[ProgressCallback | None]:
    """A progress bar on stderr when that is a terminal; None (nothing to call) elsewhere.

    The callback takes (phase, done, total); a phase gets its own line when it is first named.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        phases: dict[str, TaskID] = {}

        def advance(phase: str, done: int, total: int) -> None:
            if phase not in phases:
                phases[phase] = bar.add_task(phase, total=total)
            bar.update(phases[phase], completed=done, total=total)

        yield advance
