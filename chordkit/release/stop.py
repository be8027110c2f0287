"""When reports of failed self-checks stop a release by themselves (docs/release.md).

The sums are looked at again and again while they grow. A bound that errs in 1 % of its looks errs far more often in one of them, so each
group of phones is held to a test that may be looked at after every report: the likelihood ratio of "more than the threshold fail", a
mixture over all such rates, against "the threshold fails". If no more than the threshold fails, the ratio ever reaches 1 / e with a
probability of at most e (Ville 1939; Robbins, "Statistical methods related to the law of the iterated logarithm", 1970).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chordkit.errors import ReleaseError
from chordkit.release.records import OFFERED, Health, RegisteredRelease
from chordkit.release.report import ABIS, RUNTIMES

_PRIOR = (1, 20)
"""The mixture: Beta(1, 20) above the threshold. What fails for one phone in twenty is what it looks for first."""
_GROUPS = (len(RUNTIMES) + 1) * (len(ABIS) + 1)


@dataclass(frozen=True)
class Rule:
    """When to stop.

    Attributes:
        threshold: share of phones whose self-check may fail.
        reports: of one group, before it is judged.
        error: probability at most of ever stopping a release of which no group fails more often than ``threshold``; half of it is spent on
            all phones together, the other half on the groups of one runtime and one ABI.

    Raises:
        ReleaseError: a number outside its range.
    """

    threshold: float = 0.005
    reports: int = 20
    error: float = 0.01

    def __post_init__(self) -> None:
        if not 1e-6 <= self.threshold <= 0.5:
            raise ReleaseError(f"stop: threshold = {self.threshold:g} is not possible; give a share in 0.000001..0.5")
        if self.reports < 1:
            raise ReleaseError(f"stop: reports = {self.reports} is not possible; give at least 1")
        if not 1e-9 <= self.error <= 0.5:
            raise ReleaseError(f"stop: error = {self.error:g} is not possible; give a probability in 0.000000001..0.5")


USUAL = Rule()


@dataclass(frozen=True)
class Verdict:
    """Why a release has to stop.

    Attributes:
        runtime: of the phones that fail; None = all.
        abi: likewise.
        failed: reports of a failed self-check.
        reports: all of theirs.
    """

    runtime: str | None
    abi: str | None
    failed: int
    reports: int

    def __str__(self) -> str:
        group = "all phones" if self.runtime is None else f"{self.runtime} on {self.abi}"
        return f"{self.failed} of {self.reports} self-checks failed ({group})"


def failing(failed: int, reports: int, rule: Rule = USUAL, *, groups: int = 1) -> bool:
    """Whether more phones of one group fail than may; ``groups`` share the probability of being wrong."""
    if reports < rule.reports or failed <= rule.threshold * reports:
        return False
    return log_evidence(failed, reports, rule.threshold) >= math.log(groups / rule.error)


def judge(health: Iterable[Health], rule: Rule = USUAL) -> Verdict | None:
    """Whether a release has to stop, by what phones said of it: the first group that is reason enough; None = there is none."""
    groups = sorted(health, key=lambda each: (each.runtime, each.abi))
    failed = sum(each.failed for each in groups)
    reports = failed + sum(each.passed for each in groups)
    if failing(failed, reports, rule, groups=2):
        return Verdict(None, None, failed, reports)
    for each in groups:
        if failing(each.failed, each.failed + each.passed, rule, groups=2 * _GROUPS):
            return Verdict(each.runtime, each.abi, each.failed, each.failed + each.passed)
    return None


def to_stop(releases: Iterable[RegisteredRelease], health: Callable[[int], Iterable[Health]], rule: Rule = USUAL) -> Mapping[int, Verdict]:
    """Releases on their way to phones that have to stop, by number; ``health`` gives what phones said of one."""
    offered = [each.release.number for each in releases if each.state in OFFERED]
    verdicts = {number: judge(health(number), rule) for number in offered}
    return {number: verdict for number, verdict in verdicts.items() if verdict is not None}


def log_evidence(failed: int, reports: int, threshold: float) -> float:
    """Natural logarithm of the likelihood ratio: rates above ``threshold`` as they are likely beforehand, to ``threshold`` itself."""
    passed = reports - failed
    first, second = _PRIOR
    mixture = _log_beta(first + failed, second + passed) + _log_above(first + failed, second + passed, threshold)
    before = _log_beta(first, second) + _log_above(first, second, threshold)
    return mixture - before - failed * math.log(threshold) - passed * math.log1p(-threshold)


def _log_beta(first: int, second: int) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _log_above(first: int, second: int, rate: float) -> float:
    """Logarithm of the probability that a Beta(first, second), whole numbers, is above ``rate``: that fewer than ``first`` of
    ``first + second - 1`` throws hit, each with probability ``rate``. The smaller tail is summed, from its largest term outward."""
    throws = first + second - 1
    odds = math.log(rate) - math.log1p(-rate)
    above = first > rate * (throws + 1)  # whether more hits than that are the smaller tail
    hits = first if above else first - 1
    largest = (
        math.lgamma(throws + 1) - math.lgamma(hits + 1) - math.lgamma(throws - hits + 1) + hits * odds + throws * math.log1p(-rate)
        if 0 <= hits <= throws
        else -math.inf
    )
    ratio, total, term = math.exp(odds), 1.0, 1.0
    while term > total * 1e-17 and 0 <= hits <= throws:
        term *= (throws - hits) / (hits + 1) * ratio if above else hits / (throws - hits + 1) / ratio
        hits += 1 if above else -1
        total += term
    tail = largest + math.log(total)
    return math.log1p(-math.exp(tail)) if above else tail
