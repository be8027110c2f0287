"""How much strategies differ: between users, per channel, and between two moments of one user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chordkit.errors import InputError
from chordkit.hypernetwork.inference import make_strategies
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.selection import Widths
from chordkit.quantization import WIDTHS
from chordkit.strategy import Budget


@dataclass(frozen=True)
class Diversity:
    """How personal strategies are. A Hamming distance is the share of channels whose width differs.

    Attributes:
        users: number of users measured.
        between_users: mean Hamming distance between two different users.
        between_moments: mean Hamming distance between one user's strategies ``gap`` interactions apart.
        gap: interactions between the two moments.
        chance: Hamming distance of two strategies that give the same shares of widths to random channels.
        channel_entropy: mean over channels of the entropy in bits of the channel's width over users (at most log2 of the number of widths).
        fixed_channels: share of channels that have one width for all users.
    """

    users: int
    between_users: float
    between_moments: float
    gap: int
    chance: float
    channel_entropy: float
    fixed_channels: float


def derangement(users: int, seed: int) -> NDArray[np.int64]:
    """For every user another one, int64 [users]: one random cycle, so that nobody stays and everybody is taken once.

    Raises:
        InputError: there are fewer than two users.
    """
    if users < 2:
        raise InputError(f"another user's strategy: there must be at least two users, not {users}: use more data")
    cycle = np.random.default_rng(seed).permutation(users)
    other = np.empty(users, np.int64)
    other[cycle] = np.roll(cycle, -1)
    return other


def earlier(histories: NDArray[np.int32], gap: int) -> NDArray[np.int32]:
    """The histories [users, length] as they were ``gap`` interactions ago, left-padded with 0."""
    past = np.zeros_like(histories)
    past[:, gap:] = histories[:, : histories.shape[1] - gap]
    return past


def diversity(
    hypernetwork: Hypernetwork, histories: NDArray[np.int32], budget: Budget | None = None, *, gap: int = 5, seed: int = 0
) -> Diversity:
    """Measure how much the strategies of ``histories`` int32 [users, length], one per user, differ.

    Users with no more than ``gap`` items count with an empty earlier history.

    Raises:
        InputError: there are fewer than two users.
    """
    widths = make_strategies(hypernetwork, histories, budget)
    before = make_strategies(hypernetwork, earlier(histories, gap), budget)
    shares = _width_shares(widths)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(shares > 0, shares * np.log2(shares), 0.0).sum(axis=0)
    return Diversity(
        users=len(widths),
        between_users=float((widths != widths[derangement(len(widths), seed)]).mean()),
        between_moments=float((widths != before).mean()),
        gap=gap,
        chance=float(1.0 - np.square(shares.mean(axis=1)).sum()),
        channel_entropy=float(entropy.mean()),
        fixed_channels=float((shares.max(axis=0) == 1.0).mean()),
    )


def _width_shares(widths: Widths) -> NDArray[np.float64]:
    """[4, channels]: the share of users that have a channel off, and at 2, 4 and 8 bits."""
    return np.stack([(widths == width).mean(axis=0) for width in (0, *WIDTHS)])
