"""The way of an ExecuTorch program with ``chord::`` operators through the commands: export, bundle, verify, validate, bench."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.errors import CheckFailed
from chordkit.export import bundle
from chordkit.export.targets import all_targets, find_target
from chordkit.files import CACHE_VARIABLE
from chordkit.report.sections import artifact_summaries

pytest.importorskip("executorch")

pytestmark = pytest.mark.long

TARGETS = ("executorch-chord", "executorch-chord-linear")


@pytest.fixture(scope="module")
def made(project: Any, command: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle with both kinds of program, native beside them."""
    folder = tmp_path_factory.mktemp("chord")
    sources = ("--master", project / "m.chrm", "--strategy", project / "u5.chrd", "--strategy", project / "u6.chrd")
    exported = command(
        "export", *sources, "--target", ",".join([*TARGETS, "native"]), "--candidates", 20, "--out", folder / "artifacts", "--json"
    )
    names = [artifact["name"] for artifact in exported.json["artifacts"]]
    assert names == [f"{target}-{kind}" for target in (*TARGETS, "native") for kind in ("int8", "u5", "u6")]
    bundled = command(
        "bundle", "make", *sources, "--artifacts", folder / "artifacts", "--data", project / "shop.safetensors", "--histories", 60,
        "--vectors", 12, "--key", project / "key.pem", "--out", folder / "shop.chord",
    )  # fmt: skip
    assert bundled.status == 0, bundled.err
    yield folder / "shop.chord"


def test_an_export_folder_holds_the_master_and_each_strategy_once(made: Path) -> None:
    names = sorted(path.name for path in (made.parent / "artifacts").iterdir())
    programs = [f"{target}-{kind}.pte" for target in TARGETS for kind in ("int8", "u5", "u6")]
    assert names == sorted([*programs, "export.json", "master.chrm", "u5.chrd", "u6.chrd"])


def test_the_manifest_names_the_operators_and_the_library_that_a_phone_needs(made: Path) -> None:
    with bundle.open(made) as opened:
        needed = {entry.target: dict(entry.requires) for entry in opened.manifest.artifacts}
    assert set(needed["executorch-chord"]) == {"executorch", "libchord_executorch", "chord::rerank.out", "chord::rerank_for.out"}
    assert set(needed["executorch-chord-linear"]) == {"executorch", "libchord_executorch", "chord::linear.out"}
    assert needed["executorch-chord"]["chord::rerank.out"] == "1"
    assert set(needed["native"]) == {"chordkit"}


def test_a_report_adds_the_master_to_a_program_that_is_called_with_it(made: Path) -> None:
    with bundle.open(made) as opened:
        shown = {each.name: each.bytes or 0 for each in artifact_summaries({"shop": opened.manifest}, None)}
        program = len(opened.artifact("executorch-chord-u5"))
    assert shown["executorch-chord-u5"] == program + shown["native-u5"]


def test_every_target_says_what_it_requires() -> None:
    for target in all_targets():
        runtime = target.capability.runtime
        assert next(iter(target.requires())) == ("chordkit" if runtime is None else runtime[0])


def test_verify_validate_and_bench_take_the_programs_as_any_other(made: Path, command: Any, project: Any) -> None:
    verified = command("bundle", "verify", made, "--public-key", project / "key.pub.pem", "--run", "--json").json
    validated = command("validate", made, "--json").json["artifacts"]
    judged = {result["artifact"]: result["report"] for result in verified["vectors"]}
    # One judge: what verify and validate say over the same vectors is the same.
    assert judged == validated and all(report["passed"] for report in judged.values())
    for kind in ("int8", "u5", "u6"):
        assert judged[f"executorch-chord-{kind}"] == judged[f"native-{kind}"]
        assert judged[f"executorch-chord-{kind}"]["emulation_max_error"] == 0
        assert judged[f"executorch-chord-linear-{kind}"]["emulation_rms_error"] < 1e-3
    on_data = command("validate", made, "--data", project / "shop.safetensors", "--histories", 40, "-a", "executorch-chord-u5", "--json")
    assert on_data.json["passed"]
    timed = command("bench", made, "-a", "executorch-chord-u5", "--rounds", 5, "--block-ms", 1, "--processes", 1, "--launches", 1, "--json")
    assert "executorch-chord-u5" in {result["name"] for result in timed.json["results"]}


def test_verify_judges_quantised_activations_by_their_emulation(made: Path) -> None:
    """An error that the float reference's tolerance has room for (0.5 % rms of 2 %), as two swapped channels make, is seen."""

    class Off:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def scores(self, history: np.ndarray, candidates: np.ndarray) -> np.ndarray:
            scores = self.inner.scores(history, candidates)
            return scores + 0.005 * scores.std() * np.where(np.arange(len(scores)) % 2, 1, -1)

    report = bundle.verify(made, runner_factory=lambda opened, entry: Off(opened.runner(entry)), artifacts=["executorch-chord-u5"])
    assert [reason.split()[0] for reason in report.vectors[0].report.reasons] == ["emulation_rms_error"]
    with pytest.raises(CheckFailed, match="emulation_rms_error"):
        report.require()


def test_the_demo_leaves_out_what_needs_a_compiler_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from chordkit.demo import DemoOptions
    from chordkit.demo.pipeline import _targets
    from chordkit.errors import MissingRuntimeError

    targets, left_out = _targets(DemoOptions(tmp_path))
    assert targets == tuple(target for target in all_targets() if target.name != "executorch-chord-linear") and left_out == []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    targets, (reason,) = _targets(DemoOptions(tmp_path))
    assert find_target("executorch-chord") not in targets and find_target("executorch") in targets
    assert reason.startswith("executorch-chord was left out: ") and "C++ compiler" in reason
    with pytest.raises(MissingRuntimeError, match=r"C\+\+ compiler"):
        _targets(DemoOptions(tmp_path, targets=(find_target("executorch-chord"),)))
