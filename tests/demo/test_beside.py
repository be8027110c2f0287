"""The second process of the demo does what the first one would, and nothing when there is no processor for it."""

import shutil
from pathlib import Path

import pytest

from chordkit.demo import DemoOptions, DemoResult, beside
from chordkit.demo.training import BACKBONE
from chordkit.export.collection import read_folder
from chordkit.export.targets import find_target

PLAN = DemoOptions(out=Path(), epochs=1, hypernetwork_epochs=1).plan


def test_the_rivals_made_beside_are_those_of_the_demo(demo: DemoResult, tmp_path: Path) -> None:
    out = demo.html.parent
    shutil.copytree(out / "checkpoints", tmp_path / "checkpoints")
    for name in (beside.DATASET, BACKBONE):
        shutil.copy(out / name, tmp_path)
    with beside.rivals_beside(tmp_path, PLAN, (find_target("native"),)) as second:
        assert second.process is not None
        second.begin()
        second.wait_until_trained()
        assert (tmp_path / "static.chrm").read_bytes() == (out / "static.chrm").read_bytes()
        second.wait_until_exported()
        assert second.process.returncode == 0, (tmp_path / "rivals.log").read_text()
    for name, least in (("static", 1), ("fp32", 1)):
        fingerprint, artifacts = read_folder(tmp_path / "artifacts" / name)
        wanted, all_of_it = read_folder(out / "artifacts" / name)
        assert fingerprint == wanted and len(artifacts) == least
        assert all(artifact in all_of_it for artifact in artifacts)


@pytest.mark.parametrize("begun", [False, True])
def test_a_second_process_ends_with_the_first(begun: bool, demo: DemoResult, tmp_path: Path) -> None:
    for name in (beside.DATASET, BACKBONE):
        shutil.copy(demo.html.parent / name, tmp_path)
    with beside.rivals_beside(tmp_path, PLAN, ()) as second:
        assert second.process is not None and second.process.stdin is not None
        if begun:
            second.begin()
        second.process.stdin.close()  # what the system does when the first is killed
        assert second.process.wait(120) == 1
        second.wait_until_trained()


def test_one_processor_has_no_second_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "processors", lambda: 1)
    with beside.rivals_beside(tmp_path, PLAN, ()) as second:
        assert second.process is None
        second.begin()
        second.wait_until_trained()
        second.wait_until_exported()
