"""The one way from profiles to strategies: rounded before it is ranked, and without a change to the network that it was made from."""

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.errors import InputError, StrategyError
from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, StrategyMaker, make_importance, make_strategies, make_user_vectors
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.strategy import allocate, encode_user_vector, quantize_user_vector, to_wire
from chordkit.strategy.wire import Strategy


def _network(**options: object) -> Hypernetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        master = make_master(build(SASRecConfig(items=40, dim=16, max_length=8)))
    network = Hypernetwork(master, HypernetworkOptions(**{"user_vector": True, **options})).initialise(torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.vector.weight, generator=torch.Generator().manual_seed(1))
    return network


HISTORIES = np.random.default_rng(0).integers(0, 41, (300, 30)).astype(np.int32)


@pytest.mark.parametrize("without", [("element",), ()])
def test_importance_is_that_of_float32_to_within_rounding_and_the_same_in_every_batch(without: tuple[str, ...]) -> None:
    network = _network(without=without)
    maker = StrategyMaker(network)
    profiles = maker.profiles(HISTORIES)
    found = maker.importance(profiles)
    with torch.inference_mode():
        plain = network.importance(pooled_profile(network.item_embedding, torch.from_numpy(HISTORIES), network.options.pools)).numpy()
    assert found.dtype == np.float32 and not np.array_equal(found, plain)
    # 128 products of a size near 1 are added up, in float32.
    np.testing.assert_allclose(found, plain, atol=128 * 2.0**-23)
    for size in (1, 5, 8, 129):
        pieces = [maker.importance(maker.profiles(HISTORIES[start : start + size])) for start in range(0, 300, size)]
        assert np.array_equal(np.concatenate(pieces), found)
    assert np.array_equal(make_importance(network, HISTORIES), found)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32} and network.offset.requires_grad
    assert network.item_embedding.shape == (41, 16)


def test_the_wire_is_what_one_by_one_gives() -> None:
    network = _network()
    maker = StrategyMaker(network)
    profiles, budget = maker.profiles(HISTORIES), maker.budget(2.5)
    widths = make_strategies(network, HISTORIES, 2.5)
    assert np.array_equal(widths, allocate(maker.importance(profiles, 2.5), network.table, budget))
    assert maker.strategies(profiles, budget) == [to_wire(Strategy(each, network.fingerprint)) for each in widths]
    vectors = maker.user_vectors_wire(profiles)
    codes, scales = maker.user_vectors(profiles)
    assert np.array_equal(make_user_vectors(network, HISTORIES), codes.astype(np.float32) * scales[:, None])
    with torch.inference_mode():
        plain = network.user_vector(torch.from_numpy(profiles)).numpy()
    expected = [quantize_user_vector(each, network.fingerprint) for each in plain]
    # A code may be rounded the other way, where float32 puts the value on the other side of a half.
    assert max(np.abs(each.codes.astype(int) - mine).max() for each, mine in zip(expected, codes.astype(int), strict=True)) <= 1
    assert len(vectors[0]) == len(encode_user_vector(expected[0])) and vectors[0].tobytes()[:20] == encode_user_vector(expected[0])[:20]


def test_what_it_cannot_make_is_refused() -> None:
    maker = StrategyMaker(_network(budgets=(2.0, 4.0)))
    with pytest.raises(StrategyError, match="bits: 5 are outside of 2 to 4"):
        maker.budget(5.0)
    with pytest.raises(InputError, match="trained with --fp32"):
        StrategyMaker(_network(quantised=False)).require_strategies()
    with pytest.raises(InputError, match="this hypernetwork makes none"):
        StrategyMaker(Hypernetwork(make_master(build(SASRecConfig(items=40, dim=16, max_length=8))), HypernetworkOptions())).user_vectors(
            np.zeros((1, 49), np.float32)
        )
