"""The gate adopts what helps, and hardly ever what does not."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t as student

from chordkit.coda.adapter import Adapter
from chordkit.coda.gate import FEWEST, LEVEL, Adopted, blocks, first_examined, judge, student_quantile, weigh
from chordkit.coda.learning import Head, Lessons, Steps
from chordkit.coda.personal import PersonalOptions, fit_adapter, personalise

pytestmark = pytest.mark.long

Draw = Callable[..., Lessons]
OPTIONS = PersonalOptions(steps=Steps(10, 0.02), share=0.5, others=40)


def test_noise_is_adopted_more_seldom_than_the_level_allows(head: Head, lessons: Draw) -> None:
    # 120 users whose targets the frozen model has drawn itself: any adapter can only harm.
    adopted = [personalise(head, lessons(head, 24, seed), lessons(head, 30, 10_000 + seed), OPTIONS)[0] is not None for seed in range(120)]
    assert np.mean(adopted) < LEVEL


def test_a_coin_is_adopted_about_as_often_as_the_level_says() -> None:
    # What the bound itself is worth: improvements around zero, no learning that harms.
    gains = np.random.default_rng(0).normal(size=(4000, 20))
    rate = np.mean([weigh(np.zeros(20), each).adopt for each in gains])
    assert abs(rate - LEVEL) < 4 * np.sqrt(LEVEL * (1 - LEVEL) / 4000)


def test_what_helps_is_adopted_and_helps_on_fresh_lessons(head: Head, lessons: Draw) -> None:
    local, fresh = lessons(head, 60, 1, shift=1.5), lessons(head, 200, 2, shift=1.5)
    adapter, report = personalise(head, local, lessons(head, 40, 3), OPTIONS)
    assert adapter is not None and report.verdict.after > report.verdict.before and report.verdict.low > 0
    assert (report.local, report.outside, report.kept) == (60, 40, 20) and report.milliseconds > 0
    assert (adapter.fingerprint, adapter.strategy) == (b"backbone", b"strategy")
    assert judge(head, fresh, lambda _: adapter).adopt


def test_too_few_lessons_or_numbers_that_are_none_change_nothing(head: Head, lessons: Draw) -> None:
    assert personalise(head, lessons(head, 12, 1, shift=9.0), lessons(head, 40, 3, shift=9.0), OPTIONS)[0] is None
    assert personalise(head, lessons(head, 0, 1), lessons(head, 40, 3), OPTIONS)[0] is None
    good = np.full(20, 1.0)
    good[3] = np.nan
    assert not weigh(np.zeros(20), good).adopt
    assert not weigh(np.zeros(20), np.full(20, np.inf)).adopt
    assert not weigh(np.zeros(20), np.zeros(20)).adopt


def test_no_outside_samples_are_no_obstacle(head: Head, lessons: Draw) -> None:
    adapter, report = personalise(head, lessons(head, 60, 1, shift=1.5), lessons(head, 0, 3), OPTIONS)
    assert adapter is not None and report.kept == 0


def test_who_learns_sees_what_is_older_than_the_exam_and_nothing_else(head: Head, lessons: Draw) -> None:
    local, met = lessons(head, 31, 1), []

    def learn(some: Lessons) -> Adapter:
        met.append(some.targets)
        return fit_adapter(head, some, lessons(head, 0, 1), OPTIONS)

    # The oldest fifth is only learned from; the 24 others are judged in four runs, each by what learned from all before it.
    assert judge(head, local, learn, folds=4).lessons == 24 and first_examined(31) == 7
    assert [some.tolist() for some in met] == [local.targets[:stop].tolist() for stop in (7, 13, 19, 25)]
    for count in range(13, 60):
        parts = list(blocks(count, 3))
        assert np.concatenate([held for _, held in parts]).tolist() == list(range(first_examined(count), count))
        assert all(len(held) >= 3 and learned.tolist() == list(range(held[0])) for learned, held in parts)


def test_an_adapter_is_judged_again_by_newer_clicks(head: Head, lessons: Draw) -> None:
    outside, before, after = lessons(head, 40, 3), lessons(head, 60, 1, shift=1.5), lessons(head, 60, 2, shift=-1.5)
    liked, changed = (personalise(head, local, outside, OPTIONS) for local in (before, after))
    adopted = Adopted()
    assert adopted.offer(liked[0], liked[1].verdict) and adopted.offer(changed[0], changed[1].verdict)
    verdict = adopted.review(head, lessons(head, 40, 4, shift=-1.5))
    assert adopted.current is changed[0] and verdict.helps and verdict.lessons == 40
    adopted.review(head, lessons(head, FEWEST - 1, 4, shift=1.5))
    assert adopted.current is changed[0]  # so few say nothing
    verdict = adopted.review(head, lessons(head, 40, 4, shift=1.5))
    assert adopted.current is liked[0] and verdict.helps  # taste has come back, and the adapter before with it
    verdict = adopted.review(head, lessons(head, 40, 5, shift=-1.5))
    assert adopted.current is None and (verdict.lessons, verdict.adopt) == (0, False)
    assert adopted.review(head, lessons(head, 0, 5)).lessons == 0


def test_an_adapter_of_numbers_that_are_none_does_not_stay(head: Head, lessons: Draw) -> None:
    adopted, zero = Adopted(), Adapter.zero(head.dim, np.array([], np.int32))
    adopted.offer(zero.with_values(np.full_like(zero.values, np.nan)), weigh(np.zeros(20), np.arange(1, 21) / 10))
    adopted.review(head, lessons(head, 20, 1))
    assert adopted.current is None


def test_the_same_call_gives_the_same_bytes(head: Head, lessons: Draw) -> None:
    local, outside = lessons(head, 60, 1, shift=1.5), lessons(head, 40, 3)
    first, second = (personalise(head, local, outside, OPTIONS)[0] for _ in range(2))
    assert first is not None and second is not None and first.values.tobytes() == second.values.tobytes()


def test_one_call_undoes() -> None:
    first, second, refused = (Adapter.zero(8, np.array([], np.int32)) for _ in range(3))
    yes, no = weigh(np.zeros(20), np.arange(1, 21) / 10), weigh(np.zeros(20), -np.ones(20))
    adopted = Adopted()
    assert adopted.offer(first, yes) and adopted.offer(second, yes) and not adopted.offer(refused, no)
    assert adopted.current is second and adopted.previous is first
    adopted.undo()
    assert adopted.current is first
    adopted.undo()
    assert adopted.current is None
    adopted.offer(first, yes)
    adopted.offer(second, yes)
    adopted.forget()
    assert adopted.current is None and adopted.previous is None


@pytest.mark.parametrize("freedom", [9, 15, 40, 300])
def test_the_quantile_is_students(freedom: int) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(student.ppf(0.95, freedom), rel=1e-3)
