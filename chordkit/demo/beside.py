"""The demo's rivals in a second process, trained and exported beside the personal model: work for a spare processor; nothing is timed.

What it does is left in files: checkpoints that :meth:`Trainer.joint` finds finished, artifacts that :func:`export` finds made. What it
does not do, because it was never started or failed, the demo then does itself, and comes to the same.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chordkit.data import Dataset
from chordkit.demo.shipments import export, full_shipment, static_shipment
from chordkit.demo.training import Trainer, TrainingPlan, full_rival, static_rival
from chordkit.export.artifact import Precision
from chordkit.export.targets import Target, find_target

DATASET = "dataset.safetensors"
_TRAINED = b"trained\n"


@dataclass(frozen=True)
class Beside:
    """The second process; None = there is no processor for it."""

    process: "subprocess.Popen[bytes] | None"

    def wait_until_trained(self) -> None:
        """Until the rivals are, or nobody trains them."""
        if self.process is not None and self.process.stdout is not None:
            while self.process.stdout.readline() not in (_TRAINED, b""):
                pass

    def wait_until_exported(self) -> None:
        """Until their artifacts are, or nobody exports them."""
        if self.process is not None:
            self.process.wait()


@contextlib.contextmanager
def rivals_beside(out: Path, plan: TrainingPlan, targets: tuple[Target, ...]) -> Iterator[Beside]:
    """Start it with the data set and the backbone that ``out`` has; it ends with the block, or with this process, however that ends."""
    if _processors() < 2:
        yield Beside(None)
        return
    request = {"out": str(out), "plan": vars(plan), "targets": [target.name for target in targets]}
    command = [sys.executable, "-m", "chordkit.demo.beside", json.dumps(request)]
    with (
        open(out / "rivals.log", "wb") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as process,
    ):
        try:
            yield Beside(process)
        finally:
            process.kill()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rivals(out: Path, plan: TrainingPlan, targets: list[Target]) -> None:
    trainer = Trainer(Dataset.load(out / DATASET), plan, out, None)
    trained = trainer.start()
    static, full = static_rival(trainer, trained), full_rival(trainer, trained)
    sys.stdout.buffer.write(_TRAINED)
    sys.stdout.buffer.flush()
    export(static_shipment(static), targets, out)
    # What is quantised evenly is left to the process that waits.
    export(full_shipment(full, plan.personal.average_bits), targets, out, (Precision.FP32, Precision.INT8))


def _end_with_the_other() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    asked = json.loads(sys.argv[1])
    _rivals(Path(asked["out"]), TrainingPlan(**asked["plan"]), [find_target(name) for name in asked["targets"]])
