"""Everything that a personal strategy has to be measured against, as one kind of value: a model with its widths and user vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from chordkit.backbones import Backbone, attach_widths, from_master, make_master
from chordkit.data import SplitPart
from chordkit.evaluation.duet import Duet
from chordkit.evaluation.sensitivity import channel_sensitivity
from chordkit.hypernetwork import (
    TrainedHypernetwork,
    make_importance,
    make_static_strategy,
    make_strategies,
    make_user_vectors,
    personal_states,
)
from chordkit.hypernetwork.diversity import derangement
from chordkit.quantization import ChannelTable, MasterWeights, ScalePolicy
from chordkit.strategy import Budget, allocate, average_bits_each, payload_bytes, user_vector_bytes, wire_bytes

Widths = NDArray[np.uint8]

_FLOAT_BITS = 32.0


@dataclass(frozen=True)
class Models:
    """What one seed of an experiment trains, all with equal care: the same start, windows, epochs and data.

    Attributes:
        personal: a strategy for every user.
        static: one strategy for all, learned as such.
        full: the fp32 rival: the backbone went on learning at full precision, at the phone's window.
        personal_vector: ``personal`` with a user vector.
        static_vector: ``static`` with a user vector: equal information.
        full_vector: ``full`` with a user vector.
        full_long: ``full`` at the window that the start was trained with.
        duet: weights that are generated for each user.
        start: the backbone that all of them began with, as it was.
    """

    personal: TrainedHypernetwork
    static: TrainedHypernetwork | None = None
    full: TrainedHypernetwork | None = None
    personal_vector: TrainedHypernetwork | None = None
    static_vector: TrainedHypernetwork | None = None
    full_vector: TrainedHypernetwork | None = None
    full_long: TrainedHypernetwork | None = None
    duet: Duet | None = None
    start: Backbone | None = None


@dataclass(frozen=True)
class Rival:
    """One way to run a model on the phone.

    Attributes:
        key: short name.
        label: what it is, in words.
        backbone: the model; with its widths attached where every user has other ones.
        widths: uint8 [rows, channels] of a split part where every user has other ones, else None.
        users: user vectors float32 [rows, dim], or None.
        bits: average bits per weight of the channel layers.
        products: share of the channel layers' multiply-adds that is left when channels are off.
        phone_bytes: of the weights on the phone, packed: codes, scales, biases, embedding tables.
        wire_bytes: what the cloud sends a user.
        duet: what makes the users' own weights, or None.
    """

    key: str
    label: str
    backbone: Backbone
    widths: Widths | None
    users: NDArray[np.float32] | None
    bits: float
    products: float
    phone_bytes: int
    wire_bytes: int
    duet: Duet | None = None

    @property
    def personal(self) -> bool:
        """Whether users are treated differently by more than their history."""
        return self.widths is not None or self.users is not None or self.duet is not None

    def states(self, part: SplitPart, table: ChannelTable) -> Tensor:
        """Hidden states [rows, dim] of ``part``, whose rows ``widths`` and ``users`` belong to."""
        if self.duet is not None:
            return self.duet.states(part)
        length = self.backbone.config.max_length
        histories = part.histories if part.histories.shape[1] == length else part.recent(length)
        return personal_states(self.backbone, table, histories, self.widths, self.users)


def rivals(models: Models, part: SplitPart, budget: Budget | None = None, *, seed: int = 0) -> list[Rival]:
    """All rivals on ``part``, the personal strategy first; those whose model was not trained are left out.

    Every row of ``part`` gets the strategy and the vector of what lies before its target; a user with several rows has several.

    Args:
        models: of one seed.
        part: held-out items.
        budget: None = the one trained for.
        seed: of who the other user is, and of the random strategy.
    """
    personal = models.personal
    network, table, options = personal.hypernetwork, personal.hypernetwork.table, personal.options
    budget = budget or options.budget
    histories = part.recent(options.pools[-1])
    first_rows, owner = np.unique(part.users, return_index=True, return_inverse=True)[1:]
    importance = make_importance(network, histories, budget.average_bits)

    def cut(values: np.ndarray) -> Widths:
        return allocate(values, table, budget, allow_off=budget.may_switch_off)

    own = cut(importance)
    others = own[first_rows[derangement(len(first_rows), seed)][owner]]
    choosing = _choosing(personal)
    random_importance = np.random.default_rng(seed).random(table.channels, np.float32)
    found = [
        personal_rival("own", "the user's own strategy", choosing, personal.master, own),
        personal_rival("other", "another user's strategy", choosing, personal.master, others),
        static_rival("mean", "one strategy for all, from the mean importance", personal.master, cut(importance[first_rows].mean(axis=0))),
        static_rival("random", "one strategy for all, at random", personal.master, cut(random_importance)),
    ]
    if models.static is not None:
        found.append(
            static_rival(
                "static",
                "one strategy for all, learned with equal care",
                models.static.master,
                make_static_strategy(models.static.hypernetwork, budget),
            )
        )
    found += _with_vectors(models, histories, budget)
    if models.duet is not None:
        found.append(_generated(models.duet.quantised()))
    if models.full is not None:
        found += _quantised_afterwards(models.full, part, budget)
        found.append(model_rival("fp32", "fp32 at the phone's window, trained with equal care", models.full.backbone))
    if models.full_long is not None:
        found.append(model_rival("fp32_long", "fp32 at the long window, trained with equal care", models.full_long.backbone))
    if models.start is not None:
        found.append(model_rival("start", "the fp32 model that all began with, at the long window", models.start))
    return found


def _with_vectors(models: Models, histories: np.ndarray, budget: Budget) -> list[Rival]:
    found = []
    if (both := models.personal_vector) is not None:
        own, users = make_strategies(both.hypernetwork, histories, budget), make_user_vectors(both.hypernetwork, histories)
        found.append(personal_rival("own_vector", "the user's own strategy and a user vector", _choosing(both), both.master, own, users))
    if (static := models.static_vector) is not None:
        users = make_user_vectors(static.hypernetwork, histories)
        found.append(
            static_rival(
                "static_vector",
                "the learned strategy for all and a user vector",
                static.master,
                make_static_strategy(static.hypernetwork, budget),
                users,
            )
        )
    if (full := models.full_vector) is not None:
        users = make_user_vectors(full.hypernetwork, histories)
        found.append(model_rival("fp32_vector", "fp32 at the phone's window and a user vector", full.backbone, users))
    return found


def _quantised_afterwards(full: TrainedHypernetwork, part: SplitPart, budget: Budget) -> list[Rival]:
    """The fp32 rival as it is usually made smaller: quantised when training is over, its scales at least squared error."""
    master = make_master(full.backbone, ScalePolicy.MSE)
    table = master.channel_table
    sensitivity = channel_sensitivity(full.backbone, master, part)
    widths = allocate(sensitivity, table, budget, allow_off=budget.may_switch_off)
    found = [static_rival("sensitivity", "fp32 quantised afterwards, widths by sensitivity (HAWQ-like)", master, widths)]
    for width in (2, 4, 8):
        each = np.full(table.channels, width, np.uint8)
        found.append(static_rival(f"uniform{width}", f"fp32 quantised afterwards, {width} bits everywhere", master, each))
    return found


def _choosing(trained: TrainedHypernetwork) -> Backbone:
    return attach_widths(from_master(trained.master), trained.master)


def personal_rival(
    key: str, label: str, backbone: Backbone, master: MasterWeights, widths: Widths, users: NDArray[np.float32] | None = None
) -> Rival:
    """Every row of a part at widths of its own, uint8 [rows, channels]; ``backbone`` has those of ``master`` attached."""
    table = master.channel_table
    on = float((widths > 0).astype(np.float64).mean(axis=0) @ table.in_features / table.in_features.sum())
    sent = wire_bytes(table.channels) + (0 if users is None else user_vector_bytes(users.shape[1]))
    bits = float(np.mean(average_bits_each(widths, table)))
    return Rival(key, label, backbone, widths, users, bits, on, phone_bytes(master, widths[0]), sent)


def static_rival(key: str, label: str, master: MasterWeights, widths: Widths, users: NDArray[np.float32] | None = None) -> Rival:
    """One set of widths, uint8 [channels], for all."""
    table = master.channel_table
    on = float((widths > 0) @ table.in_features / table.in_features.sum())
    sent = 0 if users is None else user_vector_bytes(users.shape[1])
    bits = float(average_bits_each(widths, table))
    return Rival(key, label, from_master(master, widths), None, users, bits, on, phone_bytes(master, widths), sent)


def _generated(duet: Duet) -> Rival:
    master = make_master(duet.backbone, ScalePolicy.MSE)
    everywhere = np.full(master.channel_table.channels, 8, np.uint8)
    label = "int8, the last layer's weights generated for each user (DUET-like)"
    return Rival("duet", label, duet.backbone, None, None, 8.0, 1.0, phone_bytes(master, everywhere), duet.wire_bytes, duet)


def model_rival(key: str, label: str, backbone: Backbone, users: NDArray[np.float32] | None = None) -> Rival:
    """A backbone in FP32."""
    sent = 0 if users is None else user_vector_bytes(users.shape[1])
    size = 4 * sum(tensor.numel() for tensor in backbone.state_dict().values())
    return Rival(key, label, backbone, None, users, _FLOAT_BITS, 1.0, size, sent)


def phone_bytes(master: MasterWeights, widths: Widths) -> int:
    """Bytes of a model at ``widths`` uint8 [channels]: packed codes, a scale for each channel that is on, biases, tables, the rest."""
    layers = payload_bytes(widths, master.channel_table) + 4 * int((widths > 0).sum())
    biases = sum(layer.bias.nbytes for layer in master.layers.values() if layer.bias is not None)
    tables = sum(table.codes.size * table.bits // 8 + table.scales.nbytes for table in master.embeddings.values())
    return layers + biases + tables + sum(tensor.nbytes for tensor in master.tensors.values())


def without_newest(part: SplitPart, age: int, length: int) -> NDArray[np.int32]:
    """Histories int32 [rows, length] as they were ``age`` interactions before each target, at least one item of them."""
    stops = np.maximum(part.stops - age, np.minimum(part.starts + 1, part.stops))
    return SplitPart(part.histories, part.targets, part.users, part.flat, part.starts, stops).recent(length)


def aged(models: Models, part: SplitPart, age: int, budget: Budget | None = None) -> Rival:
    """The own strategy as it was made ``age`` interactions ago."""
    personal = models.personal
    histories = without_newest(part, age, personal.options.pools[-1])
    widths = make_strategies(personal.hypernetwork, histories, budget)
    return personal_rival(f"own_age{age}", f"the user's own strategy, {age} interactions old", _choosing(personal), personal.master, widths)
