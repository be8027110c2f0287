"""How a hypernetwork is shaped and trained."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from chordkit.backbones import DISTRIBUTIONS
from chordkit.errors import InputError
from chordkit.quantization import ScalePolicy
from chordkit.strategy import Budget
from chordkit.training.run import Schedule
from chordkit.training.teacher import require_teaching

BACKBONE_INITS = ("joint", "random", "trained")
LEVELS = ("filter", "element", "layer")
WINDOW = 10


@dataclass(frozen=True)
class HypernetworkOptions:
    """Options of one training run; ``docs/hypernetwork.md`` says where the defaults come from.

    Attributes:
        backbone_init: ``joint`` = a trained backbone goes on learning, through the master's own grid, together with the hypernetwork;
            ``random`` = CHORD's: channel layers frozen at random weights, embeddings, LayerNorms and biases trained together with the
            hypernetwork; ``trained`` = all of a trained backbone is frozen.
        warm_start: with ``random``: embeddings, LayerNorms and biases start from the trained backbone that is passed in,
            which saves most of the epochs, instead of from small random values.
        window: items of a history that the phone's backbone looks at, of what it was trained with the last ones; 0 = all of them, None =
            10, or all where the backbone's length cannot be changed. What lies farther back reaches the model through the profile.
        personal: False = the static rival: one learned importance per channel, the same for every user.
        quantised: False = the fp32 rival: the backbone goes on learning at full precision and there is no strategy. With ``joint`` only.
        user_vector: the model gets a user vector, made from the profile, as a second input.
        seed: of the random weights, the order of the data and dropout; the result depends on it alone (CPU).
        epochs: at most so many passes over the training windows.
        patience: stop after so many epochs without a better likelihood of the validation items.
        batch: windows per step. The importance is standardised over the batch, so a handful is too few.
        lr: learning rate of the hypernetwork (AdamW).
        vector_lr: of what makes the user vector.
        backbone_lr: learning rate of what trains of the backbone.
        weight_decay: decoupled, on the hypernetwork's matrices.
        warmup: steps over which the learning rates rise from 0; after them they fall along a cosine.
        floor: what is left of the learning rates at the end; 1 = they stay.
        stride: interactions per window that carry the loss; the strategy comes from what lies before them.
        averaging: decay per step of the moving average of the weights that is validated and kept; 0 = none.
        hidden: width of the profile's hidden features.
        without: levels of importance that are left out, of ``filter``, ``element`` and ``layer``.
        rank: rank of the element-level importance of a layer.
        pools: the profile is the mean embedding over the last so many items, one pool each, ascending; the last is how far back a
            profile looks.
        dropout: of the backbone while it learns here; None = its own.
        history_dropout: probability that training hides an item from the profile.
        profile_age: training shows profiles up to so many interactions old, so that strategies stay good as they age; 0 = fresh ones.
        feature_dropout: probability that training hides one of the profile's hidden features.
        seen_masked: the loss leaves items that the user has seen out of the softmax, for rerankers that never show them.
        teacher_weight: share of the loss that follows a teacher's distribution, where one is given.
        teacher_temperature: that a teacher's logits and the student's are divided by before they are compared.
        temperature: of the straight-through gate, in standard deviations of a user's importances.
        average_bits: bits per weight that training aims at.
        budgets: lowest and highest average bits of a hypernetwork that serves every budget in between, which it gets as an input; None =
            it knows ``average_bits`` only, and any other is a cut through the same ranking.
        widths: that a strategy may use, ascending; 0 = a channel may be off.
        distribution: of the random channel layers.
        policy: of the master's scales; "" = ``mse`` for trained backbones, else ``absmax``. With ``joint`` it must be ``absmax``.
        embedding_bits: of the master's embedding tables.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of torch; 0 = leave as it is.
    """

    backbone_init: str = "joint"
    warm_start: bool = False
    window: int | None = None
    personal: bool = True
    quantised: bool = True
    user_vector: bool = False
    seed: int = 0
    epochs: int = 16
    patience: int = 16
    batch: int = 320
    lr: float = 5e-3
    vector_lr: float = 5e-3
    backbone_lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 20
    floor: float = 0.05
    stride: int = 10
    averaging: float = 0.99
    hidden: int = 128
    without: tuple[str, ...] = ("element",)
    rank: int = 2
    pools: tuple[int, ...] = (5, 25, 200)
    dropout: float | None = 0.3
    history_dropout: float = 0.2
    profile_age: int = 0
    feature_dropout: float = 0.1
    seen_masked: bool = False
    teacher_weight: float = 0.7
    teacher_temperature: float = 1.0
    temperature: float = 0.5
    average_bits: float = 3.0
    budgets: tuple[float, float] | None = None
    widths: tuple[int, ...] = (2, 4, 8)
    distribution: str = "student_t"
    policy: str = ""
    embedding_bits: int = 8
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        # A checkpoint's JSON gives lists back.
        for name in ("pools", "without", "widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("epochs", "patience", "stride", "hidden", "rank"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "give at least 1")
        _require(self.batch >= 4, "batch", self.batch, "give at least 4, for importances are standardised over it")
        for name in ("seed", "weight_decay", "threads", "warmup", "profile_age"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "give 0 or more")
        for name in ("lr", "vector_lr", "backbone_lr", "temperature"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "give a positive number")
        for name in ("averaging", "history_dropout", "feature_dropout"):
            _require(0.0 <= getattr(self, name) < 1.0, name, getattr(self, name), "give a number in [0, 1)")
        _require(0.0 <= self.floor <= 1.0, "floor", self.floor, "give a number in [0, 1]")
        require_teaching(self.teacher_weight, self.teacher_temperature, "hypernetwork options")
        _require(self.dropout is None or 0.0 <= self.dropout < 1.0, "dropout", self.dropout, "give a number in [0, 1)")
        _require(self.window is None or self.window >= 0, "window", self.window, "give 0 or more")
        ascending = bool(self.pools) and self.pools[0] >= 1 and all(a < b for a, b in zip(self.pools, self.pools[1:], strict=False))
        _require(ascending, "pools", self.pools, "give ascending numbers of items, each at least 1")
        _require(set(self.without) <= set(LEVELS), "without", self.without, f"use {', '.join(LEVELS)}")
        _require(not {"filter", "element"} <= set(self.without), "without", self.without, "keep filter or element, or set personal = False")
        _require(self.backbone_init in BACKBONE_INITS, "backbone_init", self.backbone_init, f"use {', '.join(BACKBONE_INITS)}")
        _require(not self.warm_start or self.backbone_init == "random", "warm_start", True, "it belongs to backbone_init = random")
        _require(self.quantised or self.backbone_init == "joint", "quantised", False, "it belongs to backbone_init = joint")
        _require(self.distribution in DISTRIBUTIONS, "distribution", self.distribution, f"use one of {', '.join(DISTRIBUTIONS)}")
        policies = (ScalePolicy.ABSMAX,) if self.backbone_init == "joint" else tuple(ScalePolicy)
        _require(self.policy in ("", *policies), "policy", self.policy, f"use {' or '.join(policies)}")
        if self.budgets is not None:
            object.__setattr__(self, "budgets", tuple(self.budgets))
            low, high = self.budgets
            _require(low < high, "budgets", self.budgets, "give the lowest and the highest average bits")
            self.budget_at(low), self.budget_at(high)
        self.budget_at(self.average_bits)

    @property
    def budget(self) -> Budget:
        """The budget that training allocates within."""
        return self.budget_at(self.average_bits)

    def budget_at(self, average_bits: float) -> Budget:
        """Another budget with the widths that the hypernetwork was trained for.

        Raises:
            StrategyError: the widths cannot have this average.
        """
        return Budget(average_bits, widths=self.widths)

    @property
    def schedule(self) -> Schedule:
        """How long training goes on and how its steps are taken."""
        return Schedule(self.epochs, self.patience, self.averaging, self.warmup, floor=self.floor)

    @property
    def scale_policy(self) -> ScalePolicy:
        """How the master's int4 and int2 scales are chosen."""
        if self.policy:
            return ScalePolicy(self.policy)
        return ScalePolicy.MSE if self.backbone_init == "trained" else ScalePolicy.ABSMAX

    def to_json(self) -> dict[str, Any]:
        """All that the result depends on, as JSON gives it back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _require(condition: bool, name: str, value: object, mend: str) -> None:
    if not condition:
        raise InputError(f"hypernetwork options: {name} = {value!r} is not possible: {mend}")


def default_hypernetwork_options(backbone_init: str = "joint", **changes: Any) -> HypernetworkOptions:
    """The options that reach the documented quality for a kind of backbone, with ``changes``.

    Raises:
        InputError: unknown kind, or an impossible value.
    """
    # A random backbone begins with nothing but its embeddings, which takes longer.
    slower = {"epochs": 40, "patience": 8, "lr": 3e-3, "backbone_lr": 2e-3, "dropout": None} if backbone_init == "random" else {}
    return replace(HypernetworkOptions(backbone_init=backbone_init), **(slower | changes))


def demo_options(**changes: Any) -> HypernetworkOptions:
    """Options of ``make demo``: the tight budget, a quarter of the weights at 8 bits and the rest off, where a strategy is worth most, for
    a reranker that shows nothing twice, in few enough epochs for five minutes on two cores."""
    return replace(HypernetworkOptions(widths=(0, 8), average_bits=2.0, seen_masked=True, epochs=12, patience=12), **changes)
