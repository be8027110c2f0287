"""The one call of a phone: from a user's own samples and those the cloud sent to an adapter that is worth having, or none."""

import time
from dataclasses import dataclass

import numpy as np

from chordkit.coda.adapter import Adapter
from chordkit.coda.classifier import Border, describe, inner, probabilities
from chordkit.coda.gate import Verdict, judge
from chordkit.coda.learning import Candidates, Exam, Head, Lessons, Steps, start, train


@dataclass(frozen=True)
class PersonalOptions:
    """How a phone trains.

    Attributes:
        steps: of the adapter.
        share: of the outside samples that the classifier keeps; 1 = all, and no classifier.
        weight: of an outside sample, where a local one has 1.
        border: how the classifier learns.
        folds: of the gate.
        others: items that compete besides the targets.
    """

    steps: Steps = Steps()  # noqa: RUF009 (frozen)
    share: float = 0.5
    weight: float = 0.3
    border: Border = Border()  # noqa: RUF009 (frozen)
    folds: int = 3
    others: int = 256


@dataclass(frozen=True)
class Report:
    """What came of it; no content.

    Attributes:
        verdict: of the gate.
        local: the user's samples.
        outside: those the cloud sent.
        kept: those of them that were learned from.
        milliseconds: all of it.
    """

    verdict: Verdict
    local: int
    outside: int
    kept: int
    milliseconds: float


def personalise(head: Head, local: Lessons, outside: Lessons, options: PersonalOptions | None = None) -> tuple[Adapter | None, Report]:
    """Train an adapter on a user's own samples and the outside ones inside their border; None where it is not worth having.

    The gate learns anew from what is older than each block of the user's newer samples, classifier and all, and decides by the blocks.

    Args:
        head: the frozen model after the encoder.
        local: the user's samples, in the order of time.
        outside: what the cloud sent, samples of one source beside each other; may be empty. It must have been asked with what is older
            than the target of ``local``'s lesson ``gate.first_examined(len(local))``, or it has seen the gate's exam.
        options: how.
    """
    options = options or PersonalOptions()
    begun = time.perf_counter()
    verdict = judge(head, local, lambda some: learn(head, some, outside, options)[0], folds=options.folds, others=options.others)
    adapter, kept = learn(head, local, outside, options) if verdict.adopt else (None, 0)
    return adapter, Report(verdict, len(local), len(outside), kept, 1e3 * (time.perf_counter() - begun))


def learn(head: Head, local: Lessons, outside: Lessons, options: PersonalOptions) -> tuple[Adapter, int]:
    """An adapter that learned from local samples and the inner share of the outside ones, not judged, and how many these are."""
    kept = outside
    if options.share < 1.0 and len(outside) and len(local):
        inside = probabilities(describe(head, local), describe(head, outside), options.border)
        kept = outside.take(inner(inside, options.share))
    return fit_adapter(head, local, kept, options), len(kept)


def fit_adapter(head: Head, local: Lessons, kept: Lessons, options: PersonalOptions) -> Adapter:
    """An adapter that learned from all of these samples; zero where there are none."""
    lessons = local.join(kept)
    zero = start(head, lessons)
    if not len(lessons):
        return zero
    weights = np.concatenate([np.ones(len(local)), np.full(len(kept), options.weight)]).astype(head.table.dtype)
    exam = Exam(head, lessons, Candidates.choose(lessons.targets, head.items, options.others))
    return train(exam, weights, zero, options.steps)
