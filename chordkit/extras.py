"""Packages that come with an extra of chordkit: whether they are installed, without importing them."""

import importlib.util

from chordkit.errors import MissingRuntimeError


def require_extra(needs: str, extra: str, *packages: str) -> None:
    """Hold that the packages of an extra are installed.

    Args:
        needs: who needs them, as the beginning of a sentence ("the service needs").
        extra: what brings them.
        packages: as pip knows them, and Python with ``_`` for ``-``.

    Raises:
        MissingRuntimeError: one is not; the message names it and the extra.
    """
    for name in packages:
        if importlib.util.find_spec(name.replace("-", "_")) is None:
            raise MissingRuntimeError(f"{needs} the package {name}; pip install 'chordkit[{extra}]'")
