"""The child of :mod:`chordkit.export.trainer.apart`: a trainer's file on stdin, one JSON answer on stdout."""

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from chordkit.errors import CheckFailed, ChordkitError
from chordkit.export.trainer.program import check_trainer


def main() -> None:
    """Judge it. What a runtime prints goes to stderr, so that stdout holds the answer alone."""
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        report = check_trainer(sys.stdin.buffer.read())
        told: dict[str, Any] = {"shape": asdict(report.shape), "cases": [asdict(case) for case in report.cases]}
    except ChordkitError as error:
        told = {"refused": str(error), "failed": isinstance(error, CheckFailed)}
    json.dump(told, stream)
    stream.flush()
    # A runtime's destructors are not what is asked for, and some of them crash at exit.
    os._exit(0)


main()
