"""Training learns, repeats itself, and goes on after an interruption as if there had been none."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig
from chordkit.errors import CheckpointError, DataError, InputError
from chordkit.training import TrainingOptions, train_backbone
from chordkit.training.trainer import CHECKPOINT_NAME

pytestmark = pytest.mark.long

SASREC = SASRecConfig(items=24, max_length=10, dim=16, blocks=1, dropout=0.2)
CASER = CaserConfig(items=24, max_length=10, dim=16, heights=(1, 2), filters=4, vertical_filters=2, item_bias=True, dropout=0.2)
OPTIONS = TrainingOptions(epochs=4, batch=128, lr=1e-2, stride=5, checkpoint_steps=2, averaging=0.9)
CONFIGS = pytest.mark.parametrize("config", [SASREC, CASER], ids=lambda config: config.architecture)


class StopTraining(Exception):
    pass


def weights_of(result):
    return result.backbone.state_dict()


def same(a, b):
    left, right = weights_of(a), weights_of(b)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def stop_at(step):
    def progress(phase, done, total):
        if done == step:
            raise StopTraining

    return progress


def first_step(seen):
    def progress(phase, done, total):
        seen.append(done)
        raise StopTraining

    return progress


@CONFIGS
def test_training_learns_the_chain_and_keeps_the_best_epoch(dataset, config):
    result = train_backbone(dataset, config, dataclasses.replace(OPTIONS, epochs=40, patience=8, lr=2e-2))
    # A random ranking of 24 items has NDCG@10 of 0.19; the chain's successor is right 85 times in 100.
    assert result.metrics["test"].ndcg10.value > 0.6
    scores = [record["valid_ndcg10"] for record in result.history]
    assert result.best_epoch == scores.index(max(scores))
    assert result.metrics["valid"].ndcg10.value == pytest.approx(max(scores), abs=1e-9)
    assert len(scores) == 40 or len(scores) == result.best_epoch + 8 + 1
    assert not weights_of(result)["item_embedding.weight"][0].any()
    assert {metrics.protocol for metrics in result.metrics.values()} == {"full", "masked", "negatives-100"}


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone(dataset):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train_backbone(dataset, SASREC, OPTIONS)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(first, train_backbone(dataset, SASREC, OPTIONS))
    assert not same(first, train_backbone(dataset, SASREC, dataclasses.replace(OPTIONS, seed=1)))


@CONFIGS
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_an_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, dataset, config, averaging):
    options = dataclasses.replace(OPTIONS, averaging=averaging)
    whole = train_backbone(dataset, config, options)
    repeated = []
    for stop in (1, 4, 7, 12, 13, 17):
        with pytest.raises(StopTraining):
            train_backbone(dataset, config, options, tmp_path, stop_at(stop))
        seen = []
        with pytest.raises(StopTraining):
            train_backbone(dataset, config, options, tmp_path, first_step(seen))
        repeated.append(stop - seen[0])
    # With a checkpoint every two steps, the step that was interrupted and at most one before it are done again.
    assert max(repeated) < 2
    resumed = train_backbone(dataset, config, options, tmp_path)
    assert same(whole, resumed)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch


def test_a_half_written_checkpoint_is_swept_away_and_never_read(tmp_path, dataset):
    with pytest.raises(StopTraining):
        train_backbone(dataset, SASREC, OPTIONS, tmp_path, stop_at(5))
    (tmp_path / ".chordkit-0123abcd.partial").write_bytes((tmp_path / CHECKPOINT_NAME).read_bytes()[:1000])
    resumed = train_backbone(dataset, SASREC, OPTIONS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_NAME]
    assert same(resumed, train_backbone(dataset, SASREC, OPTIONS))


def test_a_finished_run_is_not_trained_again(tmp_path, dataset):
    first = train_backbone(dataset, SASREC, OPTIONS, tmp_path)
    calls = []
    again = train_backbone(dataset, SASREC, OPTIONS, tmp_path, lambda phase, done, total: calls.append(done))
    assert len(calls) == 1
    assert same(first, again)


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
from conftest import chain
from test_trainer import OPTIONS, SASREC
from chordkit.training import train_backbone

def progress(phase, done, total):
    print(done, flush=True)

train_backbone(chain(0), SASREC, OPTIONS, sys.argv[1], progress)
"""


