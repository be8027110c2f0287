"""Channel layers: their order, choice mode against explicit per-sample weights, initial weights, freezing."""

import math

import pytest
import torch

from chordkit.backbones import CaserConfig, ChannelLinear, SASRecConfig, build, freeze_channel_layers, initialise
from chordkit.backbones.layers import attention_weights, dropout


def test_the_order_of_the_channel_layers_is_that_of_the_contract():
    per_block = ["query", "key", "value", "output", "ffn1", "ffn2"]
    sasrec = build(SASRecConfig(items=5, dim=32, blocks=2))
    assert list(sasrec.channel_layers()) == [f"blocks.{block}.{name}" for block in range(2) for name in per_block]
    caser = build(CaserConfig(items=5, dim=32, heights=(2, 3)))
    assert list(caser.channel_layers()) == ["horizontal.0", "horizontal.1", "vertical", "fc"]


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 6), (4, 3, 2, 6)])
def test_choice_mode_equals_weights_built_per_sample(shape):
    generator = torch.Generator().manual_seed(0)
    layer = ChannelLinear(6, 5).double()
    each = torch.randn((3, 5, 6), generator=generator, dtype=torch.float64)
    layer.attach_widths(each)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    choice = torch.rand((4, 5, 3), generator=generator, dtype=torch.float64, requires_grad=True)
    mixed = layer(x, choice)
    weights = torch.einsum("bow,woi->boi", choice, each)
    expected = torch.einsum("b...i,boi->b...o", x, weights) + layer.bias
    # Sums of at most 3 * 6 terms of order 1 in double precision.
    tolerance = 18 * 10 * 2.0**-52
    assert (mixed - expected).abs().max() < tolerance
    gradient = torch.autograd.grad(mixed.square().sum(), choice)[0]
    wanted = torch.autograd.grad(expected.square().sum(), choice)[0]
    assert (gradient - wanted).abs().max() < 1e3 * tolerance
    assert (mixed - layer(x, choice.flip(2))).abs().max() > 1e3 * tolerance


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 2, 6)])
def test_the_gradients_of_all_widths_go_straight_through_to_the_weight(shape):
    generator = torch.Generator().manual_seed(0)
    layer = ChannelLinear(6, 5).double()
    x = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    choice = torch.nn.functional.one_hot(torch.randint(4, (4, 5), generator=generator), 4)[..., 1:].double()  # a quarter is off
    rounded = [layer.weight.detach() + 0.1 * width for width in range(3)]
    layer.attach_widths(rounded)
    upstream = torch.randn((*shape[:-1], 5), generator=generator, dtype=torch.float64)
    found = torch.autograd.grad(layer(x, choice), (x, layer.weight, layer.bias), upstream)
    each = [value + (layer.weight - layer.weight.detach()) for value in rounded]
    weights = torch.einsum("bow,woi->boi", choice, torch.stack(each))
    expected = torch.autograd.grad(torch.einsum("b...i,boi->b...o", x, weights) + layer.bias, (x, layer.weight, layer.bias), upstream)
    for own, wanted in zip(found, expected, strict=True):
        # At most 4 * 6 samples' rows of at most 3 * 6 terms of order 1 in double precision.
        assert own.shape == wanted.shape and (own - wanted).abs().max() < 24 * 18 * 10 * 2.0**-52
    assert found[1].abs().min() > 1e-6


@pytest.mark.parametrize("length", [1, 10, 15, 16])
def test_attention_weights_of_short_rows_are_a_softmax_with_its_gradient(length):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn((3, 2, 4, length), generator=generator, dtype=torch.float64)
    scores[0, 0, 1, : length - 1] = -1e9
    scores[1, 1] = -1e9
    scores.requires_grad_()
    upstream = torch.randn(scores.shape, generator=generator, dtype=torch.float64)
    weights, expected = attention_weights(scores), torch.softmax(scores, dim=-1)
    # Sums of at most 16 terms of order 1 in double precision.
    assert (weights - expected).abs().max() < 16 * 2.0**-52
    (found,), (wanted,) = (torch.autograd.grad(each, scores, upstream) for each in (weights, expected))
    assert (found - wanted).abs().max() < 16 * 10 * 2.0**-52


def test_choice_mode_without_frozen_weights_says_what_to_do():
    with pytest.raises(RuntimeError, match="attach_widths"):
        ChannelLinear(2, 2)(torch.zeros(1, 2), torch.zeros(1, 2, 3))


def test_frozen_widths_do_not_change_the_state_dict():
    layer = ChannelLinear(2, 2)
    layer.attach_widths(list(torch.zeros(3, 2, 2)))
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_student_t_has_xavier_variance_and_heavy_tails():
    layers = {
        kind: initialise(build(SASRecConfig(items=2, dim=128)), "random", distribution=kind).blocks[0] for kind in ("student_t", "normal")
    }
    draws = {
        kind: torch.cat([getattr(block, name).weight.flatten() for name in ("query", "key", "value", "output", "ffn1", "ffn2")])
        for kind, block in layers.items()
    }
    std = math.sqrt(2 / 256)
    # t(3): P(|t| > 5 sd of t) = P(|t| > 8.66) = 0.0032; a normal has 6e-7. 98,304 draws: 0.0032 +- 0.0002.
    share = {kind: (draw.abs() > 5 * std).double().mean().item() for kind, draw in draws.items()}
    assert 0.0024 < share["student_t"] < 0.0040
    assert share["normal"] < 1e-4
    assert abs(draws["normal"].std().item() / std - 1) < 5 / math.sqrt(2 * len(draws["normal"]))


def test_freezing_leaves_embeddings_norms_and_biases_to_train():
    backbone = build(SASRecConfig(items=5, dim=32))
    trainable = freeze_channel_layers(backbone)
    frozen = {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"{name}.weight" for name in backbone.channel_layers()}
    assert len(trainable) + len(frozen) == len(list(backbone.parameters()))


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 0.999])
def test_dropout_drops_its_share_and_keeps_the_mean(probability):
    torch.manual_seed(0)
    kept = dropout(torch.ones(1001, 999), probability)
    share = min(round(probability * 256), 255) / 256
    deviation = math.sqrt(max(share * (1 - share), 1e-12) / kept.numel())
    assert abs((kept == 0).double().mean().item() - share) <= 5 * deviation
    assert kept.max().item() == pytest.approx(1 / (1 - share))
    neighbours = ((kept[:, 1:] == 0) & (kept[:, :-1] == 0)).double().mean().item()
    assert abs(neighbours - share**2) <= 10 * deviation, "the masks of one draw depend on each other"
