"""Two runs held against each other: every verdict, every reason for none, and the refusal of files that are no results."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import InputError
from chordkit.estimate import Estimate
from chordkit.runtime_bench.compare import Compared, Comparison, compare, load_report
from chordkit.runtime_bench.results import BenchReport, Counts, Settings
from tests.runtime_bench.reports import BASELINE, EMULATED, PHONE, TIMES, made_report, made_samples

pytestmark = pytest.mark.long

NATIVE = "native-int8"


def of(comparison: Comparison, name: str = NATIVE) -> Compared:
    return next(each for each in comparison.contenders if each.name == name)


def changed(report: BenchReport, name: str, **fields: object) -> BenchReport:
    return report.model_copy(
        update={"results": tuple(each.model_copy(update=fields) if each.name == name else each for each in report.results)}
    )


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.5, "slower"), (1 / 1.5, "faster"), (1.0, "same within noise"), (1.03, "same within noise")]
)
@pytest.mark.parametrize("sampled", [False, True])
def test_a_change_beyond_the_threshold_has_a_verdict(factor: float, verdict: str, sampled: bool) -> None:
    one, two = made_samples(seed=1), made_samples({**TIMES, NATIVE: TIMES[NATIVE] * factor}, seed=2)
    comparison = compare(made_report(one), made_report(two), 0.05, samples=(one, two) if sampled else (None, None))
    assert of(comparison).verdict == verdict
    assert comparison.slower == ((NATIVE,) if verdict == "slower" else ())
    assert of(comparison, "onnx-int8").verdict == "same within noise"
    ratio = of(comparison).ratio
    assert ratio is not None and ratio.low <= factor <= ratio.high


def test_launches_of_both_runs_say_more_than_their_two_intervals() -> None:
    one, two = made_samples(seed=1), made_samples(seed=2)
    reports = made_report(one), made_report(two)
    wide, narrow = of(compare(*reports)).ratio, of(compare(*reports, samples=(one, two))).ratio
    assert wide is not None and narrow is not None and wide.high / wide.low > narrow.high / narrow.low


def test_a_machine_that_is_slower_today_is_not_a_slower_artifact() -> None:
    one, two = made_report(made_samples(seed=1)), made_report(made_samples({name: 1.4 * us for name, us in TIMES.items()}, seed=2))
    comparison = compare(one, two)
    assert comparison.baseline == BASELINE and of(comparison).anchored
    assert of(comparison).verdict == of(comparison, "onnx-int8").verdict == "same within noise"
    assert of(comparison, BASELINE).verdict == "slower", "what cancels the drift is itself compared as it is"
    assert any("cancels" in note for note in comparison.notes)


@pytest.mark.parametrize("fields", [{"sha256": "cd" * 32}, {"runtime": "litert 2"}, {"comparable": False}])
def test_a_baseline_that_changed_cancels_nothing(fields: dict[str, object]) -> None:
    comparison = compare(made_report(), changed(made_report(), BASELINE, **fields))
    assert comparison.baseline is None and not of(comparison).anchored


def test_our_own_engine_is_no_baseline_across_commits() -> None:
    older = made_report(baseline=NATIVE)
    newer = made_report(baseline=NATIVE, machine=PHONE.model_copy(update={"commit": "fedcba9876543210"}))
    assert compare(older, newer).baseline is None
    assert compare(older, older).baseline == NATIVE
    assert any(note.startswith("other commit") for note in compare(older, newer).notes)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"device": "adb:OTHER"}, "other device"),
        ({"machine": PHONE.model_copy(update={"cpu": "another"})}, "other machine"),
        ({"machine": PHONE.model_copy(update={"abi": "x86_64"})}, "other ABI"),
        ({"settings": Settings(mode="cold")}, "other mode: saturated, then cold"),
        ({"settings": Settings(threads=4)}, "other number of threads"),
        ({"candidates": 50}, "other number of candidates: 100, then 50"),
        ({"histories": 32}, "other number of histories"),
        ({"machine": EMULATED}, "emulated, the other is real"),
    ],
)
def test_runs_of_different_things_are_not_compared(fields: dict[str, object], reason: str) -> None:
    comparison = compare(made_report(), made_report().model_copy(update=fields))
    assert {each.verdict for each in comparison.contenders} == {"not comparable"} and comparison.slower == ()
    assert all(reason in each.reasons[0] and each.ratio is None for each in comparison.contenders)
    assert reason in comparison.notes[0]


def test_a_contender_that_should_not_be_compared_is_not_even_when_it_is_slower() -> None:
    slow = made_report(made_samples({**TIMES, NATIVE: 400.0}))
    for fields, reason in (
        ({"comparable": False, "reasons": ("the device stayed hot",)}, "the second run: the device stayed hot"),
        ({"precision": "fp32"}, "other precision: int8, then fp32"),
        (
            {"latency": slow.results[0].latency.model_copy(update={"median_of_blocks_us": Estimate(value=1, low=-1, high=2)})},
            "no time of a call",
        ),
    ):
        row = of(compare(made_report(), changed(slow, NATIVE, **fields)))
        assert row.verdict == "not comparable" and reason in "; ".join(row.reasons)


def test_a_contender_of_one_run_only_is_listed_and_not_judged() -> None:
    fewer = made_report(made_samples({name: us for name, us in TIMES.items() if name != NATIVE}))
    assert of(compare(made_report(), fewer)).reasons == ("only the first run holds it",)
    assert of(compare(fewer, made_report())).reasons == ("only the second run holds it",)


def test_other_files_and_runtimes_are_noted_and_compared() -> None:
    other = changed(made_report(), NATIVE, sha256="cd" * 32, runtime="native 2", variant="i8mm")
    row = of(compare(made_report(), other))
    assert row.verdict == "same within noise"
    assert row.notes == ("other file", "other runtime: native 1, then native 2", "other variant: None, then i8mm")


def test_emulated_runs_are_compared_to_the_last_instruction() -> None:
    exact = made_samples(noise=0.0)
    one = made_report(exact, machine=EMULATED)
    two = changed(made_report(made_samples({**TIMES, NATIVE: 40.4}, noise=0.0), machine=EMULATED), NATIVE, counts=Counts(per_call=1010.0))
    comparison = compare(one, two, 0.005)
    row = of(comparison)
    assert row.verdict == "slower" and row.instructions == pytest.approx(1.01)
    assert row.ratio is not None and row.ratio.low == row.ratio.high == pytest.approx(1.01)
    assert of(compare(one, one, 0.0)).verdict == "same within noise"
    assert any("emulated" in note for note in comparison.notes)


def test_noise_that_could_hide_a_failure_is_said() -> None:
    loud = made_report(made_samples(noise=0.15))
    notes = of(compare(loud, loud)).notes
    assert any("it may have become up to" in note for note in notes)


def test_the_table_is_whole() -> None:
    comparison = compare(made_report(), made_report(made_samples({NATIVE: 80.0}, seed=2)))
    assert {len(row) for row in comparison.rows()} == {len(comparison.columns())}
    assert json.loads(comparison.model_dump_json())["contenders"][0]["verdict"] == "slower"


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_a_threshold_below_nothing_is_an_error(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        compare(made_report(), made_report(), threshold)


def test_a_result_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(made_report().model_dump_json())
    assert load_report(tmp_path / "run.json") == made_report()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "damaged: it is not JSON"),
        ("{", "damaged: it is not JSON"),
        ("[" * 100_000, "damaged: it is not JSON"),
        ('{"a": NaN}', "damaged: it is not JSON"),
        ("\x00", "damaged: it is not JSON"),
        ("[]", "no benchmark result; give the JSON file"),
        ("{}", "no benchmark result; give the JSON file"),
        ('{"format": "chordkit-report", "version": 1}', "no benchmark result; give the JSON file"),
        ('{"format_version": true, "results": []}', "no benchmark result; give the JSON file"),
        ('{"format_version": 1, "results": []}', "of format 1: it knows nothing of devices, .*; measure again with"),
        ('{"format_version": 3}', "of format 3: this chordkit reads format 2; update chordkit"),
        ('{"format_version": 2, "results": []}', "not a whole benchmark result: device: Field required; measure again"),
    ],
)
def test_what_is_no_result_is_refused_with_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=rf"run\.json: .*{sentence}"):
        load_report(tmp_path / "run.json")
    with pytest.raises(InputError, match="no such benchmark result file"):
        load_report(tmp_path / "other.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)


def _places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in _places(each, (*path, key)))]


MADE = made_report()
DOCUMENT = json.loads(MADE.model_dump_json())
PLACES = [place for place in _places(DOCUMENT) if place]


@settings(deadline=None)
@given(place=st.sampled_from(PLACES), value=json_values)
def test_a_result_with_one_thing_wrong_is_read_or_refused_and_what_is_read_can_be_compared(
    place: tuple[object, ...], value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path_factory.mktemp("fuzz") / "run.json"
    path.write_text(json.dumps(document))
    try:
        report = load_report(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        for comparison in (compare(MADE, report), compare(report, report)):
            assert len(comparison.rows()) == len(comparison.contenders)


@settings(deadline=None)
@given(data=st.binary(max_size=100))
def test_bytes_are_no_result(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "run.json"
    path.write_bytes(data)
    with pytest.raises(InputError):
        load_report(path)
