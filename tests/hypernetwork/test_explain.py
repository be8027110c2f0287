"""Why a user has a strategy: what stands out, which items drive it, who is near."""

import copy
from collections.abc import Callable

import numpy as np
import pytest

from chordkit.errors import InputError
from chordkit.hypernetwork import TrainedHypernetwork, make_importance, make_strategies
from chordkit.hypernetwork import explain as explanation_module
from chordkit.hypernetwork.explain import Explanation, Population, explain_strategy, make_population, sample_users
from chordkit.strategy import Budget, allocate

USER = 7
PLANTED = 40


@pytest.fixture
def own(trained: TrainedHypernetwork, histories: np.ndarray) -> Callable[..., Explanation]:
    """Explains the strategy of ``USER``, made from her history, against everybody else."""

    def run(hypernetwork=trained.hypernetwork, history: np.ndarray = histories[USER], budget: Budget | None = None) -> Explanation:
        others = sample_users(len(histories), USER)
        population = make_population(hypernetwork, others, histories[others], budget)
        # Through the module, so that what a test plants in the hypernetwork's answers is in the strategy too.
        widths = explanation_module.make_strategies(hypernetwork, history[None], budget)[0]
        return explain_strategy(hypernetwork, widths, history, population, budget)

    return run


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes channel ``PLANTED`` matter to whoever has an item, and to nobody else; all other importances stay."""

    def planted(item: int) -> None:
        def importance(hypernetwork, histories: np.ndarray) -> np.ndarray:
            values = make_importance(hypernetwork, histories)
            values[:, PLANTED] = np.where((histories == item).any(axis=1), 50.0, -50.0)
            return values

        def strategies(hypernetwork, histories: np.ndarray, budget: Budget | None = None) -> np.ndarray:
            return allocate(importance(hypernetwork, histories), hypernetwork.table, budget or hypernetwork.options.budget)

        monkeypatch.setattr(explanation_module, "make_importance", importance)
        monkeypatch.setattr(explanation_module, "make_strategies", strategies)

    return planted


def test_a_planted_channel_names_the_item_that_alone_drives_it(own, plant, histories: np.ndarray) -> None:
    owners = np.bincount(histories.ravel(), minlength=51)
    item = min((item for item in histories[USER] if item), key=lambda item: owners[item])
    plant(item)
    planted = next(each for each in own().channels if (each.layer, each.channel) == _place(PLANTED))
    assert planted.driver == item and planted.width == 8
    assert planted.share == (np.delete(histories, USER, axis=0) == item).any(axis=1).mean()


def test_the_item_that_outweighs_the_others_is_named_first(own, trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    hypernetwork = copy.deepcopy(trained.hypernetwork)
    # The oldest, which stands in the longest pool alone and is one of many there.
    items = histories[USER][histories[USER] != 0]
    item = int(items[0])
    assert own(hypernetwork).items[0].item != item
    hypernetwork.item_embedding[item] *= 1000
    found = own(hypernetwork)
    assert (found.items[0].item, found.items[0].place) == (item, len(items))
    assert found.items[0].changed > 1.5 * found.items[1].changed


def test_an_item_is_left_out_with_all_its_occurrences(own, histories: np.ndarray, trained: TrainedHypernetwork) -> None:
    history = np.array([0, 0, 5, 9, 5, 11, 13, 5, 17, 21, 22, 23], np.int32)
    found = {each.item: each for each in own(history=history).items}
    assert sorted(found) == [5, 9, 11, 13, 17, 21, 22, 23]
    assert (found[5].occurrences, found[5].place) == (3, 5) and (found[23].occurrences, found[23].place) == (1, 1)
    without = np.array([[0, 0, 0, 0, 0, 9, 11, 13, 17, 21, 22, 23], history], np.int32)
    gone, whole = make_strategies(trained.hypernetwork, without)
    assert found[5].changed == (gone != whole).sum() > 0


def test_only_items_of_the_profile_can_drive(own) -> None:
    long = np.arange(1, 41, dtype=np.int32)
    assert {each.item for each in own(history=long).items} == set(range(29, 41))


def test_items_that_are_left_out_lose_lit_channels_only_as_they_change_channels(own) -> None:
    found = own()
    assert all(0 <= each.dimmed <= each.changed for each in found.items)
    assert [each.changed for each in found.items] == sorted((each.changed for each in found.items), reverse=True)


@pytest.mark.parametrize("made_for", [USER, USER + 1], ids=["her own strategy", "one made for another history"])
def test_lit_channels_are_wider_and_more_important_than_others_have_them(
    made_for: int, trained: TrainedHypernetwork, histories: np.ndarray
) -> None:
    every, importance = make_strategies(trained.hypernetwork, histories), make_importance(trained.hypernetwork, histories)
    others = sample_users(len(histories), USER)
    widths, theirs = every[made_for], every[others]
    found = explain_strategy(trained.hypernetwork, widths, histories[USER], Population(others, theirs, importance[others]))
    deviation = (importance[USER] - importance[others].mean(axis=0)) / importance[others].std(axis=0)
    lit = np.flatnonzero((widths > theirs.mean(axis=0)) & (deviation > 0))
    table = trained.hypernetwork.table
    assert len(lit) > 10
    assert sorted(table.layer_slice(each.layer).start + each.channel for each in found.channels) == lit.tolist()
    for each in found.channels:
        channel = table.layer_slice(each.layer).start + each.channel
        assert each.width == widths[channel]
        assert each.share == np.mean([other[channel] >= each.width for other in theirs])
        # The importance of one user alone and in a batch differ by rounding.
        assert each.deviation == pytest.approx(deviation[channel], abs=1e-3)
    assert [each.share for each in found.channels] == sorted(each.share for each in found.channels)
    assert sum(layer.lit for layer in found.layers) == len(lit)


def test_layers_stand_beside_the_population(own, trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    widths = make_strategies(trained.hypernetwork, histories).astype(float)
    above = []
    for layer in own().layers:
        part = widths[:, trained.hypernetwork.table.layer_slice(layer.name)].mean(axis=1)
        others = np.delete(part, USER)
        assert (layer.bits, layer.others_bits) == pytest.approx((part[USER], others.mean()))
        assert layer.deviation == pytest.approx((part[USER] - others.mean()) / others.std())
        above.append(layer.bits - layer.others_bits)
    assert above == sorted(above, reverse=True) and len(above) == len(trained.hypernetwork.table.layers)


def test_neighbours_are_those_of_brute_force_and_never_the_user_herself(own, trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    widths = make_strategies(trained.hypernetwork, histories)
    distances = {
        user: sum(a != b for a, b in zip(widths[user].tolist(), widths[USER].tolist(), strict=True)) / widths.shape[1]
        for user in range(len(histories))
        if user != USER
    }
    found = own()
    assert {each.user: each.distance for each in found.neighbours} == distances
    assert [each.distance for each in found.neighbours] == sorted(distances.values())
    assert found.median_distance == np.median(list(distances.values()))


def test_a_strategy_of_the_same_history_is_up_to_date_and_an_older_one_is_not(
    own, trained: TrainedHypernetwork, histories: np.ndarray
) -> None:
    assert own().outdated == 0
    others = sample_users(len(histories), USER)
    population = make_population(trained.hypernetwork, others, histories[others])
    now, before = make_strategies(trained.hypernetwork, histories[[USER, USER + 1]])
    assert explain_strategy(trained.hypernetwork, before, histories[USER], population).outdated == (now != before).sum() > 0


def test_layers_of_unequal_size_are_explained(trained_caser: TrainedHypernetwork, own) -> None:
    found = own(trained_caser.hypernetwork)
    assert found.channels and found.items and len(found.others_width) == trained_caser.hypernetwork.table.channels


def test_channels_that_are_off_are_as_legal_as_others(trained: TrainedHypernetwork, histories: np.ndarray, monkeypatch) -> None:
    def with_off(hypernetwork, histories: np.ndarray, budget: Budget | None = None) -> np.ndarray:
        return allocate(make_importance(hypernetwork, histories), hypernetwork.table, Budget(1.5), allow_off=True)

    monkeypatch.setattr(explanation_module, "make_strategies", with_off)
    others = sample_users(len(histories), USER)
    population = make_population(trained.hypernetwork, others, histories[others])
    widths = with_off(trained.hypernetwork, histories[USER : USER + 1])[0]
    found = explain_strategy(trained.hypernetwork, widths, histories[USER], population)
    assert (widths == 0).any() and found.channels and all(each.width > 0 for each in found.channels)


def test_a_strategy_for_all_lights_nothing_up(trained: TrainedHypernetwork, histories: np.ndarray) -> None:
    importance = np.tile(make_importance(trained.hypernetwork, histories[:1]), (8, 1))
    population = Population(np.arange(8), allocate(importance, trained.hypernetwork.table, trained.options.budget), importance)
    assert not population.deviations(importance[0]).any()
    found = explain_strategy(trained.hypernetwork, make_strategies(trained.hypernetwork, histories[:1])[0], histories[0], population)
    assert found.channels == () and found.median_distance == 0 and {layer.deviation for layer in found.layers} == {0.0}


def test_a_history_of_one_item_is_explained_by_that_item(own) -> None:
    found = own(history=np.array([3], np.int32))
    assert [each.item for each in found.items] == [3]


def test_a_strategy_within_another_budget_is_refused(trained: TrainedHypernetwork, histories: np.ndarray, own) -> None:
    others = sample_users(len(histories), USER)
    population = make_population(trained.hypernetwork, others, histories[others])
    wide = make_strategies(trained.hypernetwork, histories[USER : USER + 1], Budget(4.0))[0]
    with pytest.raises(InputError, match=r"spends 4\.00 bits a weight, those it is held against 3\.00: give the budget"):
        explain_strategy(trained.hypernetwork, wide, histories[USER], population)
    assert own(budget=Budget(4.0)).outdated == 0


def test_a_large_population_is_a_seeded_sample_without_the_user() -> None:
    drawn = sample_users(10_000, 5000, most=4000, seed=1)
    assert len(drawn) == len(set(drawn.tolist())) == 4000 and 5000 not in drawn
    assert np.array_equal(drawn, np.sort(drawn)) and np.array_equal(drawn, sample_users(10_000, 5000, most=4000, seed=1))
    assert not np.array_equal(drawn, sample_users(10_000, 5000, most=4000, seed=2))
    assert sample_users(4, 2).tolist() == [0, 1, 3] and sample_users(2).tolist() == [0, 1]


def test_nobody_is_explained_alone() -> None:
    with pytest.raises(InputError, match="at least two other users, not 1: use more data"):
        sample_users(2, 0)


def test_json_speaks_in_the_data_sets_own_ids(own) -> None:
    found = own()
    items, users = [f"item-{index}" for index in range(51)], [f"user-{index}" for index in range(60)]
    told = found.to_json(items, users, top=3)
    assert [each["item"] for each in told["items"]] == [f"item-{each.item}" for each in found.items[:3]]
    assert [each["user"] for each in told["neighbours"]] == [f"user-{each.user}" for each in found.neighbours[:3]]
    assert len(told["channels"]) == 3 and told["lit"] == len(found.channels) and len(told["layers"]) == len(found.layers)
    assert {each["driver"] for each in told["channels"]} <= {*items, None}


def _place(index: int) -> tuple[str, int]:
    """Layer and channel of a channel's index in the SASRec of the fixtures, whose layers have 16 channels."""
    names = [f"blocks.0.{name}" for name in ("query", "key", "value", "output", "ffn1", "ffn2")]
    return names[index // 16], index % 16