def test_a_run_killed_by_the_system_goes_on_to_the_same_bits(tmp_path, dataset):
    whole = train_backbone(dataset, SASREC, OPTIONS)
    here = os.path.dirname(__file__)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), here], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) == 7:
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait(timeout=60) == -signal.SIGKILL
    seen = []
    resumed = train_backbone(dataset, SASREC, OPTIONS, tmp_path, lambda phase, done, total: seen.append(done))
    assert seen[0] > 1, "it began anew"
    assert same(whole, resumed)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"options": dataclasses.replace(OPTIONS, lr=5e-3)}, "options lr"),
        ({"options": dataclasses.replace(OPTIONS, seed=3)}, "options seed"),
        ({"config": dataclasses.replace(SASREC, dropout=0.1)}, "configuration dropout"),
        ({"config": CASER}, "configuration activation"),
        ({"dataset": "other"}, "dataset"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_mend(tmp_path, dataset, other_dataset, change, field):
    arguments = {"dataset": dataset, "config": SASREC, "options": OPTIONS}
    with pytest.raises(StopTraining):
        train_backbone(**arguments, checkpoint_dir=tmp_path, progress=stop_at(5))
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()
    arguments |= {name: other_dataset if value == "other" else value for name, value in change.items()}
    with pytest.raises(CheckpointError, match=f"{CHECKPOINT_NAME}.*{field}.*another checkpoint folder"):
        train_backbone(**arguments, checkpoint_dir=tmp_path)
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before


def test_a_split_by_time_trains_on_what_came_before_and_resumes_as_itself_alone(tmp_path, dataset):
    # All interactions of a user in one second, the users one after the other: who came late has nothing that trains.
    times = np.repeat(np.arange(dataset.users), dataset.lengths).astype(np.int64)
    timed = dataclasses.replace(dataset, times=times, provenance={"times": "as the file counts"})
    late = dataclasses.replace(timed, flat=np.where(times >= 40, timed.flat % dataset.items + 1, timed.flat).astype(np.int32))
    named = {"config": SASREC, "options": OPTIONS, "split_at": "40,50"}
    first, second = (train_backbone(each, **named, checkpoint_dir=tmp_path / each.fingerprint) for each in (timed, late))
    assert [record["loss"] for record in first.history] == [record["loss"] for record in second.history]
    assert first.metrics["valid"].to_json()["users"] == 10 and first.metrics["test"].to_json()["users"] == 10
    for other in ({"split_at": "30,50"}, {"split_at": None}):
        with pytest.raises(CheckpointError, match=r"dataset.*another checkpoint folder"):
            train_backbone(timed, **(named | other), checkpoint_dir=tmp_path / timed.fingerprint)


def test_how_often_a_checkpoint_is_written_may_change(tmp_path, dataset):
    with pytest.raises(StopTraining):
        train_backbone(dataset, SASREC, OPTIONS, tmp_path, stop_at(5))
    resumed = train_backbone(dataset, SASREC, dataclasses.replace(OPTIONS, checkpoint_steps=0), tmp_path)
    assert same(resumed, train_backbone(dataset, SASREC, OPTIONS))


def test_a_damaged_checkpoint_is_refused(tmp_path, dataset):
    with pytest.raises(StopTraining):
        train_backbone(dataset, SASREC, OPTIONS, tmp_path, stop_at(5))
    path = tmp_path / CHECKPOINT_NAME
    data = path.read_bytes()
    step = max(1, len(data) // 40)
    for position in [0, 9, *range(20, len(data), step), len(data) - 1]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        with pytest.raises(CheckpointError, match="delete it"):
            train_backbone(dataset, SASREC, OPTIONS, tmp_path)
    for size in (0, 5, 100, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(CheckpointError, match="delete it"):
            train_backbone(dataset, SASREC, OPTIONS, tmp_path)


def test_progress_counts_steps_up_to_the_promised_total(dataset):
    calls = []
    train_backbone(dataset, SASREC, dataclasses.replace(OPTIONS, epochs=2), progress=lambda *call: calls.append(call))
    assert {phase for phase, _, _ in calls} == {"training"}
    assert [done for _, done, _ in calls[:-1]] == list(range(1, len(calls)))
    assert all(done <= total for _, done, total in calls)
    assert calls[-1][1] == calls[-1][2]


def test_wrong_input_is_one_sentence(dataset):
    with pytest.raises(DataError, match="24 items"):
        train_backbone(dataset, dataclasses.replace(SASREC, items=25), OPTIONS)
    for device in ("tpu9", "meta"):
        with pytest.raises(InputError, match="device"):
            train_backbone(dataset, SASREC, dataclasses.replace(OPTIONS, device=device))
    for field, value in [("lr", 0.0), ("batch", 0), ("averaging", 1.0), ("smoothing", -0.1), ("warmup", -1)]:
        with pytest.raises(InputError, match=field):
            dataclasses.replace(OPTIONS, **{field: value})
    with pytest.raises(InputError, match="lower lr"):
        train_backbone(dataset, SASREC, dataclasses.replace(OPTIONS, lr=1e20))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda_learns_and_resumes(tmp_path, dataset):
    options = dataclasses.replace(OPTIONS, device="cuda", epochs=20, lr=2e-2)
    with pytest.raises(StopTraining):
        train_backbone(dataset, SASREC, options, tmp_path, stop_at(9))
    result = train_backbone(dataset, SASREC, options, tmp_path)
    assert result.metrics["test"].ndcg10.value > 0.5
    assert next(result.backbone.parameters()).device.type == "cpu"


def test_the_options_are_json(dataset):
    assert json.loads(json.dumps(OPTIONS.to_json())) == OPTIONS.to_json()
