"""The trainings that a trainer has to do before it is trusted, and what comes out of them by the closed form."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chordkit.coda.adapter import Adapter
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps, start, train
from chordkit.export.trainer.shape import Batch, TrainerShape


@dataclass(frozen=True, eq=False)
class Case:
    """One training. All numbers are float32's, so that they are the same in every run."""

    name: str
    head: Head
    lessons: Lessons
    candidates: Candidates
    weights: np.ndarray
    adapter: Adapter
    steps: Steps

    def batch(self, shape: TrainerShape) -> Batch:
        """As a trainer takes it."""
        return Batch.of(shape, self.head, self.lessons, self.candidates, self.weights, self.adapter)

    def closed_form(self, dtype: type, counts: Sequence[int]) -> dict[int, tuple[np.ndarray, float]]:
        """Values after so many steps, and the loss then; all of it computed in this type."""
        head = Head(self.head.table.astype(dtype), None if self.head.bias is None else self.head.bias.astype(dtype))
        exam = Exam(head, Lessons(self.lessons.states.astype(dtype), self.lessons.targets, self.lessons.seen), self.candidates)
        weights: np.ndarray = self.weights.astype(dtype)
        begun = self.adapter.with_values(self.adapter.values.astype(dtype))
        trained = {count: train(exam, weights, begun, replace(self.steps, count=count)) for count in counts}
        return {count: (after.values.astype(np.float64), exam.loss(after, weights)[0]) for count, after in trained.items()}


def cases(shape: TrainerShape, steps: int) -> Iterator[Case]:
    """One that fills the trainer, from zero; one that leaves two thirds of it empty, from an adapter that has learned, with decay."""
    generator = np.random.default_rng(0)
    items = 3 * shape.candidates
    table = generator.normal(size=(items + 1, shape.dim)) / math.sqrt(shape.dim)
    bias = generator.normal(size=items + 1) * 0.3
    for name, count, head in (("full", shape.lessons, Head(table, bias)), ("sparse", max(1, shape.lessons // 3), Head(table))):
        targets = generator.integers(1, 1 + shape.candidates // 2, count).astype(np.int32)
        seen = generator.integers(0, items + 1, (count, 8)).astype(np.int32)
        seen[::5, 0] = targets[::5]  # what comes again competes
        lessons = Lessons(generator.normal(size=(count, shape.dim)), targets, seen)
        free = shape.candidates - len(np.unique(targets))
        candidates = Candidates.choose(targets, items, free if name == "full" else max(1, free // 3))
        weights = np.where(np.arange(count) % 3 == 0, 1.0, 0.3)
        adapter, decay = start(head, lessons), 0.0
        if name == "sparse":
            adapter, decay = adapter.with_values(0.1 * generator.normal(size=len(adapter.values))), 0.01
        yield Case(
            name,
            Head(head.table.astype(np.float32), None if head.bias is None else head.bias.astype(np.float32)),
            replace(lessons, states=lessons.states.astype(np.float32)),
            candidates,
            weights.astype(np.float32),
            adapter.with_values(adapter.values.astype(np.float32)),
            Steps(steps, _rate(head, lessons, adapter), "sgd", decay=decay),
        )


def _rate(head: Head, lessons: Lessons, adapter: Adapter) -> float:
    """Half of the largest rate at which steps with momentum settle, 3.8 / L: below it rounding is not amplified from step to step.

    L bounds the curvature: half of the squared length of what a score's gradient can be.
    """
    lengths = np.linalg.norm(head.table, axis=1).max() ** 2
    inputs = 1 + np.abs(lessons.states).max() ** 2 + (np.linalg.norm(lessons.states @ adapter.down.T, axis=1) ** 2).max()
    return float(2 * 1.9 / (lengths * inputs + 1))
