"""What the demo trains: a backbone in FP32, and from it, with equal care, everything that a personal strategy has to be better than."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chordkit.backbones import Backbone, config_to_dict, default_config, find_architecture
from chordkit.data import Dataset, split_identity
from chordkit.files import sha256
from chordkit.hypernetwork import HypernetworkOptions, TrainedHypernetwork, demo_options, save_hypernetwork, train_hypernetwork
from chordkit.progress import Progress
from chordkit.training import TrainedBackbone, TrainingOptions, default_options, save_backbone, train_backbone

BACKBONE = "backbone.safetensors"
# Items of each user that test, and as many before them that validate: one alone would leave intervals too wide to tell models apart.
HELD_OUT = 5
# One thread: the layers are small, a second thread gains little on an idle machine and spins away minutes on a busy one.
_THREADS = 1
# Smaller steps than for documented quality, and less patience: less than half the epochs do.
_BATCH = 2048
_PATIENCE = 2


@dataclass(frozen=True)
class TrainingPlan:
    """How everything is trained.

    Attributes:
        architecture: name of the backbone.
        epochs: of the backbone at most; None = the demo's own.
        hypernetwork_epochs: of what is trained from it at most; None = the demo's own.
        seed: of everything random.
    """

    architecture: str
    epochs: int | None
    hypernetwork_epochs: int | None
    seed: int

    @property
    def start(self) -> TrainingOptions:
        """Of the backbone."""
        epochs = self.epochs or find_architecture(self.architecture).demo_epochs
        usual = default_options(self.architecture, seed=self.seed, epochs=epochs, threads=_THREADS)
        return replace(usual, batch=min(usual.batch, _BATCH), patience=_PATIENCE)

    @property
    def personal(self) -> HypernetworkOptions:
        """Of the personal strategies; their rivals differ in what makes them rivals."""
        chosen = demo_options(seed=self.seed, threads=_THREADS)
        return chosen if self.hypernetwork_epochs is None else replace(chosen, epochs=self.hypernetwork_epochs)

    def checkpoints(self, dataset: Dataset, out: Path) -> Path:
        """Where this run keeps its checkpoints: the same run finds them again, another data set or seed does not stumble over them."""
        identity = {
            "dataset": dataset.fingerprint,
            "configuration": config_to_dict(default_config(self.architecture, dataset.items)),
            "backbone": self.start.to_json(),
            "hypernetwork": self.personal.to_json(),
        }
        return out / "checkpoints" / sha256(json.dumps(identity, sort_keys=True).encode())[:16]


class Trainer:
    """Trains one model after another and leaves each in the output folder."""

    def __init__(self, dataset: Dataset, plan: TrainingPlan, out: Path, progress: Progress | None) -> None:
        self.dataset, self.plan, self.out, self.progress = dataset, plan, out, progress
        self._checkpoints = plan.checkpoints(dataset, out)
        self._provenance = {"dataset_fingerprint": dataset.fingerprint, "split": split_identity(dataset, HELD_OUT, HELD_OUT, None)}

    def start(self) -> TrainedBackbone:
        """The backbone that all begin with."""
        config = default_config(self.plan.architecture, self.dataset.items)
        trained = train_backbone(
            self.dataset, config, self.plan.start, self._checkpoints, self.progress, held_out=HELD_OUT, validation=HELD_OUT
        )
        save_backbone(self.out / BACKBONE, trained.backbone, self._provenance)
        return trained

    def joint(self, name: str, start: Backbone, **changes: Any) -> TrainedHypernetwork:
        """One rival, its options those of the personal strategies but for ``changes``; its files begin with ``name``."""
        options = replace(self.plan.personal, **changes)
        trained = train_hypernetwork(
            self.dataset,
            start,
            None,
            options,
            self._checkpoints / name,
            self.progress,
            held_out=HELD_OUT,
            validation=HELD_OUT,
        )
        trained.master.save(self.out / f"{name}.chrm")
        save_backbone(self.out / f"{name}.fp32.safetensors", trained.backbone, self._provenance)
        save_hypernetwork(self.out / f"{name}.hypernetwork.safetensors", trained.hypernetwork, self._provenance)
        return trained


def static_rival(trainer: Trainer, start: Backbone) -> TrainedHypernetwork:
    """One strategy for everybody."""
    return trainer.joint("static", start, personal=False)


def full_rival(trainer: Trainer, start: Backbone) -> TrainedHypernetwork:
    """The same without any."""
    return trainer.joint("fp32", start, personal=False, quantised=False)
