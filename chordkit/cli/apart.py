"""No command writes over what it reads, nor two results into one file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from chordkit.errors import DataError, InputError

_OUTPUTS = "chordkit.outputs"
_SOURCES = "chordkit.sources"
_BESIDE = "chordkit.beside"


def note_output(context: typer.Context, option: typer.CallbackParam) -> None:
    """Remember that ``option`` names a file that the command will write."""
    context.meta.setdefault(_OUTPUTS, set()).add(option.name)


def outputs_of(context: typer.Context) -> set[str]:
    """The parameters of the command at hand that name files to write, as far as they were given."""
    return set(context.meta.get(_OUTPUTS, ()))


def note_beside(context: typer.Context, what: str, path: Path) -> None:
    """What a command writes beside a file that an option names."""
    context.meta.setdefault(_BESIDE, {})[what] = path


def beside_of(context: typer.Context) -> dict[str, Path]:
    """What the command at hand writes besides :func:`outputs_of`, by what it is."""
    return dict(context.meta.get(_BESIDE, {}))


def note_source(context: typer.Context, option: typer.CallbackParam, source: str | None) -> str | None:
    """Callback of options that name a data set: the files behind its name are read as well (:func:`files_behind`)."""
    context.meta.setdefault(_SOURCES, set()).add(option.name)
    return source


def sources_of(context: typer.Context) -> set[str]:
    """The parameters of the command at hand that name data sets."""
    return set(context.meta.get(_SOURCES, ()))


def files_behind(source: str) -> list[Path]:
    """The files that a data set's folder, pattern or name stands for; none where it is a file itself, or stands for none."""
    if os.path.isfile(source):
        return []
    from chordkit.data.location import locate
    from chordkit.data.preparation import raw_path

    try:
        path = raw_path(source)
        return [] if path is None else locate(path)
    except DataError:
        return []  # the command itself says what is wrong with it


def require_apart(outputs: Mapping[str, Path], inputs: Mapping[str, Sequence[str | os.PathLike[str]]]) -> None:
    """Hold that every output is a file of its own, however its path is spelled and through whichever links.

    Args:
        outputs: what is to be written, by the option that says so.
        inputs: what is read, likewise; texts that are no paths of files do not matter.

    Raises:
        InputError: an output is an input, or two outputs are one file.
    """
    seen: dict[str, str] = {}
    for option, values in inputs.items():
        for value in values:
            if os.path.isfile(value):
                seen[_place(value)] = f"is also the file of {option}, which would be lost"
    for option, path in outputs.items():
        place = _place(path)
        if place in seen:
            raise InputError(f"{option} {path}: {seen[place]}; choose another name")
        seen[place] = f"is also what {option} names, and one of the two would be lost"


def _place(path: str | os.PathLike[str]) -> str:
    """One text for one file: hard links by what they link to, others by where they lead."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return f"{found.st_dev}:{found.st_ino}"
