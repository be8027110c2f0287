"""The judgement of a trainer's file in a process of its own: what is damaged may end the process that runs it.

The child is ``python -m chordkit.export.trainer``: the file on stdin, one JSON answer on stdout.
"""

import json
import signal
import subprocess
import sys
from typing import Any

from chordkit.errors import CheckFailed, InputError
from chordkit.export.trainer.gate import CaseReport, TrainerReport
from chordkit.export.trainer.shape import TrainerShape

_TIMEOUT_S = 300


def check_trainer_apart(data: bytes) -> TrainerReport:
    """:func:`~chordkit.export.trainer.program.check_trainer` of a file that came from somewhere.

    Raises:
        CheckFailed: it cannot train at all, or the runtime broke down over it or came to no end in five minutes.
        InputError: it is no trainer of this version, the runtime refuses it, or is not installed.
    """
    command = [sys.executable, "-m", __package__]
    try:
        child = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"trainer: the runtime came to no end in {_TIMEOUT_S} s; make it again") from None
    try:
        told: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"status {child.returncode}"
        raise CheckFailed(f"trainer: the runtime broke down over the file ({how}); make it again") from None
    if "refused" in told:
        raise (CheckFailed if told["failed"] else InputError)(told["refused"])
    return TrainerReport(TrainerShape(**told["shape"]), tuple(CaseReport(**case) for case in told["cases"]))
