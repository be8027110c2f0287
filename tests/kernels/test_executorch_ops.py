"""libchord_executorch itself: how it is built, kept, found and loaded, on this machine and on an emulated arm64 one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import CaserConfig, SASRecConfig, build, initialise, make_master
from chordkit.errors import MissingRuntimeError
from chordkit.files import CACHE_VARIABLE
from chordkit.kernels import Engine
from chordkit.kernels import build as libchord
from chordkit.kernels.executorch import library as executorch_ops
from chordkit.kernels.executorch.__main__ import main
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, encode_user_vector, quantize_user_vector, to_wire

pytest.importorskip("executorch")

pytestmark = pytest.mark.long

ITEMS, LENGTH, CANDIDATES = 40, 10, 5
HISTORY, IDS = np.array([3, 1, 4, 1, 5], np.int32), np.array([40, 2, 7, 1, 8], np.int32)
ARM_CPUS = ("cortex-a53", "cortex-a76", "max")
ARM_PACKAGE = os.environ.get("CHORDKIT_EXECUTORCH_AARCH64", "")
"""An unpacked executorch wheel for aarch64: its runtime runs the programs under qemu-user when it is given."""
QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
CLANG = shutil.which("clang++-19") or shutil.which("clang++")


def strategy_of(master: MasterWeights, seed: int) -> bytes:
    widths = np.random.default_rng(seed).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)
    return to_wire(Strategy(widths, master.fingerprint))


def user_of(master: MasterWeights) -> bytes:
    return encode_user_vector(quantize_user_vector(np.random.default_rng(9).normal(size=16), master.fingerprint))


@pytest.fixture(scope="module")
def masters() -> dict[str, MasterWeights]:
    configs = {
        "sasrec": SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, heads=2, blocks=2),
        "caser": CaserConfig(items=ITEMS, max_length=LENGTH, dim=16, heights=(1, 3), filters=4, vertical_filters=2),
    }
    return {name: make_master(initialise(build(config), "random", seed=0).eval()) for name, config in configs.items()}


@pytest.fixture(scope="module")
def library() -> Path:
    """Compiled once a machine; not loaded here."""
    return executorch_ops.build()


# --- building -------------------------------------------------------------------------------------------------------


def test_the_library_is_built_once_and_lies_in_the_users_cache(library: Path) -> None:
    before = library.stat()
    assert executorch_ops.build() == library
    after = library.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert library.is_relative_to(executorch_ops.cache_folder())
    assert sorted(path.name for path in library.parent.iterdir()) == [executorch_ops.NAME]


def test_other_sources_or_another_executorch_have_another_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = {executorch_ops.cache_folder()}
    with monkeypatch.context() as patch:
        patch.setattr(executorch_ops.metadata, "version", lambda name: "1.5.2")
        places.add(executorch_ops.cache_folder())
    with monkeypatch.context() as patch:
        patch.setattr(executorch_ops, "sources", lambda: executorch_ops.headers()[:1])
        places.add(executorch_ops.cache_folder())
    with monkeypatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path))
        assert executorch_ops.cache_folder().is_relative_to(tmp_path)
        places.add(executorch_ops.cache_folder())
    assert len(places) == 4


def test_only_its_own_functions_are_visible(library: Path) -> None:
    listed = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert names == {f"chord_executorch_{name}" for name in ("version", "last_error", "count", "limit", "trim")}


def test_libchord_inside_is_compiled_as_everywhere_and_the_version_is_the_headers() -> None:
    assert set(libchord.flags()) <= set(executorch_ops.C_FLAGS)
    header = (executorch_ops.HERE / "chord_executorch.h").read_text()
    assert f"#define CHORD_EXECUTORCH_VERSION {executorch_ops.VERSION}u" in header
    operators = "".join((executorch_ops.HERE / f"{name}_op.cc").read_text() for name in ("linear", "rerank"))
    assert tuple(f"chord::{name}" for name in re.findall(r'EXECUTORCH_LIBRARY\(chord, "([^"]+)"', operators)) == executorch_ops.OPERATORS


def test_without_a_compiler_the_reason_is_named_and_a_kept_library_still_serves(
    library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert executorch_ops.build().name == executorch_ops.NAME  # made while there was a compiler
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "empty"))
    with pytest.raises(MissingRuntimeError, match=r"C\+\+ compiler .*apt-get install g\+\+"):
        executorch_ops.build()
    with pytest.raises(MissingRuntimeError, match=r"aarch64-linux-gnu-g\+\+.*apt-get install g\+\+-aarch64-linux-gnu"):
        executorch_ops.compiler("aarch64")
    monkeypatch.setenv(executorch_ops.LIBRARY_VARIABLE, str(library))
    assert executorch_ops.build() == library
    monkeypatch.setenv(executorch_ops.LIBRARY_VARIABLE, str(tmp_path / "absent.so"))
    with pytest.raises(MissingRuntimeError, match=r"absent\.so"):
        executorch_ops.build()


def test_a_compiler_that_fails_leaves_no_file_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "c++"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'fatal error: no memory left' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(MissingRuntimeError, match="no memory left"):
        executorch_ops.build()
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


# --- loading --------------------------------------------------------------------------------------------------------


def test_the_library_is_loaded_once_a_process_from_whatever_place() -> None:
    first = executorch_ops.load()
    assert executorch_ops.load() is first
    # In a process that has loaded a copy by itself, that copy is used: a second one would abort the process.
    code = (
        "import ctypes, shutil, sys, pathlib\n"
        "from executorch.extension.pybindings import portable_lib\n"
        "from chordkit.kernels.executorch import library as executorch_ops\n"
        f"copy = pathlib.Path(sys.argv[1]) / {executorch_ops.NAME!r}\n"
        "shutil.copy(executorch_ops.build(), copy)\n"
        "ctypes.CDLL(str(copy))\n"
        "assert executorch_ops.load().path == copy, executorch_ops.load().path\n"
        "print('one copy')\n"
    )
    folder = executorch_ops.cache_folder()
    with executorch_ops.tempfile.TemporaryDirectory(dir=folder) as place:
        done = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True)
    assert done.returncode == 0 and "one copy" in done.stdout, done.stderr[-2000:]


def test_without_the_library_executorch_refuses_the_program_and_chordkit_says_what_is_missing(
    masters: dict[str, MasterWeights], tmp_path: Path
) -> None:
    from chordkit.export.targets.executorch_chord.lower import lower

    master = masters["caser"]
    (tmp_path / "program.pte").write_bytes(lower(master, np.full(master.channel_table.channels, 8, np.uint8), CANDIDATES))
    plain = (
        "import sys\n"
        "from executorch.runtime import Runtime\n"
        "try:\n"
        "    Runtime.get().load_program(open(sys.argv[1], 'rb').read()).load_method('forward')\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", plain, str(tmp_path / "program.pte")], capture_output=True, text=True)
    assert "0x:14" in done.stdout and "Missing operator: [0] chord::rerank.out" in done.stderr, done.stderr[-2000:]
    ours = (
        "import sys\n"
        "from chordkit.errors import MissingRuntimeError\n"
        "from chordkit.export.targets import load_runner\n"
        "try:\n"
        "    load_runner('executorch-chord', sys.argv[1])\n"
        "except MissingRuntimeError as error:\n"
        "    print(error)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("CXX", executorch_ops.LIBRARY_VARIABLE)}
    environment |= {"PATH": str(tmp_path), CACHE_VARIABLE: str(tmp_path / "empty")}
    done = subprocess.run([sys.executable, "-c", ours, str(tmp_path / "program.pte")], capture_output=True, text=True, env=environment)
    assert "the ExecuTorch operators need a C++ compiler" in done.stdout, done.stderr[-2000:]


# --- outside of Python ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(masters: dict[str, MasterWeights], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each master a program with one strategy inside, and another strategy and a user vector beside it."""
    from chordkit.export.targets.executorch_chord.lower import lower

    folder = tmp_path_factory.mktemp("programs")
    for name, master in masters.items():
        widths = np.random.default_rng(0).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)
        (folder / f"{name}.pte").write_bytes(lower(master, widths, CANDIDATES))
        (folder / f"{name}.chrd").write_bytes(strategy_of(master, 1))
        (folder / f"{name}.chru").write_bytes(user_of(master))
        (folder / f"{name}.chrm").write_bytes(master.to_bytes())
    return folder


