"""The reference of the public API has the modules that the page on compatibility promises, and every name there says what it is."""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("pdoc")
pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]


@pytest.fixture
def public(script: Callable[[str], ModuleType]) -> tuple[str, ...]:
    return script("scripts/build_reference.py").PUBLIC


def test_the_public_modules_are_those_that_are_promised(public: tuple[str, ...]) -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    promised = page[page.index("\nPublic are\n") : page.index("`make docs`")]
    assert set(re.findall(r"`(chordkit[.\w]*)`", promised)) == set(public)


def test_every_public_class_and_function_says_what_it_is(public: tuple[str, ...]) -> None:
    for name in public:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for own in getattr(module, "__all__", []):
            value = getattr(module, own)
            assert value.__doc__ or not (inspect.isclass(value) or inspect.isfunction(value)), f"{name}.{own}"
