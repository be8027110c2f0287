"""Generated weights: what a user's layer computes, that it is learned, and that nothing leaks between users."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from chordkit.backbones import Backbone, CaserConfig, build, initialise
from chordkit.data import Dataset, SplitPart, split
from chordkit.errors import CheckpointError
from chordkit.evaluation.duet import RANK, Duet, train_duet
from chordkit.evaluation.experiment import fp32_options

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def part(dataset: Dataset) -> SplitPart:
    return split(dataset, 6, 2, 2).test


@pytest.fixture(scope="module")
def trained(dataset: Dataset, backbone: Backbone, options) -> Duet:
    plan = replace(fp32_options(options().personal), epochs=3)
    duet = train_duet(dataset, backbone, plan, held_out=2, validation=2)
    assert duet is not None
    return duet


def test_the_last_layer_has_each_users_own_weights(trained: Duet, part: SplitPart) -> None:
    layer = trained.backbone.channel_layers()[trained.layer]
    up, down = trained.generate(torch.from_numpy(part.recent(12)[:3]))
    assert up.shape == (3, RANK, 16) and down.shape == (3, RANK, 16)
    x = torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))
    with trained.personal(up, down):
        found = layer(x)
    for user in range(3):
        own = layer.weight + up[user].T @ down[user]
        assert torch.allclose(found[user], functional.linear(x[user], own, layer.bias), atol=1e-5)
        assert not torch.allclose(found[user], layer(x)[user], atol=1e-4)
    # Outside the block the layer is everybody's again.
    assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))


def test_an_untrained_one_is_the_backbone_that_it_was_given(backbone: Backbone, dataset: Dataset, options) -> None:
    untrained, part = Duet(backbone, options().personal), split(dataset, 10, 2, 2).test
    assert torch.equal(untrained.states(part), backbone.encode(torch.from_numpy(part.histories).long()))


def test_a_row_depends_on_its_own_history_alone(trained: Duet, part: SplitPart) -> None:
    whole = trained.states(part)
    last = part.of_users(part.users[-1:])
    assert torch.allclose(trained.states(last), whole[-len(last) :], atol=1e-6)
    shipped = trained.quantised()
    assert not torch.equal(shipped.states(part), whole) and torch.allclose(shipped.states(part), whole, atol=0.2)


def test_training_goes_on_where_it_stopped_and_refuses_another_run(
    dataset: Dataset, backbone: Backbone, options, trained: Duet, tmp_path: Path
) -> None:
    plan = replace(fp32_options(options().personal), epochs=3)

    def stop(phase: str, done: int, total: int) -> None:
        if done == 2 * total // 3 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_duet(dataset, backbone, plan, tmp_path, stop, held_out=2, validation=2)
    resumed = train_duet(dataset, backbone, plan, tmp_path, held_out=2, validation=2)
    assert resumed is not None
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), trained.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="options"):
        train_duet(dataset, backbone, replace(plan, seed=1), tmp_path, held_out=2, validation=2)


def test_held_out_items_are_not_trained_on(dataset: Dataset, backbone: Backbone, options, trained: Duet) -> None:
    sequences = [sequence.copy() for sequence in dataset.sequences]
    first = split(dataset, 6, 2, 2).valid
    for user, sequence in enumerate(sequences):
        kept = int((first.stops - first.starts)[first.users == user].min())
        sequence[kept:] = sequence[kept:][::-1] % dataset.items + 1
    changed = Dataset.from_sequences("changed", sequences, dataset.item_ids, dataset.user_ids)
    plan = replace(fp32_options(options().personal), epochs=1)
    first_run, second_run = (train_duet(each, backbone, plan, held_out=2, validation=2) for each in (dataset, changed))
    assert first_run is not None and second_run is not None and changed.fingerprint != dataset.fingerprint
    assert all(torch.equal(a, b) for a, b in zip(first_run.parameters(), second_run.parameters(), strict=True))


def test_a_backbone_with_one_state_per_history_has_no_such_rival(dataset: Dataset, options) -> None:
    caser = initialise(build(CaserConfig(items=dataset.items, max_length=6, dim=8, heights=(2,), filters=4, vertical_filters=1)), seed=1)
    assert train_duet(dataset, caser, replace(fp32_options(options().personal), window=0), held_out=2, validation=2) is None
    assert np.isfinite(caser.item_embedding.weight.detach().numpy()).all()
