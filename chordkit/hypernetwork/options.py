"""How a hypernetwork is shaped and trained."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from chordkit.backbones import DISTRIBUTIONS
from chordkit.errors import InputError
from chordkit.quantization import ScalePolicy
from chordkit.strategy import Budget

BACKBONE_INITS = ("random", "trained")
AVERAGE_BITS = 3.0
# Shares of the channels at 2, 4 and 8 bits: 0.70 * 2 + 0.20 * 4 + 0.10 * 8 = 3.0 exactly.
SHARES = (0.70, 0.20, 0.10)


@dataclass(frozen=True)
class HypernetworkOptions:
    """Options of one training run; ``docs/hypernetwork.md`` says where the defaults come from.

    Attributes:
        backbone_init: ``random`` = CHORD's: channel layers frozen at random weights, embeddings, LayerNorms and biases
            trained together with the hypernetwork; ``trained`` = all of a trained backbone is frozen.
        warm_start: with ``random``: embeddings, LayerNorms and biases start from the trained backbone that is passed in,
            which saves most of the epochs, instead of from small random values.
        seed: of the random weights, the order of the data and dropout; the result depends on it alone (CPU).
        epochs: at most so many passes over the training windows.
        patience: stop after so many epochs without a better validation NDCG@10.
        batch: windows per step. The importance is standardised over the batch, so a handful is too few.
        lr: learning rate of the hypernetwork (AdamW).
        backbone_lr: learning rate of what trains of the backbone.
        weight_decay: decoupled, on the hypernetwork's matrices.
        stride: interactions per window that carry the loss; the strategy comes from what lies before them.
        averaging: decay per step of the moving average of the weights that is validated and kept; 0 = none.
        hidden: width of the profile's hidden features.
        rank: rank of the element-level importance of a layer.
        pools: the profile is the mean embedding over the last so many items, one pool each, ascending.
        history_dropout: probability that training hides an item from the profile.
        temperature: of the straight-through gate, in standard deviations of a user's importances.
        personal: False = the static baseline: one learned importance per channel, the same for every user.
        average_bits: bits per weight that training aims at.
        shares: of the channels at 2, 4 and 8 bits; None = only the two widths next to ``average_bits``.
        distribution: of the random channel layers.
        policy: of the master's scales; "" = ``absmax`` for random, ``mse`` for trained backbones.
        embedding_bits: of the master's embedding tables.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of torch; 0 = leave as it is.
    """

    backbone_init: str = "random"
    warm_start: bool = False
    seed: int = 0
    epochs: int = 40
    patience: int = 8
    batch: int = 128
    lr: float = 3e-3
    backbone_lr: float = 2e-3
    weight_decay: float = 1e-2
    stride: int = 25
    averaging: float = 0.99
    hidden: int = 32
    rank: int = 2
    pools: tuple[int, ...] = (5, 25, 50)
    history_dropout: float = 0.2
    temperature: float = 0.5
    personal: bool = True
    average_bits: float = AVERAGE_BITS
    shares: tuple[float, float, float] | None = SHARES
    distribution: str = "student_t"
    policy: str = ""
    embedding_bits: int = 8
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        # A checkpoint's JSON gives lists back.
        object.__setattr__(self, "pools", tuple(self.pools))
        object.__setattr__(self, "shares", None if self.shares is None else tuple(self.shares))
        for name in ("epochs", "patience", "stride", "hidden", "rank"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        _require(self.batch >= 4, "batch", self.batch, "give at least 4, for importances are standardised over it")
        for name in ("seed", "weight_decay", "threads"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        for name in ("lr", "backbone_lr", "temperature"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "give a positive number")
        for name in ("averaging", "history_dropout"):
            _require(0.0 <= getattr(self, name) < 1.0, name, getattr(self, name), "give a number in [0, 1)")
        ascending = bool(self.pools) and self.pools[0] >= 1 and all(a < b for a, b in zip(self.pools, self.pools[1:], strict=False))
        _require(ascending, "pools", self.pools, "give ascending numbers of items, each at least 1")
        _require(self.backbone_init in BACKBONE_INITS, "backbone_init", self.backbone_init, f"use {' or '.join(BACKBONE_INITS)}")
        _require(not (self.warm_start and self.backbone_init == "trained"), "warm_start", True, "it belongs to backbone_init = random")
        _require(self.distribution in DISTRIBUTIONS, "distribution", self.distribution, f"use one of {', '.join(DISTRIBUTIONS)}")
        _require(self.policy in ("", *ScalePolicy), "policy", self.policy, f"use one of {', '.join(ScalePolicy)}")

    @property
    def budget(self) -> Budget:
        """The budget that training allocates within."""
        return Budget(self.average_bits, self.shares)

    @property
    def scale_policy(self) -> ScalePolicy:
        """How the master's int4 and int2 scales are chosen."""
        if self.policy:
            return ScalePolicy(self.policy)
        return ScalePolicy.ABSMAX if self.backbone_init == "random" else ScalePolicy.MSE

    def to_json(self) -> dict[str, Any]:
        """All that the result depends on, as JSON gives it back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _require(condition: bool, name: str, value: object, mend: str) -> None:
    if not condition:
        raise InputError(f"hypernetwork options: {name} = {value!r} is not possible: {mend}")


def demo_options(**changes: Any) -> HypernetworkOptions:
    """Options for well under a minute on two cores (synthetic data): random frozen layers, warm start, few epochs."""
    demo = HypernetworkOptions(backbone_init="random", warm_start=True, epochs=7, patience=7, lr=1e-2, averaging=0.97)
    return replace(demo, **changes)
