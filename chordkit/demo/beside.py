"""The demo's rivals in a second process, trained and exported beside the personal model: work for a spare processor; nothing is timed.

It is started before there is a backbone to begin with, and meanwhile gets ready: what the first export of a process costs, it pays then.

What it does is left in files: checkpoints that :meth:`Trainer.joint` finds finished, artifacts that :func:`export` finds made. What it
does not do, because it was never started or failed, the demo then does itself, and comes to the same.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chordkit.demo.training import TrainingPlan
from chordkit.export.targets import Target
from chordkit.processes import processors

DATASET = "dataset.safetensors"
BEGIN = b"."
TRAINED = b"trained\n"


@dataclass(frozen=True)
class Beside:
    """The second process; None = there is no processor for it."""

    process: "subprocess.Popen[bytes] | None"

    def begin(self) -> None:
        """The backbone that the rivals begin with is there."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):  # it has failed, and says why in its log
                self.process.stdin.write(BEGIN)
                self.process.stdin.flush()

    def wait_until_trained(self) -> None:
        """Until the rivals are, or nobody trains them."""
        if self.process is not None and self.process.stdout is not None:
            while self.process.stdout.readline() not in (TRAINED, b""):
                pass

    def wait_until_exported(self) -> None:
        """Until their artifacts are, or nobody exports them."""
        if self.process is not None:
            self.process.wait()


@contextlib.contextmanager
def rivals_beside(out: Path, plan: TrainingPlan, targets: tuple[Target, ...]) -> Iterator[Beside]:
    """Start it with the data set that ``out`` has; it ends with the block, or with this process, however that ends."""
    if processors() < 2:
        yield Beside(None)
        return
    request = {"out": str(out), "plan": vars(plan), "targets": [target.name for target in targets]}
    command = [sys.executable, "-m", "chordkit.demo.rivals", json.dumps(request)]
    with (
        open(out / "rivals.log", "wb") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        try:
            yield Beside(process)
        finally:
            process.kill()
