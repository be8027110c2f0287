"""Records of a device: what the programs write is read whole, everything else is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import DeviceError
from chordkit.runtime_bench import records as module
from chordkit.runtime_bench.records import Records, read_records

START: dict[str, Any] = {
    "event": "start", "version": 1, "program": "chord_runner", "abi": "arm64-v8a", "runtime": "libchord 1", "variant": "neon_dotprod",
    "pid": 12, "cpus": [4, 5], "threads": 1, "mode": "saturated",
}  # fmt: skip
LOAD = {"event": "load", "us": 123.4, "runtime_us": None}
ADOPT = {"event": "adopt", "us": [2.5, 2.25]}
FIRST = {"event": "first", "us": 12.3}
CHECKED = {"event": "checked", "users": 64, "candidates": 100}
WARMUP = {"event": "warmup", "calls": 900, "seconds": 0.3, "converged": True}
BLOCKS = [{"event": "block", "at_s": at, "batch": 1, "us": [1.5, 2, 3.125]} for at in (0.01, 0.02)]
END = {"event": "end", "samples": 6, "seconds": 0.03}
GOOD = [START, LOAD, ADOPT, FIRST, CHECKED, WARMUP, *BLOCKS, END]


def text(lines: list[Any]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def changed(index: int, **fields: Any) -> list[Any]:
    return [*GOOD[:index], {**GOOD[index], **fields}, *GOOD[index + 1 :]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "records.jsonl"


def read(file: Path, data: bytes) -> Records:
    file.write_bytes(data)
    return read_records(file)


def test_all_that_was_written_is_read(file: Path) -> None:
    records = read(file, text(GOOD))
    assert records.start.variant == "neon_dotprod" and records.start.cpus == (4, 5)
    assert records.load.us == 123.4 and records.load.runtime_us is None
    assert records.adopt is not None and records.adopt.us == (2.5, 2.25)
    assert [block.us for block in records.blocks] == [(1.5, 2.0, 3.125)] * 2
    assert records.end is not None and records.end.samples == 6
    assert records.counts is None and records.memory is None


def test_runs_that_count_or_look_at_memory_are_read(file: Path) -> None:
    end = {"event": "end", "samples": 0, "seconds": 0.0}
    counts = {"event": "counts", "calls": 64, "instructions": 64_000, "adoption_instructions": 812.5}
    counted = read(file, text([START, LOAD, FIRST, CHECKED, WARMUP, counts, end]))
    assert counted.counts is not None and counted.counts.adoption_instructions == 812.5
    memory = read(file, text([START, LOAD, FIRST, CHECKED, {"event": "memory", "peak_bytes": 9, "before_bytes": 4}, end]))
    assert memory.memory is not None and memory.memory.peak_bytes == 9
    assert read(file, text([START, LOAD, FIRST, CHECKED, WARMUP, end])).counts is None


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_last_line_that_was_cut_off_is_left_out_and_the_file_has_no_end(file: Path, cut: int) -> None:
    records = read(file, text(GOOD)[:-cut])
    assert records.end is None and records.first.us == 12.3
    assert len(records.blocks) == 2


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (changed(0, version=2), "line 1, version"),
        (changed(0, mode="idle"), "line 1, mode"),
        (changed(0, program="x\ny"), "line 1, program"),
        (changed(0, cpus=[]), "line 1, cpus"),
        (changed(0, pid=True), "line 1, pid"),
        (changed(1, us=-1.0), "line 2, us"),
        (changed(1, us="5"), "line 2, us"),
        (changed(1, us=None), "line 2, us"),
        (changed(1, more=1), "line 2, more"),
        (changed(2, us=[]), "line 3, us"),
        (changed(2, us=[1.0, -0.5]), "line 3, us.1"),
        (changed(3, us=1e300), "line 4, us"),
        (changed(4, users=0), "line 5, users"),
        (changed(5, converged=1), "line 6, converged"),
        (changed(6, batch=0), "line 7, batch"),
        (changed(7, batch=2), "line 8, at_s or batch"),
        (changed(7, at_s=0.001), "line 8, at_s or batch"),
        (changed(8, samples=7), "line 9, samples"),
        (changed(3, event="last"), "line 4, event"),
        (changed(3, event=["first"]), "line 4, event"),
        ([*GOOD[:3], 5, *GOOD[4:]], "line 4, event"),
        ([*GOOD[:4], FIRST, *GOOD[4:]], "line 5: 'first' cannot follow 'first'"),
        ([*GOOD, END], "line 10: 'end' cannot follow 'end'"),
        ([START, FIRST], "line 2: 'first' cannot follow 'start'"),
        ([LOAD], "line 1: 'load' cannot follow 'the beginning'"),
        ([START, LOAD], "breaks off before the first call"),
        ([], "breaks off before the first call"),
    ],
)
def test_what_no_program_writes_is_refused_with_line_and_field(file: Path, lines: list[Any], sentence: str) -> None:
    with pytest.raises(DeviceError) as caught:
        read(file, text(lines))
    assert str(file) in str(caught.value) and sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-0.1", "1e13", "true", '"1"'])
def test_a_time_that_is_no_time_is_refused(file: Path, number: str) -> None:
    with pytest.raises(DeviceError, match="line 4"):
        read(file, text(GOOD).replace(b"12.3}", number.encode() + b"}"))


def test_a_key_that_stands_twice_is_refused(file: Path) -> None:
    with pytest.raises(DeviceError, match=r"line 4: .*twice"):
        read(file, text(GOOD).replace(b'"us": 12.3', b'"us": 99.0, "us": 12.3'))


def test_something_after_the_end_is_refused(file: Path) -> None:
    with pytest.raises(DeviceError, match="nothing may follow"):
        read(file, text(GOOD) + b'{"event"')


def test_limits_hold(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = text(GOOD)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 50)
    with pytest.raises(DeviceError, match="line 1: is longer"):
        read(file, data)
    monkeypatch.setattr(module, "MAX_LINES", 8)
    with pytest.raises(DeviceError, match="has 9 lines"):
        read(file, data)
    monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    with pytest.raises(DeviceError, match=f"above {len(data) - 1} bytes"):
        read(file, data)
    with pytest.raises(DeviceError, match="cannot be read"):
        read_records(file.with_name("none"))


mutation = st.tuples(
    st.integers(0, len(text(GOOD)) - 1), st.sampled_from(["set", "insert", "delete", "copy"]), st.binary(min_size=1, max_size=8)
)


@settings(max_examples=400, deadline=None)
@given(st.lists(mutation, min_size=1, max_size=4), st.booleans())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(file: Path, mutations: list[tuple[int, str, bytes]], cut: bool) -> None:
    data = bytearray(text(GOOD))
    for at, how, new in mutations:
        at = min(at, len(data))
        if how == "set":
            data[at : at + len(new)] = new
        elif how == "insert":
            data[at:at] = new
        elif how == "delete":
            del data[at : at + 5 * len(new)]
        else:
            data[at:at] = data[: 30 * len(new)]
    if cut:
        del data[mutations[0][0] :]
    file.write_bytes(data)
    try:
        records = read_records(file)
    except DeviceError as error:
        assert "\n" not in str(error)
    else:
        assert records.end is None or records.end.samples == sum(len(block.us) for block in records.blocks)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from(sorted({key for line in GOOD for key in line})), json_values)
def test_a_field_of_any_value_is_read_or_refused_and_nothing_else(file: Path, index: int, field: str, value: Any) -> None:
    file.write_bytes(text(changed(index, **{field: value})))
    try:
        read_records(file)
    except DeviceError as error:
        assert "\n" not in str(error)
