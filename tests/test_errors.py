"""The errors as their users see them."""

import inspect
import textwrap

from chordkit import errors


def branches(parent: type[Exception]) -> list[str]:
    """The classes below ``parent`` as a tree, in the order of their definition."""
    lines = []
    children = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__base__ is parent]
    for child in children:
        mark, rest = ("└── ", "    ") if child is children[-1] else ("├── ", "│   ")
        lines += [mark + child.__name__, *(rest + line for line in branches(child))]
    return lines


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    tree = "\n".join(["ChordkitError", *branches(errors.ChordkitError)])
    assert f"::\n\n{textwrap.indent(tree, '    ')}\n\n" in (errors.__doc__ or "")


def test_every_error_is_on_the_tree_and_says_what_it_is_for() -> None:
    for kind in vars(errors).values():
        if inspect.isclass(kind):
            assert issubclass(kind, (errors.ChordkitError, Warning)) and kind.__doc__
