"""Micro-kernels one by one: the golden derivation, the functions that are approximated, and equality over awkward sizes."""

import ctypes
import ctypes.util
import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from chordkit.kernels import available, variants
from chordkit.kernels import build as libchord
from chordkit.kernels.arithmetic import exp, exp2, fma, gelu
from chordkit.kernels.engine import native

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [index for index, variant in enumerate(variants()) if variant.supported] if available() else []
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "derivation.json").read_text())
CODE_OF_WIDTH = {0: 0, 2: 1, 4: 2, 8: 3}


def _aligned(size: int, dtype: type) -> np.ndarray:
    """A zeroed array that starts at a multiple of 64 bytes, as the kernels' own buffers do."""
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)


def _derive(index: int, codes: np.ndarray, width: int, ratio: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Codes of one variant for sixteen equal channels: row-major, from its panel, corrections, and inputs of a panel's group."""
    ffi, lib = native()
    kernels = lib.chord_variants[index].ukernels
    depth = len(codes)
    ratios, widths = np.full(16, ratio, np.int16), np.full(16, CODE_OF_WIDTH[width], np.uint8)
    scales = np.arange(1, 49, dtype=np.float32)
    rows = ffi.from_buffer("int8_t[]", codes)
    channels = ffi.new(
        "chord_channels *",
        {
            "rows": [rows] * 16, "widths": ffi.from_buffer("uint8_t[]", widths), "depth": depth,
            "ratios2": ffi.from_buffer("int16_t[]", ratios), "ratios4": ffi.from_buffer("int16_t[]", ratios),
            "scales2": ffi.from_buffer("float[]", scales[:16]), "scales4": ffi.from_buffer("float[]", scales[16:32]),
            "scales8": ffi.from_buffer("float[]", scales[32:]),
        },
    )  # fmt: skip
    panel, straight = _aligned(16 * depth, np.int8), _aligned(16 * depth, np.int8)
    correction, scale = np.zeros(16, np.int32), np.zeros(16, np.float32)
    kernels.expand_c8(
        channels, ffi.from_buffer("int8_t[]", panel), ffi.from_buffer("int32_t[]", correction), ffi.from_buffer("float[]", scale)
    )
    kernels.derive_rows(channels, ffi.from_buffer("int8_t[]", straight), ffi.from_buffer("float[]", scale))
    chosen = {0: np.ones(16, np.float32), 2: scales[:16], 4: scales[16:32], 8: scales[32:]}[width]
    np.testing.assert_array_equal(scale, chosen)
    group = int(kernels.depth_group)
    lines = panel.reshape(depth // group, 16, group)
    return straight.reshape(16, depth), lines.transpose(1, 0, 2).reshape(16, depth), correction, group


@pytest.mark.parametrize("index", VARIANTS)
def test_codes_are_the_golden_ones(index: int) -> None:
    codes = np.frombuffer(bytes.fromhex(GOLDEN["codes"]), np.int8)
    padded = np.zeros(-(-len(codes) // 16) * 16, np.int8)
    padded[: len(codes)] = codes
    for case in GOLDEN["cases"]:
        expected = np.zeros_like(padded)
        expected[: len(codes)] = np.frombuffer(bytes.fromhex(case["derived"]), np.int8)
        straight, panel, _, _ = _derive(index, padded, case["width"], case["ratio"])
        np.testing.assert_array_equal(straight, np.tile(expected, (16, 1)))
        np.testing.assert_array_equal(panel, np.tile(expected, (16, 1)))
    for width, expected in ((8, padded), (0, np.zeros_like(padded))):
        straight, panel, _, _ = _derive(index, padded, width, 12345)
        np.testing.assert_array_equal(straight, np.tile(expected, (16, 1)))
        np.testing.assert_array_equal(panel, np.tile(expected, (16, 1)))


def test_the_references_multiply_add_rounds_once() -> None:
    fused = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    fused.restype, fused.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    rng = np.random.default_rng(0)
    # Few significant bits, so that products lie in the middle of two floats, and addends that are far smaller.
    a, b, c = (
        (rng.integers(-(2**bits), 2**bits, 6000) * 2.0 ** rng.integers(-low, high, 6000)).astype(np.float32)
        for bits, low, high in ((13, 60, 40), (13, 60, 40), (24, 100, 60))
    )
    a[:3], b[:3], c[:3] = (np.inf, np.nan, 3e38), (1, 1, 2), (-np.inf, 1, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        found = fma(a, b, c)
    np.testing.assert_array_equal(found, np.array([fused(*map(float, three)) for three in zip(a, b, c, strict=True)], np.float32))


def test_exp_keeps_its_stated_error() -> None:
    x = np.concatenate([np.linspace(-64, 0, 200_001), -np.geomspace(1e-8, 1, 1000)]).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(exp(x) - exact) <= (2e-7 + 4e-8 * np.abs(x)) * exact).all()
    assert (np.abs(exp(x) - exact) <= 2e-7).all()
    assert exp(np.float32([-1000.0]))[0] == exp(np.float32([-64.0]))[0] > 0


def test_exp2_keeps_its_stated_error_and_is_1_at_0() -> None:
    x = np.concatenate([np.linspace(-92, 0, 200_001), -np.geomspace(1e-8, 1, 1000)]).astype(np.float32)
    exact = np.exp2(x.astype(np.float64))
    assert (np.abs(exp2(x) - exact) <= 3e-6 * exact).all()
    assert exp2(np.float32([0.0]))[0] == 1
    assert exp2(np.float32([-1000.0]))[0] == exp2(np.float32([-92.0]))[0] > 0


@pytest.mark.parametrize("index", VARIANTS)
def test_gelu_is_the_erf_form_and_equal_in_every_variant(index: int) -> None:
    ffi, lib = native()
    x = np.concatenate([np.linspace(-9, 9, 4001), [0.0, -0.0, 1e-30, 50.0, -50.0]]).astype(np.float32)
    x = np.concatenate([x, np.zeros(-len(x) % 16, np.float32)])
    out = _aligned(len(x), np.float32)
    out[:] = x
    lib.chord_variants[index].ukernels.gelu_f32(len(x), ffi.from_buffer("float[]", out))
    exact = np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in x.astype(np.float64)])
    # erf is off by at most 5e-7 (constants.h), times |x| / 2; the last fma and product round once each.
    assert (np.abs(out - exact) <= 2.5e-7 * np.abs(x) + 2.0**-23 * np.abs(exact) + 1e-30).all()
    np.testing.assert_array_equal(out, gelu(x))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
@pytest.mark.checkout  # compiles one of libchord's tools, which no wheel carries
def test_all_variants_return_the_bits_of_the_scalar_kernels(tmp_path: Path) -> None:
    program = tmp_path / "variants_check"
    # -O2, the last one counts, is enough and takes half of the time to compile.
    command = ["cc", *libchord.flags(), "-O2", *map(str, [*libchord.tool("variants_check"), *libchord.sources()]), "-lm"]
    subprocess.run([*command, "-o", str(program)], check=True, capture_output=True)
    done = subprocess.run([str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
