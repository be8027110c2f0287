"""The parity gate of a trainer: 20 steps on the runtime, held against torch's and against those of the closed form.

An inference that is off shows in its scores. A training that is off shows in nothing: the loss falls, and an adapter comes out. So the
parameters are compared on the way, and the first comparison that is off is named.

What two float32 runs may differ by is taken from the maths itself: the closed form is run in float64 and in float32, and their distance
is what rounding does to this very training. Another order of summation may do more: the error of a sum of K terms one after the other
grows like sqrt(K), in blocks (numpy's) like sqrt(log2 K); times 4 for one exception in a thousand (Higham and Mary 2019). Rounding of
the stored parameters comes on top.
"""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from chordkit.coda.adapter import Adapter
from chordkit.coda.learning import Steps
from chordkit.errors import CheckFailed
from chordkit.export.trainer.cases import Case, cases
from chordkit.export.trainer.shape import PARAMETERS, Batch, TrainerShape

STEPS = 20
CHECKED = (1, 2, 5, 10, STEPS)
"""After how many steps parameters are compared."""
_UNIT_ROUNDOFF = 2.0**-24


class Trainer(Protocol):
    """What trains: a file on its runtime, or torch."""

    @property
    def shape(self) -> TrainerShape:
        """Its sizes."""

    def course(self, batch: Batch, adapter: Adapter, steps: Steps) -> Iterator[tuple[float, Adapter]]:
        """The loss before each step, and the adapter after it."""


@dataclass(frozen=True)
class CaseReport:
    """One training, held against torch and the closed form.

    Attributes:
        name: of the case; lessons, candidates: in it, the rest of the trainer is padding.
        moved: how far the parameters went, the 2-norm of all of them.
        error: how far the trainer was from the closed form in float64, at the step where it came nearest to what is allowed.
        allowed: at that step.
        from_torch: the largest difference of one parameter from torch's (float32) after the last step.
        step_ms: median of a step on this machine, milliseconds.
        problem: the first thing that is off, or None.
    """

    name: str
    lessons: int
    candidates: int
    moved: float
    error: float
    allowed: float
    from_torch: float
    step_ms: float
    problem: str | None


@dataclass(frozen=True)
class TrainerReport:
    """What the gate saw.

    Attributes:
        shape: of the trainer.
        cases: one after the other.
    """

    shape: TrainerShape
    cases: tuple[CaseReport, ...]

    @property
    def passed(self) -> bool:
        """Whether it trains as it should."""
        return not any(case.problem for case in self.cases)

    def require(self, what: str) -> Self:
        """This report, if it passed.

        Raises:
            CheckFailed: a training was off; the sentence names ``what``, the step and the parameter.
        """
        for case in self.cases:
            if case.problem:
                raise CheckFailed(f"{what}: does not train as torch does: {case.name}: {case.problem}; make it again")
        return self


def judge_trainer(trainer: Trainer) -> TrainerReport:
    """Let a trainer train, full and with little in it, and hold it against torch and the closed form.

    Raises:
        CheckFailed: it cannot train at all.
    """
    return TrainerReport(trainer.shape, tuple(_judge(trainer, case) for case in cases(trainer.shape, STEPS)))


def _judge(trainer: Trainer, case: Case) -> CaseReport:
    from chordkit.export.trainer.graph import AdapterLoss, EagerTrainer

    batch, shape = case.batch(trainer.shape), trainer.shape
    exact = case.closed_form(np.float64, CHECKED)
    allowed = _allowed(exact, case.closed_form(np.float32, CHECKED), max(shape.dim, shape.lessons, shape.candidates))
    course, times = [], [time.perf_counter()]
    for step in trainer.course(batch, case.adapter, case.steps):
        course.append(step)
        times.append(time.perf_counter())
    *_, (_, by_torch) = EagerTrainer(AdapterLoss(shape)).course(batch, case.adapter, case.steps)
    trained = course[-1][1].values
    apart, lawful = _distance(trained, by_torch.values), 2 * allowed[STEPS][0]
    problems = [_problem(course, count, exact[count], allowed[count]) for count in CHECKED]
    if not apart <= lawful:
        problems.append(f"after step {STEPS} the parameters are {apart:.2g} from torch's; {lawful:.2g} is allowed")
    errors = {count: _distance(course[count - 1][1].values, exact[count][0]) for count in CHECKED}
    worst = max(CHECKED, key=lambda count: errors[count] / allowed[count][0])
    return CaseReport(
        name=case.name,
        lessons=len(case.lessons),
        candidates=len(case.candidates.items),
        moved=_distance(exact[STEPS][0], case.adapter.values),
        error=errors[worst],
        allowed=allowed[worst][0],
        from_torch=float(np.abs(trained - by_torch.values).max()),
        step_ms=1e3 * float(statistics.median(np.diff(times))),
        problem=next(filter(None, problems), None),
    )


def _allowed(
    exact: dict[int, tuple[np.ndarray, float]], single: dict[int, tuple[np.ndarray, float]], terms: int
) -> dict[int, tuple[float, float]]:
    """What parameters (2-norm) and loss may be off by after so many steps; ``terms``: of the longest sum."""
    order = 4 * math.sqrt(terms / math.log2(terms))
    stored = _UNIT_ROUNDOFF * float(np.linalg.norm(exact[STEPS][0]))
    # A loss is three sums in series: of a logit, of the powers, of the lessons.
    of_loss = 3 * 4 * math.sqrt(terms) * _UNIT_ROUNDOFF
    allowed, noise = {}, 0.0
    for count in CHECKED:
        noise = max(noise, _distance(single[count][0], exact[count][0]))
        allowed[count] = order * (noise + stored), of_loss * (1 + abs(exact[count][1]))
    return allowed


def _problem(course: list[tuple[float, Adapter]], count: int, exact: tuple[np.ndarray, float], allowed: tuple[float, float]) -> str | None:
    """What is off after ``count`` steps, or None."""
    (_, trained), should = course[count - 1], course[count - 1][1].with_values(exact[0])
    if not _distance(trained.values, should.values) <= allowed[0]:
        apart = {name: _distance(getattr(trained, name), getattr(should, name)) for name in PARAMETERS}
        part = max(apart, key=apart.__getitem__)
        return f"after step {count} {part} is {apart[part]:.2g} from where it should be; {allowed[0]:.2g} is allowed"
    if count < STEPS and not abs(course[count][0] - exact[1]) <= allowed[1]:
        return f"after step {count} the loss is {course[count][0]:.6g} and not {exact[1]:.6g}; {allowed[1]:.2g} is allowed"
    return None


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """2-norm of the difference; infinite where one is not a number."""
    distance = float(np.linalg.norm(np.asarray(a, np.float64) - b))
    return distance if math.isfinite(distance) else math.inf
