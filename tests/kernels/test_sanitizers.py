"""The C library under ASan, UBSan, TSan and libFuzzer, in 64 bits and in 32.

CHORD_FUZZ_SECONDS makes the fuzzers run longer than the second or two here.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.coda.adapter import Adapter, encode_adapter
from chordkit.kernels import build as libchord
from chordkit.quantization import MasterWeights, write_personal
from chordkit.strategy import Strategy, UserVector, encode, encode_user_vector
from tests import libfuzzer
from tests.kernels.conftest import random_master

NATIVE = Path(__file__).parent / "native"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)
FLAGS = [*libchord.flags(), "-O1", "-g", "-D_GNU_SOURCE", "-pthread", "-fno-sanitize-recover=all"]
# Checks that ASan repeats, left out of the unrolled kernels: with them clang takes four times as long.
KERNEL_FLAGS = ["-fno-sanitize=null,alignment,object-size,pointer-overflow"]
# Of a CPU with SSE2, whose floats are those of all others; the x87's are not.
IN_32_BITS = ("-m32", "-msse2", "-mfpmath=sse")
Compile = Callable[..., Path]

pytestmark = [pytest.mark.checkout, pytest.mark.skipif(CLANG is None, reason="clang is not installed")]


@pytest.fixture(scope="module")
def masters(small_masters: dict[str, MasterWeights], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a master, a strategy and a user vector of every backbone, of a sharp SASRec, and of one with the other norms and
    activation."""
    folder = tmp_path_factory.mktemp("masters")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tuned = make_master(build(SASRecConfig(items=20, dim=64, max_length=10, heads=1, norm_first=False, activation="gelu")))
    sharp = random_master(SASRecConfig(items=20, dim=16, max_length=12, heads=4, ffn_dim=40, norm_first=True), sharp=True)
    for name, master in (*small_masters.items(), ("tuned", tuned), ("sharp", sharp)):
        (folder / f"{name}.chrm").write_bytes(master.to_bytes())
        widths = np.full(master.channel_table.channels, 4, np.uint8)
        (folder / f"{name}.chrd").write_bytes(encode(Strategy(widths, master.fingerprint)))
        codes = np.arange(int(master.config["dim"]), dtype=np.int8)  # type: ignore[call-overload]
        (folder / f"{name}.chru").write_bytes(encode_user_vector(UserVector(codes, 0.01, master.fingerprint)))
    return folder


