"""How much users' strategies differ, and what a backbone ranks under each."""

import numpy as np
import pytest

from chordkit.backbones import attach_widths, from_master
from chordkit.data import Dataset, split
from chordkit.errors import InputError
from chordkit.hypernetwork import TrainedHypernetwork, diversity, make_strategies
from chordkit.hypernetwork.diversity import derangement, earlier
from chordkit.hypernetwork.inference import personal_states, rank_states
from chordkit.strategy import Budget
from chordkit.training import rank_targets

pytestmark = pytest.mark.long


def test_rows_with_their_own_widths_rank_as_the_reference_does(trained: TrainedHypernetwork, dataset: Dataset) -> None:
    part = split(dataset, 12).test
    table = trained.hypernetwork.table
    widths = make_strategies(trained.hypernetwork, part.histories[:1])[0]
    choosing = attach_widths(from_master(trained.master), trained.master)
    mixed = np.tile(widths, (len(part), 1))
    mixed[::2] = 8
    ranks = rank_states(choosing, personal_states(choosing, table, part.histories, mixed, None), part)
    for chosen, rows in ((np.full_like(widths, 8), slice(0, None, 2)), (widths, slice(1, None, 2))):
        expected = rank_targets(from_master(trained.master, chosen), part)[rows]
        # Scores that differ by a rounding can swap two items, no more.
        assert np.abs(ranks[rows] - expected).max() <= 1


@pytest.mark.parametrize("users", [2, 3, 100])
def test_everybody_gets_somebody_elses_strategy_once(users: int) -> None:
    other = derangement(users, seed=4)
    assert sorted(other) == list(range(users))
    assert (other != np.arange(users)).all()


def test_one_user_has_no_other() -> None:
    with pytest.raises(InputError, match="two users"):
        derangement(1, seed=0)


def test_earlier_histories_are_shifted_not_wrapped() -> None:
    assert earlier(np.array([[0, 1, 2, 3, 4]], np.int32), 2).tolist() == [[0, 0, 0, 1, 2]]
    assert earlier(np.array([[1, 2]], np.int32), 5).tolist() == [[0, 0]]


@pytest.mark.parametrize("budget", [None, Budget(2.0, widths=(0, 8))], ids=["all on", "some off"])
def test_users_of_one_history_do_not_differ(trained: TrainedHypernetwork, budget: Budget | None) -> None:
    spread = diversity(trained.hypernetwork, np.tile(np.arange(1, 13, dtype=np.int32), (5, 1)), budget)
    assert (spread.between_users, spread.channel_entropy, spread.fixed_channels) == (0.0, 0.0, 1.0)


def test_users_of_different_histories_differ(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    spread = diversity(trained.hypernetwork, histories, gap=1)
    assert 0.0 < spread.between_users < 1.0
    assert spread.between_moments < spread.between_users
    assert 0.0 < spread.channel_entropy <= np.log2(3)
