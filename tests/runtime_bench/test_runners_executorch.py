"""chord_executorch_bench on this host and on emulated ones: the Python runtime's scores, chord_runner's options and records."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import DeviceError, MissingRuntimeError
from chordkit.kernels.executorch import library
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.bundles import bench_bundles
from chordkit.runtime_bench.devices import emulator, qemu_user
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.devices.host import Host
from chordkit.runtime_bench.elf import elf_abi
from chordkit.runtime_bench.emulated import COMMAND, prepared
from chordkit.runtime_bench.records import read_records
from chordkit.runtime_bench.results import Settings
from chordkit.runtime_bench.runners.executorch import executorch_program
from chordkit.runtime_bench.runners.launch import Launch
from chordkit.runtime_bench.runners.programs import EXECUTORCH, Program, program_for
from chordkit.strategy import encode_user_vector, quantize_user_vector
from tests.conftest import Command, Project
from tests.runtime_bench.measured import Measured, lowered, needs

pytestmark = pytest.mark.long

HERE = {"aarch64": "arm64-v8a", "x86_64": "x86_64"}[os.uname().machine]
TOLERANCE = {"executorch": 1e-5, "executorch-chord": 0.0, "executorch-chord-linear": 1e-5}
"""Of scores around one: XNNPACK may take other kernels on another processor; the engine gives the same bits everywhere."""


def measured(target: str, folder: Path, *, vector: bool = False) -> Measured:
    case = lowered(target, folder, vector=vector)
    return replace(case, launch=replace(case.launch, target="executorch"))


@pytest.fixture(scope="module")
def program() -> list[str | Path]:
    needs("executorch")
    package = library.executorch_folder()
    try:
        file = executorch_program(HERE, package, metadata.version("executorch"))
    except DeviceError as error:
        pytest.skip(str(error))
    return ["env", f"LD_LIBRARY_PATH={package / 'lib'}", file]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return measured("executorch", tmp_path_factory.mktemp("graph"))


@pytest.mark.parametrize("target", EXECUTORCH)
def test_scores_are_the_runtimes_and_the_records_tell_the_run(program: list[str | Path], tmp_path: Path, target: str) -> None:
    case = measured(target, tmp_path)
    ended = case.run(program)
    assert ended.returncode == 0 and not ended.stderr, ended.stderr
    np.testing.assert_allclose(case.scores, case.expected, rtol=0, atol=TOLERANCE[target])
    records = read_records(case.records)
    assert records.end is not None and records.end.samples >= 20
    start = records.start
    assert (start.program, start.abi, start.variant, start.threads) == ("chord_executorch_bench", HERE, None, 1)
    assert start.runtime == f"executorch {metadata.version('executorch')}"
    assert records.adopt is None and records.load.us > 0 and records.load.runtime_us is None
    assert records.checked is not None and (records.checked.users, records.checked.candidates) == case.expected.shape
    assert records.warmup is not None and records.warmup.calls >= 30
    assert not Path(str(case.launch.pid)).exists()


@pytest.mark.parametrize("target", EXECUTORCH)
def test_a_user_vector_is_an_input(program: list[str | Path], tmp_path: Path, target: str) -> None:
    case = measured(target, tmp_path, vector=True)
    ended = case.run(program, memory=True)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_allclose(case.scores, case.expected, rtol=0, atol=TOLERANCE[target])
    records = read_records(case.records)
    assert records.memory is not None and records.memory.peak_bytes > records.memory.before_bytes > 0
    nobody = case.run(program, user=None, memory=True)
    if target == "executorch-chord":
        assert nobody.returncode == 2 and "--user is needed" in nobody.stderr
    else:
        assert nobody.returncode == 0 and not np.allclose(case.scores, case.expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--artifact", "{histories}"], "h.i32: ExecuTorch refuses the file (Error::InvalidProgram)"),
        (["--artifact", "/none"], "/none: cannot be read"),
        (["--target", "native"], "--target native: this program runs executorch only"),
        (["--users", "4"], "are not int32 [4 users"),
        (["--candidates", "{histories}"], "are not int32 [5 users, 6 candidates]"),
        (["--user", "{histories}"], "takes no user vector"),
        (["--strategy", "{histories}"], "--strategy: it is part of the file"),
        (["--variant", "neon"], "--variant: ExecuTorch has none"),
        (["--frequency", "1"], "--frequency: unknown option"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(program: list[str | Path], graph: Measured, options: list[str], sentence: str) -> None:
    options = [option.format(histories=graph.launch.histories) for option in options]
    words = [*map(str, program), *graph.launch.arguments(), *options]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr and ended.stderr.startswith("chord_executorch_bench: ") and ended.stderr.count("\n") == 1
    assert not Path(str(graph.launch.pid)).exists()


def test_the_master_is_needed_and_no_other_does(program: list[str | Path], tmp_path: Path) -> None:
    case = measured("executorch-chord", tmp_path)
    assert case.run(program, master=None).stderr.startswith("chord_executorch_bench: --master is needed")
    ended = case.run(program, master=case.launch.histories)
    assert ended.returncode == 2 and "of the master that the program is called with" in ended.stderr and ended.stderr.count("\n") == 1


def test_an_id_that_the_engine_refuses_is_told_with_its_user(program: list[str | Path], tmp_path: Path) -> None:
    case = measured("executorch-chord", tmp_path)
    candidates = np.fromfile(case.launch.candidates, "<i4")
    candidates[-1] = 10**6
    candidates.tofile(case.launch.candidates)
    ended = case.run(program)
    assert ended.returncode == 2 and "user 4: " in ended.stderr and "outside 1..items" in ended.stderr and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["g++", "gcc"])
def test_a_missing_compiler_is_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    which = shutil.which
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    gone = ("c++", "g++", "clang++") if missing == "g++" else ("cc", "gcc", "clang")
    monkeypatch.setattr(shutil, "which", lambda name: None if name.startswith(gone) else which(name))
    with pytest.raises(DeviceError, match="apt-get install g"):
        executorch_program(HERE, tmp_path, "1.5.1")


def test_a_compiler_that_refuses_is_said_with_its_complaint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        library.compiler()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("CHORDKIT_CACHE", str(tmp_path))
    with pytest.raises(DeviceError, match="cannot be compiled with"):
        executorch_program(HERE, tmp_path / "no package", "1.5.1")
    assert not list(tmp_path.rglob("chord_executorch_bench*"))


# --- on devices -------------------------------------------------------------------------------------------------------


def on(device: Device, case: Measured) -> tuple[Program, Launch]:
    """The program and its files on ``device``."""
    program = program_for("executorch", device)
    if isinstance(program, str):
        pytest.skip(program)
    names = ("artifact", "histories", "candidates", "user", "master")
    files = {name: Path(str(value)) for name in names if (value := getattr(case.launch, name)) is not None}
    for path in (program.file, *files.values()):
        device.push(path, f"{device.folder}/{path.name}")
    there = {name: f"{device.folder}/{path.name}" for name, path in files.items()}
    made = {"scores": f"{device.folder}/scores.f32", "records": f"{device.folder}/records.jsonl"}
    return program, replace(case.launch, target=program.target, pid=None, **there, **made)  # type: ignore[arg-type]


@pytest.fixture(params=["qemu-user:cortex-a76", "emulator:cortex-a76"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    scheme, _, cpu = request.param.partition(":")
    if scheme == "emulator":
        pytest.importorskip("adbutils")
    if prepared() is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    with (emulator if scheme == "emulator" else qemu_user).connect(cpu) as connected:
        yield connected


def test_an_emulated_device_gives_the_same_scores_for_every_target(device: Device, tmp_path: Path) -> None:
    for target in EXECUTORCH:
        (tmp_path / target).mkdir()
        case = measured(target, tmp_path / target, vector=True)
        program, launch = on(device, case)
        assert elf_abi(program.file) == device.abi
        ended = device.run([*program.prefix, f"{device.folder}/{program.file.name}", *launch.counting(4).arguments()], 300)
        assert ended.status == 0, ended.stderr
        device.pull(launch.scores, Path(case.launch.scores))
        device.pull(launch.records, case.records)
        np.testing.assert_allclose(case.scores, case.expected, rtol=0, atol=TOLERANCE[target])
        records = read_records(case.records)
        assert records.end is not None and records.start.runtime.startswith("executorch 1.")
        assert device.name.startswith("qemu-user") or (records.counts is not None and records.counts.instructions > 0)


def test_the_user_vector_of_a_bundle_reaches_every_target_in_its_form(project: Project, command: Command, tmp_path: Path) -> None:
    needs("executorch-chord")
    if prepared() is None:
        pytest.skip(f"no emulated machine is prepared; `{COMMAND}` makes one")
    master = MasterWeights.load(project / "m.chrm")
    vector = quantize_user_vector(np.random.default_rng(0).normal(0, 0.5, master.dim), master.fingerprint)
    (tmp_path / "u5.chru").write_bytes(encode_user_vector(vector))
    made = ("--master", project / "m.chrm", "--strategy", project / "u5.chrd", "--user-vector", tmp_path / "u5.chru")
    folder, path = tmp_path / "artifacts", tmp_path / "shop.chord"
    more = ("--precision", "strategy", "--candidates", 20, "--out", folder)
    exported = command("export", *made, "--target", ",".join(EXECUTORCH), *more, "--json")
    assert exported.status == 0, exported.err
    rows = ("--data", project / "shop.safetensors", "--histories", 60, "--vectors", 12)
    bundled = command("bundle", "make", *made, "--artifacts", folder, *rows, "--key", project / "key.pem", "--out", path, "--json")
    assert bundled.status == 0, bundled.err
    quick = Settings(processes=1, min_samples=2, min_seconds=0, block_ms=1)
    with qemu_user.connect("cortex-a76") as device:
        # Scores that are not those of the reference would be an error.
        report = bench_bundles([path], settings=quick, device=device)
    if report.skipped and any("compiler" in reason for reason in report.skipped.values()):
        pytest.skip(str(report.skipped))
    assert [result.name for result in report.results] == [f"{target}-u5" for target in EXECUTORCH] and not report.skipped


def test_a_device_without_executorch_is_told_so() -> None:
    for target in EXECUTORCH:
        assert "no ExecuTorch" in str(program_for(target, Host()))
