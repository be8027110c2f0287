"""An adapter's loss and gradient are those of autograd, and its zero is nothing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chordkit.coda.adapter import RANK, Adapter, projection
from chordkit.coda.learning import PARTS, Candidates, Exam, Head, Lessons, Steps, start, train

Draw = Callable[..., Lessons]


def moved(adapter: Adapter, seed: int = 5) -> Adapter:
    return adapter.with_values(np.random.default_rng(seed).normal(size=len(adapter.values)) * 0.2)


def by_autograd(head: Head, lessons: Lessons, candidates: Candidates, adapter: Adapter, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """The same loss as one would write it in torch, over a dense table of biases."""
    dim, values = adapter.dim, torch.from_numpy(adapter.values.copy()).requires_grad_()
    hidden = torch.from_numpy(lessons.states)
    up = values[2 * dim : (2 + RANK) * dim].view(dim, RANK)
    states = hidden * (1 + values[:dim]) + values[dim : 2 * dim] + hidden @ torch.from_numpy(projection(dim)).T @ up.T
    bias = torch.zeros(head.items + 1, dtype=torch.float64).index_put((torch.from_numpy(adapter.items).long(),), values[(2 + RANK) * dim :])
    scores = states @ torch.from_numpy(head.table).T + bias + (0 if head.bias is None else torch.from_numpy(head.bias))
    for row, items in enumerate(lessons.seen):
        scores[row, [item for item in items if item != lessons.targets[row]]] = -torch.inf
    inside = torch.from_numpy(candidates.items).long()
    logits = scores[:, inside] + torch.from_numpy(candidates.offsets)
    own = torch.from_numpy(np.searchsorted(candidates.items, lessons.targets))
    losses = torch.nn.functional.cross_entropy(logits, own, reduction="none")
    loss = (losses * torch.from_numpy(weights)).sum() / weights.sum()
    (gradient,) = torch.autograd.grad(loss, values)
    return loss.item(), gradient.numpy()


@pytest.mark.parametrize("biased", [True, False])
def test_loss_and_gradient_are_those_of_autograd_and_of_differences(head: Head, lessons: Draw, biased: bool) -> None:
    head = head if biased else Head(head.table)
    some = lessons(head, 20, 1)
    some.seen[:3, 0] = some.targets[:3]  # what is met again competes
    candidates = Candidates.choose(some.targets, head.items, 10)
    exam, adapter, weights = Exam(head, some, candidates), moved(start(head, some)), np.random.default_rng(2).uniform(0.1, 1, 20)
    loss, gradient = exam.loss(adapter, weights)
    wanted, slopes = by_autograd(head, some, candidates, adapter, weights)
    assert loss == pytest.approx(wanted, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes, atol=1e-12)
    assert loss == pytest.approx(-float((exam.likelihoods(adapter) * weights).sum() / weights.sum()), abs=1e-12)
    step = 1e-5  # central differences: an error of step ** 2
    for place in range(0, len(gradient), 7):
        by = np.zeros_like(gradient)
        by[place] = step
        ends = [exam.loss(adapter.with_values(adapter.values + sign * by), weights)[0] for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient[place], abs=1e-8)


def test_float32_is_near_float64(head: Head, lessons: Draw) -> None:
    some, weights = lessons(head, 40, 1), np.ones(40)
    single = Head(head.table.astype(np.float32), None)
    fewer = Lessons(some.states.astype(np.float32), some.targets, some.seen)
    candidates = Candidates.choose(some.targets, head.items, 10)
    found = train(Exam(single, fewer, candidates), weights.astype(np.float32), start(single, fewer), Steps(10, 0.02))
    wanted = train(Exam(Head(head.table), some, candidates), weights, start(Head(head.table), some), Steps(10, 0.02))
    assert found.values.dtype == np.float32 and wanted.values.dtype == np.float64
    # Ten steps of at most 0.02; Adam divides two small numbers where a gradient nearly vanishes.
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-3)


def test_zero_changes_nothing_bit_for_bit(head: Head, lessons: Draw) -> None:
    states = lessons(head, 30, 1).states.astype(np.float32)
    states[0, 0] = -0.0
    zero = Adapter.zero(head.dim, np.array([3, 9]))
    assert zero.states(states).tobytes() == states.tobytes()
    assert not zero.biases(np.arange(head.items + 1)).any()
    nothing = train(Exam(head, lessons(head, 9, 1), Candidates.choose(np.array([1]), head.items, 40)), np.ones(9), zero, Steps(0))
    assert nothing.values.tobytes() == zero.values.tobytes()


def test_no_steps_and_no_parts_leave_zero(head: Head, lessons: Draw) -> None:
    some = lessons(head, 9, 1)
    exam = Exam(head, some, Candidates.choose(some.targets, head.items, 5))
    for steps in (Steps(0), Steps(5, parts=())):
        assert not train(exam, np.ones(9), start(head, some), steps).values.any()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", ["adam", "sgd"])
def test_only_what_is_to_learn_learns_and_the_loss_falls(head: Head, lessons: Draw, part: str, method: str) -> None:
    some, weights = lessons(head, 60, 1, shift=1.0), np.ones(60)
    exam, zero = Exam(head, some, Candidates.choose(some.targets, head.items, 40)), start(head, some)
    found = train(exam, weights, zero, Steps(10, 0.02, method, (part,)))
    learned = {"affine": found.gain.any() and found.shift.any(), "lowrank": found.up.any(), "bias": found.bias.any()}
    assert learned == {name: name == part for name in PARTS}
    assert exam.loss(found, weights)[0] < exam.loss(zero, weights)[0]
    assert found.values.tobytes() == train(exam, weights, zero, Steps(10, 0.02, method, (part,))).values.tobytes()


def test_all_candidates_are_the_whole_catalogue_and_few_stand_for_all(head: Head, lessons: Draw) -> None:
    some = lessons(head, 50, 1)
    targets = np.unique(some.targets)[:3]
    some = some.take(np.flatnonzero(np.isin(some.targets, targets)))
    everything = Candidates.choose(some.targets, head.items, head.items)
    assert everything.items.tolist() == list(range(1, head.items + 1)) and not everything.offsets.any()
    few = Candidates.choose(some.targets, head.items, 9)
    assert len(few.items) == len(targets) + 9 and set(targets) <= set(few.items.tolist())
    assert np.exp(few.offsets).sum() == pytest.approx(head.items)
    none = Candidates.choose(some.targets, head.items, 0)
    assert none.items.tolist() == targets.tolist()


def test_a_bias_of_an_item_that_does_not_compete_gets_no_gradient(head: Head, lessons: Draw) -> None:
    some = lessons(head, 10, 1)
    outside = np.setdiff1d(np.arange(1, head.items + 1), some.targets)[:2]
    adapter = Adapter.zero(head.dim, outside)
    gradient = Exam(head, some, Candidates.choose(some.targets, head.items, 0)).loss(adapter, np.ones(10))[1]
    assert gradient[:-2].any() and not gradient[-2:].any()
