"""One head: query and key, and value and output, are one product each, where that is cheaper; merged weights are near the exact ones."""

from functools import lru_cache

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig
from chordkit.kernels import Engine, available, variants
from chordkit.kernels.arithmetic import Linear, following, meeting
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode
from tests.kernels.conftest import ITEMS, random_master

DIM = 48
master_of = lru_cache(maxsize=2)(random_master)


def master(blocks: int = 2) -> MasterWeights:
    return master_of(SASRecConfig(items=ITEMS, dim=DIM, max_length=20, heads=1, blocks=blocks, ffn_dim=64))


def widths_of(block: str, on: dict[str, int], seed: int = 0) -> np.ndarray:
    """Widths of all kinds; of the parts of one block only the first channels are on."""
    table, random = master().channel_table, np.random.default_rng(seed)
    widths = random.choice([2, 4, 8], table.channels).astype(np.uint8)
    for part, channels in on.items():
        widths[table.layer_slice(f"{block}.{part}")][channels:] = 0
    return widths


STRATEGIES = {
    "dense": ({}, {"blocks.0.query", "blocks.0.output"}),
    "more than 16 channels of queries": ({"query": 17}, {"blocks.0.query", "blocks.0.output"}),
    "16 channels of keys": ({"key": 16}, {"blocks.0.output"}),
    "16 channels of values": ({"value": 16}, {"blocks.0.query"}),
    "16 of all": ({"key": 16, "value": 16}, set()),
    "more than 16 of values, no output": ({"value": 17, "output": 0}, {"blocks.0.query", "blocks.0.output"}),
}


@pytest.mark.skipif(not available(), reason="the native engine was not compiled")
def test_a_slot_merges_what_is_cheaper_as_one_whatever_it_held_before() -> None:
    history = np.random.default_rng(1).integers(1, ITEMS + 1, 19).astype(np.int32)
    references = {name: ReferenceEngine(master(), widths_of("blocks.0", on)) for name, (on, _) in STRATEGIES.items()}
    expected = {name: reference.hidden(history) for name, reference in references.items()}
    assert {name: set(reference.merged) for name, reference in references.items()} == {
        name: merged for name, (_, merged) in STRATEGIES.items()
    }
    order = [*STRATEGIES, *reversed(STRATEGIES), "16 of all", "16 of all", "dense"]
    for variant in (variant.name for variant in variants() if variant.supported):
        engine = Engine(master().to_bytes(), variant)
        for name in order:
            engine.adopt(encode(Strategy(widths_of("blocks.0", STRATEGIES[name][0]), master().fingerprint), allow_off=True))
            np.testing.assert_array_equal(engine.hidden(history), expected[name], err_msg=f"{variant}, {name}")


@pytest.mark.parametrize(("heads", "blocks", "sharp"), [(1, 1, False), (2, 2, False), (1, 2, True)])
def test_the_last_block_several_heads_and_sharp_models_stay_as_they_are(heads: int, blocks: int, sharp: bool) -> None:
    config = SASRecConfig(items=ITEMS, dim=32, max_length=8, heads=heads, blocks=blocks)
    assert not ReferenceEngine(random_master(config, sharp=sharp)).merged


@pytest.mark.parametrize("choices", [(8,), (2, 4, 8), (0, 2, 4, 8)], ids=str)
def test_merged_weights_are_the_product_of_both_layers_within_8_bits(choices: tuple[int, ...]) -> None:
    random = np.random.default_rng(2)
    grids = {0: 0, 2: 1, 4: 7, 8: 127}

    def layer() -> tuple[Linear, np.ndarray]:
        widths = random.choice(choices, DIM).astype(np.uint8)
        most = np.array([grids[int(width)] for width in widths])
        weights = random.normal(size=(DIM, DIM)).astype(np.float32) * random.uniform(0.5, 2, (DIM, 1))
        scales = (np.abs(weights).max(1) / np.maximum(most, 1)).astype(np.float32)
        codes = np.clip(np.rint(weights / scales[:, None]), -most[:, None], most[:, None]).astype(np.int8)
        return Linear(codes, scales, random.normal(size=DIM).astype(np.float32)), widths

    def exact(layer: Linear) -> np.ndarray:
        return layer.codes.astype(np.float64) * layer.scales[:, None]

    (inner, widths), (outer, met) = layer(), layer()
    for merged, product, bias in (
        (meeting(inner, outer, widths, met), exact(outer).T @ exact(inner), exact(outer).T @ inner.bias),
        (following(inner, outer, widths), exact(outer) @ exact(inner), exact(outer) @ inner.bias + outer.bias),
    ):
        # Both roundings are off by 1/440 of a row's largest element (rms), which is three to four times its rms where elements are
        # of one kind; scales between 0.5 and 2 may double that: 2 % each, 2.8 % both.
        error = exact(merged) - product
        assert np.sqrt((error**2).mean()) <= 0.028 * np.sqrt((product**2).mean())
        np.testing.assert_allclose(merged.bias, bias, rtol=1e-4, atol=1e-4 * np.abs(bias).max())
