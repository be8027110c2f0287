"""``import chordkit``: the names that carry the whole way, each loaded when it is first used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import chordkit

SOURCE = Path(chordkit.__file__).read_text()


def test_importing_chordkit_loads_nothing_else() -> None:
    code = "import sys, chordkit; print([name for name in sys.modules if name.startswith('chordkit.') or name in ('torch', 'numpy')])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", chordkit.__all__)
def test_every_name_is_what_its_package_exports_and_is_documented(name: str) -> None:
    module, _, own = chordkit._HOMES[name].partition(":")
    home = importlib.import_module(f"chordkit.{module}")
    value = getattr(chordkit, name)
    assert value is getattr(home, own or name) and value.__doc__
    # A package's face says what it exports; assembly and collection are single modules.
    assert (own or name) in getattr(home, "__all__", [own or name])


def test_the_names_stand_in_one_order_everywhere() -> None:
    assert list(chordkit._HOMES) == chordkit.__all__ == sorted(chordkit.__all__)
    assert set(chordkit.__all__) <= set(dir(chordkit))
    # Type checkers see what the running program gives.
    typed = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert typed == set(chordkit.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        chordkit.train  # noqa: B018
