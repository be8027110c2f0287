"""Several seeds as one answer: estimates over users, paired differences, who gains, and what is worth shipping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from chordkit.estimate import Estimate
from chordkit.evaluation.results import RowResult, SeedResult
from chordkit.training import bootstrap

HEADLINE = ("masked_ndcg10", "n100_ndcg10", "hard_ndcg10", "likelihood", "masked_likelihood")
MEASURES = (
    *("ndcg5", "hr5", "ndcg10", "hr10", "seen10"),
    *(f"{protocol}_{measure}" for protocol in ("masked", "n100", "hard") for measure in ("ndcg5", "hr5", "ndcg10", "hr10")),
    *("likelihood", "masked_likelihood", "raw_likelihood", "raw_masked_likelihood"),
)
# What may ship, the simplest first, and each one's simpler rivals.
_CHOICES = ("static", "own", "static_vector", "own_vector")
# Users decide what to ship by their validation items in one half, and confirm it by their test items in the other.
_HALVES_SEED = 20261126


@dataclass(frozen=True)
class Line:
    """One rival over all seeds and users.

    Attributes:
        key: of the rival.
        label: in words.
        bits: average bits per weight of the channel layers.
        products: share of their multiply-adds that is left.
        phone_bytes: of the weights.
        wire_bytes: sent a user.
        coverage: share of the catalogue in somebody's masked top 10.
        stability: share of a masked top 10 that is still there one interaction later.
        temperature: of the likelihood, fitted on the validation items, the mean of the seeds.
        masked_temperature: of the masked likelihood.
        values: each measure of :data:`MEASURES` on the test items, with its interval over users.
        seeds: the mean of the headline measures under each seed.
    """

    key: str
    label: str
    bits: float
    products: float
    phone_bytes: int
    wire_bytes: int
    coverage: float
    stability: float
    temperature: float
    masked_temperature: float
    values: Mapping[str, Estimate]
    seeds: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Difference:
    """One rival minus another over the same users, the mean of the seeds.

    Attributes:
        first: key of the rival.
        second: key of what is taken off.
        measure: of :data:`MEASURES`.
        users: ``all``; ``choice`` = the half on which things may be chosen, ``confirmation`` = the other half.
        estimate: with its paired interval.
    """

    first: str
    second: str
    measure: str
    users: str
    estimate: Estimate


@dataclass(frozen=True)
class LengthGroup:
    """Users with histories of like length, and what the own strategy gives them over the static one.

    Attributes:
        shortest: items in the shortest history of the group.
        longest: items in the longest.
        users: how many there are.
        differences: own minus static by measure.
    """

    shortest: int
    longest: int
    users: int
    differences: Mapping[str, Estimate]


@dataclass(frozen=True)
class Verdict:
    """What is worth shipping, decided on validation items of the choice half.

    Attributes:
        ship: ``static``, ``own``, ``static_vector`` or ``own_vector``.
        sentence: the same for people, with the interval that decides.
        measure: what decides: ``likelihood``, or ``masked_likelihood`` where training left seen items out.
        choice: what is shipped, or where that is ``static`` the own strategy, minus the static strategy, on the validation items of the
            choice half; None without a static strategy.
        confirmation: the same on the test items of the other half, which had no say.
    """

    ship: str
    sentence: str
    measure: str
    choice: Estimate | None = None
    confirmation: Estimate | None = None


@dataclass(frozen=True)
class Summary:
    """What an experiment found.

    Attributes:
        users: how many.
        seeds: how many.
        lines: the rivals, the own strategy first.
        differences: own minus every rival, and own with a vector minus the static one with a vector.
        lengths: groups by length of history, shortest first.
        between_users: mean share of channels whose width differs between two users.
        between_moments: the same between two moments of one user.
        verdict: what to ship.
    """

    users: int
    seeds: int
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    lengths: tuple[LengthGroup, ...]
    between_users: float
    between_moments: float
    verdict: Verdict

    def line(self, key: str) -> Line:
        """The rival called ``key``; KeyError when there is none."""
        return {line.key: line for line in self.lines}[key]

    def difference(self, first: str, second: str, measure: str, users: str = "all") -> Estimate:
        """One difference; KeyError when it was not made."""
        found = {(each.first, each.second, each.measure, each.users): each.estimate for each in self.differences}
        return found[first, second, measure, users]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a file; what could not be measured is null."""
        result: dict[str, Any] = plain(self)
        return result


