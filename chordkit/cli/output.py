"""What every command shares: how it speaks to a person, to a machine, and how it shows that it is still at work.

Names, versions and options come from files of strangers. What is shown to a person is plain text: no control character of theirs reaches
the terminal (:func:`clean`), and no markup of theirs is one. JSON, for machines, has them as they are, escaped as JSON escapes them.
"""

import contextlib
import contextvars
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from chordkit.cli.apart import note_beside, note_output
from chordkit.errors import InputError
from chordkit.progress import Progress as ProgressCallback

# Wider than any of our tables, which take what they need.
_NATURAL_WIDTH = 400
_NO_END = 1_000_000

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, for machines.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]


def clean(text: str) -> str:
    """``text`` on one line, with what a terminal would act on (escapes, other controls, marks that turn the direction) spelled out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def note(text: str) -> None:
    """A remark on stderr, beside a command's result."""
    if not _quiet.get():
        print(f"note: {clean(text)}", file=sys.stderr)


def writable_file(context: typer.Context, option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Callback of options that name a file to write: refuses, before any work is done, what cannot become one.

    That it is none of the command's other files, :mod:`chordkit.cli.command` looks at when all of them are known.

    Raises:
        InputError: it is a folder, or its folder can neither be written nor made.
    """
    if path is not None:
        if path.is_dir():
            raise InputError(f"{option.opts[0]} {path}: this is a folder; give the name of a file")
        _require_writable(option, path, path.parent)
        note_output(context, option)
    return path


def fp32_beside(master: Path) -> Path:
    """Where the FP32 backbone behind master weights goes."""
    return master.with_suffix(".fp32.safetensors")


def writable_master(context: typer.Context, option: typer.CallbackParam, path: Path | None) -> Path | None:
    """:func:`writable_file` for master weights that their FP32 backbone goes beside (:func:`fp32_beside`)."""
    if writable_file(context, option, path) is not None and path is not None:
        note_beside(context, f"the FP32 backbone beside {option.opts[0]}", fp32_beside(path))
    return path


def writable_folder(option: typer.CallbackParam, path: Path | None) -> Path | None:
    """Callback of options that name a folder to write into; see :func:`writable_file`."""
    if path is not None:
        _require_writable(option, path, path)
    return path


def _require_writable(option: typer.CallbackParam, path: Path, folder: Path) -> None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{option.opts[0]} {path}: {folder} is a file, not a folder; choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{option.opts[0]} {path}: the folder {folder} may not be written; choose another place or change its permissions")


def emit(as_json: bool, payload: dict[str, Any], view: RenderableType | Callable[[], RenderableType]) -> None:
    """Print a command's result: ``payload`` as JSON for machines, or ``view`` for people."""
    if as_json:
        plain = "utf" not in (sys.stdout.encoding or "utf-8").lower()
        sys.stdout.write(json.dumps(payload, indent=2, ensure_ascii=plain, allow_nan=False) + "\n")
    else:
        shown = view() if callable(view) else view
        if isinstance(shown, str):
            shown = Text("\n".join(map(clean, shown.splitlines())))
        console = Console()
        if not console.is_terminal:
            # A file or a pipe has no width: nothing is wrapped or shortened.
            console = Console(width=max(_NATURAL_WIDTH, console.width))
        console.print(shown)


def key_values(title: str, values: dict[str, Any]) -> Table:
    """A two-column table of names and values."""
    table = Table(title=Text(clean(title), style="bold"), show_header=False, title_justify="left")
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text(clean(name)), Text(clean(_shown(value))))
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


