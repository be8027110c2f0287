"""The automatic stop: exact, rarely wrong however often it looks, and quick where much fails."""

import math
import random
from functools import cache
from itertools import count

import pytest

from chordkit.errors import ReleaseError
from chordkit.release import Release, Stage
from chordkit.release.records import STATES, Health, RegisteredRelease
from chordkit.release.stop import Rule, Verdict, failing, judge, log_evidence, to_stop

RULE = Rule()


def exact_evidence(failed: int, reports: int, threshold: float) -> float:
    """The same ratio by integration: rates above the threshold in 200,000 steps, Beta(1, 20) as the weight."""
    steps = 200_000
    width = (1 - threshold) / steps
    rates = [threshold + (step + 0.5) * width for step in range(steps)]
    weights = [(1 - rate) ** 19 for rate in rates]
    base = failed * math.log(threshold) + (reports - failed) * math.log1p(-threshold)
    ratios = [math.exp(failed * math.log(rate) + (reports - failed) * math.log1p(-rate) - base) for rate in rates]
    return math.fsum(weight * ratio for weight, ratio in zip(weights, ratios, strict=True)) / math.fsum(weights)


@pytest.mark.parametrize(
    ("failed", "reports", "threshold"), [(0, 20, 0.005), (3, 60, 0.005), (12, 900, 0.005), (8, 2000, 0.005), (9, 20, 0.3), (1, 25, 1e-4)]
)
def test_the_evidence_is_the_likelihood_ratio(failed: int, reports: int, threshold: float) -> None:
    # The midpoint rule errs by width^2 / 24 of the second derivative: below (1e5 * 5e-6)^2 / 24 of a ratio that bends within 1 / 1e5.
    assert log_evidence(failed, reports, threshold) == pytest.approx(math.log(exact_evidence(failed, reports, threshold)), abs=1e-6)


def test_the_evidence_is_as_good_for_many_reports() -> None:
    special = pytest.importorskip("scipy.special")
    for failed, reports in ((600, 100_000), (10, 100_000), (55_000, 10**7), (49_000, 10**7), (500_000, 10**8)):
        first, second = 1 + failed, 20 + reports - failed
        expected = special.betaln(first, second) + math.log(special.betaincc(first, second, 0.005))
        expected -= special.betaln(1, 20) + math.log(special.betaincc(1, 20, 0.005))
        expected -= failed * math.log(0.005) + (reports - failed) * math.log1p(-0.005)
        # Logarithms of factorials as large as 2e9 are rounded to 2.4e-7 each; there are six of them.
        assert log_evidence(failed, reports, 0.005) == pytest.approx(expected, abs=2e-6)


@cache
def boundary(most: int) -> list[int]:
    """By number of reports: how many failures stop a release."""
    failed, found = 0, [most + 1] * RULE.reports
    for reports in range(RULE.reports, most + 1):
        while not failing(failed, reports, RULE):
            failed += 1
        found.append(failed)
    return found


def stopped_after(chance: random.Random, rate: float, most: int) -> int | None:
    """Reports after which a release is stopped that is looked at after every one of them."""
    limits, reports = boundary(most), 0
    for failed in count(1):
        # The next failure; without one, no look finds more than the one before.
        reports += 1 + int(math.log(1 - chance.random()) / math.log1p(-rate))
        if reports > most:
            return None
        if failed >= limits[reports]:
            return reports
    return None


def test_a_release_at_the_threshold_is_rarely_stopped_however_often_it_is_looked_at() -> None:
    chance, times, most = random.Random(1), 2000, 5000
    stops = sum(stopped_after(chance, RULE.threshold, most) is not None for _ in range(times))
    # At most 1 % of 2,000 is promised: 20, and 4 standard deviations of a binomial above it 38. A look in the wrong units stops hundreds.
    assert stops <= 20 + 4 * math.sqrt(20)


def test_what_fails_much_is_stopped_soon() -> None:
    chance = random.Random(2)
    for rate, within in ((0.05, 400), (0.3, 60)):
        # Within so many reports all but one in a thousand; in 300 tries more than 5 would be one in 10^6.
        assert sum((stopped_after(chance, rate, 2000) or 2001) > within for _ in range(300)) <= 5


def test_few_reports_stop_nothing() -> None:
    assert not failing(19, 19, RULE) and failing(20, 20, RULE) and not failing(0, 20, RULE)
    assert not failing(5000, 1_000_000, RULE) and not failing(0, 0, RULE)


def test_a_group_that_fails_alone_is_found_among_all() -> None:
    good = Health("native", "arm64-v8a", 1_000_000, 900)
    bad = Health("litert", "armeabi-v7a", 150, 50)
    assert judge([good, bad]) == Verdict("litert", "armeabi-v7a", 50, 200)
    assert judge([good, Health("litert", "armeabi-v7a", 200, 1)]) is None and judge([]) is None
    # What would be enough for all phones is not for one group of 42, one of which has to be the worst.
    assert failing(5, 100, RULE, groups=2) and judge([good, Health("litert", "armeabi-v7a", 95, 5)]) is None
    everywhere = [Health(runtime, "x86", 97, 3) for runtime in ("native", "litert", "onnx", "executorch")]
    assert judge(everywhere) == Verdict(None, None, 12, 400)
    assert str(judge(everywhere)) == "12 of 400 self-checks failed (all phones)"
    assert str(judge([bad, good])) == "50 of 200 self-checks failed (litert on armeabi-v7a)"


def test_only_releases_on_their_way_are_stopped() -> None:
    stage = Stage("00" * 16, 100)
    releases = [
        RegisteredRelease(Release(number, 0, "0" * 16, "0" * 64, "a.chord", 1, stage), state, 0) for number, state in enumerate(STATES, 1)
    ]
    bad = [Health("native", "x86", 0, 50)]
    assert to_stop(releases, lambda number: bad) == dict.fromkeys((1, 2), Verdict(None, None, 50, 50))
    assert set(to_stop(releases, lambda number: bad if number == 2 else [])) == {2}


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"threshold": 0.9}, {"threshold": math.nan}, {"reports": 0}, {"error": 0.0}])
def test_a_rule_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ReleaseError, match="is not possible"):
        Rule(**wrong)  # type: ignore[arg-type]
