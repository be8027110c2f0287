"""ExecuTorch talks to stderr of what nobody asked it."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what ExecuTorch and its imports write to stderr, in Python and in C++, when nothing is wrong."""
    previous = logging.root.manager.disable
    sys.stderr.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    logging.disable(logging.WARNING)
    try:
        os.dup2(null, 2)
        # Its C++ log goes to sys.stderr on some paths and to the file descriptor on others.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
        logging.disable(previous)
