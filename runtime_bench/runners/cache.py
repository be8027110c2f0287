"""Where built programs are kept: the user's cache, or the folder that ``CHORDKIT_CACHE`` names."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from chordkit.errors import DeviceError
from chordkit.files import CACHE_VARIABLE, alone, cache_folder, require_own


def kept(name: str, digest: str, make: Callable[[Path], None]) -> Path:
    """The file ``name`` that ``digest`` (of all that it is made from) stands for, made when it is not there yet.

    Args:
        make: called with the path to write to, by one process at a time; the file appears whole or not at all.

    Raises:
        DeviceError: the cache cannot be written. What ``make`` raises is passed on.
        InputError: somebody else may have written it (:func:`chordkit.files.require_own`).
    """
    path = cache_folder("programs") / digest[:24] / name
    try:
        if path.is_file():
            require_own(path)
            return path
        with alone(path.parent), tempfile.TemporaryDirectory(prefix=".build-", dir=path.parent) as work:
            if not path.is_file():
                make(Path(work) / name)
                os.replace(Path(work) / name, path)
    except OSError as error:
        raise DeviceError(f"{path.parent}: programs cannot be kept there ({error.strerror}); name a folder in {CACHE_VARIABLE}") from None
    return path
