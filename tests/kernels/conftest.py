"""What the engine is tested with: a test that asks for ``small`` or ``configuration`` runs for every backbone."""

from dataclasses import replace

import pytest
import torch

from chordkit.backbones import Backbone, BackboneConfig, CaserConfig, SASRecConfig, build, make_master
from chordkit.quantization import MasterWeights

ITEMS = 120
SMALL: dict[str, BackboneConfig] = {
    "sasrec": SASRecConfig(items=ITEMS, dim=32, max_length=12, heads=2, ffn_dim=40, norm_first=True),
    "caser": CaserConfig(items=ITEMS, dim=32, max_length=10, heights=(2, 3), filters=5, vertical_filters=3, item_bias=True),
}
"""One of each backbone, its optional parts there, its sizes no multiples of 16 where they may."""
OTHERS: dict[str, BackboneConfig] = {
    "tuned": SASRecConfig(items=ITEMS, heads=1, norm_first=True),
    "post-ln gelu wide ffn": SASRecConfig(items=ITEMS, dim=64, max_length=20, heads=2, ffn_dim=256, activation="gelu", norm_first=False),
    "narrow heads, odd ffn": SASRecConfig(items=ITEMS, dim=32, max_length=19, heads=4, ffn_dim=40, norm_first=False),
    "positions from the oldest item": SASRecConfig(items=ITEMS, dim=32, max_length=11, norm_first=True, positions_from_oldest=True),
    "one block": SASRecConfig(items=ITEMS, dim=16, max_length=9, blocks=1, heads=1, norm_first=True),
    "three blocks": SASRecConfig(items=ITEMS, dim=128, max_length=34, blocks=3, heads=4, norm_first=True, activation="gelu"),
    "caser as it is": CaserConfig(items=ITEMS),
    "caser, a filter over all": CaserConfig(items=ITEMS, dim=16, max_length=7, heights=(1, 7), filters=18, vertical_filters=1),
}
SHARP: dict[str, BackboneConfig] = {
    "sharp": SASRecConfig(items=ITEMS, max_length=26, heads=1, norm_first=True),
    "sharp, narrow heads": SASRecConfig(items=ITEMS, dim=32, max_length=13, blocks=3, heads=4, ffn_dim=40, activation="gelu"),
    "sharp, one block": SASRecConfig(items=ITEMS, dim=48, max_length=7, blocks=1, heads=2, norm_first=False),
}
"""Those whose random master gets such queries that the engine attends in floats."""


@pytest.fixture(params=SMALL.values(), ids=SMALL)
def small(request: pytest.FixtureRequest) -> BackboneConfig:
    """A small configuration of each backbone."""
    return request.param


@pytest.fixture(params=(SMALL | OTHERS | SHARP).values(), ids=SMALL | OTHERS | SHARP)
def configuration(request: pytest.FixtureRequest) -> BackboneConfig:
    """Every configuration."""
    return request.param


@pytest.fixture(scope="session")
def small_masters() -> dict[str, MasterWeights]:
    """Master weights of each backbone, smaller still, with item tables of 8 and 4 bits in turn."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbones = {name: build(replace(config, items=20, dim=16)) for name, config in SMALL.items()}
        return {name: make_master(one, embedding_bits=(8, 4)[turn % 2]) for turn, (name, one) in enumerate(backbones.items())}


def sharpened(backbone: Backbone, factor: float) -> Backbone:
    """The backbone itself, with queries and so logits ``factor`` times as large."""
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if ".query." in name:
                parameter.mul_(factor)
    return backbone


def random_master(config: BackboneConfig, embedding_bits: int = 8, seed: int = 5, sharp: bool | None = None) -> MasterWeights:
    """Master weights of a random backbone whose norms and biases are not the trivial ones; ``sharp`` None: if it is one of SHARP."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build(config)
        with torch.no_grad():
            for parameter in backbone.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    if sharp or (sharp is None and config in SHARP.values()):
        sharpened(backbone, 30.0)
    return make_master(backbone, embedding_bits=embedding_bits)