@pytest.fixture(scope="module")
def compile_native(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Links a test program with the library, which is compiled once for each set of sanitizers."""
    folder = tmp_path_factory.mktemp("native")

    def call(arguments: list[str]) -> None:
        built = subprocess.run([str(CLANG), *FLAGS, *arguments], capture_output=True, text=True)
        if "libclang_rt" in built.stderr:
            pytest.skip("clang has no runtime for these sanitizers")
        assert built.returncode == 0, built.stderr

    @lru_cache
    def library(sanitizers: str, target: tuple[str, ...], part: str | None) -> list[str]:
        objects = [] if part is None else library(sanitizers, target, None).copy()
        for source in libchord.sources() if part is None else libchord.part_sources(part):
            objects.append(str(folder / f"{source.parent.name}-{source.stem}-{sanitizers.replace(',', '-')}{''.join(target)}.o"))
            extra = KERNEL_FLAGS if "ukernels" in source.parts else []
            call(["-c", f"-fsanitize={sanitizers},fuzzer-no-link", *target, *extra, str(source), "-o", objects[-1]])
        return objects

    def make(program: str, sanitizers: str, *target: str) -> Path:
        fuzzed = program.startswith("fuzz")
        if target and not _links(target, folder):
            pytest.skip(f"nothing links here with {target[0]}: install libc6-dev-i386 and lib32gcc-12-dev")
        sanitize = f"-fsanitize={sanitizers}{',fuzzer' if fuzzed else ''}"
        out = folder / f"{program}{''.join(target)}"
        part = next((part for part in libchord.PARTS if part in program), None)
        sources = [str(NATIVE / f"{program}.c"), *([str(libchord.HERE / "crew.c")] if "crew" in program else [])]
        call([sanitize, *target, *sources, *library(sanitizers, target, part), "-lm", "-o", str(out)])
        return out

    return make


def _links(target: tuple[str, ...], folder: Path) -> bool:
    (folder / "nothing.c").write_text("int main(void) { return 0; }\n")
    command = [str(CLANG), *target, str(folder / "nothing.c"), "-o", str(folder / "nothing")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(arguments: list[str], **environment: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("sanitizers", "threads", "rounds"), [("address,undefined", "2", "40"), ("thread", "8", "30")])
def test_adopting_and_reranking_at_once_is_clean(
    masters: Path, compile_native: Compile, sanitizers: str, threads: str, rounds: str
) -> None:
    program = compile_native("exercise", sanitizers)
    for master in sorted(masters.glob("*.chrm")):
        _run([str(program), str(master), threads, rounds])


def test_a_fuzzed_strategy_or_user_vector_never_breaks_or_changes_the_model(masters: Path, compile_native: Compile, tmp_path: Path) -> None:
    program = compile_native("fuzz_wire", "address,undefined")
    for seed in (*masters.glob("*.chrd"), *masters.glob("*.chru")):
        shutil.copy(seed, tmp_path)
    _run([str(program), str(tmp_path), *libfuzzer.options(512)], CHORD_MASTER=str(masters / "caser.chrm"))


def test_a_fuzzed_master_opens_and_runs_or_is_refused(masters: Path, compile_native: Compile, tmp_path: Path) -> None:
    program = compile_native("fuzz_master", "address,undefined")
    for seed in masters.glob("*.chrm"):
        if seed.stem != "tuned":
            shutil.copy(seed, tmp_path)
    for name, base in json.loads((NATIVE.parents[1] / "golden" / "master_refused.json").read_text())["bases"].items():
        (tmp_path / name).write_bytes(bytes.fromhex(base["bytes"]))
    _run([str(program), str(tmp_path), *libfuzzer.options(65536)])


def test_a_fuzzed_personal_file_expands_into_a_master_or_is_refused(
    small_masters: dict[str, MasterWeights], compile_native: Compile, tmp_path: Path
) -> None:
    program = compile_native("fuzz_personal", "address,undefined")
    for name, master in small_masters.items():
        widths = np.resize(np.array([2, 0, 4, 8, 2], np.uint8), master.channel_table.channels)
        (tmp_path / name).write_bytes(write_personal(master, widths))
    golden = json.loads((NATIVE.parents[1] / "golden" / "personal.json").read_text())
    (tmp_path / "golden").write_bytes(bytes.fromhex(golden["bytes"]))
    _run([str(program), str(tmp_path), *libfuzzer.options(16384)])


def test_fuzzed_samples_adapters_and_lessons_are_refused_or_learned_from(masters: Path, compile_native: Compile, tmp_path: Path) -> None:
    program = compile_native("fuzz_learn", "address,undefined")
    golden = json.loads((NATIVE.parents[1] / "golden" / "coda_samples.json").read_text())
    for number, case in enumerate(golden["accepted"]):
        (tmp_path / f"samples-{number}").write_bytes(bytes.fromhex(case["bytes"])[:24] + bytes.fromhex(case["payload"]))
    items = np.array([2, 7, 20], np.int32)
    adapter = Adapter(np.arange(10 * 16 + 3, dtype=np.float32) / 100, 16, items)
    (tmp_path / "adapter").write_bytes(encode_adapter(adapter))
    generator = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / f"lessons-{number}").write_bytes(bytes([number, 0, 0, 2]) + generator.bytes(300))
    _run([str(program), str(tmp_path), *libfuzzer.options(800)], CHORD_MASTER=str(masters / "caser.chrm"))


@pytest.mark.parametrize("target", [(), IN_32_BITS], ids=["64 bits", "32 bits"])
def test_callers_of_other_versions_and_sizes_beyond_memory_are_answered(
    masters: Path, compile_native: Compile, target: tuple[str, ...]
) -> None:
    program = compile_native("abi", "address,undefined", *target)
    for master in sorted(masters.glob("*.chrm")):
        _run([str(program), str(master)])


def test_in_32_bits_models_adopt_and_run_clean(masters: Path, compile_native: Compile) -> None:
    program = compile_native("exercise", "address,undefined", *IN_32_BITS)
    for master in sorted(masters.glob("*.chrm")):
        _run([str(program), str(master), "2", "10"])


def test_adoptions_of_eight_threads_at_once_all_find_their_turn(masters: Path, compile_native: Compile) -> None:
    program = compile_native("adopt_stress", "thread")
    _run([str(program), str(masters / "sasrec.chrm"), "8", "100"])


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_batches_that_share_a_crew_at_once_are_clean(masters: Path, compile_native: Compile, sanitizers: str) -> None:
    _run([str(compile_native("crew_stress", sanitizers)), str(masters / "caser.chrm"), "3", "60"])


@pytest.mark.parametrize("name", ["sasrec", "tuned", "caser"])
def test_fuzzed_weights_give_numbers_or_a_refusal_alike_in_every_variant(
    masters: Path, compile_native: Compile, tmp_path: Path, name: str
) -> None:
    program = compile_native("fuzz_weights", "address,undefined")
    _run([str(program), str(tmp_path), *libfuzzer.options(130)], CHORD_MASTER=str(masters / f"{name}.chrm"))
