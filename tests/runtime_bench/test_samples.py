"""Raw samples: what was measured is read back, survives what happens to the run, and no other file is taken for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import InputError
from chordkit.runtime_bench.samples import SampleWriter, launches, partial_path, read_samples

LINE = {"contender": "a", "launch": 0, "block": 0, "at_s": 0.5, "batch": 1, "us": [1.5, 2]}


def _write(writer: SampleWriter) -> None:
    for launch in (1, 0):
        for block in (2, 0, 1):
            writer.add("a", launch=launch, block=block, at_s=0.01 * block, batch=4, us=np.array([10.0 + launch, 20.0 + block]))
    writer.add("b µ", launch=0, block=0, at_s=0, batch=1, us=[0.123456789])


def test_samples_come_back_by_contender_launch_and_block(tmp_path: Path) -> None:
    with SampleWriter(tmp_path / "new" / "run.jsonl") as writer:
        assert writer.name == "run.jsonl"
        _write(writer)
    kept = read_samples(tmp_path / "new" / "run.jsonl")
    assert list(kept) == ["a", "b µ"]
    assert [[block.block for block in launch] for launch in kept["a"]] == [[0, 1, 2]] * 2
    assert launches(kept["a"])[1][2].tolist() == [11, 22] and kept["a"][0][1].batch == 4
    assert kept["b µ"][0][0].us.tolist() == [0.123457], "a nanosecond and three digits more"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.jsonl"]


def test_what_was_measured_before_a_failure_is_kept_under_a_name_that_says_so(tmp_path: Path) -> None:
    def failing() -> None:
        with SampleWriter(tmp_path / "run.jsonl") as writer:
            _write(writer)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial.jsonl"]
    assert len(read_samples(tmp_path / "run.partial.jsonl")["a"]) == 2
    with SampleWriter(tmp_path / "run.jsonl") as writer:
        _write(writer)
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"], "the next run takes its place"


def test_a_failure_before_the_first_sample_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), SampleWriter(tmp_path / "run.jsonl"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_every_block_that_it_has_added(tmp_path: Path) -> None:
    code = f"""
import os, signal
from chordkit.runtime_bench.samples import SampleWriter
with SampleWriter({str(tmp_path / "run.jsonl")!r}) as writer:
    for block in range(5):
        writer.add("a", launch=0, block=block, at_s=0, batch=1, us=[1.0])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(read_samples(tmp_path / "run.partial.jsonl")["a"][0]) == 5
    with (tmp_path / "run.partial.jsonl").open("a") as stream:
        stream.write('{"contender":"a","laun')
    assert len(read_samples(tmp_path / "run.partial.jsonl")["a"][0]) == 5, "a line that was cut off does not count"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    os.symlink("/dev/full", partial_path(tmp_path / "run.jsonl"))
    with pytest.raises(OSError, match=r"No space left.*run\.partial\.jsonl"), SampleWriter(tmp_path / "run.jsonl") as writer:
        writer.add("a", launch=0, block=0, at_s=0, batch=1, us=[1.0])
    assert not (tmp_path / "run.jsonl").exists()


@pytest.mark.parametrize("us", [[float("nan")], [float("inf")]])
def test_what_is_no_number_is_not_written(us: list[float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"), SampleWriter(tmp_path / "run.jsonl") as writer:
        writer.add("a", launch=0, block=0, at_s=0, batch=1, us=us)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("", "the line"),
        ("[1]", "the line"),
        ('{"contender":"a"}', "launch"),
        (json.dumps({**LINE, "us": []}), "us"),
        (json.dumps({**LINE, "us": [-1]}), "us.0"),
        (json.dumps({**LINE, "us": ["1"]}), "us.0"),
        (json.dumps({**LINE, "us": [float("nan")]}), "us.0"),
        (json.dumps({**LINE, "batch": 0}), "batch"),
        (json.dumps({**LINE, "launch": True}), "launch"),
        (json.dumps({**LINE, "at_s": 1e999}), "at_s"),
        (json.dumps({**LINE, "more": 1}), "more"),
        (json.dumps({**LINE, "contender": ""}), "contender"),
    ],
)
def test_a_line_that_is_no_block_is_refused_with_its_number_and_field(line: str, field: str, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text(json.dumps(LINE) + "\n" + line + "\n")
    with pytest.raises(InputError, match=rf"run\.jsonl: line 2 is no block of samples: {field}: .*measure again"):
        read_samples(tmp_path / "run.jsonl")


def test_a_block_that_is_there_twice_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text(2 * (json.dumps(LINE) + "\n"))
    with pytest.raises(InputError, match="line 2: block 0 of launch 0 of a is there twice"):
        read_samples(tmp_path / "run.jsonl")
    with pytest.raises(InputError, match="no such samples file"):
        read_samples(tmp_path / "other.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path)


@settings(deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), cut=st.integers(0, 80), partial=st.booleans())
def test_whatever_is_in_the_file_is_samples_or_a_sentence(
    data: bytes, cut: int, partial: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / ("run.partial.jsonl" if partial else "run.jsonl")
    path.write_bytes(json.dumps(LINE).encode()[:cut] + data)
    try:
        kept = read_samples(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all(block.us.size for run in kept.values() for launch in run for block in launch)


def test_two_runs_of_one_name_do_not_spoil_each_other(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with SampleWriter(path) as first:
        first.add("x", launch=0, block=0, at_s=0.0, batch=1, us=[1.0])
        with pytest.raises(InputError, match=r"run\.partial\.jsonl: another run is writing this file; wait"), SampleWriter(path):
            pass
        first.add("x", launch=0, block=1, at_s=0.0, batch=1, us=[2.0])
    assert len(read_samples(path)["x"][0]) == 2
    with SampleWriter(path) as again:
        again.add("x", launch=0, block=0, at_s=0.0, batch=1, us=[3.0])
    assert len(read_samples(path)["x"][0]) == 1


def test_a_line_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"us":[' + b"0," * (3 << 20))
    with pytest.raises(InputError, match="line 1 is longer than 4194304 bytes"):
        read_samples(path)
