"""Allocation: within the budget for every user, by importance, independent of the batch."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import StrategyError
from chordkit.quantization import ChannelTable
from chordkit.strategy import TOLERANCE, Budget, allocate, average_bits, average_bits_each, payload_bytes, uniform
from chordkit.strategy.mixture import evenest_mixture

pytestmark = pytest.mark.long

SASREC = ChannelTable.from_sizes([(f"blocks.{i // 6}.{i % 6}", 64, 64) for i in range(12)])
CASER = ChannelTable.from_sizes([(f"horizontal.{h}", 16, 64 * h) for h in range(1, 5)] + [("vertical", 4, 50), ("fc", 64, 320)])
FFN = ChannelTable.from_sizes([("query", 64, 64), ("ffn1", 256, 64), ("ffn2", 64, 256)])
TABLES = {"sasrec": SASREC, "caser": CASER, "ffn": FFN}
# One rounding of a float64 sum is the only slack that the comparison itself needs.
LIMIT = TOLERANCE * (1 + 1e-12)


def _importance(table: ChannelTable, users: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, (users, table.channels)).astype(np.float32)


def _budgets() -> list[tuple[Budget, bool]]:
    plain = [Budget(bits, shares) for bits in (2.0, 2.1, 3.0, 4.0, 5.5, 7.9, 8.0) for shares in (None, (0.7, 0.2, 0.1), (0.2, 0.3, 0.5))]
    off = [Budget(bits, shares) for bits in (0.25, 1.0, 2.0, 3.0, 6.0) for shares in (None, (0.4, 0.2, 0.1), (0.0, 0.2, 0.1))]
    return [(budget, False) for budget in plain] + [(budget, True) for budget in off]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("budget", "allow_off"), _budgets(), ids=str)
def test_every_user_meets_the_budget(name: str, budget: Budget, allow_off: bool) -> None:
    table = TABLES[name]
    widths = allocate(_importance(table), table, budget, allow_off=allow_off)
    assert widths.dtype == np.uint8 and np.isin(widths, (0, 2, 4, 8) if allow_off else (2, 4, 8)).all()
    # By integers, not by the library's own float arithmetic.
    bits = (widths.astype(np.int64) * table.in_features).sum(1)
    target = budget.average_bits * int(table.in_features.sum())
    assert np.abs(bits - target).max() <= LIMIT * target


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("name", TABLES)
def test_a_budget_that_is_a_width_is_uniform(name: str, width: int) -> None:
    widths = allocate(_importance(TABLES[name]), TABLES[name], Budget(float(width)))
    assert (widths == width).all()
    assert np.array_equal(widths[0], uniform(TABLES[name], width, b"fingerpr").widths)


def test_shares_are_exact_counts_when_layers_are_equal() -> None:
    widths = allocate(_importance(SASREC), SASREC, Budget(3.0, (0.7, 0.2, 0.1)))
    # 0.1 and 0.3 of 768 are 76.8 and 230.4.
    assert ((widths == 8).sum(1) == 77).all() and ((widths >= 4).sum(1) == 230).all()


def test_the_average_rules_over_shares_that_do_not_belong_to_it() -> None:
    widths = allocate(_importance(SASREC), SASREC, Budget(3.0, (0.65, 0.2, 0.15)))
    assert ((widths == 8).sum(1) == 115).all()
    assert np.abs(average_bits_each(widths, SASREC) / 3.0 - 1).max() <= LIMIT


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("budget", [Budget(3.0), Budget(3.0, (0.7, 0.2, 0.1)), Budget(6.0)], ids=str)
def test_among_equal_channels_the_more_important_never_gets_less(name: str, budget: Budget) -> None:
    table, importance = TABLES[name], _importance(TABLES[name])
    widths = allocate(importance, table, budget)
    for size in np.unique(table.in_features):
        same = table.in_features == size
        for user in range(len(importance)):
            order = np.argsort(-importance[user, same], kind="stable")
            assert (np.diff(widths[user, same][order].astype(int)) <= 0).all()


@pytest.mark.parametrize("name", TABLES)
def test_a_user_gets_the_same_strategy_alone_and_in_any_batch(name: str) -> None:
    table, importance = TABLES[name], _importance(TABLES[name], 300)
    batch = allocate(importance, table, Budget(3.0, (0.7, 0.2, 0.1)))
    assert np.array_equal(allocate(importance[257], table, Budget(3.0, (0.7, 0.2, 0.1))), batch[257])
    assert np.array_equal(allocate(importance.reshape(3, 100, -1), table, Budget(3.0, (0.7, 0.2, 0.1))).reshape(batch.shape), batch)
    assert allocate(importance[:0], table, Budget(3.0)).shape == (0, table.channels)


def test_ties_go_to_the_lower_index_and_signed_zeros_are_ties() -> None:
    zeros = np.zeros((2, 768), np.float32)
    zeros[1, ::2] = -0.0
    widths = allocate(zeros, SASREC, Budget(3.0))
    assert (widths[:, :384] == 4).all() and (widths[:, 384:] == 2).all()


def test_only_the_order_of_importances_counts() -> None:
    importance = _importance(CASER)
    shifted = np.exp(np.float64(importance).clip(-20, 20))
    same_order = np.argsort(np.argsort(importance, axis=1), axis=1).astype(np.float32) - 1000.0
    assert np.array_equal(allocate(same_order, CASER, Budget(3.0)), allocate(importance, CASER, Budget(3.0)))
    assert np.isfinite(shifted).all()
    infinite = importance.copy()
    infinite[:, 5] = np.inf
    infinite[:, 6] = -np.inf
    widths = allocate(infinite, CASER, Budget(3.0))
    assert (widths[:, 5] >= 4).all() and (widths[:, 6] == 2).all()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=3),
    st.floats(2.0, 8.0),
    st.booleans(),
    st.integers(0, 1000),
)
def test_tiny_tables_come_as_near_as_any_assignment_can(sizes: list[tuple[int, int]], bits: float, allow_off: bool, seed: int) -> None:
    while sum(out for out, _ in sizes) > 6:
        sizes = sizes[:-1]
    table = ChannelTable.from_sizes((f"layer{i}", out, features) for i, (out, features) in enumerate(sizes))
    bits = bits - 1.9 if allow_off else bits
    total = int(table.in_features.sum())
    reachable = {
        int(np.dot(widths, table.in_features))
        for widths in itertools.product((0, 2, 4, 8) if allow_off else (2, 4, 8), repeat=table.channels)
    }
    for user in allocate(_importance(table, 4, seed), table, Budget(bits), allow_off=allow_off):
        got = int(np.dot(user.astype(int), table.in_features))
        if any(abs(value - bits * total) <= TOLERANCE * bits * total for value in reachable):
            assert abs(got - bits * total) <= LIMIT * bits * total
        else:
            assert got == max(value for value in reachable if value <= bits * total)


@pytest.mark.parametrize(
    ("budget", "allow_off"), [(Budget(1.9), False), (Budget(3.0, (0.5, 0.2, 0.1)), False), (Budget(1.0, (0.5, 0.2, 0.1)), False)]
)
def test_an_impossible_budget_is_refused(budget: Budget, allow_off: bool) -> None:
    with pytest.raises(StrategyError, match="budget"):
        allocate(_importance(SASREC), SASREC, budget, allow_off=allow_off)


@pytest.mark.parametrize("bits", [0.0, -1.0, 8.01, float("nan"), float("inf")])
def test_a_budget_beyond_the_widths_cannot_be_made(bits: float) -> None:
    with pytest.raises(StrategyError, match="average_bits"):
        Budget(bits)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (float("nan"), 0.5, 0.5), (0.5, 0.5)])
def test_shares_that_are_none_cannot_be_made(shares: tuple) -> None:
    with pytest.raises(StrategyError, match="shares"):
        Budget(3.0, shares)


def test_importances_that_do_not_fit_are_refused() -> None:
    with pytest.raises(StrategyError, match="fit"):
        allocate(np.zeros((2, 767), np.float32), SASREC, Budget(3.0))
    diverged = _importance(SASREC, 300)
    diverged[200, 3] = np.nan
    with pytest.raises(StrategyError, match="user 200"):
        allocate(diverged, SASREC, Budget(3.0))


def test_bits_and_bytes_are_counted_over_weights() -> None:
    table = ChannelTable.from_sizes([("a", 1, 3), ("b", 2, 10)])
    widths = np.array([8, 2, 0], np.uint8)
    assert average_bits(widths, table) == pytest.approx((8 * 3 + 2 * 10) / 23, abs=1e-15)
    assert payload_bytes(widths, table) == 3 + 3 + 0
    with pytest.raises(StrategyError):
        average_bits(widths[:2], table)


def test_three_bits_cost_at_most_a_twentieth_more_bytes_than_the_ideal() -> None:
    for table in TABLES.values():
        widths = allocate(_importance(table, 1), table, Budget(3.0))[0]
        ideal = 3.0 * int(table.in_features.sum()) / 8
        assert payload_bytes(widths, table) <= 1.05 * ideal


WIDTH_SETS = [(2, 4, 8), (0, 2, 4, 8), (0, 4, 8), (0, 8), (0, 2), (2, 8), (4,)]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("widths", WIDTH_SETS, ids=str)
@pytest.mark.parametrize("bits", [1.0, 2.0, 3.0, 4.0, 6.0])
def test_named_widths_are_the_only_ones_and_the_budget_is_never_exceeded(name: str, widths: tuple[int, ...], bits: float) -> None:
    table = TABLES[name]
    if not widths[0] <= bits <= widths[-1]:
        with pytest.raises(StrategyError, match="average_bits"):
            Budget(bits, widths=widths)
        return
    chosen = allocate(_importance(table), table, Budget(bits, widths=widths))
    assert np.isin(chosen, widths).all()
    spent = (chosen.astype(np.int64) * table.in_features).sum(1)
    target = bits * int(table.in_features.sum())
    steps = [high - low for low, high in itertools.pairwise(widths)] or [0]
    assert (spent <= target).all()
    # No channel that could still be raised by the finest step would fit.
    assert (spent > target - min(steps) * int(table.in_features.max()) * len(widths)).all() or len(widths) == 1


def test_named_widths_go_to_the_most_important_channels() -> None:
    importance = _importance(SASREC)
    chosen = allocate(importance, SASREC, Budget(2.0, widths=(0, 8)))
    for row, widths in zip(importance, chosen, strict=True):
        assert row[widths == 8].min() >= row[widths == 0].max()
        assert (widths == 8).sum() == SASREC.channels // 4


def test_the_shares_of_named_widths_are_the_evenest_with_that_average() -> None:
    shares = np.array(evenest_mixture((0, 2, 4, 8), 3.0))
    widths = np.array([0, 2, 4, 8])
    assert shares.sum() == pytest.approx(1.0) and shares @ widths == pytest.approx(3.0)
    entropy = -(shares * np.log(shares)).sum()
    # Moving mass along both directions that keep sum and average makes it less even.
    for direction in (np.array([1.0, -2.0, 1.0, 0.0]), np.array([1.0, 0.0, -2.0, 1.0])):
        direction = direction - np.array([0, 0, 0, 0])
        direction[-1] -= direction @ widths / 8
        direction[0] -= direction.sum()
        for size in (-1e-3, 1e-3):
            moved = shares + size * direction
            assert -(moved * np.log(moved)).sum() < entropy


@pytest.mark.parametrize("widths", [(), (8, 2), (0, 3), (2, 2)])
def test_widths_that_are_no_choice_are_refused(widths: tuple[int, ...]) -> None:
    with pytest.raises(StrategyError, match="ascending choice"):
        Budget(2.0, widths=widths)


def test_shares_and_widths_together_are_refused() -> None:
    with pytest.raises(StrategyError, match="either"):
        Budget(3.0, (0.7, 0.2, 0.1), widths=(2, 4, 8))
