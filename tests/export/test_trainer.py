"""A trainer's file on ExecuTorch: it trains as torch and the closed form do, whatever is given to it."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("executorch")

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.coda.adapter import Adapter
from chordkit.coda.learning import PARTS, Candidates, Exam, Head, Lessons, Steps, start, train
from chordkit.errors import CapabilityError, CheckFailed, InputError, MissingRuntimeError
from chordkit.export.targets import find_target
from chordkit.export.trainer import Batch, TrainerProgram, TrainerShape, check_trainer, judge_trainer, make_trainer
from chordkit.export.trainer.graph import AdapterLoss, EagerTrainer
from chordkit.export.trainer.program import lower

SHAPE = TrainerShape(dim=8, lessons=24, candidates=40)
ITEMS = 60


@pytest.fixture(scope="module")
def file() -> bytes:
    return make_trainer(SHAPE)[0]


@pytest.fixture(scope="module")
def program(file: bytes) -> TrainerProgram:
    return TrainerProgram(file)


def lesson_set(count: int, seed: int = 1) -> tuple[Head, Lessons, Candidates, np.ndarray]:
    generator = np.random.default_rng(seed)
    head = Head(generator.normal(size=(ITEMS + 1, SHAPE.dim)).astype(np.float32), generator.normal(size=ITEMS + 1).astype(np.float32))
    targets = generator.integers(1, 15, count).astype(np.int32)
    seen = generator.integers(0, ITEMS + 1, (count, 5)).astype(np.int32)
    lessons = Lessons(generator.normal(size=(count, SHAPE.dim)).astype(np.float32), targets, seen)
    return head, lessons, Candidates.choose(targets, ITEMS, 9), generator.uniform(0.2, 1, count).astype(np.float32)


def test_it_is_within_rounding_of_torch_after_twenty_steps(program: TrainerProgram) -> None:
    report = judge_trainer(program)
    assert report.passed and report.shape == program.shape == SHAPE
    for case in report.cases:
        assert case.from_torch < 1.5e-6 and case.error < case.allowed < 1e-4 * case.moved


@pytest.mark.parametrize("count", [1, 7, 24])
@pytest.mark.parametrize("parts", [PARTS, *((part,) for part in PARTS)], ids="+".join)
def test_any_number_of_lessons_and_parts_trains_as_the_closed_form(program: TrainerProgram, count: int, parts: tuple[str, ...]) -> None:
    head, lessons, candidates, weights = lesson_set(count)
    begun = start(head, lessons)
    begun = begun.with_values((0.1 * np.random.default_rng(2).normal(size=len(begun.values))).astype(np.float32))
    steps = Steps(10, 0.02, "sgd", parts, decay=0.1)
    wanted = train(Exam(head, lessons, candidates), weights, begun, steps)
    found = program.train(Batch.of(SHAPE, head, lessons, candidates, weights, begun), begun, steps)
    assert found.values.dtype == np.float32 and (found.items == begun.items).all()
    # Two float32 runs: 4 sqrt(40) roundoffs a sum, three sums in series, ten steps of rate 0.02 that momentum makes ten times as long.
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=10 * 0.02 * 10 * 3 * 4 * np.sqrt(40) * 2.0**-24)
    assert np.abs(wanted.values - begun.values).max() > 0.02


@pytest.mark.parametrize("run", [0, 1])
def test_the_golden_trainings_come_out(program: TrainerProgram, run: int) -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden" / "coda_training.json").read_text())
    states, table, bias, weights = (np.array(golden[name], np.float32) for name in ("states", "table", "bias", "weights"))
    targets, seen, biased = (np.array(golden[name], np.int32) for name in ("targets", "seen", "biased"))
    candidates = Candidates(np.array(golden["candidates"]["items"], np.int32), np.array(golden["candidates"]["offsets"]))
    wanted = golden["runs"][run]
    begun = Adapter(np.array(wanted["start"], np.float32), golden["dim"], biased)
    batch = Batch.of(SHAPE, Head(table, bias), Lessons(states, targets, seen), candidates, weights, begun)
    steps = Steps(20, wanted["rate"], wanted["method"], decay=wanted["decay"])
    for trainer in (program, EagerTrainer(AdapterLoss(SHAPE))):
        course = [adapter.values for _, adapter in trainer.course(batch, begun, steps)]
        for count, values in wanted["after"].items():
            # The seven places of the file, and as above.
            atol = 6e-8 + steps.rate * int(count) * 10 * 3 * 4 * np.sqrt(40) * 2.0**-24
            np.testing.assert_allclose(course[int(count) - 1], values, rtol=0, atol=atol)


def test_a_training_leaves_nothing_to_the_next(program: TrainerProgram) -> None:
    def adapter(seed: int) -> bytes:
        head, lessons, candidates, weights = lesson_set(20, seed)
        zero = start(head, lessons)
        return program.train(Batch.of(SHAPE, head, lessons, candidates, weights, zero), zero, Steps(5, 0.05, "sgd")).values.tobytes()

    first = adapter(1)
    assert adapter(2) != first == adapter(1)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": 25}, "25 lessons are more than its 24; give fewer, or make one with a larger --lessons"),
        ({"others": 45}, "candidates are more than its 40; give fewer, or make one with a larger --candidates"),
        ({"shape": replace(SHAPE, dim=9)}, "states of 8 numbers were given to one for 9; make one for this backbone"),
        ({"weights": np.zeros(20, np.float32)}, "weights: they are not one a lesson, 0 or more, of which one counts"),
        ({"weights": np.ones(19, np.float32)}, "weights: they are not one a lesson"),
        ({"weights": np.full(20, np.nan, np.float32)}, "weights: they are not one a lesson"),
        ({"items": np.array([59], np.int32)}, "is not among the candidates; use Candidates.choose(), and start()"),
    ],
    ids=str,
)
def test_lessons_that_do_not_fit_are_refused(changed: dict, words: str) -> None:
    head, lessons, candidates, weights = lesson_set(changed.get("count", 20))
    if "others" in changed:
        candidates = Candidates.choose(lessons.targets, ITEMS, changed["others"])
    adapter = Adapter.zero(SHAPE.dim, changed["items"]) if "items" in changed else start(head, lessons)
    with pytest.raises(InputError) as refused:
        Batch.of(changed.get("shape", SHAPE), head, lessons, candidates, changed.get("weights", weights), adapter)
    assert words in str(refused.value)


def test_what_the_runtime_has_not_is_refused(program: TrainerProgram) -> None:
    head, lessons, candidates, weights = lesson_set(20)
    zero = start(head, lessons)
    with pytest.raises(CapabilityError, match="ExecuTorch trains with momentum alone; use method sgd"):
        program.train(Batch.of(SHAPE, head, lessons, candidates, weights, zero), zero, Steps())
    for size in ({"lessons": 0}, {"candidates": 15}, {"dim": 5000}):
        with pytest.raises(InputError, match=f"trainer: {next(iter(size.values()))} {next(iter(size))} are not"):
            replace(SHAPE, **size)


def test_a_file_that_is_no_trainer_is_refused(file: bytes) -> None:
    for data, words in (
        (b"", "no FlatBuffer of kind ET12"),
        (file[:4] + b"TFL3" + file[8:], "no FlatBuffer of kind ET12"),
        (file[:-200], "trainer: the "),
        (file.replace(b"candidates", b"candidatez"), "a program for something else; make one with 'chordkit trainer make'"),
    ):
        with pytest.raises((CapabilityError, CheckFailed), match=words):
            check_trainer(data).require("the file")


def test_without_the_runtime_it_says_what_to_install(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(find_target("executorch")), "in_use", lambda self: None)
    for act in (lambda: make_trainer(SHAPE), lambda: check_trainer(file)):
        with pytest.raises(MissingRuntimeError, match=r"pip install 'chordkit\[executorch\]'"):
            act()


class Boasting(TrainerShape):
    """Says less than it takes."""

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        return TrainerShape(self.dim, self.lessons + 1, self.candidates).inputs


def test_a_file_of_another_version_or_of_other_sizes_than_it_says_is_refused(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CapabilityError, match=r"its inputs are .*\(13, 8\).*, which is not what it says of its sizes; make it again"):
        TrainerProgram(lower(AdapterLoss(Boasting(8, 12, 20))))
    monkeypatch.setattr("chordkit.export.trainer.program.FORMAT", 2)
    with pytest.raises(CapabilityError, match="version 1 of rank 8 is not 2 of rank 8; make it again, or update chordkit"):
        TrainerProgram(file)


def test_the_commands_make_and_check_it(command, tmp_path: Path) -> None:
    master, out = tmp_path / "m.chrm", tmp_path / "trainer.pte"
    master.write_bytes(make_master(build(SASRecConfig(items=20, max_length=4, dim=16, blocks=1))).to_bytes())
    made = command("trainer", "make", "--master", master, "--lessons", 12, "--candidates", 20, "--out", out, "--json").json
    data = out.read_bytes()
    assert made["passed"] and (made["bytes"], made["dim"], made["lessons"], made["candidates"]) == (len(data), 16, 12, 20)
    # A number of the projection that everybody knows by heart.
    place = data.index(np.float32(0.25).tobytes() * 2)
    out.write_bytes(data[:place] + np.float32(np.nan).tobytes() + data[place + 4 :])
    failed = command("trainer", "check", out, "--json")
    assert failed.status == 1 and not json.loads(failed.out)["passed"] and json.loads(failed.out)["cases"][0]["error"] is None
    assert f"{out}: does not train as torch does: full: after step 1" in failed.err


def test_what_the_process_of_a_check_says_is_told(file: bytes, command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, python = tmp_path / "trainer.pte", tmp_path / "python"
    path.write_bytes(file)
    python.touch(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    report = judge_trainer(EagerTrainer(AdapterLoss(SHAPE)))
    told = json.dumps({"shape": asdict(report.shape), "cases": [asdict(case) for case in report.cases]})
    for says, status, words in (
        (f"echo '{told}'", 0, "ms a step"),
        ("kill -SEGV $$", 1, "trainer.pte: trainer: the runtime broke down over the file (SIGSEGV); make it again"),
        ("""echo '{"refused": "trainer: it is none", "failed": false}'""", 2, "trainer.pte: trainer: it is none"),
        ("""echo '{"refused": "trainer: it cannot", "failed": true}'""", 1, "trainer.pte: trainer: it cannot"),
    ):
        python.write_text(f"#!/bin/sh\n{says}\n")
        outcome = command("trainer", "check", path)
        assert outcome.status == status and words in outcome.out + outcome.err
        assert outcome.out.count("passed") == (0 if status else 2)
