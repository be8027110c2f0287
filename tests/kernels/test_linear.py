"""One layer on its own, in every form and variant: the same integers, so the same floats."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.errors import InputError
from chordkit.kernels import available, variants
from chordkit.kernels.arithmetic import Linear, quantize
from chordkit.kernels.linear import Form, NativeLinear

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
HIGHEST = {0: 0, 2: 1, 4: 7, 8: 127}
LOWEST = {0: 0, 2: -2, 4: -7, 8: -127}


def layer_of(out: int, inputs: int, choices: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, out, inputs])
    widths = rng.choice(choices, out).astype(np.uint8)
    codes = np.stack([rng.integers(LOWEST[int(w)], HIGHEST[int(w)] + 1, inputs) for w in widths]).astype(np.int8)
    return codes, rng.uniform(0.001, 0.1, out).astype(np.float32), widths, rng.normal(size=out).astype(np.float32)


def check(rows: int, out: int, inputs: int, choices: tuple[int, ...], seed: int = 0) -> None:
    codes, scales, widths, bias = layer_of(out, inputs, choices, seed)
    x = np.random.default_rng(seed).normal(size=(rows, inputs)).astype(np.float32)
    expected = Linear(codes, scales, bias)(quantize(x))
    for variant in VARIANTS:
        for form in (Form.EXPANDED, Form.DIRECT):
            try:
                layer = NativeLinear(codes, scales, widths, bias, max_rows=rows, form=form, variant=variant)
            except InputError as error:
                assert form is Form.DIRECT and "no direct kernels" in str(error)
                continue
            np.testing.assert_array_equal(layer(x), expected, err_msg=f"{variant} {form.name}")


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 13])
@pytest.mark.parametrize("out", [1, 15, 16, 17, 33, 64])
def test_rows_and_channels_below_at_and_above_a_block(rows: int, out: int) -> None:
    check(rows, out, 32, (2, 4, 8))


@pytest.mark.parametrize("inputs", [1, 3, 4, 15, 16, 17, 31, 48, 64, 65, 200])
def test_inputs_below_at_and_above_a_group(inputs: int) -> None:
    check(3, 20, inputs, (2, 4, 8))


@pytest.mark.parametrize("choices", [(0,), (2,), (4,), (8,), (0, 2), (4, 8), (0, 2, 4, 8)])
def test_all_one_width_and_mixes(choices: tuple[int, ...]) -> None:
    check(4, 40, 48, choices)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9), out=st.integers(1, 70), inputs=st.integers(1, 90), seed=st.integers(0, 9),
    choices=st.sets(st.sampled_from((0, 2, 4, 8)), min_size=1),
)  # fmt: skip
def test_any_shape_and_mix(rows: int, out: int, inputs: int, seed: int, choices: set[int]) -> None:
    check(rows, out, inputs, tuple(sorted(choices)), seed)


def test_extreme_codes_do_not_saturate() -> None:
    codes = np.full((16, 512), 127, np.int8)
    codes[8:] = -127
    ones = np.ones(16, np.float32)
    x = np.ones((2, 512), np.float32)
    x[1] = -1
    for variant in VARIANTS:
        y = NativeLinear(codes, ones, np.full(16, 8, np.uint8), max_rows=2, form=Form.EXPANDED, variant=variant)(x)
        # 512 * 127 * 127 needs 23 bits: exact in fp32; the activations' scale 1/127 rounds once, the product once more.
        np.testing.assert_allclose(np.abs(y), 512 * 127, rtol=3 * 2.0**-24)
        assert (np.sign(y) == np.sign(np.outer([1, -1], codes[:, 0]))).all()


def test_a_row_of_zeros_gives_the_bias() -> None:
    codes, scales, widths, bias = layer_of(20, 32, (2, 4, 8))
    for variant in VARIANTS:
        np.testing.assert_array_equal(NativeLinear(codes, scales, widths, bias, variant=variant)(np.zeros((1, 32))), bias[None])


def test_relu_clamps_at_zero() -> None:
    codes, scales, widths, bias = layer_of(20, 32, (2, 4, 8))
    x = np.random.default_rng(1).normal(size=(3, 32))
    for variant in VARIANTS:
        plain = NativeLinear(codes, scales, widths, bias, max_rows=3, variant=variant)(x)
        clamped = NativeLinear(codes, scales, widths, bias, max_rows=3, relu=True, variant=variant)(x)
        np.testing.assert_array_equal(clamped, np.maximum(plain, 0))


def test_large_layers_are_kept_packed_and_take_the_bytes_of_their_widths() -> None:
    widths = np.repeat(np.array([2, 4, 8], np.uint8), [650, 200, 150])
    layer = NativeLinear(np.zeros((1000, 1024), np.int8), np.ones(1000, np.float32), widths)
    ideal = 1024 * int(widths.sum()) // 8
    # Each width is padded to 16 channels; 16 bytes a channel of scales, biases, corrections and order; 16 rows to pack from.
    assert ideal <= layer.layer_bytes <= ideal + 1024 * (14 // 4 + 8 // 2 + 10) + 16 * 1024 + 16 * 1024 + 2048
    small = NativeLinear(np.zeros((64, 64), np.int8), np.ones(64, np.float32), np.full(64, 2, np.uint8))
    assert small.layer_bytes >= 64 * 64


def test_what_does_not_fit_is_refused() -> None:
    codes, scales, widths, bias = layer_of(20, 32, (4,))
    with pytest.raises(InputError, match="grid of 2 bits"):
        NativeLinear(codes, scales, np.full(20, 2, np.uint8))
    with pytest.raises(InputError, match="width 3"):
        NativeLinear(codes, scales, np.full(20, 3, np.uint8))
    with pytest.raises(InputError, match="20 elements"):
        NativeLinear(codes, scales[:3], widths)
    with pytest.raises(InputError, match="not finite"):
        NativeLinear(codes, scales * np.float32(np.nan), widths, bias)
    with pytest.raises(InputError, match="variant"):
        NativeLinear(codes, scales, widths, variant="z80")
    layer = NativeLinear(codes, scales, widths)
    for wrong in (np.zeros((2, 32)), np.zeros((1, 31)), np.zeros(32)):
        with pytest.raises(InputError, match="at most 1, 32"):
            layer(wrong)


@pytest.mark.parametrize("size", [1e-29, 1e-31, 1e-38, 1e-45, 1e30])
def test_rows_of_tiny_and_of_huge_numbers_have_codes(size: float) -> None:
    codes, scales, widths, bias = layer_of(20, 64, (2, 4, 8))
    x = (np.random.default_rng(1).uniform(-1, 1, (5, 64)) * size).astype(np.float32)
    expected = Linear(codes, scales, bias)(quantize(x))
    assert np.isfinite(expected).all()
    for variant in VARIANTS:
        np.testing.assert_array_equal(NativeLinear(codes, scales, widths, bias, max_rows=5, variant=variant)(x), expected)


def test_a_layer_is_packed_by_itself_only_where_that_saves_bytes() -> None:
    outputs = 1024
    codes, ones = np.zeros((outputs, 1024), np.int8), np.ones(outputs, np.float32)
    sizes = {}
    for width in (8, 4):
        widths = np.full(outputs, width, np.uint8)
        # The scalar variant has direct kernels everywhere.
        sizes[width] = {form: NativeLinear(codes, ones, widths, form=form, variant="scalar").layer_bytes for form in Form}
    assert sizes[4][Form.DIRECT] < sizes[4][Form.EXPANDED]
    assert sizes[4][Form.AUTO] == sizes[4][Form.DIRECT]
    assert sizes[8][Form.AUTO] == sizes[8][Form.EXPANDED]
