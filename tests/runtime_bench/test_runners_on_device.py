"""on_device on this host: the runtimes' own scores, and chord_runner's options and records. No time is asserted."""

import ast
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chordkit.runtime_bench.devices.device import Completed
from chordkit.runtime_bench.records import read_records
from chordkit.runtime_bench.results import Mode
from chordkit.runtime_bench.runners.on_device.program import main
from chordkit.runtime_bench.runners.programs import Program, program_for
from chordkit.runtime_bench.runners.python import PACKAGE, python_program
from tests.conftest import Project
from tests.runtime_bench.measured import Measured, lowered, needs, of_project

PACKAGES = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}
EACH = pytest.mark.parametrize("target", PACKAGES)


@pytest.fixture(scope="module")
def program() -> list[str | Path]:
    return [sys.executable, python_program()]


@pytest.fixture(scope="module")
def onnx(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return of_project(project, "onnx", tmp_path_factory.mktemp("onnx"))


@EACH
def test_scores_are_the_runtimes_bit_for_bit_and_the_records_tell_the_run(
    project: Project, program: list[str | Path], tmp_path: Path, target: str
) -> None:
    case = of_project(project, target, tmp_path)
    ended = case.run(program, threads=1)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(case.scores, case.expected)
    records = read_records(case.records)
    assert records.end is not None and records.end.samples >= 20
    assert records.start.runtime.split()[0] == PACKAGES[target] and records.start.variant is None
    assert records.adopt is None and records.load.us > 0 and (records.load.runtime_us or 0) > 0
    assert records.warmup is not None and records.warmup.calls >= 30
    assert not Path(str(case.launch.pid)).exists()


@EACH
def test_a_user_vector_is_an_input(program: list[str | Path], tmp_path: Path, target: str) -> None:
    case = lowered(target, tmp_path, vector=True)
    ended = case.run(program, memory=True)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(case.scores, case.expected)
    records = read_records(case.records)
    assert records.memory is not None and records.memory.peak_bytes > records.memory.before_bytes > 0
    # None given is nobody's: zeros.
    assert case.run(program, user=None, memory=True).returncode == 0
    assert not np.array_equal(case.scores, case.expected)


@pytest.mark.parametrize("mode", ["cold", "sparse", "sustained"])
def test_each_mode_measures_until_it_is_to_end(onnx: Measured, program: list[str | Path], mode: Mode) -> None:
    ended = onnx.run(program, mode=mode, interval_ms=5, max_seconds=0.3, min_samples=10, flush_bytes=1 << 20)
    assert ended.returncode == 0, ended.stderr
    records = read_records(onnx.records)
    assert records.start.mode == mode and records.end is not None and records.end.samples >= 10
    if mode == "sparse":
        assert records.end.seconds >= 0.005 * records.end.samples * 0.99


def test_counts_are_taken_where_the_system_allows_it_and_else_said_to_be_missing(onnx: Measured, program: list[str | Path]) -> None:
    ended = onnx.run(program, count=16)
    assert ended.returncode == 0, ended.stderr
    records = read_records(onnx.records)
    assert records.end is not None and not records.blocks
    if records.counts is None:
        assert "on_device.py: instructions are not counted (" in ended.stderr
        pytest.skip(ended.stderr.strip().splitlines()[-1])
    assert records.counts.calls == 16 and records.counts.instructions / 16 > 10_000 and records.counts.adoption_instructions is None


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_leaves_what_it_measured_and_no_end(
    onnx: Measured, program: list[str | Path], number: signal.Signals, status: int
) -> None:
    launch = replace(onnx.launch, min_samples=10**6, max_seconds=60)
    onnx.records.unlink(missing_ok=True)
    process = subprocess.Popen([*map(str, program), *launch.arguments()], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (onnx.records.exists() and onnx.records.read_bytes().count(b'"block"') >= 3) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert int(Path(str(launch.pid)).read_text()) == process.pid
        process.send_signal(number)
        assert process.wait(30) == status
    finally:
        process.kill()
        process.wait()
    records = read_records(onnx.records)
    assert records.end is None and len(records.blocks) >= 3
    np.testing.assert_array_equal(onnx.scores, onnx.expected)
    assert Path(str(launch.pid)).exists() == (number == signal.SIGKILL)
    Path(str(launch.pid)).unlink(missing_ok=True)


def test_a_full_disk_is_said_with_the_file(onnx: Measured, program: list[str | Path]) -> None:
    command = [*map(str, program), *replace(onnx.launch, min_samples=10**6, max_seconds=30).arguments()]

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=full, timeout=60, check=False)
    assert ended.returncode == 2 and f"{onnx.records}: cannot be written" in ended.stderr
    assert read_records(onnx.records).end is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mode", "idle"], "--mode"),
        (["--target", "native"], "--target"),
        (["--users", "0"], "--users 0"),
        (["--users", "5"], "are not int32 [5 users"),
        (["--min-seconds", "nan"], "--min-seconds nan"),
        (["--block-ms", "x"], "--block-ms"),
        (["--cpus", "1,"], "--cpus 1,"),
        (["--cpus", "1000"], "--cpus 1000"),
        (["--strategy", "s.chrd"], "--strategy"),
        (["--user", "u"], "takes no user vector"),
        (["--artifact", "/none"], "/none: cannot be read"),
        (["--artifact", "{histories}"], "refuses the file"),
        (["--histories", "/none"], "/none: cannot be read"),
        (["--records", "/none/records"], "/none/records: cannot be made"),
        (["--scores", "/none/scores"], "/none/scores: cannot be made"),
        (["--pid", "/none/pid"], "/none/pid: cannot be written"),
        (["--count", "1", "--memory"], "runs of their own"),
        (["--frequency", "1"], "--frequency"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    onnx: Measured, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    options = [option.format(histories=onnx.launch.histories) for option in options]
    try:
        assert main([*onnx.launch.arguments(), *options]) == 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("on_device.py: ") and said.count("\n") == 1
    assert not Path(str(onnx.launch.pid)).exists()


def test_a_missing_runtime_is_said_with_its_package(onnx: Measured, program: list[str | Path]) -> None:
    # Without site-packages there is no numpy either; a path with numpy alone is what a bare device has.
    numpy_only = str(Path(np.__file__).parents[1])
    code = (
        f"import sys, importlib.abc; sys.path.append({numpy_only!r})\n"
        "class Bare(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in ('onnxruntime', 'ai_edge_litert', 'tflite_runtime'): raise ImportError('No ' + name)\n"
        "sys.meta_path.insert(0, Bare())\n"
        f"sys.path.insert(0, {str(program[1])!r})\n"
        "from on_device.program import main\nsys.exit(main(sys.argv[1:]))"
    )
    for target, package in (("onnx", "pip install onnxruntime"), ("litert", "pip install ai-edge-litert")):
        words = [sys.executable, "-I", "-c", code, *replace(onnx.launch, target=target).arguments()]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2 and package in ended.stderr and ended.stderr.count("\n") == 1


def test_a_runtime_that_breaks_when_imported_is_one_sentence(onnx: Measured, program: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise RuntimeError('a part is missing\\nin line 7')\n")
    words = [*map(str, program), *onnx.launch.arguments()]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert ended.returncode == 2 and "cannot be imported here (a part is missing)" in ended.stderr and ended.stderr.count("\n") == 1


def test_the_program_is_one_file_with_the_same_bytes_that_needs_nothing_of_chordkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path))
    assert python_program().read_bytes() == (first := python_program().read_bytes())
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path / "again"))
    assert python_program().read_bytes() == first
    allowed = set(sys.stdlib_module_names) | {"numpy", "__future__"}
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            assert {name.split(".")[0] for name in names} <= allowed, path


class Somewhere:
    """A device with this Python, or none."""

    name, abi = "somewhere", "x86_64"

    def __init__(self, *python: str) -> None:
        self._python = python

    def python(self) -> tuple[str, ...] | None:
        return self._python or None

    def run(self, command: list[str], timeout_s: float) -> Completed:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)


def test_a_device_is_asked_for_the_runtime_before_anything_is_pushed() -> None:
    needs("onnx")
    here = Somewhere(sys.executable)
    assert program_for("onnx", here) == Program(python_program(), "onnx", (sys.executable,))  # type: ignore[arg-type]
    assert program_for("onnx", Somewhere(sys.executable, "-I", "-S")) == "its Python has no onnxruntime"  # type: ignore[arg-type]
    assert "no Python" in str(program_for("litert", Somewhere()))  # type: ignore[arg-type]
    assert "does not run" in str(program_for("litert", Somewhere(shutil.which("false") or "false")))  # type: ignore[arg-type]
    assert "measured on the host" in str(program_for("pytorch", here))  # type: ignore[arg-type]
