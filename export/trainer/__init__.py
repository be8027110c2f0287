"""The program with which ExecuTorch trains an adapter on a phone: one ``.pte`` file with the loss and its gradient, and its parity gate."""

from chordkit.export.trainer.apart import check_trainer_apart
from chordkit.export.trainer.gate import STEPS, TrainerReport, judge_trainer
from chordkit.export.trainer.program import TrainerProgram, check_trainer, make_trainer
from chordkit.export.trainer.shape import Batch, TrainerShape

__all__ = [
    "STEPS",
    "Batch",
    "TrainerProgram",
    "TrainerReport",
    "TrainerShape",
    "check_trainer",
    "check_trainer_apart",
    "judge_trainer",
    "make_trainer",
]
