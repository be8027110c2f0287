"""The fused cross-entropy equals torch's, value and gradients, whatever the chunking."""

import pytest
import torch
from torch.nn import functional

from chordkit.training import full_softmax_loss
from chordkit.training import loss as loss_module
from chordkit.training.loss import Rows, Taught


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


def barred_pairs(targets):
    """Two classes that the rows 0, 5 and 22 are not asked about, two of them of row 0."""
    others = [[each for each in range(11) if each != target] for target in targets.tolist()]
    return torch.tensor([[0, 0, 5, 22], [others[0][0], others[0][4], others[5][2], others[22][9]]])


@pytest.mark.parametrize("chunk", [11, 50, 2_000_000])
def test_barred_classes_do_not_compete(monkeypatch, chunk):
    monkeypatch.setattr(loss_module, "_CHUNK_LOGITS", chunk)
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in [(23, 8), (11, 8), (11,)]]
    hidden, weight, bias = inputs
    targets = torch.randint(0, 11, (23,), generator=generator)
    barred = barred_pairs(targets)
    ours = full_softmax_loss(hidden, weight, Rows(targets, barred), bias)
    logits = functional.linear(hidden, weight, bias).index_put((barred[0], barred[1]), torch.tensor(-torch.inf, dtype=torch.float64))
    theirs = functional.cross_entropy(logits, targets)
    tolerance = 23 * 11 * 10 * 2.0**-52
    assert abs(ours - theirs) < tolerance
    for mine, wanted in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        assert (mine - wanted).abs().max() < tolerance
    assert abs(ours - full_softmax_loss(hidden, weight, Rows(targets), bias)) > 1e6 * tolerance


def listwise(logits, taught):
    """The definition, densely: k items and "another one", with a temperature."""
    rest = torch.ones_like(logits).scatter(1, taught.items, 0.0).log()
    outcomes = torch.cat([logits.gather(1, taught.items), torch.logsumexp(logits + rest, dim=1, keepdim=True)], dim=1)
    student, teacher = (torch.log_softmax(each / taught.temperature, dim=1) for each in (outcomes, taught.logits))
    return taught.temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


@pytest.mark.parametrize("chunk", [11, 50, 2_000_000])
@pytest.mark.parametrize(("weight_of_teacher", "temperature", "smoothing"), [(0.7, 1.0, 0.0), (0.4, 3.0, 0.1), (1.0, 0.5, 0.0)])
def test_a_list_of_a_teacher_is_followed_by_its_definition(monkeypatch, chunk, weight_of_teacher, temperature, smoothing):
    monkeypatch.setattr(loss_module, "_CHUNK_LOGITS", chunk)
    generator = torch.Generator().manual_seed(2)
    inputs = [torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in [(23, 8), (11, 8), (11,)]]
    hidden, weight, bias = inputs
    targets = torch.randint(0, 11, (23,), generator=generator)
    items = torch.stack([torch.randperm(11, generator=generator)[:4] for _ in range(23)])
    taught = Taught(items, torch.randn(23, 5, generator=generator, dtype=torch.float64), weight_of_teacher, temperature)
    ours = full_softmax_loss(hidden, weight, Rows(targets, taught=taught), bias, smoothing)
    logits = functional.linear(hidden, weight, bias)
    clicks = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    theirs = (1 - weight_of_teacher) * clicks + weight_of_teacher * listwise(logits, taught)
    tolerance = 23 * 11 * 10 * 2.0**-52
    assert abs(ours - theirs) < tolerance
    for mine, wanted in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        assert (mine - wanted).abs().max() < tolerance


def test_items_that_neither_teacher_nor_student_may_name_leave_the_loss_finite():
    generator = torch.Generator().manual_seed(3)
    hidden, weight = (torch.randn(shape, generator=generator, requires_grad=True) for shape in [(2, 4), (6, 4)])
    targets, items = torch.tensor([0, 1]), torch.tensor([[0, 1, 2], [1, 2, 3]])
    logits = torch.tensor([[0.0, -1.0, -1e4, -2.0], [0.0, -1.0, -2.0, -1e4]])
    barred = torch.tensor([[0, 1, 1, 1], [2, 0, 4, 5]])  # one of the list; and all that is beside it
    loss = full_softmax_loss(hidden, weight, Rows(targets, barred, Taught(items, logits, 0.5, 2.0)))
    assert loss.isfinite() and loss > 0
    assert all(each.isfinite().all() for each in torch.autograd.grad(loss, [hidden, weight]))