def plain(value: Any) -> Any:
    """Dataclasses, estimates, mappings and tuples as JSON has them; a number that is none is null."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def halves(users: int) -> NDArray[np.bool_]:
    """Which users belong to the choice half, bool [users]; the same for every experiment with as many users."""
    chosen = np.zeros(users, np.bool_)
    chosen[np.random.default_rng(_HALVES_SEED).permutation(users)[: users // 2]] = True
    return chosen


def summarise_seeds(results: Sequence[SeedResult], *, seen_masked: bool = False) -> Summary:
    """Pool seeds: a user's value is the mean over the seeds, and intervals are over users.

    Args:
        results: of the seeds of one experiment.
        seen_masked: the models were trained without the items that a user has seen, so that only what is masked decides.
    """
    rows = {row.key: [_row(result, row.key) for result in results] for row in results[0].rows}
    users = len(results[0].lengths)
    choosing, deciding = results[0].choosing, results[0].choosing_valid
    choice = halves(users) if choosing is None else choosing
    everybody = np.ones(users, np.bool_)
    differences = []
    pairs = [("own", key) for key in rows if key != "own"]
    if {"own_vector", "static_vector"} <= set(rows):
        pairs += [("own_vector", key) for key in ("static_vector", "fp32_vector", "duet", "fp32_long") if key in rows]
    for first, second in pairs:
        for name, kept in (("all", everybody), ("choice", choice), ("confirmation", ~choice)):
            columns = np.stack([_mean(rows[first], each) - _mean(rows[second], each) for each in HEADLINE], axis=1)[kept]
            for measure, estimate in zip(HEADLINE, bootstrap(columns), strict=True):
                differences.append(Difference(first, second, measure, name, estimate))
    return Summary(
        users=users,
        seeds=len(results),
        lines=tuple(_line(each) for each in rows.values()),
        differences=tuple(differences),
        lengths=_by_length(rows, results[0].lengths) if "static" in rows else (),
        between_users=float(np.mean([result.diversity.between_users for result in results])),
        between_moments=float(np.mean([result.diversity.between_moments for result in results])),
        verdict=_verdict(rows, choice, choice if deciding is None else deciding, "masked_likelihood" if seen_masked else "likelihood"),
    )


def _row(result: SeedResult, key: str) -> RowResult:
    return {row.key: row for row in result.rows}[key]


def _mean(rows: Sequence[RowResult], measure: str, part: str = "test") -> NDArray[np.float64]:
    """float64 [users]: a measure of each user, the mean of the seeds."""
    values = [np.asarray((row.test if part == "test" else row.valid)[measure], np.float64) for row in rows]
    return np.asarray(np.mean(values, axis=0))


def _line(rows: Sequence[RowResult]) -> Line:
    first = rows[0]
    estimates = bootstrap(np.stack([_mean(rows, measure) for measure in MEASURES], axis=1))
    return Line(
        key=first.key,
        label=first.label,
        bits=float(np.mean([row.bits for row in rows])),
        products=float(np.mean([row.products for row in rows])),
        phone_bytes=round(float(np.mean([row.phone_bytes for row in rows]))),
        wire_bytes=first.wire_bytes,
        coverage=float(np.mean([row.coverage for row in rows])),
        stability=float(np.mean([row.stability for row in rows])),
        temperature=float(np.mean([row.temperature for row in rows])),
        masked_temperature=float(np.mean([row.masked_temperature for row in rows])),
        values=dict(zip(MEASURES, estimates, strict=True)),
        seeds={measure: tuple(float(row.test[measure].mean()) for row in rows) for measure in HEADLINE},
    )


def _by_length(rows: Mapping[str, Sequence[RowResult]], lengths: NDArray[np.int64]) -> tuple[LengthGroup, ...]:
    borders = np.unique(np.quantile(lengths, (0.25, 0.5, 0.75)).astype(np.int64))
    group = np.searchsorted(borders, lengths, side="left")
    found = []
    for number in np.unique(group):
        kept = group == number
        columns = np.stack([_mean(rows["own"], each) - _mean(rows["static"], each) for each in HEADLINE], axis=1)[kept]
        estimates = dict(zip(HEADLINE, bootstrap(columns), strict=True))
        found.append(LengthGroup(int(lengths[kept].min()), int(lengths[kept].max()), int(kept.sum()), estimates))
    return tuple(found)


def _verdict(rows: Mapping[str, Sequence[RowResult]], choice: NDArray[np.bool_], deciding: NDArray[np.bool_], measure: str) -> Verdict:
    """The simplest of what may ship that nothing else is surely better than. ``choice`` is the half that chooses, among the users with test
    items, ``deciding`` among those with validation items."""
    if "static" not in rows:
        return Verdict("own", "no static strategy was trained: whether a personal one is worth its bytes is not known", measure)
    possible = [key for key in _CHOICES if key in rows]
    values = {key: _mean(rows[key], measure, "valid")[deciding] for key in possible}
    ship = "static"
    for key in possible[1:]:
        if bootstrap((values[key] - values[ship])[:, None])[0].low > 0.0:
            ship = key
    beside = ship if ship != "static" else "own"
    gain = bootstrap((values[beside] - values["static"])[:, None])[0]
    later = bootstrap((_mean(rows[beside], measure) - _mean(rows["static"], measure))[~choice][:, None])[0]
    unit = "nats a validation item" + (", seen items masked," if measure == "masked_likelihood" else "")
    found = f"{_signed(gain)} {unit} for the users who decide, {_signed(later)} on test items of the others"
    if ship == "static":
        sentence = f"a strategy is not worth it here; ship the static one (own - static {found})"
    else:
        names = {"own": "the personal strategy", "static_vector": "the static strategy with a user vector"}
        sentence = f"ship {names.get(ship, 'the personal strategy with a user vector')} ({ship} - static {found})"
    return Verdict(ship, sentence, measure, gain, later)


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"
