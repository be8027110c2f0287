"""The table of runtimes: what it says of pinned versions and profiles, how it is made, and that runtimes still do what it says."""

import json
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest

from chordkit.errors import MissingRuntimeError
from chordkit.export.targets import all_targets, find_target
from chordkit.export.targets.profiles import Profile, all_profiles
from chordkit.export.targets.runtimes import Row, RuntimeTable, Tried, load_runtimes, ranges_markdown, right_range
from chordkit.files import cache_folder

ROOT = Path(__file__).parents[2]
TABLE = load_runtimes()
TRIED = pytest.mark.parametrize("tried", TABLE.packages, ids=lambda each: each.name)


def row(oldest: str, newest: str, verdict: str = "right", **more: object) -> Row:
    fields = {"target": "onnx", "package": "onnxruntime", "backbone": "caser", "dim": 32, "precision": "int8", "widths": (8,)}
    return Row(**{**fields, "activations": "fp32", "oldest": oldest, "newest": newest, "verdict": verdict, **more})  # type: ignore[arg-type]


# --- what the table says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [each for each in all_targets() if TABLE.tried(each.name)], ids=str)
def test_the_pinned_version_of_a_target_computes_every_file_of_it_rightly(target: object) -> None:
    can = find_target(str(target)).capability
    assert can.runtime is not None
    package, version = can.runtime
    rows = [each for each in TABLE.of(str(target), package=package) if each.covers(version)]
    assert {each.precision for each in rows} == set(can.precisions), f"{package} {version} was not tried: run scripts/try_runtimes.py"
    assert {each.layout for each in rows} == set(can.layouts)
    assert {each.activations for each in rows} == set(can.activations)
    assert [each for each in rows if each.verdict != "right"] == []


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda each: each.name)
def test_a_profile_is_right_on_every_version_that_it_claims(profile: Profile) -> None:
    (tried,) = [each for each in TABLE.packages if each.name == profile.package]
    assert {profile.oldest, profile.newest} <= set(tried.versions), f"{profile.name}: its ends were not tried"
    rows = TABLE.of(profile.target, package=profile.package, runtime=profile.name)
    for version in tried.versions[tried.versions.index(profile.oldest) : tried.versions.index(profile.newest) + 1]:
        here = [each for each in rows if each.covers(version)]
        assert {(each.precision, each.activations) for each in here} >= {
            (precision, activations) for precision in ("int8", "strategy") for activations in profile.activations
        }
        assert [each for each in here if each.verdict != "right"] == []


@TRIED
def test_a_package_has_one_row_for_each_file_and_tried_version(tried: Tried) -> None:
    rows = TABLE.of(tried.target, package=tried.name)
    spans = {"oldest", "newest", "verdict", "reason", "error"}
    files = {each.model_dump_json(exclude=spans) for each in rows}
    assert files
    for version in tried.versions:
        here = [each.model_dump_json(exclude=spans) for each in rows if each.covers(version)]
        assert sorted(here) == sorted(files)


