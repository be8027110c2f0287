"""What the second process of the demo runs: see :mod:`chordkit.demo.beside`."""

import json
import os
import sys
import threading
from pathlib import Path

from chordkit.data import Dataset
from chordkit.demo.beside import DATASET, TRAINED
from chordkit.demo.shipments import export, full_shipment, static_shipment
from chordkit.demo.training import Trainer, TrainingPlan, full_rival, static_rival
from chordkit.export.artifact import Precision
from chordkit.export.targets import Target, find_target


def _rivals(out: Path, plan: TrainingPlan, targets: list[Target]) -> None:
    trainer = Trainer(Dataset.load(out / DATASET), plan, out, None)
    trained = trainer.start()
    static, full = static_rival(trainer, trained), full_rival(trainer, trained)
    sys.stdout.buffer.write(TRAINED)
    sys.stdout.buffer.flush()
    export(static_shipment(static), targets, out)
    # What is quantised evenly is left to the process that waits.
    export(full_shipment(full, plan.personal.average_bits), targets, out, (Precision.FP32, Precision.INT8))


def _end_with_the_other() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through a buffer, whose lock this thread would hold when the interpreter ends
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    asked = json.loads(sys.argv[1])
    _rivals(Path(asked["out"]), TrainingPlan(**asked["plan"]), [find_target(name) for name in asked["targets"]])
