"""``chordkit.toml``: the options that a project repeats. The command line wins over it; what it gave is said beside the result."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chordkit.errors import InputError
from chordkit.files import read_bytes

NAME = "chordkit.toml"
ALL = "all"
"""The table of what holds for every command that has such an option."""


def default_map(path: Path, root: Any) -> dict[str, Any]:
    """What the command-line library takes as defaults: a dictionary of options a command, nested as the commands are.

    Args:
        path: the file.
        root: the group of all commands.

    Raises:
        InputError: it cannot be read, or names a command or an option that there is not.
    """
    try:
        document = tomllib.loads(read_bytes(path, "configuration").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not TOML ({' '.join(str(error).split())}); mend that line") from None
    shared = document.pop(ALL, {})
    known = {name for command in _commands(root) for name in _options(command)}
    _require(path, ALL, shared, known)
    return _of_group(path, "", document, shared, root)


def _of_group(path: Path, before: str, tables: Mapping[str, Any], shared: Mapping[str, Any], group: Any) -> dict[str, Any]:
    strange = sorted(set(tables) - set(group.commands))
    if strange:
        raise InputError(f"{path}: [{before}{strange[0]}]: there is no such command; there are {', '.join(group.commands)}, and [{ALL}]")
    found = {}
    for name, command in group.commands.items():
        own, title = tables.get(name, {}), f"{before}{name}"
        if hasattr(command, "commands"):
            if not isinstance(own, dict) or not all(isinstance(table, dict) for table in own.values()):
                raise InputError(f"{path}: [{title}]: options belong to one of its commands: {', '.join(command.commands)}")
            found[name] = _of_group(path, f"{title}.", own, shared, command)
            continue
        options = _options(command)
        _require(path, title, own, set(options))
        given = {_plain(option): value for option, value in {**shared, **own}.items()}
        found[name] = {options[option]: value for option, value in given.items() if option in options}
    return found


def _require(path: Path, title: str, table: Any, known: set[str]) -> None:
    if not isinstance(table, dict):
        raise InputError(f"{path}: {title}: write a table, [{title}], and its options below")
    for name, value in table.items():
        if _plain(name) not in known:
            raise InputError(f"{path}: [{title}] {name}: there is no such option; there are {', '.join(sorted(known))}")
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int | float | bool) for each in several):
            raise InputError(f"{path}: [{title}] {name}: give a text, a number, true or false, or a list of them")


def _commands(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield from _commands(command) if hasattr(command, "commands") else (command,)


def _options(command: Any) -> dict[str, str]:
    """As they are written without their dashes, "max-length", and as the command calls them, "max_length"."""
    return {
        written.removeprefix("--"): parameter.name
        for parameter in command.params
        if parameter.param_type_name == "option"
        for written in (*parameter.opts, *parameter.secondary_opts)
        if written.startswith("--") and written != "--help"
    }


def _plain(name: str) -> str:
    return name.replace("_", "-")