def test_a_row_of_a_version_that_was_not_tried_is_refused() -> None:
    tried = Tried(name="onnxruntime", target="onnx", versions=("1.17.0", "1.18.0"))
    head = {"format": "chordkit-runtimes", "version": 1, "date": "2026-01-01", "chordkit": "1", "machine": "x86_64", "python": "3.11"}
    RuntimeTable(**head, packages=(tried,), rows=(row("1.17.0", "1.18.0"),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"onnxruntime 1\.17\.0 to 1\.19\.0 of onnx was not tried"):
        RuntimeTable(**head, packages=(tried,), rows=(row("1.17.0", "1.19.0"),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="runs backwards"):
        RuntimeTable(**head, packages=(tried,), rows=(row("1.18.0", "1.17.0"),))  # type: ignore[arg-type]


def test_a_range_is_the_newest_run_of_versions_in_which_every_file_is_right() -> None:
    versions = ["1.8", "1.9", "1.10", "1.11"]
    assert right_range([row("1.8", "1.11")], versions) == ("1.8", "1.11")
    assert right_range([row("1.8", "1.11"), row("1.8", "1.9", "refused"), row("1.10", "1.11")], versions) == ("1.10", "1.11")
    assert right_range([row("1.8", "1.8"), row("1.9", "1.9", "wrong"), row("1.10", "1.10"), row("1.11", "1.11", "wrong")], versions) == (
        "1.10",
        "1.10",
    )
    assert right_range([row("1.8", "1.11", "wrong")], versions) is None
    assert right_range([], versions) is None


def test_the_readme_tells_the_oldest_and_the_newest_version_of_each_kind_of_file() -> None:
    cell = ranges_markdown("litert", "ai-edge-litert")
    assert cell.startswith("ai-edge-litert ")
    versions = next(each for each in TABLE.packages if each.name == "ai-edge-litert").versions
    assert f"2.2.0 to {versions[-1]}: strategy" in cell
    assert "tflite-runtime 2.14.0: fp32, int8" in cell
    assert ranges_markdown("executorch-chord", "executorch") == "that version alone"


@pytest.mark.checkout
def test_the_page_is_made_of_the_table() -> None:
    tables = pytest.importorskip("scripts.runtimes.tables", reason="only a checkout has scripts")
    assert (ROOT / "docs" / "results" / "runtimes.md").read_text() == tables.markdown(TABLE), "run scripts/try_runtimes.py"


# --- runtimes still do what it says -----------------------------------------------------------------------------------


def _small(target: str, made: dict[str, list]) -> list:
    """Files of the smallest backbone: a strategy of all widths with each activation and layout."""
    artifacts = pytest.importorskip("scripts.runtimes.artifacts", reason="only a checkout has scripts")
    if target not in made:
        try:
            find_target(target).prepare()
        except MissingRuntimeError as error:
            pytest.skip(str(error))
        wanted = [
            each for each in artifacts.trials(target)
            if (each.backbone, each.dim, each.embedding_bits) == ("caser", 32, 8) and not each.user_vector and not each.runtime
            and each.widths == artifacts.MIXED
        ]  # fmt: skip
        made[target] = [artifacts.make(each) for each in wanted]
    return made[target]


@pytest.fixture(scope="module")
def small() -> Callable[[str], list]:
    made: dict[str, list] = {}
    return lambda target: _small(target, made)


def _differences(package: str, version: str, outcomes: dict, made: Iterable) -> list[str]:
    """What a version made of files otherwise than the table says."""
    found = []
    for trial in [each.trial for each in made]:
        fields = ("backbone", "dim", "precision", "widths", "activations", "layout", "embedding_bits", "user_vector")
        known = TABLE.of(trial.target, package=package, runtime=None, **{name: getattr(trial, name) for name in fields})
        (here,) = [each for each in known if each.covers(version)]
        outcome = outcomes[trial.name]
        if (outcome.verdict, outcome.reason) != (here.verdict, here.reason):
            found.append(f"{trial.name}: {outcome}, the table says {here.verdict} {here.reason}")
    return found


@pytest.mark.checkout
@pytest.mark.long
@TRIED
def test_the_oldest_version_of_a_package_does_what_the_table_says(tried: Tried, small: Callable[[str], list]) -> None:
    environments = pytest.importorskip("scripts.runtimes.environments", reason="only a checkout has scripts")
    from scripts.runtimes.attempts import attempt

    made = small(tried.target)
    package, oldest = environments.find_package(tried.name), tried.here[0]
    try:
        environment = environments.prepare(package, oldest, cache_folder("runtimes"))
    except environments.Unavailable as error:
        pytest.skip(f"{tried.name} {oldest} cannot be had here: {error}")
    assert _differences(tried.name, oldest, attempt(environment, made), made) == []


# ExecuTorch's lowering and its torch take seconds, and tests/conformance holds what is installed of it to be right, as the table says.
@pytest.mark.checkout
@pytest.mark.long
@pytest.mark.parametrize("tried", [each for each in TABLE.packages if each.name != "executorch"], ids=lambda each: each.name)
def test_the_installed_version_of_a_package_does_what_the_table_says(tried: Tried, small: Callable[[str], list]) -> None:
    environments = pytest.importorskip("scripts.runtimes.environments", reason="only a checkout has scripts")
    from scripts.runtimes.attempts import attempt

    try:
        version = metadata.version(tried.name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{tried.name} is not installed")
    assert version in tried.versions, f"{tried.name} {version} was not tried: run scripts/try_runtimes.py"
    made = small(tried.target)
    environment = environments.installed(environments.find_package(tried.name), version)
    assert _differences(tried.name, version, attempt(environment, made), made) == []


# --- how a run goes ---------------------------------------------------------------------------------------------------

MISBEHAVING = """
import os, time
import numpy
class Interpreter:
    def __init__(self, model_content, num_threads):
        self.kind = model_content.decode()
        if self.kind == "refuses":
            raise ValueError("/src/tensorflow/lite/x.cc:12 no such operator at 0x7f00beef\\nTraceback")
    def allocate_tensors(self):
        print("runtimes print what they like")
        if self.kind == "crashes":
            os.abort()
        if self.kind == "hangs":
            time.sleep(60)
    def get_input_details(self):
        return [{"name": "history", "index": 0}, {"name": "candidates", "index": 1}]
    def get_output_details(self):
        return [{"index": 2}]
    def set_tensor(self, index, value):
        self.last = value
    def invoke(self):
        pass
    def get_tensor(self, index):
        scores = self.last.astype(numpy.float32)
        return -scores if self.kind == "is wrong" else scores
"""


@pytest.mark.checkout
def test_a_runtime_that_crashes_hangs_refuses_or_is_wrong_has_a_verdict_and_the_files_behind_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = pytest.importorskip("scripts.runtimes.environments", reason="only a checkout has scripts")
    import numpy as np

    from chordkit.export.judge import Expectation
    from chordkit.export.parity import FP32_TOLERANCE, draw
    from scripts.runtimes import attempts
    from scripts.runtimes.artifacts import Made, Trial

    monkeypatch.setattr(attempts, "ARTIFACT_S", 2.0)
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime" / "interpreter.py").write_text(MISBEHAVING)
    histories = np.tile(np.arange(1, 6, dtype=np.int32), (4, 1))
    vectors = draw(histories, np.arange(1, 5), 40, count=4, candidates=20)
    expected = Expectation(vectors, vectors.candidates.astype(np.float32), FP32_TOLERANCE.for_few(4, 20), None, 64, False)
    kinds = ("crashes", "refuses", "is right", "is wrong", "hangs")
    made = [Made(Trial("litert", kind.replace(" ", "-"), 1, "fp32"), kind.encode(), vectors, lambda: expected) for kind in kinds]
    package = environments.find_package("tflite-runtime")
    site = environments.installed(package, "0").paths
    outcomes = dict(zip(kinds, attempts.attempt(environments.Environment(package, "0", (tmp_path, *site), {}), made).values(), strict=True))
    assert outcomes["crashes"] == attempts.Outcome("refused", "killed by SIGABRT in the process of the runtime")
    assert outcomes["hangs"] == attempts.Outcome("refused", "no answer after 2 s in the process of the runtime")
    assert outcomes["refuses"] == attempts.Outcome("refused", "no such operator at 0x...")
    assert outcomes["is right"] == attempts.Outcome("right", "", 0.0)
    wrong = outcomes["is wrong"]
    assert wrong.verdict == "wrong" and wrong.error is not None and wrong.error > 1 and "kendall_tau" in wrong.reason
    with pytest.raises(environments.Unavailable, match="tflite-runtime 0: No module named"):
        attempts.attempt(environments.Environment(package, "0", site, {}), made)


@pytest.mark.checkout
def test_versions_that_say_the_same_are_one_row_and_a_second_run_is_compared_version_by_version() -> None:
    tables = pytest.importorskip("scripts.runtimes.tables", reason="only a checkout has scripts")
    from scripts.runtimes.artifacts import Trial
    from scripts.runtimes.attempts import Outcome

    trial = Trial("onnx", "caser", 32, "int8", (8,))
    right, wrong = Outcome("right", "", 1e-7), Outcome("wrong", "missed: kendall_tau", 0.5)
    refused = Outcome("refused", "no")
    outcomes = {"1.0": refused, "1.1": wrong, "1.2": right, "1.3": Outcome("right", "", 3e-7), "1.4": right}
    rows = tables.rows_of("onnxruntime", trial, outcomes)
    assert [(each.oldest, each.newest, each.verdict, each.error) for each in rows] == [
        ("1.0", "1.0", "refused", None), ("1.1", "1.1", "wrong", 0.5), ("1.2", "1.4", "right", 3e-7),
    ]  # fmt: skip

    def table(rows: Iterable[Row]) -> RuntimeTable:
        tried = Tried(name="onnxruntime", target="onnx", versions=tuple(outcomes))
        head = {"format": "chordkit-runtimes", "version": 1, "date": "2026-01-01", "chordkit": "1", "machine": "m", "python": "3"}
        return RuntimeTable(**head, packages=(tried,), rows=tuple(rows))  # type: ignore[arg-type]

    assert tables.differences(table(rows), table(rows)) == []
    later = tables.rows_of("onnxruntime", trial, {**outcomes, "1.3": wrong})
    (line,) = tables.differences(table(rows), table(later))
    assert line.startswith("onnxruntime 1.3, onnx caser 32 int8 8 fp32 size 8 False") and line.endswith(
        "right, now wrong (missed: kendall_tau)"
    )
    script = pytest.importorskip("scripts.try_runtimes")
    assert RuntimeTable.model_validate_json(script.written(table(rows))) == table(rows)
    assert json.loads(script.written(table(rows)))["rows"][0]["oldest"] == "1.0"
