"""The fused cross-entropy equals torch's, value and gradients, whatever the chunking."""

import pytest
import torch
from torch.nn import functional

from chordkit.training import full_softmax_loss
from chordkit.training import loss as loss_module


@pytest.mark.parametrize("chunk", [11, 50, 2_000_000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [False, True])
def test_value_and_gradients_are_those_of_torch(monkeypatch, chunk, smoothing, with_bias):
    monkeypatch.setattr(loss_module, "_CHUNK_LOGITS", chunk)
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in [(37, 8), (11, 8), (11,)]
    )
    targets = torch.randint(0, 11, (37,), generator=generator)
    inputs = [hidden, weight, bias] if with_bias else [hidden, weight]
    ours = full_softmax_loss(hidden, weight, targets, bias if with_bias else None, smoothing)
    logits = functional.linear(hidden, weight, bias if with_bias else None)
    theirs = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    # At most 37 * 11 additions of terms of order 10 in double precision.
    tolerance = 37 * 11 * 10 * 2.0**-52
    assert abs(ours - theirs) < tolerance
    for mine, wanted in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        assert (mine - wanted).abs().max() < tolerance
    assert abs(ours - full_softmax_loss(hidden, weight, (targets + 1) % 11)) > 1e6 * tolerance
