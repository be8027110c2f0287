"""``chordkit validate --stages`` from the shell: a right bundle, a bundle with a fault in it, and the page of what was found."""

import json
from pathlib import Path

import pytest

from chordkit.export import bundle
from chordkit.export.stages import Subject, load_stages, walk
from chordkit.runtime_bench.devices.registry import connect
from chordkit.runtime_bench.elsewhere import ARM64, ScoresOn
from chordkit.runtime_bench.emulated import prepared

ORDER = ["master", "strategy", "reference", "program", "lowered", "serialised", "loaded", "arm64"]


@pytest.fixture(scope="module")
def walked(project, command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of a right bundle's stages."""
    path = tmp_path_factory.mktemp("stages") / "stages.json"
    arguments = ("--backbone", project / "m.fp32.safetensors", "--artifact", "litert-u5", "--artifact", "native-int8")
    outcome = command("validate", project / "shop.chord", "--stages", *arguments, "--json")
    assert outcome.status == 0, outcome.err
    path.write_text(outcome.out)
    return path


def test_every_stage_of_a_right_bundle_is_right(walked: Path) -> None:
    found = load_stages(walked)
    assert found.passed and [each.artifact for each in found.artifacts] == ["litert-u5", "native-int8"]
    litert, native = found.artifacts
    assert [stage.name for stage in litert.stages] == ORDER
    assert [stage.verdict for stage in litert.stages] == ["right", "told", *["right"] * 5, "absent"]
    assert {stage.name for stage in native.stages if stage.verdict == "absent"} == {"strategy", "program", "arm64"}


def test_the_page_shows_the_stages(walked: Path, command, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outcome = command("report", walked, "--out", page, "--markdown", tmp_path / "report.md", "--json")
    assert outcome.status == 0, outcome.err
    text = (tmp_path / "report.md").read_text()
    assert "litert-u5" in text and "serialised" in text
    document = json.loads(walked.read_text())
    document["artifacts"][0] |= {"first_bad": "serialised", "layer": "blocks.0.ffn1"}
    document["artifacts"][0]["stages"][5] |= {"verdict": "wrong", "reason": "3 bytes are others"}
    (tmp_path / "bad.json").write_text(json.dumps(document))
    assert command("report", tmp_path / "bad.json", "--out", page, "--markdown", tmp_path / "bad.md").status == 0
    assert "blocks.0.ffn1" in (tmp_path / "bad.md").read_text() and "3 bytes are others" in page.read_text()


def test_arm64_without_stages_is_refused(project, command) -> None:
    outcome = command("validate", project / "shop.chord", "--arm64")
    assert outcome.status == 2 and "--stages" in outcome.err


@pytest.mark.long
@pytest.mark.skipif(prepared() is None, reason="the emulated machine is not prepared; `chordkit devices prepare emulator` makes it")
def test_files_give_the_same_scores_on_emulated_arm64(project, command) -> None:
    arguments = [word for name in ("litert-u5", "onnx-u5", "native-u5") for word in ("--artifact", name)]
    found = command("validate", project / "shop.chord", "--stages", "--arm64", *arguments, "--json").json
    last = {each["artifact"]: each["stages"][-1] for each in found["artifacts"]}
    assert {name: (stage["name"], stage["verdict"]) for name, stage in last.items()} == dict.fromkeys(last, ("arm64", "right"))
    assert len(last) == 3


@pytest.mark.long
@pytest.mark.skipif(prepared() is None, reason="the emulated machine is not prepared; `chordkit devices prepare emulator` makes it")
def test_a_file_that_the_other_machine_refuses_is_wrong_there(project) -> None:
    with bundle.open(project / "shop.chord") as opened:
        entry, vectors, master = opened.artifact_entry("onnx-u5"), opened.vectors(), opened.master()
        data, strategy = bytes(opened.artifact("onnx-u5")), opened.strategy("u5")
    there = ScoresOn(connect(ARM64), master)
    cut = walk(Subject(entry, data, master, strategy, None, vectors), lambda artifact, file, *rest: there(artifact, file[:-100], *rest))
    assert cut.first_bad == "arm64" and "refuses the file" in cut.summary()
