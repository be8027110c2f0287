"""Distillation: lessons are what the teachers say, kept in a file that refuses to be another's; students follow them, resumably."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from chordkit.backbones import Backbone, CaserConfig, SASRecConfig, build, initialise
from chordkit.data import Dataset, split, split_identity
from chordkit.errors import CheckpointError, InputError
from chordkit.training import Distillation, TrainingOptions, train_backbone
from chordkit.training.lessons import TAUGHT_ITEMS, Lessons, write_lessons
from chordkit.training.teacher import learn_lessons
from chordkit.training.trainer import CHECKPOINT_NAME

ITEMS = 120
STUDENT = SASRecConfig(items=ITEMS, max_length=10, dim=8, blocks=1)
OPTIONS = TrainingOptions(epochs=3, batch=256, lr=1e-2, stride=5, checkpoint_steps=2, averaging=0.9)


@pytest.fixture(scope="module")
def wide() -> Dataset:
    """40 users of whom each runs through the items in order, with jumps."""
    generator = np.random.default_rng(5)
    sequences = []
    for _ in range(40):
        steps = np.where(generator.random(generator.integers(6, 24)) < 0.85, 1, generator.integers(1, ITEMS))
        sequences.append((generator.integers(ITEMS) + np.cumsum(steps)) % ITEMS + 1)
    return Dataset.from_sequences("wide", sequences, item_ids=["", *map(str, range(1, ITEMS + 1))])


def teacher_of(seed: int, length: int = 12) -> Backbone:
    backbone = initialise(build(SASRecConfig(items=ITEMS, max_length=length, dim=16, blocks=1)), seed=seed).eval()
    with torch.no_grad():
        backbone.item_embedding.weight[1:] *= 10.0  # opinions, not even odds
    return backbone


@pytest.fixture(scope="module")
def teachers() -> list[Backbone]:
    return [teacher_of(1), teacher_of(2, 7)]


def lessons_of(teachers: list[Backbone], dataset: Dataset, path: Path | None = None, **more: bool) -> Lessons:
    return learn_lessons(teachers, split(dataset, 10).train, split_identity(dataset, 1, 1), path, **more)


@pytest.mark.parametrize("seen_masked", [False, True])
def test_a_lesson_is_the_mean_of_what_the_teachers_say_after_everything_before(wide, teachers, seen_masked):
    lessons, place = lessons_of(teachers, wide, seen_masked=seen_masked), 0
    for sequence in split(wide, 10).train[:6]:
        for end in range(1, len(sequence)):
            mean = torch.zeros(ITEMS)
            for teacher in teachers:
                history = np.zeros(teacher.config.max_length, np.int64)
                past = sequence[:end][-len(history) :]
                history[len(history) - len(past) :] = past
                with torch.no_grad():
                    scores = teacher.score_all(teacher.encode(torch.from_numpy(history)[None]))[0, 1:]
                if seen_masked:
                    scores[[int(item) - 1 for item in sequence[:end] if item != sequence[end]]] = -torch.inf
                mean += torch.softmax(scores, 0) / len(teachers)
            items, logits = lessons.of(torch.tensor([place + end]))
            shares = torch.softmax(logits[0], 0)
            # Half precision keeps 11 bits of a logit of at most some 30.
            assert torch.allclose(shares[:-1], mean[items[0] - 1], rtol=0.03, atol=1e-6)
            assert float(shares[-1]) == pytest.approx(1 - float(mean[items[0] - 1].sum()), abs=0.01)
            assert items.unique().numel() == TAUGHT_ITEMS and float(mean.max()) == float(mean[items[0, 0] - 1])
        place += len(sequence)
    assert len(lessons.items) == sum(map(len, split(wide, 10).train))


def test_lessons_are_made_once_and_lie_in_their_file(tmp_path, wide, teachers):
    path, told = tmp_path / "lessons.safetensors", []
    first = learn_lessons(
        teachers, split(wide, 10).train, split_identity(wide, 1, 1), path, progress=lambda *each: told.append(each)
    )  # fmt: skip
    assert told[-1][0] == "teacher" and told[-1][1] == told[-1][2] == len(first.items)
    assert str(path) in Path("/proc/self/maps").read_text()
    before = path.stat().st_mtime_ns
    again = lessons_of(teachers, wide, path)
    assert path.stat().st_mtime_ns == before and torch.equal(first.items, again.items) and torch.equal(first.logits, again.logits)
    assert load_file(path).keys() == {"items", "logits"}
    lessons_of(teachers, wide, tmp_path / "twin")
    assert (tmp_path / "twin").read_bytes() == path.read_bytes()


def test_lessons_of_something_else_are_refused(tmp_path, wide, teachers, other_dataset):
    path = tmp_path / "lessons.safetensors"
    lessons_of(teachers, wide, path)
    with pytest.raises(CheckpointError, match=r"lessons\.safetensors: .*teachers 1 = .*--lessons"):
        lessons_of(teachers[:1], wide, path)
    with pytest.raises(CheckpointError, match="teachers 0"):
        lessons_of(teachers[::-1], wide, path)
    with pytest.raises(CheckpointError, match="seen_masked = False, this run asks for True"):
        lessons_of(teachers, wide, path, seen_masked=True)
    with pytest.raises(CheckpointError, match="dataset held_out = 1, this run asks for 2"):
        learn_lessons(teachers, split(wide, 10, 2).train, split_identity(wide, 2, 1), path)
    with pytest.raises(InputError, match="teacher: all teachers must know"):
        lessons_of([teachers[0], initialise(build(dataclasses.replace(STUDENT, items=ITEMS + 1)), seed=0)], wide)


def test_damaged_lessons_are_refused(tmp_path, wide, teachers):
    path = tmp_path / "lessons.safetensors"
    lessons_of(teachers, wide, path)
    whole = path.read_bytes()
    changes = {"damaged": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "whole": lambda data: data[:-1]}
    for words, change in changes.items():
        path.write_bytes(change(whole))
        with pytest.raises(CheckpointError, match=words):
            lessons_of(teachers, wide, path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="no whole file"):
        lessons_of(teachers, wide, path)
    save_file({"items": torch.zeros(3, 2, dtype=torch.int32), "logits": torch.zeros(3, 3)}, path, {"chordkit": "{}", "sha256": "0"})
    with pytest.raises(CheckpointError, match=r"teachers"):
        lessons_of(teachers, wide, path)


def test_a_lesson_about_no_item_is_refused_whatever_its_checksum_says(tmp_path, wide, teachers):
    path = tmp_path / "lessons.safetensors"
    lessons = lessons_of(teachers, wide, path)
    items, logits = lessons.items.clone(), lessons.logits.clone()
    items[7, 3] = ITEMS + 1
    identity = {"teachers": {}}
    write_lessons(path, identity, len(items), [(items[:5], logits[:5]), (items[5:], logits[5:])])
    with pytest.raises(CheckpointError, match="about no item"):
        Lessons(path, identity, len(items), ITEMS)
    Lessons(path, identity, len(items), ITEMS + 1)
    with pytest.raises(CheckpointError, match="no whole file"):
        Lessons(path, identity, len(items) + 1, ITEMS + 1)


@pytest.mark.parametrize("config", [STUDENT, CaserConfig(items=ITEMS, max_length=10, dim=8, heights=(2,), filters=4, vertical_filters=2)])
def test_an_interrupted_student_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, wide, teachers, config):
    class StopTraining(Exception):
        pass

    def stop(phase, done, total):
        if phase == "training" and done == 3:
            raise StopTraining

    distillation = Distillation(teachers, weight=0.7, temperature=2.0)
    whole = train_backbone(wide, config, OPTIONS, distillation=distillation)
    with pytest.raises(StopTraining):
        train_backbone(wide, config, OPTIONS, tmp_path, stop, distillation=distillation)
    resumed = train_backbone(wide, config, OPTIONS, tmp_path, distillation=distillation)
    alone = train_backbone(wide, config, OPTIONS)
    left, right, other = (each.backbone.state_dict() for each in (whole, resumed, alone))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert any(not torch.equal(left[name], other[name]) for name in left)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lessons.safetensors", CHECKPOINT_NAME]
    for changed, words in (
        ({"weight": 0.6}, "weight"),
        ({"temperature": 1.0}, "temperature"),
        ({"teachers": teachers[:1]}, "lessons.*1 = "),
    ):
        with pytest.raises(CheckpointError, match=words):
            train_backbone(wide, config, OPTIONS, tmp_path, distillation=dataclasses.replace(distillation, **changed))
    with pytest.raises(CheckpointError, match="teachers 0"):
        train_backbone(wide, config, OPTIONS, tmp_path)


def test_a_student_comes_to_say_what_its_teacher_says(wide):
    teacher = teacher_of(3, 10)
    histories = torch.from_numpy(split(wide, 10).test.histories).long()
    with torch.no_grad():
        wanted = torch.softmax(teacher.score_all(teacher.encode(histories))[:, 1:], 1)

    def distance(distillation):
        student = train_backbone(wide, STUDENT, dataclasses.replace(OPTIONS, epochs=12, patience=12), distillation=distillation).backbone
        with torch.no_grad():
            found = torch.log_softmax(student.score_all(student.encode(histories))[:, 1:], 1)
        return float((wanted * (wanted.clamp(min=1e-30).log() - found)).sum(1).mean())

    assert distance(Distillation([teacher], weight=1.0)) < 0.7 * distance(None)


def test_impossible_teaching_is_refused(teachers):
    with pytest.raises(InputError, match=r"teacher_weight = 1\.5"):
        Distillation(teachers, weight=1.5)
    with pytest.raises(InputError, match="teacher_temperature = 0"):
        Distillation(teachers, temperature=0)
    with pytest.raises(InputError, match="no teacher"):
        Distillation([])
