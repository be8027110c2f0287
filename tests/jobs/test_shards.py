"""The engine of one machine: a table in, a table out, and nothing lost or mixed up by kills, damage or other inputs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from chordkit.data import Dataset, synthesize
from chordkit.errors import CheckpointError, InputError
from chordkit.jobs import sources
from chordkit.jobs.places import Place
from chordkit.jobs.shards import RECORDS, make_strategies
from chordkit.jobs.table import make_table


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def histories(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = material.write(tmp_path_factory.mktemp("logs"))
    material.write(folder / "day=2", tables=1, users=45)
    (folder / "_SUCCESS").touch()
    (folder / ".crc.parquet").write_bytes(b"no table")
    return folder


@pytest.fixture(scope="module")
def whole(material, histories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    made = make_strategies(material.job(), str(histories), str(out))
    assert (made.made.users, made.made.strategies, made.shards, made.resumed) == (135, 135, 4, 0)
    return out


def test_each_table_has_a_table_with_its_users_in_their_order(histories: Path, whole: Path, material, served) -> None:
    assert set(_bytes(whole)) == {"0.parquet", "1.parquet", "2.parquet", "day=2/0.parquet"}
    for name in _bytes(whole):
        given, made = (pq.read_table(folder / name, partitioning=None) for folder in (histories, whole))
        assert made["user"].equals(given["user"]) and made["strategy"].to_pylist() == served(given["history"].to_pylist())


def test_several_processes_give_the_same_bytes(material, histories: Path, whole: Path, tmp_path: Path) -> None:
    done = []
    run = make_strategies(material.job(), str(histories), str(tmp_path / "out"), jobs=2, progress=lambda *told: done.append(told))
    assert _bytes(tmp_path / "out") == _bytes(whole) and run.made.strategies == 135
    assert done == [("shards", count, 4) for count in range(5)]


def test_a_store_is_read_and_written_by_its_url(material, histories: Path, whole: Path) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(histories), "/logs", recursive=True)
    run = make_strategies(material.job(), "memory://logs", "memory://out/night")
    there = Place.of("memory://out/night")
    assert {name: store.cat(there.inside(name)) for name in there.files()} == _bytes(whole) and run.made.users == 135
    assert make_strategies(material.job(), "memory://logs", "memory://out/night").resumed == 135
    make_strategies(material.job(), histories.as_uri(), "memory://out/uri")
    assert store.cat("/out/uri/day=2/0.parquet") == _bytes(whole)["day=2/0.parquet"]
    with pytest.raises(InputError, match="no other process sees this place"):
        make_strategies(material.job(), "memory://logs", "memory://out/several", jobs=2)
    with pytest.raises(InputError, match="carrier-pigeon"):
        make_strategies(material.job(), "carrier-pigeon://logs", "memory://out/x")


def test_a_pattern_or_one_table_stands_for_itself(material, histories: Path, tmp_path: Path) -> None:
    for source, names in ((histories / "[01].parquet", {"0.parquet", "1.parquet"}), (histories / "2.parquet", {"2.parquet"})):
        out = tmp_path / str(len(names))
        make_strategies(material.job(), str(source), str(out))
        assert set(_bytes(out)) == names
    for wrong in (histories / "3.parquet", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"there is no table \(\.parquet\) of histories"):
            make_strategies(material.job(), str(wrong), str(tmp_path / "x"))
    with pytest.raises(InputError, match="lies in the folder of the histories"):
        make_strategies(material.job(), str(histories), str(histories / "strategies"))


_RUN = """
import sys
from chordkit.jobs.job import Job
from chordkit.jobs.shards import make_strategies
if __name__ == "__main__":
    master, hypernetwork, source, out, jobs = sys.argv[1:]
    make_strategies(Job.read(master, hypernetwork), source, out, jobs=int(jobs))
