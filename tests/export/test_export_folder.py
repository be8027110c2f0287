"""The folder of an export is one backbone's: another export adds to it, or is refused."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import build, default_config, make_master
from chordkit.errors import InputError
from chordkit.export.artifact import Precision
from chordkit.export.bundle import ArtifactContents
from chordkit.export.collection import Sources, export_artifacts, read_folder, write_folder
from chordkit.strategy import Strategy


def _refusal(folder: Path, artifacts: list[ArtifactContents], sources: Sources) -> str:
    try:
        write_folder(folder, artifacts, sources)
    except InputError as error:
        return str(error)
    return ""


def test_another_export_adds_to_the_folder_and_takes_the_place_of_what_has_its_name(project: Any, command: Any, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    shared = ("--master", project / "m.chrm", "--candidates", 10, "--out", folder)
    assert command("export", *shared, "--target", "onnx", "--strategy", project / "u5.chrd").status == 0
    first = {entry["name"]: entry["sha256"] for entry in json.loads((folder / "export.json").read_text())["artifacts"]}
    assert command("export", *shared, "--target", "litert,native", "--strategy", project / "u5.chrd").status == 0
    second = command("export", *shared, "--target", "onnx", "--precision", "int8", "--candidates", 12)
    assert second.status == 0, second.err
    found = {artifact.name: artifact for artifact in read_folder(folder)[1]}
    assert set(found) == {f"{target}-{kind}" for target in ("onnx", "litert", "native") for kind in ("int8", "u5")}
    assert found["onnx-int8"].candidates == 12 and found["onnx-u5"].candidates == 10
    assert first["onnx-u5"] in (folder / "export.json").read_text() and first["onnx-int8"] not in (folder / "export.json").read_text()


def test_an_artifact_of_another_strategy_with_the_same_name_does_not_stay(project: Any, command: Any, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    shared = ("export", "--master", project / "m.chrm", "--precision", "strategy", "--candidates", 10, "--out", folder)
    assert command(*shared, "--target", "onnx", "--strategy", project / "u5.chrd").status == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "u5.chrd").write_bytes((project / "u6.chrd").read_bytes())
    other = command(*shared, "--target", "native", "--strategy", tmp_path / "u5.chrd")
    assert other.status == 2 and "onnx-u5 is of another strategy that is called 'u5' too" in other.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert command(*shared, "--target", "native,onnx", "--strategy", tmp_path / "u5.chrd").status == 0


def test_a_small_catalogue_is_exported_with_all_its_items_as_candidates() -> None:
    small, large = (Sources(make_master(build(default_config("sasrec", items, dim=16))), None, {}) for items in (40, 140))
    assert [export_artifacts(["native"], sources, ["int8"])[0].candidates for sources in (small, large)] == [40, 100]
    with pytest.raises(InputError, match="101 candidates are more than the 40 items"):
        export_artifacts(["native"], small, ["int8"], 101)


def test_two_exports_into_one_folder_leave_one_of_them_whole(tmp_path: Path) -> None:
    def sources(dim: int) -> Sources:
        master = make_master(build(default_config("sasrec", 40, dim=dim, max_length=10)))
        widths = np.full(master.channel_table.channels, 8, np.uint8)
        strategies: Mapping[str, Strategy] = {f"u{number}": Strategy(widths, master.fingerprint) for number in range(4)}
        return Sources(master, None, strategies)

    def artifact(name: str) -> ArtifactContents:
        return ArtifactContents(
            name=f"native-{name}",
            target="native",
            precision=Precision.STRATEGY,
            activations="int8",
            candidates=10,
            strategy=name,
            data=None,
        )

    both = [sources(8), sources(16)]
    artifacts = [artifact(f"u{number}") for number in range(4)]
    digests = {each.master.digest.hex() for each in both}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            refused = list(pool.map(lambda each: _refusal(tmp_path, artifacts, each), both))
            digest, found = read_folder(tmp_path)
            assert digest in digests and len(found) == 4
            assert sorted(map(bool, refused)) == [False, True] and "other master weights" in "".join(refused)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "master.chrm", "u0.chrd", "u1.chrd", "u2.chrd", "u3.chrd"]
