"""Attention in floats with 16-bit activations: when the engine takes it, how near it stays to PyTorch, and what a mask lets through."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.kernels import Engine, available, is_sharp, sharpness, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows
from tests.kernels.conftest import ITEMS, OTHERS, SHARP, SMALL, random_master, sharpened

pytestmark = [pytest.mark.long, pytest.mark.skipif(not available(), reason="the native engine was not compiled")]

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
HISTORIES = np.random.default_rng(0).integers(1, ITEMS + 1, (40, 50)).astype(np.int32)
CANDIDATES = np.random.default_rng(1).integers(1, ITEMS + 1, (40, 100)).astype(np.int32)


@lru_cache
def enlarged(factor: float, norm_first: bool) -> MasterWeights:
    """A random SASRec whose layers all have ``factor`` times their usual weights, logits its square."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        backbone = build(SASRecConfig(items=ITEMS, heads=1 + (not norm_first), norm_first=norm_first))
        with torch.no_grad():
            for layer in backbone.channel_layers().values():
                layer.weight.mul_(factor)
    return make_master(backbone)


def relative_error(scores: np.ndarray, master: MasterWeights, rows: int) -> float:
    """Root mean square of what scores are off PyTorch by, relative to the spread of PyTorch's."""
    with torch.no_grad():
        model = from_master(master)
        hidden = model.encode(torch.from_numpy(HISTORIES[:rows]).long())
        exact = model.score(hidden, torch.from_numpy(CANDIDATES[:rows]).long()).numpy()
    spread = exact - exact.mean(1, keepdims=True)
    return float(np.sqrt(((scores - exact) ** 2).mean() / (spread**2).mean()))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("factor", [3, 5, 10])
def test_however_large_logits_are_scores_stay_near_pytorch(factor: float, norm_first: bool) -> None:
    master = enlarged(factor, norm_first)
    assert is_sharp(master)
    # A row is off by 1 / 254 of the error of 8 bits, which the gate allows 2 %. Large weights, and logits as their square, enlarge what a
    # layer hands on to the next, here by less than 20.
    assert relative_error(Engine(master.to_bytes()).scores(HISTORIES, CANDIDATES), master, 40) < 20 * 0.02 / 254
    in_codes = ReferenceEngine(master, sharp=False)
    scores = np.stack([in_codes.scores(*pair) for pair in zip(HISTORIES[:6], CANDIDATES[:6], strict=True)])
    assert relative_error(scores, master, 6) > 0.02


def test_ordinary_models_attend_in_codes_and_sharp_ones_in_floats() -> None:
    for config in (SMALL | OTHERS).values():
        assert sharpness(random_master(config)) < 1
        assert not is_sharp(random_master(config))
    for config in SHARP.values():
        assert sharpness(random_master(config)) > 2
        assert is_sharp(random_master(config))
    assert sharpness(random_master(CaserConfig(items=ITEMS))) == 0


def test_sharpness_is_the_spread_of_logits_when_queries_and_keys_point_anywhere() -> None:
    generator = torch.Generator().manual_seed(3)
    backbone = sharpened(build(SASRecConfig(items=ITEMS, blocks=1, heads=1)), 25.0)
    with torch.no_grad():
        rows = torch.randn(400, 64, generator=generator)
        layers = backbone.channel_layers()
        logits = layers["blocks.0.query"](rows) @ layers["blocks.0.key"](rows).T / 8
    assert sharpness(make_master(backbone)) == pytest.approx(float(logits.std()), rel=0.05)


def _with_query(master: MasterWeights, block: int, bias: np.ndarray) -> MasterWeights:
    name = f"blocks.{block}.query"
    rows = master.layers[name].rows
    still = QuantizedRows(np.zeros_like(rows.codes), rows.scales, rows.ratios)
    return replace(master, layers=dict(master.layers) | {name: MasterLayer(still, bias)})


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("config", [SMALL["sasrec"], OTHERS["post-ln gelu wide ffn"]], ids=["norms first", "norms last"])
def test_engine_and_reference_decide_alike_on_both_sides_of_the_border(config: BackboneConfig, block: int) -> None:
    master = random_master(config)
    # With one query of the last head alone, its length is a bias: floats on both sides of the border are neighbours.
    bias = np.zeros(int(master.config["dim"]), np.float32)  # type: ignore[call-overload]
    low, high = np.float32(0), np.float32(1000)
    while np.nextafter(low, high) < high:
        bias[-1] = (low + high) / 2
        low, high = (low, bias[-1]) if is_sharp(_with_query(master, block, bias)) else (bias[-1], high)
    for value, sharp in ((low, False), (high, True)):
        bias[-1] = value
        changed = _with_query(master, block, bias)
        assert is_sharp(changed) is sharp
        history, candidates = HISTORIES[0], CANDIDATES[0]
        expected = ReferenceEngine(changed, sharp=sharp).scores(history, candidates)
        assert not np.array_equal(expected, ReferenceEngine(changed, sharp=not sharp).scores(history, candidates))
        for variant in VARIANTS:
            np.testing.assert_array_equal(Engine(changed.to_bytes(), variant).scores(history, candidates), expected)


@pytest.mark.parametrize("factor", [1.0, 1e6])
@pytest.mark.parametrize("norm_first", [False, True])
def test_an_empty_slot_counts_for_nothing_at_any_logits(factor: float, norm_first: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        backbone = build(SASRecConfig(items=ITEMS, dim=32, max_length=40, heads=2, norm_first=norm_first))
        with torch.no_grad():
            for name, layer in backbone.channel_layers().items():
                if name.endswith((".query", ".key")):
                    layer.weight.mul_(factor**0.5)
                    layer.bias.normal_(0, 0.1 * factor**0.5)
    master = make_master(backbone)
    assert is_sharp(master) is (factor > 1)
    short = HISTORIES[0, :18]
    # A model of 18 slots with the last 18 positions of the other: it has no empty slot that it could see.
    positions = master.embeddings["position_embedding"]
    cut = replace(positions, codes=positions.codes[-18:], scales=positions.scales[-18:])
    whole = replace(master, config=master.config | {"max_length": 18}, embeddings=dict(master.embeddings) | {"position_embedding": cut})
    expected = ReferenceEngine(whole).scores(short, CANDIDATES[0])
    assert np.isfinite(expected).all()
    for variant in VARIANTS:
        engine = Engine(master.to_bytes(), variant)
        for padded in (short, np.r_[np.zeros(22, np.int32), short]):
            np.testing.assert_array_equal(engine.scores(padded, CANDIDATES[0]), expected)
