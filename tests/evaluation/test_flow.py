"""The simulation of the flow: what is asked, that nobody sees ahead, what travels, what is kept, and that the tables say what was found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from chordkit.coda.building import PoolOptions
from chordkit.coda.health import decode_health
from chordkit.coda.personal import PersonalOptions
from chordkit.coda.phone import Cadence
from chordkit.data import Dataset, left_pad, synthesize
from chordkit.errors import CheckpointError, DataError
from chordkit.evaluation.flow import CONDITIONS, TRAFFIC, Course, FlowOptions, clicks_after, run_flow, simulate, summarise_flow
from chordkit.evaluation.flow.cloud import Cloud, train_clouds
from chordkit.evaluation.flow.simulation import DAY
from chordkit.kernels import Engine
from chordkit.report.flow import flow_chart, flow_markdown
from chordkit.training import default_options

BEGUN = 1_600_000_000_000_000


@pytest.fixture(scope="module")
def dated() -> Dataset:
    """30 users who come within 20 days, each for some of them."""
    data = synthesize(4, users=30, items=60, mean_length=16.0, max_length=30)
    draw = np.random.default_rng(4)
    times = [np.sort(draw.integers(0, 20) * DAY + np.cumsum(draw.integers(0, DAY // 2, count))) + BEGUN for count in data.lengths]
    return replace(data, times=np.concatenate(times).astype(np.int64) // 10**10 * 10**10)


@pytest.fixture(scope="module")
def options() -> FlowOptions:
    short = {"epochs": 1, "batch": 64}
    return FlowOptions(
        start=default_options("sasrec", epochs=1),
        personal=replace(FlowOptions().personal, hidden=8, pools=(3, 12), **short),  # type: ignore[arg-type]
        cadence=Cadence(refresh=3, samples=6, wanted=20, fewest=3),
        pool=PoolOptions(k=2, pools=(3, 12)),
        pool_days=7,
    )


@dataclass(frozen=True)
class Ran:
    clouds: tuple[Cloud, Cloud]
    courses: dict[str, Course]
    again: Callable[[Dataset], dict[str, Course]]


@pytest.fixture(scope="module")
def ran(dated: Dataset, options: FlowOptions) -> Ran:
    clouds = train_clouds(dated, "sasrec", options.start, options.personal, options.split_at)  # type: ignore[arg-type]

    def run(data: Dataset) -> dict[str, Course]:
        # So that adapters come and go in a run of seconds, whatever they are worth.
        bold = PersonalOptions(others=8)
        return simulate(data, options.first_day(dated), clouds, options.cadence, bold, options.pool, options.pool_days)

    return Ran(clouds, run(dated), run)


def test_every_click_after_the_start_is_asked_that_has_one_before_it(dated: Dataset, options: FlowOptions) -> None:
    start = options.first_day(dated)
    asked = clicks_after(dated, start)
    assert dated.times is not None
    wanted = [
        (user, place, (time - start) // DAY)
        for user, times in enumerate(np.split(dated.times, dated.offsets[1:-1]))
        for place, time in enumerate(times.tolist())
        if place and time >= start
    ]
    assert list(zip(asked.users.tolist(), asked.places.tolist(), asked.days.tolist(), strict=True)) == wanted


def test_somebody_is_back_until_the_day_ends() -> None:
    days = [0, 0, 3, 3, 3, 4, 20]
    data = Dataset.from_sequences("days", [[1, 2, 3, 1, 2, 3, 1]], times=[[BEGUN + day * DAY + at for at, day in enumerate(days)]])
    assert clicks_after(data, BEGUN).back.tolist() == [0, 3, 3, 3, 1, 16]


def test_with_nothing_personal_clicks_are_ranked_by_the_engine_under_the_one_strategy(
    dated: Dataset, options: FlowOptions, ran: Ran
) -> None:
    cloud = ran.clouds[1]
    engine = Engine(cloud.master.to_bytes())
    engine.adopt(cloud.release.strategy)
    asked, course = clicks_after(dated, options.first_day(dated)), ran.courses["nothing"]
    for row in range(0, len(asked.users), 17):
        before = dated.sequences[asked.users[row]][: asked.places[row]]
        target = int(dated.sequences[asked.users[row]][asked.places[row]])
        top = [item for item in engine.top_k(before[-10:], dated.items)[0].tolist() if item == target or item not in before]
        rank = top.index(target) + 1
        assert course.ndcg[row] == pytest.approx(1 / np.log2(rank + 1) if rank <= 10 else 0.0, abs=1e-6)


def test_likelihoods_are_those_of_the_softmax_over_what_was_not_seen(dated: Dataset, options: FlowOptions, ran: Ran) -> None:
    cloud = ran.clouds[1]
    engine = Engine(cloud.master.to_bytes())
    engine.adopt(cloud.release.strategy)
    asked, course = clicks_after(dated, options.first_day(dated)), ran.courses["nothing"]
    row = len(asked.users) // 2
    sequence = dated.sequences[asked.users[row]]
    before, target = sequence[: asked.places[row]], int(sequence[asked.places[row]])
    left = np.setdiff1d(np.arange(1, dated.items + 1, dtype=np.int32), np.setdiff1d(before, [target]))
    scores = engine.scores(left_pad([before], 10)[0], left.astype(np.int32)).astype(np.float64) / cloud.release.temperature
    assert course.likelihood[row] == pytest.approx(scores[left == target][0] - np.log(np.exp(scores).sum()), abs=1e-3)


def test_nobody_sees_what_comes_later(dated: Dataset, options: FlowOptions, ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dated.times is not None
    pooled: list[list[int]] = []
    rebuild = Cloud.rebuild

    def watched(cloud: Cloud, histories: Sequence[np.ndarray], *rest: Any) -> None:
        pooled.append([len(history) for history in histories])
        rebuild(cloud, histories, *rest)

    monkeypatch.setattr(Cloud, "rebuild", watched)
    start = options.first_day(dated)
    asked = clicks_after(dated, start)
    at = dated.times[dated.offsets[asked.users] + asked.places]
    turn = int(np.median(at))
    turned = np.where(dated.times > turn, dated.items + 1 - dated.flat, dated.flat).astype(np.int32)
    other = ran.again(replace(dated, flat=turned))
    past = at <= turn
    for name, course in ran.courses.items():
        np.testing.assert_array_equal(course.ndcg[past], other[name].ndcg[past])
        np.testing.assert_array_equal(course.likelihood[past], other[name].likelihood[past])
        assert (course.likelihood[~past] != other[name].likelihood[~past]).mean() > 0.5
    each = np.split(dated.times, dated.offsets[1:-1])
    begins = range(start, start + int(asked.days.max() + 1) * DAY, options.pool_days * DAY)
    assert pooled == [[int((times < begin).sum()) for times in each] for begin in begins for _ in ran.clouds]


def test_conditions_differ_in_what_they_do(ran: Ran) -> None:
    marks = {name: course.likelihood for name, course in ran.courses.items()}
    assert not np.array_equal(marks["strategy"], marks["nothing"])
    assert not np.array_equal(marks["coda"], marks["nothing"])
    assert not np.array_equal(marks["both"], marks["strategy"])


def test_what_travels_is_what_was_asked_for(ran: Ran) -> None:
    total = {name: dict(zip(TRAFFIC, course.traffic.sum(axis=0).tolist(), strict=True)) for name, course in ran.courses.items()}
    width = 4 * (2 * ran.clouds[0].release.table.shape[1] + 1)
    envelope = 104 + 8 + len(ran.clouds[0].release.strategy)
    assert total["nothing"] == dict.fromkeys(TRAFFIC, 0) and not len(ran.courses["nothing"].health)
    for name in CONDITIONS[1:]:
        course, of = ran.courses[name], total[name]
        counts = [decode_health(record.tobytes())[0] for record in course.health]
        assert of["health"] == 32 * len(counts) == 32 * len(course.visitors)
        profiles, requests = of["profile"] / width, of["hint"] / 16
        assert (profiles == requests) == (name != "both") and requests <= profiles <= 2 * requests
        assert sum(each.requests for each in counts) <= requests < 2 * sum(each.requests for each in counts)
        assert sum(each.refused for each in counts) == 0
        assert (of["samples"] > 0) == (name != "strategy") == (sum(each.trainings for each in counts) > 0)
        assert (of["strategy"] > 0) == (name != "coda") and of["strategy"] % envelope == 0
    assert total["both"]["strategy"] == total["strategy"]["strategy"]


def test_courses_are_kept_and_taken_from_where_they_lie(
    dated: Dataset, options: FlowOptions, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chordkit.evaluation.flow.run.train_clouds", lambda *_: ran.clouds)
    first = run_flow(dated, options, (0,), tmp_path)

    def refuse(*_: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr("chordkit.evaluation.flow.run.train_clouds", refuse)
    second = run_flow(dated, options, (0,), tmp_path)
    for name in CONDITIONS:
        for field in ("ndcg", "likelihood", "traffic", "visitors", "visited", "health"):
            np.testing.assert_array_equal(getattr(first[0][name], field), getattr(second[0][name], field))
    with pytest.raises(CheckpointError, match="another simulation"):
        run_flow(dated, replace(options, pool_days=8), (0,), tmp_path)
    (tmp_path / "seed0" / "coda.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"coda\.safetensors: not the course"):
        run_flow(dated, options, (0,), tmp_path)


def test_without_dates_there_are_no_days(dated: Dataset, options: FlowOptions, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no times, and a simulation goes over days; prepare it"):
        run_flow(replace(dated, times=None), options, (0,), tmp_path)
    with pytest.raises(DataError, match="has times that are no dates, and a simulation goes over days"):
        run_flow(replace(dated, provenance={"times": "as the file counts"}), options, (0,), tmp_path)


def shifted(ran: Ran, gain: float) -> dict[str, Course]:
    """Courses in which everybody gains by a strategy, and by nothing else."""
    base = ran.courses["nothing"]
    better = replace(base, ndcg=base.ndcg + gain, likelihood=base.likelihood + 10 * gain)
    traffic = {name: ran.courses[name].traffic for name in CONDITIONS}
    return {name: replace(better if name in ("strategy", "both") else base, traffic=traffic[name]) for name in CONDITIONS}


def test_the_summary_pairs_users_and_takes_the_mean_of_the_seeds(dated: Dataset, options: FlowOptions, ran: Ran) -> None:
    summary = summarise_flow(dated, options, (0, 1), [shifted(ran, 0.1), shifted(ran, 0.3)], span=4)
    every = summary.groups[0]
    asked = clicks_after(dated, options.first_day(dated))
    each = [ran.courses["nothing"].ndcg[asked.users == user].mean() for user in np.unique(asked.users)]
    assert every.values["nothing"]["ndcg"].value == pytest.approx(np.mean(each), abs=1e-6)
    assert (every.users, every.clicks) == (len(each), len(asked.users))
    for group in (*summary.groups, *(days.group for days in summary.spans)):
        gain = group.gains["strategy - nothing"]
        assert [gain["ndcg"].value, gain["ndcg"].low, gain["likelihood"].high] == pytest.approx([0.2, 0.2, 2.0], abs=1e-5)
        assert group.gains["coda - nothing"]["ndcg"].value == group.gains["both - strategy"]["likelihood"].value == 0.0
    seeds = [each.gains["strategy - nothing"]["ndcg"].value for each in summary.each_seed]
    assert seeds == pytest.approx([0.1, 0.3], abs=1e-5) and [each.name for each in summary.each_seed] == ["seed 0", "seed 1"]
    assert sum(days.group.clicks for days in summary.spans) == every.clicks
    names = [group.name for group in summary.groups]
    known, later = (summary.groups[names.index(name)] for name in ("users known before the start", "users who arrived later"))
    assert known.users + later.users == summary.users == every.users and known.users == summary.known


def test_the_chart_and_the_tables_show_it(dated: Dataset, options: FlowOptions, ran: Ran) -> None:
    summary = summarise_flow(dated, options, (0,), [shifted(ran, 0.1)], span=4)
    picture = flow_chart(summary)
    lines = [each for each in ElementTree.fromstring(picture).iter() if each.get("class", "").startswith("line ")]
    assert len(lines) == 7
    weight = sum(summary.traffic["strategy"][way] for way in ("up", "down"))
    assert f"a strategy of one&#x27;s own: {weight / 1000:.1f} KB a user and day" in picture
    page = flow_markdown(summary)
    assert "| all | " in page and "**+0.1000 [+0.1000, +0.1000]**" in page and "+0.0000 [+0.0000, +0.0000]" in page
    assert page.count("\n## ") == 6


def test_the_command_leaves_a_chart_and_tables(
    dated: Dataset, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.setattr("chordkit.evaluation.flow.run.train_clouds", lambda *_: ran.clouds)
    dated.save(tmp_path / "shop.safetensors")
    line = ("evaluate", "flow", "--data", tmp_path / "shop.safetensors", "--out", tmp_path / "flow", "--seeds", 1, "--refresh", 20)
    found = command(*line, "--json").json
    assert (found["format"], found["dataset"], found["seeds"]) == ("chordkit-flow", dated.name, [0])
    assert sorted(path.name for path in (tmp_path / "flow").iterdir()) == ["flow.json", "flow.md", "flow.svg", "seed0"]
    shown = command(*line)
    assert shown.status == 0 and "both" in shown.out and "flow.svg" in shown.out
