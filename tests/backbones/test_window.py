"""A shorter window: the same answers for histories that fit."""

import numpy as np
import pytest
import torch

from chordkit.backbones import ARCHITECTURES, build, initialise, shorten
from chordkit.errors import InputError

CASES = [(name, index) for name in ("sasrec", "gru4rec") for index in range(len(ARCHITECTURES[name].examples))]


@pytest.mark.parametrize(("name", "index"), CASES)
def test_a_short_backbone_scores_short_histories_as_the_long_one(name: str, index: int) -> None:
    config = ARCHITECTURES[name].examples[index]
    backbone = initialise(build(config), seed=3).eval()
    short = shorten(backbone, 5)
    assert short.config.max_length == 5
    history = torch.from_numpy(np.random.default_rng(0).integers(1, config.items + 1, (6, 5)))
    padded = torch.cat([torch.zeros(6, config.max_length - 5, dtype=torch.int64), history], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(short.encode(history), backbone.encode(padded), rtol=1e-5, atol=1e-6)


def test_a_short_caser_keeps_its_newest_vertical_weights_and_all_others() -> None:
    backbone = initialise(build(ARCHITECTURES["caser"].examples[0]), seed=3)
    short, state = shorten(backbone, 5), backbone.state_dict()
    for name, tensor in short.state_dict().items():
        assert torch.equal(tensor, state[name][:, -5:] if name == "vertical.weight" else state[name]), name


def test_the_long_backbone_is_left_alone() -> None:
    backbone = initialise(build(ARCHITECTURES["sasrec"].examples[0]), seed=3)
    before = backbone.position_embedding.weight.clone()
    short = shorten(backbone, 5)
    with torch.no_grad():
        short.position_embedding.weight.zero_()
    assert torch.equal(backbone.position_embedding.weight, before)


@pytest.mark.parametrize("window", [0, 13])
def test_a_window_that_the_backbone_cannot_have_is_refused(window: int) -> None:
    with pytest.raises(InputError, match="window"):
        shorten(build(ARCHITECTURES["sasrec"].examples[0]), window)


def test_a_window_shorter_than_a_filter_is_refused_with_the_filters_sentence() -> None:
    with pytest.raises(InputError, match="heights"):
        shorten(build(ARCHITECTURES["caser"].examples[0]), 2)
