"""Channel grouping: which channels of a layer a runtime stores in one tensor.

A runtime stores one width per weight tensor. A layer whose channels have several widths becomes one tensor per *group*
of channels, and its output has to be put back into order. :func:`regroup` lets the architecture reorder the model
(:mod:`chordkit.backbones.channel_order`), so that what is left to restore are a few contiguous *runs*.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chordkit.backbones import ChannelOrder, find_architecture
from chordkit.quantization import MasterWeights


@dataclass(frozen=True)
class Run:
    """Neighbouring channels ``start .. stop`` of one group; they are channels ``first ..`` of the group's own tensor."""

    group: int
    start: int
    stop: int
    first: int


def runs(groups: np.ndarray) -> list[Run]:
    """Cut ``groups [channels]`` into maximal runs of one group, in channel order."""
    groups = np.asarray(groups)
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), groups.size]
    found: list[Run] = []
    used: dict[int, int] = {}
    for start, stop in itertools.pairwise(edges):
        group = int(groups[start])
        found.append(Run(group, start, stop, used.get(group, 0)))
        used[group] = used.get(group, 0) + stop - start
    return found


def by_width(widths: np.ndarray) -> tuple[list[tuple[int, np.ndarray]], np.ndarray]:
    """Channels of one width together.

    Args:
        widths: ``[channels]`` of a layer.

    Returns:
        Each width in use with its channels, narrowest first, and where each channel is when they stand one width after the other.
    """
    members = [(int(width), np.flatnonzero(widths == width)) for width in np.unique(widths)]
    return members, np.argsort(np.concatenate([channels for _, channels in members]))


class Regrouped(NamedTuple):
    """A model in another order of its channels.

    Attributes:
        master: the master weights in the new order.
        widths: uint8 ``[channels]``, moved along.
        hidden_order: ``[dim]``: position ``j`` of the hidden state, and of a user vector that is added to it, was at ``hidden_order[j]``.
    """

    master: MasterWeights
    widths: np.ndarray
    hidden_order: np.ndarray


def regroup(master: MasterWeights, widths: np.ndarray, group_of: Callable[[np.ndarray], np.ndarray]) -> Regrouped:
    """The same model with its channels reordered for the strategy ``widths``.

    Args:
        master: the master weights; their fingerprint stays the one that names the backbone.
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}.
        group_of: maps widths to group numbers; channels of one group are stored in one tensor.

    Returns:
        A model that gives the same scores, up to the order of float32 sums. That of an architecture without a rule comes back
        as it is: right, but stored in as many runs as the strategy happens to have.

    Raises:
        InputError: the architecture is not known.
    """
    rule = find_architecture(master.config["architecture"]).channel_order
    if rule is None:
        return Regrouped(master, widths, np.arange(master.dim))
    order = ChannelOrder(master, np.asarray(widths), group_of)
    rule(order)
    return Regrouped(*order.result(), order.hidden)
