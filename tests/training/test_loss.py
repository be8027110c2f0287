"""The fused cross-entropy equals torch's, value and gradients, whatever the chunking."""

import pytest
import torch
from torch.nn import functional

from chordkit.training import full_softmax_loss
from chordkit.training import loss as loss_module
from chordkit.training.loss import Rows


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


@pytest.mark.parametrize("chunk", [11, 50, 2_000_000])
def test_several_targets_and_barred_classes_are_those_of_a_dense_distribution(monkeypatch, chunk):
    monkeypatch.setattr(loss_module, "_CHUNK_LOGITS", chunk)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn((23, 8), generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn((11, 8), generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn((11,), generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.stack([torch.randperm(11, generator=generator)[:3] for _ in range(23)])
    shares = torch.softmax(torch.randn((23, 3), generator=generator, dtype=torch.float64), dim=1)
    barred = torch.tensor([[0, 0, 5, 22], [0, 0, 0, 0]])
    barred[1] = torch.tensor([next(each for each in range(10, -1, -1) if each not in targets[row]) for row in barred[0].tolist()])
    barred[1, 1] = next(each for each in range(11) if each not in targets[0])
    ours = full_softmax_loss(hidden, weight, Rows(targets, shares, barred), bias)
    logits = functional.linear(hidden, weight, bias).index_put((barred[0], barred[1]), torch.tensor(-torch.inf, dtype=torch.float64))
    logs = torch.log_softmax(logits, dim=1)
    theirs = -(shares * logs.gather(1, targets)).sum(dim=1).mean()
    tolerance = 23 * 11 * 10 * 2.0**-52
    assert abs(ours - theirs) < tolerance
    inputs = [hidden, weight, bias]
    for mine, wanted in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        assert (mine - wanted).abs().max() < tolerance
    assert abs(ours - full_softmax_loss(hidden, weight, Rows(targets, shares), bias)) > 1e6 * tolerance
