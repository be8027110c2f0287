"""The Arm kernels under qemu-user: the variant that each CPU takes, every kernel against its definition, whole models against
the engine of this host, and the number of instructions."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chordkit.backbones import BackboneConfig, CaserConfig
from chordkit.kernels import Engine, available
from chordkit.kernels import build as libchord
from chordkit.quantization import MasterWeights
from chordkit.runtime_bench.records import read_records
from chordkit.strategy import Strategy, encode, encode_user_vector, quantize_user_vector
from tests.kernels.conftest import random_master

pytestmark = pytest.mark.checkout

QEMU = "qemu-aarch64-static"
CPUS = ("cortex-a53", "cortex-a76", "max")
"""Plain armv8.0, with dot products, and with all that qemu knows."""
CASER = CaserConfig(items=90, dim=32, max_length=10, heights=(2, 3), filters=5, vertical_filters=3)

if shutil.which(QEMU) is None:
    pytest.skip("qemu-user-static is not installed", allow_module_level=True)
if shutil.which("aarch64-linux-gnu-gcc") is None:
    pytest.skip("gcc-aarch64-linux-gnu is not installed", allow_module_level=True)
COMPILER = "clang" if shutil.which("clang-19") and shutil.which("ld.lld-19") else "gcc"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the static arm64 runner and the check of all variants."""
    folder = tmp_path_factory.mktemp("arm")
    subprocess.run([str(libchord.LIBCHORD / "build_arm.sh"), str(folder), COMPILER], check=True)
    return folder


