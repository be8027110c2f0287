"""On-device fine-tuning: what learns, that it learns, that users do not learn from each other, and where its result is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone
from chordkit.data import Dataset, SplitPart, split
from chordkit.errors import CheckpointError
from chordkit.evaluation import Models, run_evaluation, train_models
from chordkit.evaluation import finetune as module
from chordkit.evaluation.finetune import Tuned, _lessons, _small, _Tuner, _weights, finetune, load_tuned, save_tuned, summarise_tuned
from chordkit.evaluation.summary import HEADLINE, halves
from chordkit.training.loss import catalogue_loss

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def models(dataset: Dataset, backbone: Backbone, options, folder: Path) -> Models:
    return train_models(dataset, options(), 0, folder, backbone=backbone)


@pytest.fixture(scope="module")
def part(dataset: Dataset) -> SplitPart:
    return split(dataset, 6, 2, 2).test


def test_targets_are_the_newest_items_and_what_was_seen_may_be_barred() -> None:
    sequence = np.array([4, 5, 4, 6], np.int32)
    histories, goal = _lessons(sequence, 2, masked=True)
    assert histories.tolist() == [[0, 4], [4, 5], [5, 4]] and goal.targets.flatten().tolist() == [5, 4, 6]
    assert goal.barred is not None and set(zip(*goal.barred.tolist(), strict=True)) == {(0, 4), (1, 5), (2, 4), (2, 5)}
    assert _lessons(sequence, 2, masked=False)[1].barred is None
    assert len(_lessons(np.arange(1, 300, dtype=np.int32), 2, masked=False)[0]) == 100


@pytest.mark.parametrize("masked", [False, True])
def test_steps_bring_down_the_loss_on_the_users_own_items(masked: bool, models: Models, part: SplitPart) -> None:
    tuner = _Tuner(models.full.backbone, _weights(models.full.backbone), masked, None)
    sequence = part.full_history(0)
    histories, goal = _lessons(sequence, 6, masked)
    losses = []
    for _ in tuner._learn(sequence, 1e-3, (0, 1, 5)):
        with torch.no_grad():
            losses.append(float(catalogue_loss(tuner.backbone, tuner.backbone.encode(histories), goal)))
    assert losses[0] > losses[1] > losses[2]


def test_only_what_a_phone_can_train_moves(models: Models, part: SplitPart) -> None:
    for choose, moving in ((_small, "norms and biases"), (_weights, "and channel weights")):
        backbone = models.full.backbone
        tuner = _Tuner(backbone, choose(backbone), False, None)
        before = {name: parameter.detach().clone() for name, parameter in backbone.named_parameters()}
        for _ in tuner._learn(part.full_history(0), 1e-3, (1,)):
            pass
        moved = {name for name, parameter in backbone.named_parameters() if not torch.equal(parameter, before[name])}
        channels = {f"{name}.weight" for name in backbone.channel_layers()}
        assert moved == set(choose(backbone)) and "item_embedding.weight" not in moved
        assert (channels <= moved) is (moving == "and channel weights") and any("norm" in name for name in moved)
        for _ in tuner._learn(part.full_history(0), 1e-3, (0,)):
            pass


def test_a_user_does_not_learn_from_the_one_before(models: Models, part: SplitPart) -> None:
    tuner = _Tuner(models.full.backbone, _weights(models.full.backbone), False, None)
    together = tuner.states(part, 1e-3, (3,))[3]
    last = part.of_users(part.users[-1:])
    alone = tuner.states(last, 1e-3, (3,))[3]
    assert torch.equal(together[-len(last) :], alone)
    assert not torch.allclose(alone, tuner.states(last, 1e-3, (0,))[0], atol=1e-4)


def test_half_of_the_users_choose_and_all_are_measured(dataset: Dataset, models: Models, options) -> None:
    fp32, int8 = finetune(dataset, models, options(), 0, 10)
    assert (fp32.key, int8.key) == ("finetuned_fp32", "finetuned_int8")
    assert len(fp32.users) == 10 and halves(dataset.users)[fp32.users].sum() == 5
    for each in (fp32, int8):
        assert each.lr in module.LEARNING_RATES and each.steps in module.STEPS
        assert all(each.before[name].shape == (10,) and (each.before[name] != each.after[name]).any() for name in ("likelihood",))
    # Both begin with the model that the cloud trained, one of them rounded to int8.
    assert fp32.before["likelihood"] == pytest.approx(int8.before["likelihood"], abs=0.05)
    assert finetune(dataset, replace(models, full=None), options(), 0, 10) == ()


def test_gains_are_paired_and_confirmed_on_the_other_half() -> None:
    users = np.arange(100, dtype=np.int64)
    before = np.random.default_rng(0).normal(0, 5, 100).astype(np.float32)
    gain = np.where(halves(100), 1.0, -1.0).astype(np.float32)
    seeds = [(Tuned("finetuned_fp32", "", 1e-3, 5, users, dict.fromkeys(HEADLINE, before), dict.fromkeys(HEADLINE, before + gain + shift)),)
             for shift in (np.float32(0.5), np.float32(-0.5))]  # fmt: skip
    (line,) = summarise_tuned(seeds, 100)
    assert line.users == 100 and line.lrs == (1e-3, 1e-3) and line.steps == (5, 5)
    assert line.gain["likelihood"].value == pytest.approx(0.0, abs=1e-5)
    assert line.confirmed["likelihood"].value == pytest.approx(-1.0, abs=1e-5) and line.confirmed["likelihood"].high < -0.99


def test_results_are_kept_and_those_of_another_experiment_refused(
    dataset: Dataset, backbone: Backbone, options, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = np.arange(4, dtype=np.int64)
    values, later = ({"likelihood": np.arange(first, first + 4, dtype=np.float32)} for first in (0, 1))
    path = tmp_path / "tuned.safetensors"
    save_tuned(path, [Tuned("finetuned_fp32", "label", 1e-3, 5, users, values, later)], {"users": 4})
    (read,) = load_tuned(path, {"users": 4})
    assert (read.key, read.label, read.lr, read.steps) == ("finetuned_fp32", "label", 1e-3, 5) and (read.users == users).all()
    assert read.before["likelihood"].tolist() == [0, 1, 2, 3] and read.after["likelihood"].tolist() == [1, 2, 3, 4]
    with pytest.raises(CheckpointError, match=r"tuned.safetensors: .*experiment users"):
        load_tuned(path, {"users": 5})

    plan, budgets = options(seeds=(0,)), [(3.0, (2, 4, 8))]
    first = run_evaluation(dataset, plan, budgets, folder, backbone=backbone, finetuned_users=4)
    monkeypatch.setattr("chordkit.evaluation.evaluation.finetune", None)
    again = run_evaluation(dataset, plan, budgets, folder, backbone=backbone, finetuned_users=4)
    assert first.finetuned == again.finetuned and len(first.finetuned) == 2
    with pytest.raises(CheckpointError, match="users"):
        run_evaluation(dataset, plan, budgets, folder, backbone=backbone, finetuned_users=5)
