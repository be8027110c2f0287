"""Channels that are off are left out of the engine's products: the same bits in every variant, near the model that multiplies zeros."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, SASRecConfig, from_master
from chordkit.kernels import Engine, available, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, UserVector, encode
from tests.kernels.conftest import ITEMS, OTHERS, SHARP, SMALL, random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
NAMES = ("tuned", "post-ln gelu wide ffn", "narrow heads, odd ffn", "caser, a filter over all")
ONE_BLOCK_OF_LANES = {f"d = 16, {heads} heads": SASRecConfig(items=ITEMS, dim=16, max_length=8, heads=heads, blocks=1) for heads in (1, 2)}
CONFIGURATIONS = SMALL | ONE_BLOCK_OF_LANES | {name: OTHERS[name] for name in NAMES} | {"sharp": SHARP["sharp, one block"]}
master_of = lru_cache(maxsize=16)(random_master)


def strategies(master: MasterWeights, count: int) -> Iterator[np.ndarray]:
    """Widths with any share of channels off; of whole layers all off or all on now and then."""
    table = master.channel_table
    for seed in range(count):
        rng = np.random.default_rng(seed)
        widths = np.where(rng.random(table.channels) < rng.random(), rng.choice([2, 4, 8], table.channels), 0).astype(np.uint8)
        for name in master.layers:
            lot = rng.random()
            if lot < 0.2:
                widths[table.layer_slice(name)] = 0 if lot < 0.1 else 8
        yield widths


def without_each_layer(master: MasterWeights) -> Iterator[np.ndarray]:
    for name in list(master.layers) if master.dim <= 48 else []:
        widths = np.full(master.channel_table.channels, 8, np.uint8)
        widths[master.channel_table.layer_slice(name)] = 0
        yield widths


def ids(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, ITEMS + 1, count).astype(np.int32)


def bytes_of(master: MasterWeights, widths: np.ndarray) -> bytes:
    return encode(Strategy(widths, master.fingerprint), allow_off=True)


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_variant_leaves_out_the_same_channels(config: BackboneConfig) -> None:
    master = master_of(config)
    engines = [Engine(master.to_bytes(), variant) for variant in VARIANTS]
    assert VARIANTS[-1] == "scalar"
    for seed, widths in enumerate([*strategies(master, 3), *without_each_layer(master)]):
        history = ids(seed, 1 + seed * 5 % min(config.max_length, 18))
        expected = ReferenceEngine(master, widths).hidden(history)
        for engine in engines:
            engine.adopt(bytes_of(master, widths))
            np.testing.assert_array_equal(engine.hidden(history), expected, err_msg=f"{engine.variant}, strategy {seed}")


@pytest.mark.parametrize("heads", [2, 4])
def test_heads_that_share_lanes_and_few_results_for_the_stream_give_the_same_bits(heads: int) -> None:
    master = master_of(SASRecConfig(items=ITEMS, dim=64, max_length=40, heads=heads, blocks=2, ffn_dim=64))
    table, rng = master.channel_table, np.random.default_rng(6)
    engines = [Engine(master.to_bytes(), variant) for variant in VARIANTS]
    for on in (1, 5, 12):  # of a head's 32 or 16 queries and keys, and of all outputs: the heads' lanes together are fewer sixteens
        widths = rng.choice([2, 4, 8], table.channels).astype(np.uint8)
        for block in range(2):
            for part in ("query", "key"):
                of_heads = widths[table.layer_slice(f"blocks.{block}.{part}")].reshape(heads, -1)
                of_heads[:, 2 * on // heads if part == "key" else on :] = 0
            for part in ("output", "ffn2"):
                off = rng.permutation(64)[4 * on :]
                widths[table.layer_slice(f"blocks.{block}.{part}")][off] = 0
        history = ids(on, 37)
        expected = ReferenceEngine(master, widths).hidden(history)
        for engine in engines:
            engine.adopt(bytes_of(master, widths))
            np.testing.assert_array_equal(engine.hidden(history), expected, err_msg=f"{engine.variant}, {on} on")


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_what_is_left_out_is_what_zeros_would_have_given(config: BackboneConfig) -> None:
    master = master_of(config)
    engine = Engine(master.to_bytes())
    history, candidates = ids(1, config.max_length), ids(2, 64)
    for widths in [*strategies(master, 3), *without_each_layer(master)]:
        engine.adopt(bytes_of(master, widths))
        model = from_master(master, widths)
        with torch.no_grad():
            exact = model.score(model.encode(torch.from_numpy(history)[None].long()), torch.from_numpy(candidates)[None].long())[0].numpy()
        error = engine.scores(history, candidates) - exact
        # As for channels that are on (test_engine.py): what a channel that is off leaves is rounded to 16 bits, or is one more row of 8.
        assert np.sqrt((error**2).mean()) <= 0.007 * np.sqrt(len(master.layers)) * np.sqrt((exact**2).mean())


def test_a_user_vector_goes_with_channels_that_are_off(small: BackboneConfig) -> None:
    master = master_of(small)
    user = UserVector(np.random.default_rng(3).integers(-127, 128, small.dim).astype(np.int8), 0.004, master.fingerprint)
    engine, history = Engine(master.to_bytes()), ids(4, 9)
    for widths in strategies(master, 2):
        engine.adopt(bytes_of(master, widths))
        np.testing.assert_array_equal(engine.hidden(history, user=user), ReferenceEngine(master, widths).hidden(history, user=user))


def test_a_strategy_leaves_nothing_to_the_next_whatever_their_sizes(small: BackboneConfig) -> None:
    master = master_of(small)
    engine, history = Engine(master.to_bytes()), ids(5, 8)
    chosen = [
        *strategies(master, 3),
        np.full(master.channel_table.channels, 8, np.uint8),
        np.zeros(master.channel_table.channels, np.uint8),
    ]
    expected = [ReferenceEngine(master, widths).hidden(history) for widths in chosen]
    for turn in (3, 4, 0, 3, 1, 1, 2, 4, 3):
        engine.adopt(bytes_of(master, chosen[turn]))
        np.testing.assert_array_equal(engine.hidden(history), expected[turn])
