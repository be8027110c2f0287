"""Training windows: every transition is there, padding is cut, steps are filled by targets."""

import numpy as np
import pytest
import torch

from chordkit.training.windows import TrainingWindows

SEQUENCES = [np.arange(1, 1 + length, dtype=np.int32) + 100 * user for user, length in enumerate([1, 2, 3, 9, 14, 30, 1])]


def transitions(windows: TrainingWindows, numbers: torch.Tensor, length: int) -> list[tuple[int, ...]]:
    """(history of ``length`` slots ..., target) of every target of a batch."""
    batch = windows.batch(numbers)
    positions = batch.inputs.shape[1] - windows.context
    inputs = torch.nn.functional.pad(batch.inputs, (length, 0))
    ends = batch.indices % positions + windows.context + length
    rows = batch.indices // positions
    return [(*inputs[r, e - length + 1 : e + 1].tolist(), t) for r, e, t in zip(rows, ends, batch.targets.tolist(), strict=True)]


@pytest.mark.parametrize(("positions", "context", "stride"), [(5, 0, 5), (5, 0, 2), (4, 6, 4), (10, 0, 10)])
def test_every_transition_is_predicted_from_its_own_past(positions, context, stride):
    windows = TrainingWindows(SEQUENCES, positions, context, stride)
    found = set()
    for number in range(len(windows)):
        for *past, target in transitions(windows, torch.tensor([number]), 3):
            real = [item for item in past if item]
            # Items of a user count up by one, so the past of t is t-1, t-2, ... as far as the window sees.
            assert real == list(range(target - len(real), target))
            assert real
            found.add(target)
    assert found == {int(item) for sequence in SEQUENCES for item in sequence[1:]}


@pytest.mark.parametrize(("positions", "context", "stride"), [(5, 0, 2), (4, 6, 4)])
def test_every_target_knows_its_place_in_the_sequences(positions, context, stride):
    windows, flat = TrainingWindows(SEQUENCES, positions, context, stride), np.concatenate(SEQUENCES)
    batches = [windows.batch(numbers) for numbers in torch.arange(len(windows)).split(3)]
    assert all(np.array_equal(flat[batch.places.numpy()], batch.targets.numpy()) for batch in batches)
    # Items of SEQUENCES are all different, so a target has one place; a sequence's first item is no target.
    firsts = np.cumsum([0, *map(len, SEQUENCES[:-1])])
    assert set(torch.cat([batch.places for batch in batches]).tolist()) == set(range(len(flat))) - set(firsts.tolist())


def test_without_overlap_every_target_appears_once():
    windows = TrainingWindows(SEQUENCES, 4, 6, 4)
    targets = torch.cat([windows.batch(torch.tensor([number])).targets for number in range(len(windows))])
    assert len(targets) == len(set(targets.tolist())) == sum(len(sequence) - 1 for sequence in SEQUENCES)


def test_context_reaches_the_full_history_of_each_target():
    windows = TrainingWindows(SEQUENCES, 4, 6, 4)
    for number in range(len(windows)):
        for *past, target in transitions(windows, torch.tensor([number]), 7):
            assert [item for item in past if item] == list(range(max(target // 100 * 100 + 1, target - 7), target))


@pytest.mark.parametrize("bucketing", [False, True])
def test_an_epoch_visits_every_window_once_in_steps_of_the_asked_size(bucketing):
    windows = TrainingWindows([np.arange(1, 40, dtype=np.int32)] * 50, 5, 0, 5)
    torch.manual_seed(0)
    order, sizes = windows.shuffle(64, bucketing)
    assert sorted(order.tolist()) == list(range(len(windows)))
    assert int(sizes.sum()) == len(windows)
    targets = [len(windows.batch(numbers).targets) for numbers in order.split(sizes.tolist())]
    assert sorted(targets)[1] >= 64 - 5
    assert max(targets) <= 64 + 5
    assert not torch.equal(order, windows.shuffle(64, bucketing)[0])


def test_windows_of_short_sequences_carry_no_needless_padding():
    windows = TrainingWindows(SEQUENCES, 20, 0, 20)
    short = [number for number in range(len(windows)) if windows.lengths[number] <= 2]
    assert windows.batch(torch.tensor(short)).inputs.shape == (len(short), 2)


def test_bucketing_puts_like_lengths_into_one_step():
    windows = TrainingWindows([np.arange(1, 3 + user, dtype=np.int32) for user in range(200)], 200, 0, 200)
    torch.manual_seed(0)

    def computed(bucketing: bool) -> int:
        order, sizes = windows.shuffle(500, bucketing)
        return sum(windows.batch(numbers).inputs.numel() for numbers in order.split(sizes.tolist()))

    targets = int(windows.lengths.sum())
    assert computed(True) < 1.1 * targets
    assert computed(False) > 1.3 * targets
