"""The comparison table and the measures of how much users differ."""

import json

import numpy as np
import pytest

from chordkit.backbones import attach_widths, from_master
from chordkit.data import Dataset, split
from chordkit.errors import InputError
from chordkit.hypernetwork import Comparison, TrainedHypernetwork, compare_strategies, diversity, make_strategies
from chordkit.hypernetwork.compare import weight_norms
from chordkit.hypernetwork.diversity import derangement, earlier
from chordkit.hypernetwork.inference import rank_personal
from chordkit.training import rank_targets


@pytest.fixture(scope="module")
def comparison(trained: TrainedHypernetwork, dataset: Dataset) -> Comparison:
    return compare_strategies(trained, split(dataset, 12, held_out=2).test, reference=trained.backbone)


def test_all_rivals_of_the_own_strategy_are_shown(comparison: Comparison) -> None:
    keys = [row.key for row in comparison.rows]
    assert keys == ["own", "other", "mean", "weight_norm", "random_mix", "uniform2", "uniform4", "uniform8", "fp32", "reference"]
    assert [row.key for row in comparison.rows if row.personal] == ["own", "other"]


def test_rows_of_one_size_have_one_size(comparison: Comparison) -> None:
    for key in ("own", "other", "mean", "weight_norm", "random_mix"):
        assert comparison.row(key).average_bits == pytest.approx(comparison.row("own").average_bits, rel=0.005)
    assert [comparison.row(key).average_bits for key in ("uniform2", "uniform4", "uniform8", "fp32")] == [2.0, 4.0, 8.0, 32.0]


def test_differences_are_paired_over_the_same_users(comparison: Comparison) -> None:
    own, other = comparison.row("own").metrics.per_user["hr10"], comparison.row("other").metrics.per_user["hr10"]
    difference = comparison.difference("other", "hr10")
    assert difference.value == pytest.approx(float((own - other).mean()))
    assert difference.low <= difference.value <= difference.high
    # The reference is the fp32 backbone itself here: no difference between the two rows.
    assert comparison.difference("fp32") == comparison.difference("reference")


def test_the_comparison_is_plain_json(comparison: Comparison) -> None:
    plain = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert len(plain["own_minus"]) == 2 * (len(plain["rows"]) - 1)


def test_rows_with_their_own_widths_rank_as_the_reference_does(trained: TrainedHypernetwork, dataset: Dataset) -> None:
    part = split(dataset, 12).test
    table = trained.hypernetwork.table
    widths = make_strategies(trained.hypernetwork, part.histories[:1])[0]
    choosing = attach_widths(from_master(trained.master), trained.master)
    mixed = np.tile(widths, (len(part), 1))
    mixed[::2] = 8
    ranks = rank_personal(choosing, table, part, mixed)
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


def test_users_of_one_history_do_not_differ(trained: TrainedHypernetwork) -> None:
    spread = diversity(trained.hypernetwork, np.tile(np.arange(1, 13, dtype=np.int32), (5, 1)))
    assert (spread.between_users, spread.channel_entropy, spread.fixed_channels) == (0.0, 0.0, 1.0)


def test_users_of_different_histories_differ(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    spread = diversity(trained.hypernetwork, histories, gap=1)
    assert 0.0 < spread.between_users < 1.0
    assert spread.between_moments < spread.between_users
    assert 0.0 < spread.channel_entropy <= np.log2(3)


def test_weight_norms_rank_large_rows_first(trained: TrainedHypernetwork) -> None:
    norms = weight_norms(trained.master)
    layer = next(iter(trained.backbone.channel_layers().values()))
    expected = layer.weight.detach().square().mean(dim=1).sqrt().numpy()
    # int8 rounds each weight by at most absmax/254 of its row.
    bound = layer.weight.detach().abs().amax(dim=1).numpy() / 254
    assert (np.abs(norms[: len(expected)] - expected) <= bound).all()
