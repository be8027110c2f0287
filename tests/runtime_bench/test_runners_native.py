"""chord_runner on this host and under qemu-user: scores first, records as they come, sentences for what is wrong. No time is asserted."""

import os
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import DeviceError
from chordkit.kernels import Engine, available
from chordkit.runtime_bench.elf import check_abi, elf_abi
from chordkit.runtime_bench.records import read_records
from chordkit.runtime_bench.results import Mode
from chordkit.runtime_bench.runners import native
from chordkit.runtime_bench.runners.native import native_program
from chordkit.runtime_bench.runners.programs import Program, program_for
from chordkit.strategy import encode_user_vector, quantize_user_vector
from tests.conftest import Project
from tests.runtime_bench.measured import Measured, of_project

HERE = native._HERE.get(native.platform.machine(), "none")
QEMU = "qemu-aarch64-static"

if not available():
    pytest.skip("the native engine was not compiled", allow_module_level=True)


@pytest.fixture(scope="module")
def case(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return of_project(project, "native", tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return native_program(HERE)
    except DeviceError as error:
        pytest.skip(str(error))


def test_scores_are_the_engines_bit_for_bit_and_the_records_tell_the_run(case: Measured, program: Path) -> None:
    ended = case.run([program])
    assert ended.returncode == 0 and not ended.stderr
    np.testing.assert_array_equal(case.scores, case.expected)
    records = read_records(case.records)
    assert records.end is not None and records.end.samples >= 20
    assert records.start.program == "chord_runner" and records.start.abi == HERE
    assert records.start.variant == Engine(Path(case.launch.artifact).read_bytes()).variant
    assert records.adopt is not None and len(records.adopt.us) == 20
    assert records.checked is not None and records.checked.users == len(case.expected)
    assert records.warmup is not None and records.warmup.calls >= 60 and records.warmup.seconds >= 0.25
    assert not Path(str(case.launch.pid)).exists()


def test_a_user_vector_is_adopted(case: Measured, program: Path) -> None:
    engine = Engine(Path(case.launch.artifact).read_bytes())
    engine.adopt(Path(str(case.launch.strategy)).read_bytes())
    vector = quantize_user_vector(np.random.default_rng(4).normal(size=engine.dim), engine.fingerprint)
    (case.folder / "user").write_bytes(encode_user_vector(vector))
    assert case.run([program], user=str(case.folder / "user"), memory=True).returncode == 0
    histories = np.fromfile(case.launch.histories, "<i4").reshape(case.launch.users, -1)
    candidates = np.fromfile(case.launch.candidates, "<i4").reshape(case.launch.users, -1)
    np.testing.assert_array_equal(case.scores, engine.scores(histories, candidates, user=vector))
    assert not np.array_equal(case.scores, case.expected)


@pytest.mark.parametrize("mode", ["cold", "sparse", "sustained"])
def test_each_mode_measures_until_it_is_to_end(case: Measured, program: Path, mode: Mode) -> None:
    ended = case.run([program], mode=mode, interval_ms=5, max_seconds=0.3, min_samples=10, flush_bytes=1 << 20)
    assert ended.returncode == 0, ended.stderr
    records = read_records(case.records)
    assert records.start.mode == mode and records.end is not None
    assert records.end.samples >= 10 and records.blocks
    if mode == "sustained":
        assert records.end.seconds >= 0.3
    else:
        assert {block.batch for block in records.blocks} == {1}, "a call of its own each time"
    if mode == "sparse":
        # The first call comes after an interval, and none early.
        assert records.end.seconds >= 0.005 * records.end.samples * 0.99


def test_short_calls_are_taken_in_batches(case: Measured, program: Path, tmp_path: Path) -> None:
    # One candidate for a tiny model: a microsecond or two, where a sample is to last ten.
    candidates = np.fromfile(case.launch.candidates, "<i4").reshape(case.launch.users, -1)[:, :1]
    np.ascontiguousarray(candidates).tofile(tmp_path / "c.i32")
    assert case.run([program], candidates=str(tmp_path / "c.i32")).returncode == 0
    assert all(block.batch > 1 for block in read_records(case.records).blocks)


def test_a_file_of_records_stays_within_its_limit_and_the_run_within_its_time(case: Measured, program: Path) -> None:
    # 2,000,000 samples for a day are two dozen a second: the first block has those of a minute, so that the rest is not recorded.
    ended = case.run([program], max_seconds=86400, min_seconds=0.3)
    assert ended.returncode == 0, ended.stderr
    records = read_records(case.records)
    assert records.end is not None and len(records.blocks) == 1 and 0.3 <= records.end.seconds < 20


def test_counts_are_taken_where_the_system_allows_it_and_else_said_to_be_missing(case: Measured, program: Path) -> None:
    ended = case.run([program], count=16)
    assert ended.returncode == 0, ended.stderr
    records = read_records(case.records)
    assert records.end is not None and not records.blocks and records.adopt is None
    np.testing.assert_array_equal(case.scores, case.expected)
    if records.counts is None:
        assert ended.stderr.startswith("chord_runner: instructions are not counted (") and ended.stderr.count("\n") == 1
        pytest.skip(ended.stderr.strip())
    assert records.counts.calls == 16
    assert records.counts.instructions / 16 > 1000 and (records.counts.adoption_instructions or 0) > 1000


def test_memory_is_more_than_before_loading(case: Measured, program: Path) -> None:
    assert case.run([program], memory=True).returncode == 0
    records = read_records(case.records)
    assert records.memory is not None and records.memory.peak_bytes > records.memory.before_bytes > 0
    assert records.warmup is None and records.end is not None


def test_processors_are_set_and_told(case: Measured, program: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    assert case.run([program], cpus=(cpu,), memory=True).returncode == 0
    assert read_records(case.records).start.cpus == (cpu,)
    ended = case.run([program], cpus=(1000,), memory=True)
    assert ended.returncode == 2 and "--cpus" in ended.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_leaves_what_it_measured_and_no_end(
    case: Measured, program: Path, number: signal.Signals, status: int
) -> None:
    launch = replace(case.launch, min_samples=10**6, max_seconds=60)
    case.records.unlink(missing_ok=True)
    # Whoever runs the tests may ignore signals (nohup does), which programs inherit.
    heeded = partial(signal.signal, number, signal.SIG_DFL) if number != signal.SIGKILL else None
    process = subprocess.Popen([str(program), *launch.arguments()], stderr=subprocess.PIPE, preexec_fn=heeded)
    try:
        deadline = time.monotonic() + 60
        while not (case.records.exists() and case.records.read_bytes().count(b'"block"') >= 3) and time.monotonic() < deadline:
            time.sleep(0.01)
        pid = int(Path(str(launch.pid)).read_text())
        assert pid == process.pid == read_records(case.records).start.pid
        process.send_signal(number)
        assert process.wait(30) == status
    finally:
        process.kill()
        process.wait()
    records = read_records(case.records)
    assert records.end is None and len(records.blocks) >= 3
    np.testing.assert_array_equal(case.scores, case.expected)
    assert Path(str(launch.pid)).exists() == (number == signal.SIGKILL)
    Path(str(launch.pid)).unlink(missing_ok=True)


@pytest.mark.parametrize(("limit", "file"), [(1000, "scores.f32"), (8192, "records.jsonl")])
def test_a_full_disk_is_said_with_the_file(case: Measured, program: Path, limit: int, file: str) -> None:
    assert limit < case.expected.nbytes or file == "records.jsonl"
    command = [str(program), *replace(case.launch, min_samples=10**6, max_seconds=30, pid=None).arguments()]

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=full, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"{case.folder / file}: cannot be written" in ended.stderr and ended.stderr.count("\n") == 1
    if file == "records.jsonl":
        assert read_records(case.records).end is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mode", "idle"], "--mode idle"),
        (["--users", "0"], "--users 0"),
        (["--users", "5"], "are not int32 [5 users"),
        (["--min-seconds", "nan"], "--min-seconds nan"),
        (["--max-seconds", "0"], "--max-seconds 0"),
        (["--min-samples", "-1"], "--min-samples -1"),
        (["--block-ms", "1e9"], "--block-ms 1e9"),
        (["--cpus", "1,"], "--cpus 1,"),
        (["--target", "litert"], "--target litert"),
        (["--variant", "sse9"], "sse9"),
        (["--artifact", "/none"], "/none: cannot be read"),
        (["--artifact", "/"], "/: is no plain file"),
        (["--records", "/none/records"], "/none/records: cannot be made"),
        (["--count", "1", "--memory"], "runs of their own"),
        (["--frequency", "1"], "--frequency: unknown option"),
        (["--users"], "its value is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(case: Measured, program: Path, options: list[str], sentence: str) -> None:
    words = [str(program), *case.launch.arguments(), *options]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr and ended.stderr.startswith("chord_runner: ") and ended.stderr.count("\n") == 1
    assert not Path(str(case.launch.pid)).exists()


def test_damaged_ids_are_refused_by_user(case: Measured, program: Path, tmp_path: Path) -> None:
    candidates = np.fromfile(case.launch.candidates, "<i4")
    candidates[-1] = 10**6
    candidates.tofile(tmp_path / "c.i32")
    ended = case.run([program], candidates=str(tmp_path / "c.i32"))
    assert ended.returncode == 2 and f"user {case.launch.users - 1}: " in ended.stderr


# --- where the program comes from -------------------------------------------------------------------------------------


def test_a_program_is_compiled_once_and_is_for_its_abi(program: Path, tmp_path: Path) -> None:
    before = program.stat().st_mtime_ns
    assert native_program(HERE) == program and program.stat().st_mtime_ns == before
    assert elf_abi(program) == HERE
    other = {"arm64-v8a": "x86_64", "x86_64": "arm64-v8a"}[HERE]
    with pytest.raises(DeviceError, match=f"is a program for {HERE}, and the device runs {other}"):
        check_abi(program, other)


def test_no_program_is_no_abi(tmp_path: Path) -> None:
    script = tmp_path / "script"
    for content in (b"", b"#!/bin/sh\nexit 0\n" * 4, b"\x7fELF\x03\x01" + bytes(30)):
        script.write_bytes(content)
        assert elf_abi(script) is None
        with pytest.raises(DeviceError, match="no ELF program"):
            check_abi(script, HERE)
    script.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x28\x00")
    assert elf_abi(script) == "armeabi-v7a"
    script.write_bytes(b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x2b")
    assert elf_abi(script) == "machine 43"
    with pytest.raises(DeviceError, match="cannot be read"):
        elf_abi(tmp_path / "none")


def test_a_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for abi in native.ABIS:
        with pytest.raises(DeviceError, match="apt-get install gcc"):
            native_program(abi)
    with pytest.raises(DeviceError, match="not built for mips"):
        native_program("mips")


def test_a_compiler_that_refuses_is_said_with_its_complaint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_FLAGS", ("-static", "-fno-such-flag"))
    with pytest.raises(DeviceError, match=r"cannot be compiled with .*no-such-flag"):
        native_program(HERE)
    assert not list(tmp_path.rglob("chord_runner*"))


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="CHORDKIT_CACHE"):
        native_program(HERE)


def test_the_program_for_a_device_is_of_its_abi(program: Path) -> None:
    class Here:
        name, abi = "here", HERE

    class Mips(Here):
        abi = "mips"

    assert program_for("native", Here()) == Program(program, "native")  # type: ignore[arg-type]
    assert "mips" in str(program_for("native", Mips()))  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which(QEMU) is None, reason="qemu-user-static is not installed")
@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76", "max"])
def test_arm64_gives_the_same_bits_and_records(case: Measured, cpu: str) -> None:
    try:
        arm = native_program("arm64-v8a")
    except DeviceError as error:
        pytest.skip(str(error))
    ended = case.run([QEMU, "-cpu", cpu, arm])
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(case.scores, case.expected)
    records = read_records(case.records)
    assert records.start.abi == "arm64-v8a" and records.end is not None and records.end.samples >= 20
