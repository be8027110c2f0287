"""``train --teacher``: a student of another size, what its file says of its teacher, and lessons that several students share."""

from pathlib import Path

import pytest

from chordkit.training import load_backbone
from tests.conftest import Command, Project


@pytest.fixture
def student(project: Project, command: Command, tmp_path: Path):
    """Trains a smaller backbone with the project's as its teacher."""
    line = ("train", "backbone", "--data", project / "shop.safetensors", "--dim", 8, "--max-length", 12, "--epochs", 1, "--json")

    def run(*more: object):
        return command(*line, "--teacher", project / "b.safetensors", "--out", tmp_path / "s.safetensors", *more)

    return run


def test_a_student_of_another_size_says_who_taught_it(student, tmp_path: Path) -> None:
    said = student("--teacher-weight", 0.9, "--teacher-temperature", 2).json
    backbone, provenance = load_backbone(said["file"])
    assert backbone.config.dim == 8 and provenance["distillation"] == said["distillation"]
    assert said["distillation"]["weight"] == 0.9 and said["distillation"]["temperature"] == 2.0
    assert list(said["distillation"]["teachers"]) == ["b.safetensors"] and len(said["distillation"]["teachers"]["b.safetensors"]) == 64
    lessons = tmp_path / "s.safetensors.checkpoints" / "lessons.safetensors"
    before = lessons.stat().st_mtime_ns
    assert "teacher_weight" not in said["options"] and student("--teacher-weight", 0.9, "--teacher-temperature", 2).json == said
    assert lessons.stat().st_mtime_ns == before
    refused = student()
    assert refused.status == 2 and "temperature = 2.0, this run asks for 1.0" in refused.err and "--restart" in refused.err
    assert student("--restart").status == 0 and lessons.stat().st_mtime_ns > before


def test_lessons_are_shared_and_a_teacher_that_has_seen_the_test_is_told(student, tmp_path: Path) -> None:
    lessons = tmp_path / "lessons.safetensors"
    assert student("--lessons", lessons).status == 0
    before = lessons.stat().st_mtime_ns
    assert student("--lessons", lessons, "--restart", "--seed", 1).status == 0 and lessons.stat().st_mtime_ns == before
    refused = student("--lessons", lessons, "--restart", "--held-out", 2)
    assert refused.status == 2 and "held_out = 1, this run asks for 2" in refused.err and "--lessons" in refused.err
    assert "b.safetensors: it has learned from" in refused.err and "that test here" in refused.err
