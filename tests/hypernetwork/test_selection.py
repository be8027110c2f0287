"""From importance to widths: the budget, the gradient, and one allocation for training, inference and the wire."""

import numpy as np
import pytest
import torch

from chordkit.backbones import attach_widths, from_master
from chordkit.hypernetwork import TrainedHypernetwork, make_importance, make_strategies, to_strategy
from chordkit.hypernetwork.selection import by_layer, choose_widths, one_hot, straight_through
from chordkit.quantization import WIDTHS, ChannelTable
from chordkit.strategy import Budget, allocate, average_bits_each, decode, encode

TABLE = ChannelTable.from_sizes([("a", 20, 16), ("b", 20, 16)])
BUDGET = Budget(3.0, (0.7, 0.2, 0.1))


def random_importance(users: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(users, TABLE.channels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("architecture", ["trained", "trained_caser"])
@pytest.mark.parametrize("bits", [2.5, 3.0, 4.5])
def test_every_user_stays_within_the_budget(architecture: str, bits: float, request: pytest.FixtureRequest, histories: np.ndarray) -> None:
    run: TrainedHypernetwork = request.getfixturevalue(architecture)
    table = run.hypernetwork.table
    spent = average_bits_each(make_strategies(run.hypernetwork, histories, Budget(bits)), table)
    # One channel more at double width is the finest step there is.
    step = 6 * float(table.in_features.max()) / float(table.in_features.sum())
    assert (spent <= bits + 1e-9).all()
    assert (spent >= bits - max(0.005 * bits, step)).all()


def test_choices_are_exactly_the_allocated_widths() -> None:
    importance = random_importance().requires_grad_()
    widths = choose_widths(importance, TABLE, BUDGET)
    choices = straight_through(importance, widths, 0.5)
    assert torch.equal(choices, one_hot(torch.from_numpy(widths)))
    assert np.array_equal(np.array(WIDTHS, np.uint8)[choices.argmax(dim=2)], widths)


def test_a_channel_that_is_off_has_no_width() -> None:
    assert torch.equal(one_hot(torch.tensor([[0, 2, 4, 8]]))[0].sum(dim=1), torch.tensor([0.0, 1.0, 1.0, 1.0]))


def test_gradient_moves_bits_to_where_they_help() -> None:
    importance = random_importance().requires_grad_()
    choices = straight_through(importance, choose_widths(importance, TABLE, BUDGET), 0.5)
    expected_bits = (choices * torch.tensor(WIDTHS, dtype=torch.float32)).sum(dim=2)
    expected_bits[:, 3].sum().backward()
    # More importance can only mean more bits for the same channel, and for no other: thresholds are fixed points.
    assert (importance.grad[:, 3] > 0).all()
    assert not importance.grad[:, [0, 1, 2, 4]].any()


def test_gradient_is_the_soft_ranking_at_half_a_standard_deviation() -> None:
    importance = random_importance(users=1).double().requires_grad_()
    widths = choose_widths(importance, TABLE, BUDGET)
    straight_through(importance, widths, 0.5)[0, :, 2].sum().backward()
    fixed, temperature = importance.detach()[0], 0.5 * importance.detach().std()
    ranked = fixed.sort(descending=True).values
    count = int((widths == 8).sum())
    gate = torch.sigmoid((fixed - (ranked[count - 1] + ranked[count]) / 2) / temperature)
    torch.testing.assert_close(importance.grad[0], gate * (1 - gate) / temperature)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_budget_of_one_width_has_a_finite_gradient(width: int) -> None:
    importance = random_importance().requires_grad_()
    widths = np.full(importance.shape, width, np.uint8)
    straight_through(importance, widths, 0.5)[..., 1].sum().backward()
    assert torch.isfinite(importance.grad).all()


def test_equal_importances_have_a_finite_gradient() -> None:
    importance = torch.zeros(4, TABLE.channels, requires_grad=True)
    straight_through(importance, choose_widths(importance, TABLE, BUDGET), 0.5)[..., 2].sum().backward()
    assert torch.isfinite(importance.grad).all()


def test_the_wire_carries_exactly_what_training_chooses(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    hypernetwork = trained.hypernetwork
    importance = hypernetwork.importance(hypernetwork.profile(torch.from_numpy(histories)))
    in_training = straight_through(importance, choose_widths(importance, hypernetwork.table, trained.options.budget), 0.5)
    for user, widths in enumerate(make_strategies(hypernetwork, histories)):
        sent = encode(to_strategy(hypernetwork, widths))
        received = decode(sent, fingerprint=trained.master.fingerprint, channels=hypernetwork.table.channels)
        assert np.array_equal(np.array(WIDTHS, np.uint8)[in_training[user].argmax(dim=1)], received.widths)


@pytest.mark.parametrize("architecture", ["trained", "trained_caser"])
def test_a_strategy_scores_in_training_as_on_the_device(architecture: str, request: pytest.FixtureRequest, histories: np.ndarray) -> None:
    run: TrainedHypernetwork = request.getfixturevalue(architecture)
    widths = make_strategies(run.hypernetwork, histories[:4])
    choosing = attach_widths(from_master(run.master), run.master)
    history = torch.from_numpy(histories[:4]).long()
    with torch.no_grad():
        together = choosing.encode(history, by_layer(one_hot(torch.from_numpy(widths)), run.hypernetwork.table))
        for user in range(4):
            alone = from_master(run.master, widths[user]).encode(history[user : user + 1])
            # The same products of dequantised weights in another order: some dozen fp32 roundings per layer, few layers.
            torch.testing.assert_close(together[user], alone[0], rtol=1e-4, atol=1e-5)


def test_strategies_do_not_depend_on_who_else_is_in_the_batch_beyond_rounding(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    together = make_importance(trained.hypernetwork, histories)
    alone = np.concatenate([make_importance(trained.hypernetwork, histories[user : user + 1]) for user in range(8)])
    np.testing.assert_allclose(together[:8], alone, rtol=1e-4, atol=1e-4)


def test_make_strategies_allocates_the_importance_it_makes(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    importance = make_importance(trained.hypernetwork, histories)
    expected = allocate(importance, trained.hypernetwork.table, trained.options.budget)
    assert np.array_equal(make_strategies(trained.hypernetwork, histories), expected)
