"""The C library under ASan, UBSan, TSan and libFuzzer. CHORD_FUZZ_SECONDS makes the fuzzers run longer than the second or two here."""

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
from chordkit.kernels import build as libchord
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, UserVector, encode, encode_user_vector
from tests.kernels.conftest import random_master

NATIVE = Path(__file__).parent / "native"
CLANG = next((path for name in ("clang-19", "clang") if (path := shutil.which(name))), None)
FLAGS = [*libchord.flags(), "-O1", "-g", "-D_GNU_SOURCE", "-pthread", "-fno-sanitize-recover=all"]
# Checks that ASan repeats, left out of the unrolled kernels: with them clang takes four times as long.
KERNEL_FLAGS = ["-fno-sanitize=null,alignment,object-size,pointer-overflow"]
Compile = Callable[[str, str], Path]
SECONDS = os.environ.get("CHORD_FUZZ_SECONDS", "2")

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
    def library(sanitizers: str) -> list[str]:
        objects = []
        for source in libchord.sources():
            objects.append(str(folder / f"{source.parent.name}-{source.stem}-{sanitizers.replace(',', '-')}.o"))
            extra = KERNEL_FLAGS if "ukernels" in source.parts else []
            call(["-c", f"-fsanitize={sanitizers},fuzzer-no-link", *extra, str(source), "-o", objects[-1]])
        return objects

    def make(program: str, sanitizers: str) -> Path:
        fuzzed = program.startswith("fuzz")
        sanitize = f"-fsanitize={sanitizers}{',fuzzer' if fuzzed else ''}"
        call([sanitize, str(NATIVE / f"{program}.c"), *library(sanitizers), "-lm", "-o", str(folder / program)])
        return folder / program

    return make


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
    _run([str(program), str(tmp_path), f"-max_total_time={SECONDS}", "-max_len=512"], CHORD_MASTER=str(masters / "caser.chrm"))


def test_a_fuzzed_master_opens_and_runs_or_is_refused(masters: Path, compile_native: Compile, tmp_path: Path) -> None:
    program = compile_native("fuzz_master", "address,undefined")
    for seed in masters.glob("*.chrm"):
        if seed.stem != "tuned":
            shutil.copy(seed, tmp_path)
    for name, base in json.loads((NATIVE.parents[1] / "golden" / "master_refused.json").read_text())["bases"].items():
        (tmp_path / name).write_bytes(bytes.fromhex(base["bytes"]))
    _run([str(program), str(tmp_path), f"-max_total_time={SECONDS}", "-max_len=65536"])
