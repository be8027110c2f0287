"""What the second process of the demo runs: see :mod:`chordkit.demo.beside`."""

import json
import os
import sys
import threading
from pathlib import Path

from chordkit.backbones import build, default_config, initialise, make_master
from chordkit.data import Dataset
from chordkit.demo.beside import BEGIN, DATASET, TRAINED
from chordkit.demo.shipments import CANDIDATES, export, full_shipment, static_shipment
from chordkit.demo.training import BACKBONE, Trainer, TrainingPlan, full_rival, static_rival
from chordkit.export.artifact import Precision
from chordkit.export.collection import Sources, export_artifacts
from chordkit.export.targets import Target, find_target
from chordkit.training import load_backbone


def _get_ready(plan: TrainingPlan, targets: list[Target]) -> None:
    """Import all exporters, and let them meet a model once: one of random weights, which nobody keeps."""
    untrained = initialise(build(default_config(plan.architecture, CANDIDATES)), seed=plan.seed)
    export_artifacts(targets, Sources(make_master(untrained), None, {}), [Precision.INT8], CANDIDATES)


def _rivals(out: Path, plan: TrainingPlan, targets: list[Target]) -> None:
    trainer = Trainer(Dataset.load(out / DATASET), plan, out, None)
    start, _ = load_backbone(out / BACKBONE)
    static, full = static_rival(trainer, start), full_rival(trainer, start)
    sys.stdout.buffer.write(TRAINED)
    sys.stdout.buffer.flush()
    export(static_shipment(static), targets, out)
    # What is quantised evenly is left to the process that waits.
    export(full_shipment(full, plan.personal.average_bits), targets, out, (Precision.FP32, Precision.INT8))


def _end_with_the_other() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through a buffer, whose lock this thread would hold when the interpreter ends
    os._exit(1)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    given, exported_to = TrainingPlan(**asked["plan"]), [find_target(name) for name in asked["targets"]]
    _get_ready(given, exported_to)
    if os.read(sys.stdin.fileno(), len(BEGIN)) != BEGIN:
        sys.exit(1)  # the other process has ended before
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    _rivals(Path(asked["out"]), given, exported_to)
