"""No command writes over what it reads, nor two results into one file."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, write_clicks

COLUMNS = ("--user", "uid", "--item", "sku", "--time", "ts")


@pytest.mark.parametrize("spelling", ["raw.csv", "other/../raw.csv", "link.csv", "hard.csv", "linked/raw.csv"])
def test_raw_data_is_not_written_over_however_its_path_is_spelled(spelling: str, command: Any, tmp_path: Path) -> None:
    raw = tmp_path / "raw.csv"
    write_clicks(raw, users=20, items=30)
    before = raw.read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "link.csv").symlink_to(raw)
    os.link(raw, tmp_path / "hard.csv")
    (tmp_path / "linked").symlink_to(tmp_path)
    refused = command("data", "prepare", raw, *COLUMNS, "--out", f"{tmp_path}/{spelling}")
    assert refused.status == 2 and "is also the file of SOURCE, which would be lost; choose another name" in refused.err
    assert raw.read_bytes() == before


@pytest.mark.parametrize("source", ["log", "log/*.csv", "lo?/part-[0-9].csv"])
def test_a_part_of_the_raw_data_is_not_written_over(source: str, command: Any, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    parts = [tmp_path / "log" / f"part-{index}.csv" for index in range(2)]
    for part in parts:
        write_clicks(part, users=20, items=30)
    before = parts[1].read_bytes()
    refused = command("data", "prepare", f"{tmp_path}/{source}", *COLUMNS, "--out", parts[1])
    assert refused.status == 2 and "is also the file of SOURCE, which would be lost; choose another name" in refused.err
    assert parts[1].read_bytes() == before


def test_the_file_behind_a_name_is_not_written_over(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "ml-100k" / "u.data"
    raw.parent.mkdir()
    raw.write_text("1\t1\t5\t881250949\n")
    monkeypatch.setenv("CHORDKIT_DATA", str(tmp_path))
    for verb in ("data prepare ml-100k", f"data prepare {raw.parent}", "train backbone --data ml-100k"):
        refused = command(*verb.split(), "--out", raw)
        assert refused.status == 2 and "which would be lost; choose another name" in refused.err, refused.err
    assert raw.read_text() == "1\t1\t5\t881250949\n"


def test_two_results_do_not_go_into_one_file(command: Any, project: Project, tmp_path: Path) -> None:
    refused = command("bundle", "key", "--private", tmp_path / "key", "--public", f"{tmp_path}/./key")
    assert refused.status == 2 and "--public" in refused.err and "is also what --private names" in refused.err
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    source = ("--data", project / "shop.safetensors", "--backbone", project / "b.safetensors")
    refused = command("train", "hypernetwork", *source, "--out", tmp_path / "folder" / "x", "--master", tmp_path / "link" / "x")
    assert refused.status == 2 and "--master" in refused.err and "is also what --out names" in refused.err
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train hypernetwork --data {p}/shop.safetensors --backbone {b} --out {b} --master {t}/m.chrm", "--backbone"),
        ("train hypernetwork --data {p}/shop.safetensors --backbone {b} --out {t}/h --master {t}/b.chrm", "the FP32 backbone"),
        ("train hypernetwork --data {p}/shop.safetensors --backbone {p}/b.safetensors --teacher {b} --out {b} --master {t}/m", "--teacher"),
        ("catalogue grow --data {p}/shop.safetensors --master {p}/m.chrm --backbone {b} --out {t}/b.chrm", "beside --out"),
        ("train backbone --data {b} --out {b}", "--data"),
        ("strategy make --hypernetwork {p}/h.safetensors --master {b} --data {p}/shop.safetensors --user 5 --out {b}", "--master"),
        ("strategy seal {b} --key {p}/key.pem --serial 1 --out {b}", "STRATEGY"),
        ("bundle make --master {p}/m.chrm --strategy {p}/u5.chrd --artifacts {p}/artifacts --data {b} --out {b}", "--data"),
        ("bench {b} --out {b}", "BUNDLES"),
        ("report {b} --out {b}", "SOURCE"),
    ],
)  # fmt: skip
def test_an_input_is_not_written_over(line: str, words: str, command: Any, project: Project, tmp_path: Path) -> None:
    path = tmp_path / "b.fp32.safetensors"
    shutil.copy(project / "b.safetensors", path)
    before = path.read_bytes()
    refused = command(*line.format(p=project.folder, t=tmp_path, b=path).split())
    assert refused.status == 2 and words in refused.err and "which would be lost; choose another name" in refused.err, refused.err
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["export.json", "litert-int8.tflite"])
def test_an_artifact_is_not_written_over_by_its_bundle(name: str, command: Any, project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    shutil.copytree(project / "artifacts", folder)
    make = ("bundle", "make", "--master", project / "m.chrm", "--artifacts", folder, "--data", project / "shop.safetensors")
    refused = command(*make, "--out", folder / name)
    assert refused.status == 2 and "is also the file of --artifacts, which would be lost" in refused.err
    assert (folder / name).read_bytes() == (project / "artifacts" / name).read_bytes()
    (folder / "earlier.chord").write_bytes(b"")
    assert "which would be lost" not in command(*make, "--out", folder / "earlier.chord").err


@pytest.mark.parametrize(
    "verb", ["export --target native --out {t}/artifacts", "bundle make --data {p}/shop.safetensors --out {t}/x.chord"]
)
@pytest.mark.parametrize(("option", "ending"), [("--strategy", "chrd"), ("--user-vector", "chru")])
def test_two_files_of_one_name_are_refused(verb: str, option: str, ending: str, command: Any, project: Project, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        shutil.copy(project / "u5.chrd", folder / f"42.{ending}")
    artifacts = ("--artifacts", project / "artifacts") if verb.startswith("bundle") else ()
    arguments = verb.format(t=tmp_path, p=project.folder).split()
    both = (option, tmp_path / f"42.{ending}", option, tmp_path / "sub" / f"42.{ending}")
    refused = command(*arguments, "--master", project / "m.chrm", *artifacts, *both)
    assert refused.status == 2 and f"{tmp_path / '42'}.{ending} is called '42' as well; rename one of the two files" in refused.err