def check_runner(command: list[str], masters: dict[str, MasterWeights], programs: Path, environment: dict[str, str]) -> None:
    """The runner's nine digits tell every float from its neighbours: the engine's bits are expected."""
    ids = [",".join(map(str, values)) for values in (HISTORY, IDS)]
    for name, master in masters.items():
        strategy, vector = str(programs / f"{name}.chrd"), str(programs / f"{name}.chru")
        for seed, user, more in ((0, None, []), (1, None, [strategy]), (1, user_of(master), [strategy, vector])):
            files = [str(programs / f"{name}{suffix}") for suffix in (".pte", ".chrm")]
            done = subprocess.run([*command, *files, *ids, *more], capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr
            engine = Engine(master.to_bytes())
            engine.adopt(strategy_of(master, seed))
            np.testing.assert_array_equal(np.array(done.stdout.split(), np.float32), engine.scores(HISTORY, IDS, user=user))
    both = [str(programs / "sasrec.pte"), str(programs / "sasrec.chrm")]
    refused = subprocess.run([*command, *both, "41", ids[1]], capture_output=True, text=True, env=environment)
    assert refused.returncode == 1 and "outside 0..items" in refused.stderr
    wrong = subprocess.run([*command, *both, "1,x", ids[1]], capture_output=True, text=True, env=environment)
    assert wrong.returncode == 2 and "usage" in wrong.stderr


def test_a_cpp_program_gets_the_engines_scores(library: Path, masters: dict[str, MasterWeights], programs: Path, tmp_path: Path) -> None:
    package = executorch_ops.executorch_folder()
    copy = tmp_path / executorch_ops.NAME
    shutil.copy(library, copy)
    runner = executorch_ops.compile_runner(copy, executorch_ops.compiler(), package)
    check_runner([str(runner)], masters, programs, os.environ | {"LD_LIBRARY_PATH": str(package / "lib")})


@pytest.fixture(scope="module")
def arm_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("aarch64-linux-gnu-g++") is None:
        pytest.skip("g++-aarch64-linux-gnu is not installed")
    out = tmp_path_factory.mktemp("arm")
    more = ["--executorch", ARM_PACKAGE, "--runner"] if ARM_PACKAGE else []
    assert main(["--out", str(out), "--target", "aarch64", *more]) == 0
    return out / "aarch64" / executorch_ops.NAME


def test_the_arm64_library_is_what_a_phone_can_load(arm_library: Path) -> None:
    def read(*options: str) -> str:
        return subprocess.run(["aarch64-linux-gnu-readelf", *options, str(arm_library)], capture_output=True, text=True, check=True).stdout

    assert "AArch64" in read("-h")
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", read("-d")))
    assert "libexecutorch.so" in needed
    assert needed <= {"libexecutorch.so", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libc.so.6", "ld-linux-aarch64.so.1"}
    assert {int(size, 16) for size in re.findall(r"LOAD.*?(0x[0-9a-f]+)$", read("-lW"), re.MULTILINE)} == {16384}
    symbols = read("--dyn-syms", "-W").splitlines()
    defined = {line.split()[-1] for line in symbols if " GLOBAL " in line and " UND " not in line}
    assert defined == {f"chord_executorch_{name}" for name in ("version", "last_error", "count", "limit", "trim")}
    # What ExecuTorch must provide: registration, errors and logging of its core, no kernel of its own.
    foreign = {line.split()[-1] for line in symbols if " UND " in line and "executorch" in line}
    assert foreign and all(name.startswith("_ZN") for name in foreign)
    assert any("register_kernels" in name for name in foreign)


@pytest.mark.skipif(not ARM_PACKAGE, reason="CHORDKIT_EXECUTORCH_AARCH64 does not name an unpacked executorch wheel for aarch64")
@pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")
@pytest.mark.parametrize("cpu", ARM_CPUS)
def test_the_arm64_library_gives_the_same_bits(arm_library: Path, masters: dict[str, MasterWeights], programs: Path, cpu: str) -> None:
    libraries = f"LD_LIBRARY_PATH={ARM_PACKAGE}/lib:/usr/aarch64-linux-gnu/lib"
    command = [str(QEMU), "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu", "-E", libraries, str(arm_library.parent / "chord_executorch_runner")]
    check_runner(command, masters, programs, dict(os.environ))


@pytest.mark.checkout
@pytest.mark.skipif(CLANG is None, reason="clang++ is not installed")
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_the_model_cache_is_clean_under_eight_threads(masters: dict[str, MasterWeights], tmp_path: Path, sanitizer: str) -> None:
    flags = ["-O1", "-g", "-D_GNU_SOURCE", "-pthread", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    stress = Path(__file__).parent / "native" / "model_cache_stress.cc"
    # The kernels are tested under sanitizers by themselves; unchecked they compile in a fraction of the time.
    objects = []
    for source in libchord.sources():
        objects.append(str(tmp_path / f"{source.parent.name}_{source.stem}.o"))
        checked = flags if source.parent.name == "src" else [flag for flag in flags if "sanitize" not in flag]
        subprocess.run(
            [str(CLANG), "-x", "c", *libchord.flags(), *checked, "-c", str(source), "-o", objects[-1]], check=True, capture_output=True
        )
    program = tmp_path / "stress"
    built = subprocess.run(
        [str(CLANG), "-std=c++17", *flags, str(executorch_ops.HERE / "model_cache.cc"), str(stress), *objects, "-lm",
         "-o", str(program)], capture_output=True, text=True,
    )  # fmt: skip
    if "libclang_rt" in built.stderr:
        pytest.skip("clang has no runtime for these sanitizers")
    assert built.returncode == 0, built.stderr
    arguments = []
    for name, master in masters.items():
        strategies = {f"{name}-{seed}.chrd": strategy_of(master, seed) for seed in (0, 1)}
        files = {f"{name}.chrm": master.to_bytes(), **strategies, f"{name}.chru": user_of(master)}
        for file, data in files.items():
            (tmp_path / file).write_bytes(data)
            arguments.append(str(tmp_path / file))
    done = subprocess.run([str(program), "200", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.startswith("0 wrong, 0 kept")
