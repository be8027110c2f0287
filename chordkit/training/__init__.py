"""Training of backbones, and the metrics that say how good they are."""

from chordkit.training.loss import full_softmax_loss
from chordkit.training.metrics import Metrics, bootstrap, evaluate, looked_up, paired_difference, rank_targets, summarise
from chordkit.training.options import TrainingOptions, default_options
from chordkit.training.store import load_backbone, save_backbone
from chordkit.training.teacher import Distillation
from chordkit.training.trainer import TrainedBackbone, train_backbone

__all__ = [
    "Distillation",
    "Metrics",
    "TrainedBackbone",
    "TrainingOptions",
    "bootstrap",
    "default_options",
    "evaluate",
    "full_softmax_loss",
    "load_backbone",
    "looked_up",
    "paired_difference",
    "rank_targets",
    "save_backbone",
    "summarise",
    "train_backbone",
]
