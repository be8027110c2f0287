"""How far a bad release gets, in roll-outs whose end can be said beforehand."""

import numpy as np
import pytest

from chordkit.release.simulation.stopping import Rollouts
from chordkit.release.stop import failing


def rollouts(delay_h: float) -> Rollouts:
    return Rollouts(lambda failed, reports: failing(failed, reports), delay_h=delay_h)


def test_what_always_fails_is_stopped_at_the_fewest_reports_and_what_never_does_is_not() -> None:
    random = np.random.default_rng(0)
    always = rollouts(0.0).run(1000, 1.0, random)
    assert (always.reached, always.reports) == (20, 20) and always.hours is not None and 0 < always.hours < 24
    never = rollouts(0.0).run(1000, 0.0, random)
    assert (never.reached, never.reports, never.hours) == (1000, 1000, None)


def test_too_few_phones_are_never_judged() -> None:
    assert rollouts(0.0).run(19, 1.0, np.random.default_rng(0)).hours is None


def test_reports_that_come_late_let_it_get_further_by_as_much_as_phones_fetch_meanwhile() -> None:
    found = [rollouts(24.0).run(10_000, 1.0, np.random.default_rng(seed)) for seed in range(20)]
    # After t days, of n phones n (1 - exp(-t)) have fetched and n (1 - (1 + t) exp(-t)) have reported. 20 of 10,000 have after t days with
    # t^2 / 2 = 0.002, when 1 - exp(-0.0632) = 6.1 % have fetched. The 20th of so many varies by a fifth, its time by half of that.
    assert np.mean([each.reached for each in found]) == pytest.approx(612, rel=5 * 0.5 / (20 * 20) ** 0.5)
    assert {each.reports for each in found} == {20}


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_it_is_stopped_at_the_very_report_at_which_the_rule_says_so(rate: float) -> None:
    failed = np.random.default_rng(3)
    failed.exponential(24.0, 5000)
    outcomes = failed.random(5000) < rate
    sums = outcomes.cumsum()
    first = next((reports for reports in range(1, 5001) if failing(int(sums[reports - 1]), reports)), None)
    reach = rollouts(0.0).run(5000, rate, np.random.default_rng(3))
    assert reach.reports == (5000 if first is None else first) and (reach.hours is None) == (first is None)
