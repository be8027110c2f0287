"""Threads that share out the rows of a batch, and stay for the next one (``crew.h``)."""

import os
from typing import Any

from chordkit.errors import ChordkitError


class Crew:
    """Threads that begin with the first batch that asks for them and end with this object; a forked process gets its own."""

    def __init__(self, ffi: Any, lib: Any) -> None:
        self._ffi, self._lib = ffi, lib
        self._crew: Any = None
        self._helpers = 0
        self._process = 0

    def of(self, helpers: int) -> Any:
        """As the library wants it, with as many threads besides the calling one, if the system gives them.

        Raises:
            ChordkitError: there is no memory for them.
        """
        crew, process = self._crew, os.getpid()
        if crew is None or self._process != process or self._helpers < helpers:
            opened = self._lib.chord_crew_open(helpers)
            if opened == self._ffi.NULL:
                raise ChordkitError("there is no memory for threads: ask for fewer")
            crew = self._ffi.gc(opened, lambda handle: self._close(handle, process))
            self._crew, self._helpers, self._process = crew, helpers, process
        return crew

    def _close(self, handle: Any, process: int) -> None:
        if os.getpid() == process:
            self._lib.chord_crew_close(handle)