"""


@pytest.mark.long
def test_kill_9_loses_no_table_and_leaves_none_in_half(material, tmp_path: Path) -> None:
    source, out, expected = material.write(tmp_path / "logs", tables=16, users=3000), tmp_path / "out", tmp_path / "expected"
    make_strategies(material.job(), str(source), str(expected))
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    command = [sys.executable, str(script), *map(str, (material.master, material.hypernetwork, source, out, 2))]
    process = subprocess.Popen(command, start_new_session=True)
    while len(list(out.glob("*.parquet"))) < 2 and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    # The other processes end with the one that is gone.
    for _ in range(6000):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("a process outlived the one that started it")
    there = _bytes(out)
    assert 2 <= len(there) < 16 and there.items() <= _bytes(expected).items()
    recorded = {name for name in there if (out / RECORDS / f"{name}.json").exists()}
    times = {name: (out / name).stat().st_mtime_ns for name in recorded}
    run = make_strategies(material.job(), str(source), str(out))
    assert _bytes(out) == _bytes(expected) and run.resumed == 3000 * len(recorded) > 0
    assert times == {name: (out / name).stat().st_mtime_ns for name in recorded}, "what was made is not made again"


def test_a_damaged_table_is_named_and_the_others_are_made(material, tmp_path: Path) -> None:
    source, out = material.write(tmp_path / "logs"), tmp_path / "out"
    whole = (source / "1.parquet").read_bytes()
    (source / "1.parquet").write_bytes(whole[:-40])
    with pytest.raises(
        InputError, match=r"logs/1\.parquet: damaged: .*; make this table again; 2 of 3 are made, and the same call goes on"
    ):
        make_strategies(material.job(), str(source), str(out))
    assert set(_bytes(out)) == {"0.parquet", "2.parquet"}
    (source / "1.parquet").write_bytes(whole)
    run = make_strategies(material.job(), str(source), str(out))
    assert run.resumed == 60 and run.made.users == 90 and len(_bytes(out)) == 3
    # In the middle, so that the end still says what there is.
    flipped = bytearray(whole)
    flipped[4:200] = os.urandom(196)
    (source / "1.parquet").write_bytes(flipped)
    with pytest.raises(InputError, match=r"logs/1\.parquet: damaged"):
        make_strategies(material.job(), str(source), str(tmp_path / "second"))
    pq.write_table(pa.table({"user": ["a"], "clicks": [[1]]}), source / "1.parquet")
    pq.write_table(pa.table({"user": ["a"]}), source / "0.parquet")
    with pytest.raises(InputError, match=r"logs/0\.parquet: there is no column 'history' among 'user' \(and 1 more\); 1 of 3 are made"):
        make_strategies(material.job(), str(source), str(tmp_path / "third"))
    assert not list(tmp_path.rglob("*.partial"))


def test_what_cannot_be_made_is_counted(material, tmp_path: Path) -> None:
    table = pa.table({"user": ["a", None, "c", "d"], "history": [[1, 99], [2], [], [0, 41]]})
    (tmp_path / "logs").mkdir()
    pq.write_table(table, tmp_path / "logs" / "0.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "logs" / "empty.parquet")
    made = make_strategies(material.job(), str(tmp_path / "logs"), str(tmp_path / "out")).made
    assert (made.users, made.strategies, made.nameless, made.without_items, made.unknown_items) == (4, 1, 1, 2, 2)
    table = pq.read_table(tmp_path / "out" / "0.parquet")
    assert made.bytes == sum(len(table[name][0].as_py()) for name in ("strategy", "user_vector"))
    assert made.average_bits == pytest.approx(table["average_bits"][0].as_py())
    assert made.file_bytes == sum(map(len, _bytes(tmp_path / "out").values()))


def test_another_run_does_not_go_on_with_these(material, tmp_path: Path) -> None:
    source, out = material.write(tmp_path / "logs"), tmp_path / "out"
    make_strategies(material.job(), str(source), str(out))

    def refused(said: str, **terms: Any) -> None:
        before = _bytes(out)
        with pytest.raises(CheckpointError, match=said):
            make_strategies(material.job(**terms), str(source), str(out))
        assert _bytes(out) == before

    refused(r"made with run budget = None, this run asks for 2\.5", budget=2.5)
    table = pq.read_table(source / "2.parquet")
    pq.write_table(table, source / "3.parquet")
    refused(r"run\.json: this run began with other histories: 3\.parquet is new; name another place")
    (source / "3.parquet").unlink()
    pq.write_table(table.slice(1), source / "2.parquet")
    refused(r"2\.parquet has changed since it was made")
    (source / "2.parquet").unlink()
    refused(r"2\.parquet is gone")
    (out / RECORDS / "run.json").write_text("{")
    refused("made with run")
    (out / RECORDS / "run.json").unlink()
    refused("do not say which run they are of")


# --- a data set, in one table ---------------------------------------------------------------------------------------------------------


class Stop(Exception):
    """Stands for a kill."""


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(sources, "PART", 16)
    monkeypatch.setattr(sources, "BATCH", 7)
    return synthesize(1, users=50, items=40, mean_length=10, max_length=25)


def test_a_data_set_gives_one_table_in_its_order(material, dataset: Dataset, served, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    run = make_table(material.job(budget=3.0), dataset, out)
    table = pq.read_table(out)
    assert (run.made.users, run.resumed, table.num_rows) == (50, 0, 50) and table["user"].to_pylist() == list(dataset.user_ids)
    assert table["strategy"].to_pylist() == served([each.tolist() for each in dataset.sequences], 3.0)
    assert not (tmp_path / "all.parquet.parts").exists()
    other = Dataset.from_sequences("y", [np.array([1, 2, 3])])
    with pytest.raises(InputError, match="data set 'y' has 3 items but the hypernetwork 40"):
        make_table(material.job(), other, tmp_path / "x.parquet")


def test_a_killed_table_goes_on_after_its_last_part(material, dataset: Dataset, tmp_path: Path) -> None:
    make_table(material.job(), dataset, tmp_path / "whole.parquet")

    def stop(phase: str, done: int, total: int) -> None:
        if done == 2:
            raise Stop

    out = tmp_path / "all.parquet"
    with pytest.raises(Stop):
        make_table(material.job(), dataset, out, progress=stop)
    assert not out.exists()
    renamed = Dataset.from_sequences("x", dataset.sequences, dataset.item_ids, [f"u{user}" for user in dataset.user_ids])
    with pytest.raises(CheckpointError, match=r"other histories: part-000000\.parquet has changed since it was made"):
        make_table(material.job(), renamed, out)
    assert make_table(material.job(), dataset, out).resumed == 32
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_damaged_part_is_named(material, dataset: Dataset, tmp_path: Path) -> None:
    def spoil(phase: str, done: int, total: int) -> None:
        if done == total:
            (tmp_path / "all.parquet.parts" / "part-000002.parquet").write_bytes(b"PAR1")

    with pytest.raises(CheckpointError, match=r"part-000002\.parquet: this part is damaged: delete it"):
        make_table(material.job(), dataset, tmp_path / "all.parquet", progress=spoil)
    (tmp_path / "all.parquet.parts" / "part-000002.parquet").unlink()
    assert make_table(material.job(), dataset, tmp_path / "all.parquet").resumed == 34


# --- the command -----------------------------------------------------------------------------------------------------------------------


def test_the_command_makes_everybodys(material, whole: Path, histories: Path, command, tmp_path: Path) -> None:
    make = ("strategy", "make", "--all", "--master", material.master, "--hypernetwork", material.hypernetwork, "--json")
    told = command(*make, "--histories", histories, "--into", tmp_path / "out").json
    assert _bytes(tmp_path / "out") == _bytes(whole)
    assert (told["users"], told["strategies"], told["shards"], told["resumed"]) == (135, 135, 4, 0)
    assert command(*make, "--histories", histories, "--into", tmp_path / "out").json == {**told, "resumed": 135}
    synthesize(1, users=50, items=40, mean_length=10, max_length=25).save(tmp_path / "shop.safetensors")
    told = command(
        *make, "--data", tmp_path / "shop.safetensors", "--out", tmp_path / "all.parquet", "--key", material.key, "--serial", 8
    ).json
    assert told["users"] == 50 and pq.read_table(tmp_path / "all.parquet")["strategy"][0].as_py()[:4] == b"CHRE"
    assert told["bytes"] == (tmp_path / "all.parquet").stat().st_size and json.dumps(told["backbone"])
    for wrong, said in (
        (["--histories", histories], "give either --data and the table --out, or --histories"),
        (["--data", "synthetic", "--into", "x"], "give either --data and the table --out, or --histories"),
        (["--data", "synthetic", "--out", tmp_path / "x.parquet", "--engine", "ray"], "--items and --engine belong to --histories"),
        (["--histories", histories, "--into", "x", "--engine", "flink"], "--engine flink: give one of shards, spark, ray"),
        (["--histories", histories, "--into", "x", "--columns", "user"], "--columns user: give two names"),
        (["--histories", histories, "--into", "x", "--key", material.key], "--key and --serial go together"),
        (["--histories", histories, "--into", "x", "--user", "5"], "are of one user; leave them out"),
    ):
        refused = command(*make, *wrong)
        assert refused.status == 2 and said in refused.err, refused.err
    alone = command(*(each for each in make if each != "--all"), "--indices", "--history", "1,2", "--jobs", 2, "--out", tmp_path / "x.chrd")
    assert alone.status == 2 and "go with --all" in alone.err