class _Rows:
    """A table, or where that is wider than the terminal one block of "name: value" lines per row: nothing is ever cut off."""

    def __init__(self, title: str, columns: list[str], body: list[list[Any]]) -> None:
        self.title, self.columns = clean(title), [clean(column) for column in columns]
        self.body = [[clean(str(cell)) for cell in row] for row in body]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(title=Text(self.title, style="bold"), title_justify="left")
        for index, column in enumerate(self.columns):
            table.add_column(Text(column), justify="left" if index == 0 else "right", no_wrap=True)
        for row in self.body:
            table.add_row(*map(Text, row))
        # Measured with all the room there is: an answer never exceeds what it was given.
        if console.measure(table, options=options.update_width(_NO_END)).maximum <= options.max_width:
            yield table
            return
        yield Text(self.title, style="bold")
        names = max(map(len, self.columns))
        for first, *rest in self.body:
            yield Text(first, style="cyan")
            for name, value in zip(self.columns[1:], rest, strict=True):
                if value:
                    yield Text(f"  {name:<{names}}  {value}")


def rows(title: str, columns: list[str], body: list[list[Any]]) -> RenderableType:
    """A table with a header; the first column is left-aligned, the others right-aligned. See :class:`_Rows` for narrow terminals."""
    return _Rows(title, columns, body)


class ProgressLines:
    """Progress where there is no terminal, as in CI and in logs: a line every half a minute, none for what takes less.

    Args:
        write: takes a line.
        now: a clock, in seconds.
    """

    EVERY_S = 30.0

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now = write, now
        self._phase, self._began, self._first, self._told = "", 0.0, 0, now()

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = self._now()
        if phase != self._phase:
            self._phase, self._began, self._first = phase, now, done
        if now - self._told < self.EVERY_S:
            return
        self._told = now
        spent, gone = now - self._began, done - self._first
        left = f", about {_minutes(spent * (total - done) / gone)} left" if gone > 0 and done < total else ""
        self._write(f"{phase}: {done:,} of {total:,}, {_minutes(spent)} so far{left}")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def _write_line(line: str) -> None:
    print(clean(line), file=sys.stderr, flush=True)


class PhaseTimes:
    """What a command spends its time on: a line for each phase that has ended, beside whatever else shows the progress.

    Args:
        shown: takes the progress as well, or None.
        write: takes a line.
        now: a clock, in seconds.
    """

    def __init__(self, shown: ProgressCallback | None, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._shown, self._write, self._now = shown, write, now
        self._phase, self._began = "", now()

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase != self._phase:
            self.end()
            self._phase = phase
        if self._shown is not None:
            self._shown(phase, done, total)

    def end(self) -> None:
        """The last phase is over; the time before the first is called the beginning."""
        now = self._now()
        self._write(f"{self._phase or 'beginning'}: {now - self._began:.2f} s")
        self._began = now


_quiet = contextvars.ContextVar("quiet", default=False)
_verbose = contextvars.ContextVar("verbose", default=False)


def be_quiet() -> None:
    """From now on this command says nothing of its progress, and makes no remarks beside its result."""
    _quiet.set(True)


def be_verbose() -> None:
    """From now on this command says how long each phase took, and with an error where it happened."""
    _verbose.set(True)


def is_verbose() -> bool:
    """Whether :func:`be_verbose` was called."""
    return _verbose.get()


@contextlib.contextmanager
def progress_bar() -> Iterator[ProgressCallback | None]:
    """A progress bar on stderr when that is a terminal, lines elsewhere; None (nothing to call) where quiet was asked for.

    The callback takes (phase, done, total); a phase gets its own bar when it is first named.
    """
    with _shown_progress() as shown:
        if not _verbose.get():
            yield shown
            return
        times = PhaseTimes(shown, _write_line)
        yield times
        times.end()


@contextlib.contextmanager
def _shown_progress() -> Iterator[ProgressCallback | None]:
    console = Console(stderr=True)
    if _quiet.get() or not console.is_terminal:
        yield None if _quiet.get() else ProgressLines(_write_line)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        phases: dict[str, TaskID] = {}

        def advance(phase: str, done: int, total: int) -> None:
            if phase not in phases:
                phases[phase] = bar.add_task(clean(phase), total=total)
            bar.update(phases[phase], completed=done, total=total)

        yield advance
