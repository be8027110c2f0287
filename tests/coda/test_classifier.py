"""The classifier finds a border that was planted, by classifiers that have not seen what they judge."""

import numpy as np
import pytest
import torch

from chordkit.coda.classifier import Border, describe, fit, inner, loss, probabilities
from chordkit.coda.learning import Head, Lessons


def planted(seed: int, count: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local features, outside ones of which every third source (a run of ten) is of the user's kind, and which those are."""
    generator = np.random.default_rng(seed)
    kind = (np.arange(count) // 10) % 3 == 0
    centre = np.zeros(6)
    centre[:2] = 2.0
    outside = generator.normal(size=(count, 6)) + np.where(kind[:, None], centre, -centre)
    return generator.normal(size=(40, 6)) + centre, outside, kind


def test_a_planted_border_is_found() -> None:
    local, outside, kind = planted(0)
    inside = probabilities(local, outside)
    assert ((inside > 0.5) == kind).mean() > 0.9
    # The correction for unlabelled positives: they are not called outside for having come from there.
    assert inside[kind].mean() > 0.7 and inside[~kind].mean() < 0.25
    kept = inner(inside, 1 / 3)
    assert len(kept) == 30 and kind[kept].mean() > 0.9 and (np.diff(kept) > 0).all()


def test_where_there_is_no_border_none_is_found() -> None:
    generator = np.random.default_rng(1)
    # Few local samples among many: without the correction every outside one were improbable.
    assert probabilities(generator.normal(size=(30, 4)), generator.normal(size=(150, 4))).mean() > 0.7
    # As many features as samples: whoever judged what it has learned by heart would see a border.
    wide = probabilities(generator.normal(size=(60, 100)), generator.normal(size=(60, 100)))
    assert np.median(wide) > 0.5


def test_the_same_samples_get_the_same_probabilities() -> None:
    local, outside, _ = planted(2)
    assert probabilities(local, outside).tobytes() == probabilities(local, outside).tobytes()


def test_the_gradient_is_that_of_autograd_and_vanishes_where_the_fit_ends() -> None:
    local, outside, _ = planted(3)
    features, labels = np.concatenate([local, outside]), np.repeat([1.0, 0.0], [len(local), len(outside)])
    at = np.random.default_rng(0).normal(size=7)
    weights = torch.from_numpy(at.copy()).requires_grad_()
    scores = torch.from_numpy(features) @ weights[:-1] + weights[-1]
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(labels)) + 0.1 * weights[:-1].square().sum()
    value, gradient = loss(at, features, labels, 0.2)
    (slopes,) = torch.autograd.grad(wanted, weights)
    assert value == pytest.approx(float(wanted.detach()), abs=1e-12)
    np.testing.assert_allclose(gradient, slopes.numpy(), atol=1e-12)
    found = fit(features, labels, Border(steps=300, decay=0.2))
    assert np.abs(loss(found, features, labels, 0.2)[1]).max() < 1e-4


def test_a_sample_is_described_by_its_state_and_its_item() -> None:
    head = Head(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]]))
    some = Lessons(np.array([[5.0, 0.0], [0.0, 0.0]]), np.array([1, 2], np.int32), np.zeros((2, 1), np.int32))
    np.testing.assert_allclose(describe(head, some), [[1, 0, 0.6, 0.8], [0, 0, 0, 1]])