def emulate(cpu: str, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([QEMU, "-cpu", cpu, str(program), *arguments], capture_output=True, text=True, check=False, timeout=120)


def listed(programs: Path, cpu: str) -> dict[str, bool]:
    """Variants, fastest first, and whether the library says that the CPU supports them."""
    lines = emulate(cpu, programs / "chord_variants_check", "--list").stdout.splitlines()
    return {name: word == "supported" for name, word in map(str.split, lines)}


@pytest.mark.parametrize("cpu", CPUS)
def test_every_kernel_returns_the_bits_of_its_definition_where_the_cpu_is_said_to_run_it_and_dies_elsewhere(
    programs: Path, cpu: str
) -> None:
    for variant, supported in listed(programs, cpu).items():
        result = emulate(cpu, programs / "chord_variants_check", variant)
        if supported:
            assert result.returncode == 0, result.stdout
            assert re.fullmatch(rf"{variant}: \d+ comparisons, 0 differences\n", result.stdout)
        else:
            assert result.returncode == -signal.SIGILL, f"{cpu} runs {variant}, which is not offered to it"


def test_the_emulated_cpus_run_different_variants_and_scalar_is_everywhere_the_last(programs: Path) -> None:
    offered = [[name for name, supported in listed(programs, cpu).items() if supported] for cpu in CPUS]
    assert len({names[0] for names in offered}) == len(CPUS)
    assert {names[-1] for names in offered} == {"scalar"}


def test_the_check_sees_a_single_wrong_lane(tmp_path: Path) -> None:
    mutations = {
        "dotprod.c": ("(sum[i], right[3], left[i], 3", "(sum[i], right[3], left[i], 2", "gemm_qa8_c8"),
        "attend.c": ("mask + 15", "mask + 14", "softmax_f32_qa8"),
        "pack.h": ("vzip2q_s8(rows[i], rows[i + 8])", "vzip1q_s8(rows[i], rows[i + 8])", "products with values"),
        "rows.c": ("larger_magnitude(most[j], vld1q_f32(x + i", "larger_magnitude(most[j], vld1q_f32(x", "quantize_f32_qa8"),
        "rows64.h": ("MAGNITUDES(12, 13, 14, 15) \\", "MAGNITUDES(12, 13, 14, 14) \\", "norm_f32"),
    }
    copy = tmp_path / "libchord"
    shutil.copytree(libchord.LIBCHORD, copy)
    for source, (right, wrong, _) in mutations.items():
        path = copy / "ukernels" / "arm" / source
        text = path.read_text(encoding="utf-8")
        assert text.count(right) == 1
        path.write_text(text.replace(right, wrong), encoding="utf-8")
    program = tmp_path / "check"
    sources = [copy / path.relative_to(libchord.LIBCHORD) for path in (*libchord.tool("variants_check"), *libchord.sources())]
    command = ["aarch64-linux-gnu-gcc", *libchord.flags(), "-O1", "-static", *map(str, sources), "-lm"]
    subprocess.run([*command, "-o", str(program)], check=True)
    result = emulate("cortex-a76", program, "dotprod")
    assert result.returncode == 1
    for _, _, operation in mutations.values():
        assert f"DIFFERENT dotprod {operation}" in result.stdout


def case_of(config: BackboneConfig, folder: Path, users: int = 3) -> tuple[MasterWeights, bytes, np.ndarray, np.ndarray, list[str]]:
    master = random_master(config)
    rng = np.random.default_rng(3)
    widths = rng.choice([2, 4, 8], master.channel_table.channels).astype(np.uint8)
    strategy = encode(Strategy(widths, master.fingerprint))
    histories = rng.integers(1, config.items + 1, (users, config.max_length)).astype(np.int32)
    for user in range(users):
        histories[user, : user * config.max_length // (users + 1)] = 0
    candidates = rng.integers(1, config.items + 1, (users, 17)).astype(np.int32)
    contents = {"artifact": master.to_bytes(), "strategy": strategy, "histories": histories.tobytes(), "candidates": candidates.tobytes()}
    # Counting a call is the run that takes no time: nothing is timed, and scores are written first as always.
    arguments = ["--target", "native", "--users", str(users), "--count", "1"]
    arguments += ["--scores", str(folder / "scores.f32"), "--records", str(folder / "records.jsonl")]
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        arguments += [f"--{name}", str(folder / name)]
    return master, strategy, histories, candidates, arguments


@pytest.mark.skipif(not available(), reason="the native engine was not compiled for this host")
def test_a_model_scores_on_arm_with_the_bits_of_this_host(programs: Path, tmp_path: Path, configuration: BackboneConfig) -> None:
    master, strategy, histories, candidates, arguments = case_of(configuration, tmp_path)
    engine = Engine(master.to_bytes())
    engine.adopt(strategy)
    user = quantize_user_vector(np.random.default_rng(4).normal(size=engine.dim), master.fingerprint)
    (tmp_path / "user").write_bytes(encode_user_vector(user))
    for more, vector in ((), None), (("--user", str(tmp_path / "user")), user):
        if vector is not None:  # with a quarter of the channels off
            widths = np.random.default_rng(5).choice([0, 2, 4, 8], master.channel_table.channels).astype(np.uint8)
            strategy = encode(Strategy(widths, master.fingerprint), allow_off=True)
            (tmp_path / "strategy").write_bytes(strategy)
            engine.adopt(strategy)
        expected = engine.scores(histories, candidates, user=vector)
        for cpu in CPUS:
            result = emulate(cpu, programs / "chord_runner", *arguments, *more)
            assert result.returncode == 0, result.stderr
            records = read_records(tmp_path / "records.jsonl")
            assert records.start.variant == next(name for name, supported in listed(programs, cpu).items() if supported)
            assert records.start.abi == "arm64-v8a" and records.end is not None
            np.testing.assert_array_equal(np.fromfile(tmp_path / "scores.f32", "<f4").reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("option", "content", "sentence"),
    [
        ("artifact", b"CHRM", "master"),
        ("strategy", b"CHRD" + bytes(40), "strategy"),
        ("user", b"CHRU" + bytes(40), "user vector"),
        ("histories", bytes(6), "not int32"),
        ("candidates", bytes(6), "not int32"),
        ("candidates", b"", "is empty"),
    ],
)
def test_the_runner_refuses_wrong_files_with_one_sentence(
    programs: Path, tmp_path: Path, option: str, content: bytes, sentence: str
) -> None:
    arguments = case_of(CASER, tmp_path)[-1]
    (tmp_path / option).write_bytes(content)
    more = ["--user", str(tmp_path / "user")] if option == "user" else []
    result = emulate("max", programs / "chord_runner", *arguments, *more)
    assert result.returncode == 2
    assert str(tmp_path / option) in result.stderr
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_runner_refuses_a_variant_that_the_cpu_lacks(programs: Path, tmp_path: Path) -> None:
    arguments = case_of(CASER, tmp_path)[-1]
    result = emulate("cortex-a53", programs / "chord_runner", *arguments, "--variant", "dotprod")
    assert result.returncode == 2
    assert "variant 'dotprod' is unknown, or this CPU does not support it" in result.stderr


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="qemu-user, which loads plugins, is not installed")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.skipif(COMPILER != "clang", reason="the limits are those of clang-19 and lld-19, which are not installed")
def test_a_rerank_stays_within_its_instructions(programs: Path, tmp_path: Path, script: Callable[[str], ModuleType]) -> None:
    module = script("benchmarks/kernels/arm_instructions.py")
    case = module.make_case(tmp_path)
    limits = {"neon": 325_000, "dotprod": 200_000, "i8mm": 172_000}
    counts = {variant: module.count(programs / "chord_runner", case, variant) for variant in limits}
    for variant, limit in limits.items():
        assert 100_000 < sum(counts[variant].values()) < limit
    assert any(symbol == "chord_gemm_qa8_c8__i8mm" for symbol in counts["i8mm"])
    assert (
        sum(module.count(programs / "chord_runner", case, "dotprod", what="adoptions").values()) < 210_000
    )  # 100,000 of them merge layers


def test_adopting_and_reranking_at_once_is_clean_on_arm_under_the_sanitizers(tmp_path: Path) -> None:
    program, native = tmp_path / "exercise", Path(__file__).parent / "native"
    flags = [*libchord.flags(), "-O1", "-g", "-D_GNU_SOURCE", "-pthread", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(native / "exercise.c"), *map(str, libchord.sources())]
    built = subprocess.run(["aarch64-linux-gnu-gcc", *flags, *sources, "-lm", "-o", str(program)], capture_output=True, text=True)
    if "cannot find" in built.stderr:
        pytest.skip("the arm64 compiler has no runtime for these sanitizers")
    assert built.returncode == 0, built.stderr
    (tmp_path / "master").write_bytes(random_master(CASER).to_bytes())
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # qemu cannot stop threads to look at their memory
    command = [QEMU, "-L", "/usr/aarch64-linux-gnu", "-cpu", "max", str(program), str(tmp_path / "master"), "2", "10"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["i8mm", "dotprod", "neon", "scalar"]
