"""How a backbone is trained."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from chordkit.backbones import find_architecture
from chordkit.errors import InputError


@dataclass(frozen=True)
class TrainingOptions:
    """Options of one training run; where an architecture differs from these defaults, :func:`default_options` knows.

    Attributes:
        seed: of the initial weights, the order of the data and dropout; the result depends on it alone (CPU).
        epochs: at most so many passes over the training windows.
        patience: stop after so many epochs without a better validation NDCG@10.
        batch: training targets (real interactions to predict) per step.
        lr: peak learning rate of AdamW.
        warmup: steps over which the learning rate rises linearly from 0.
        weight_decay: decoupled, on matrices only (no bias, no LayerNorm).
        stride: distance between the ends of neighbouring training windows, in interactions.
        bucketing: put windows of like length into one step: several times faster where most histories are short; costs
            SASRec some quality where they are long.
        smoothing: label smoothing of the cross-entropy.
        averaging: decay per step of the exponential moving average of the weights that is validated and kept; 0 = none.
        clip: largest gradient norm; 0 = no clipping.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of torch while training; 0 = leave as it is. Fixed, because results depend on it.
        checkpoint_steps: write a checkpoint every so many steps besides the one after each epoch; 0 = epochs only.
    """

    seed: int = 0
    epochs: int = 60
    patience: int = 12
    batch: int = 6144
    lr: float = 2e-3
    warmup: int = 0
    weight_decay: float = 0.0
    stride: int = 25
    bucketing: bool = False
    smoothing: float = 0.0
    averaging: float = 0.99
    clip: float = 0.0
    device: str = "cpu"
    threads: int = 1
    checkpoint_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch", "stride"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        for name in ("warmup", "weight_decay", "clip", "threads", "checkpoint_steps", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        _require(self.lr > 0, "lr", self.lr, "give a positive learning rate")
        for name in ("smoothing", "averaging"):
            _require(0.0 <= getattr(self, name) < 1.0, name, getattr(self, name), "give a number in [0, 1)")

    def to_json(self) -> dict[str, Any]:
        """All that the result depends on; how often a checkpoint is written is not among it."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoint_steps"}


def _require(condition: bool, name: str, value: object, mend: str) -> None:
    if not condition:
        raise InputError(f"training options: {name} = {value!r} is not possible: {mend}")


def default_options(architecture: str, **changes: Any) -> TrainingOptions:
    """The options that reach the documented quality for ``architecture``, with ``changes``.

    Raises:
        InputError: unknown architecture or option, or an impossible value.
    """
    values = dict(find_architecture(architecture).training) | changes
    known = [each.name for each in fields(TrainingOptions)]
    for name in values:
        if name not in known:
            raise InputError(f"training options: unknown option {name!r} for {architecture}: use {', '.join(known)}")
    return TrainingOptions(**values)
