"""Every shape the engine promises runs, on every variant of this CPU, as the reference does; every shape beyond its limits is refused."""

import contextlib
import itertools
import struct
import zlib
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, CaserConfig, SASRecConfig, build, make_master
from chordkit.errors import MasterError
from chordkit.kernels import Engine, available, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights, engine_refusal
from chordkit.strategy import Strategy, encode
from tests.kernels.conftest import random_master

pytestmark = [pytest.mark.long, pytest.mark.skipif(not available(), reason="the native engine was not compiled")]

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
ITEMS = 90
DIMS, LENGTHS = (32, 64, 128, 256), (9, 50, 200)


class Shape(NamedTuple):
    """What may vary in a SASRec, ``wide`` being the width of its feed-forward layers over ``dim``; ``sharp``: attends in floats."""

    dim: int
    wide: int
    heads: int
    length: int
    activation: str
    norm_first: bool
    embedding_bits: int
    sharp: bool


# Any two values of any two columns meet in one row at least; the first is the largest and most expensive of all.
SHAPES = [
    Shape(256, 4, 4, 200, "gelu", True, 8, False),
    Shape(64, 1, 1, 9, "relu", False, 4, False),
    Shape(32, 4, 2, 50, "gelu", False, 4, True),
    Shape(128, 1, 2, 50, "relu", True, 8, False),
    Shape(32, 4, 1, 9, "gelu", True, 8, True),
    Shape(32, 1, 4, 200, "relu", False, 4, False),
    Shape(64, 1, 4, 50, "gelu", False, 8, False),
    Shape(64, 4, 2, 200, "relu", True, 4, True),
    Shape(256, 1, 1, 50, "relu", False, 4, False),
    Shape(128, 4, 4, 9, "gelu", False, 4, True),
    Shape(256, 1, 2, 9, "gelu", False, 4, True),
    Shape(128, 1, 1, 200, "gelu", False, 8, False),
]


def test_the_shapes_hold_every_pair_of_values() -> None:
    values = (DIMS, (1, 4), (1, 2, 4), LENGTHS, ("relu", "gelu"), (False, True), (4, 8), (False, True))
    for first, second in itertools.combinations(range(len(Shape._fields)), 2):
        met = {(shape[first], shape[second]) for shape in SHAPES}
        missing = set(itertools.product(values[first], values[second])) - met
        assert not missing, f"{Shape._fields[first]} and {Shape._fields[second]}: {missing}"


_master = partial(random_master, seed=11)


def _histories(length: int) -> list[np.ndarray]:
    """A full history, and a short one with empty slots in front."""
    random = np.random.default_rng(length)
    full, short = random.integers(1, ITEMS + 1, length), random.integers(1, ITEMS + 1, 5)
    short[:2] = 0
    return [full.astype(np.int32), short.astype(np.int32)[-length:]]


def _assert_all_variants_return_the_reference(master: MasterWeights, length: int) -> None:
    widths = np.random.default_rng(1).choice([2, 4, 8], master.channel_table.channels).astype(np.uint8)
    reference, data = ReferenceEngine(master, widths), master.to_bytes()
    candidates = np.arange(1, min(int(master.config["items"]), 33) + 1, dtype=np.int32)
    expected = [reference.scores(history, candidates) for history in _histories(length)]
    assert all(np.unique(scores).size > 1 for scores in expected)
    for variant in VARIANTS:
        engine = Engine(data, variant)
        engine.adopt(encode(Strategy(widths, master.fingerprint)))
        for history, scores in zip(_histories(length), expected, strict=True):
            np.testing.assert_array_equal(engine.scores(history, candidates), scores, err_msg=f"{variant}, history of {history.size}")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape)))
def test_sasrec_runs_in_every_promised_shape(shape: Shape) -> None:
    config = SASRecConfig(
        items=ITEMS, dim=shape.dim, ffn_dim=shape.wide * shape.dim, heads=shape.heads, max_length=shape.length,
        activation=shape.activation, norm_first=shape.norm_first,
    )  # fmt: skip
    _assert_all_variants_return_the_reference(_master(config, shape.embedding_bits, sharp=shape.sharp), shape.length)


@pytest.mark.parametrize("norm_first", [False, True])
def test_sasrec_runs_with_three_heads(norm_first: bool) -> None:
    _assert_all_variants_return_the_reference(_master(SASRecConfig(items=ITEMS, dim=48, heads=3, max_length=30, norm_first=norm_first)), 30)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dim", DIMS)
def test_caser_runs_in_every_promised_shape(dim: int, length: int) -> None:
    case = DIMS.index(dim) + LENGTHS.index(length)
    heights = ((2, 3, 4), (1, length), (5,))[case % 3]
    filters, vertical = ((16, 4), (5, 3))[case // 2 % 2]
    config = CaserConfig(ITEMS, length, dim, heights, filters, vertical, item_bias=case % 2 == 0)
    _assert_all_variants_return_the_reference(_master(config, (8, 4)[DIMS.index(dim) % 2]), length)


@pytest.mark.parametrize(
    "config",
    [
        SASRecConfig(items=ITEMS, dim=512, heads=8, max_length=6),
        SASRecConfig(items=ITEMS, dim=16, heads=1, max_length=1024, blocks=1),
        SASRecConfig(items=ITEMS, dim=16, heads=2, max_length=4, blocks=32),
        CaserConfig(ITEMS, 1024, 16, (64,), 3, 2),
        # 65,536 inputs: of one horizontal filter; of fc.
        CaserConfig(ITEMS, 128, 512, (128,), 1, 1),
        CaserConfig(ITEMS, 3, 16, (1,), 16, 4095),
    ],
    ids=["dim 512", "1024 slots", "32 blocks", "caser, 1024 slots", "caser, longest filter", "caser, widest fc"],
)
def test_the_largest_of_each_limit_runs(config: BackboneConfig) -> None:
    _assert_all_variants_return_the_reference(_master(config), config.max_length)


def test_the_widest_layer_of_the_largest_codes_does_not_overflow() -> None:
    backbone = build(SASRecConfig(items=ITEMS, dim=16, heads=1, max_length=4, blocks=1, ffn_dim=65536, norm_first=True))
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            # All rows of ffn1 alike and positive: all 65,536 inputs of ffn2 are the code 127, and so are its weights.
            if name.endswith("ffn1.weight"):
                parameter.copy_(parameter[:1].clone().expand_as(parameter))
            elif name.endswith("ffn1.bias"):
                parameter.fill_(50.0)
            elif name.endswith("ffn2.weight"):
                parameter.copy_(torch.tensor([1e-3, -1e-3]).repeat(8)[:, None].expand_as(parameter))
    master = make_master(backbone)
    assert (np.abs(master.layers["blocks.0.ffn2"].rows.codes) == 127).all()
    history, candidates = np.array([3, 1, 2], np.int32), np.arange(1, 9, dtype=np.int32)
    expected = ReferenceEngine(master).scores(history, candidates)
    data = master.to_bytes()
    for variant in VARIANTS:
        np.testing.assert_array_equal(Engine(data, variant).scores(history, candidates), expected, err_msg=variant)


def _refused(data: bytes, says: str) -> None:
    for variant in VARIANTS:
        with pytest.raises(MasterError, match=says):
            Engine(data, variant)
    with contextlib.suppress(MasterError):  # NaN and infinity are no master's
        assert engine_refusal(MasterWeights.from_bytes(data)) is not None  # whoever makes it knows, without the engine


@pytest.mark.parametrize("dim", [4, 8, 20, 24, 40, 100, 250])
def test_a_width_that_is_no_multiple_of_16_is_refused_by_name(dim: int) -> None:
    # Below 16 the range is named first.
    _refused(_master(SASRecConfig(items=9, dim=dim, heads=1, max_length=4)).to_bytes(), "dim")
    _refused(_master(CaserConfig(9, 4, dim)).to_bytes(), "dim")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (SASRecConfig(items=9, dim=528, heads=1, max_length=2), "config/dim = 528"),
        (CaserConfig(9, 4, 528), "config/dim = 528"),
        (SASRecConfig(items=9, dim=16, max_length=1025), "config/max_length = 1025"),
        (CaserConfig(9, 1025, 16), "config/max_length = 1025"),
        (CaserConfig(9, 129, 512, (129,), 1, 1), "layer horizontal.0: .* 66048 inputs"),
        (CaserConfig(9, 3, 16, (1,), 17, 4095), "fc has too many inputs"),
        (CaserConfig(9, 3, 16, (1,) * 65, 1, 1), "heights"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_backbone_beyond_a_limit_is_refused_by_name(config: BackboneConfig, says: str) -> None:
    _refused(_master(config).to_bytes(), says)


def _with_number(data: bytes, name: str, value: int | float) -> bytes:
    """``data`` with the first number of the record ``name`` replaced and a valid checksum."""
    image = bytearray(data)
    record = image.index(name.encode() + b"\0", 64)
    (offset,) = struct.unpack_from("<Q", image, record + 112)
    struct.pack_into("<i" if isinstance(value, int) else "<f", image, offset, value)
    struct.pack_into("<I", image, 20, zlib.crc32(image[24:]))
    return bytes(image)


@pytest.mark.parametrize(
    ("key", "value"),
    [("dim", 2**31 - 1), ("dim", -16), ("max_length", 0), ("max_length", 2**31 - 1), ("blocks", 33), ("blocks", 0),
     ("ffn_dim", 65537), ("ffn_dim", -1), ("items", 0), ("heads", 3), ("heads", 0)],
)  # fmt: skip
def test_a_number_beyond_its_limit_is_refused_by_name_before_it_is_used(key: str, value: int) -> None:
    data = _master(SASRecConfig(items=9, dim=32, max_length=4)).to_bytes()
    Engine(_with_number(data, f"config/{key}", {"dim": 32, "max_length": 4, "blocks": 2, "ffn_dim": 32, "items": 9, "heads": 2}[key]))
    _refused(_with_number(data, f"config/{key}", value), key)


@pytest.mark.parametrize("value", [1.0001e4, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "name",
    ["layers/blocks.0.query/scales", "layers/blocks.1.ffn2/bias", "embeddings/item_embedding/scales", "tensors/blocks.0.ffn_norm.weight"],
)
def test_a_stored_float_beyond_ten_thousand_is_refused_by_name(name: str, value: float) -> None:
    data = _master(SASRecConfig(items=9, dim=16, max_length=4)).to_bytes()
    Engine(_with_number(data, name, 1e4))
    assert engine_refusal(MasterWeights.from_bytes(_with_number(data, name, 1e4))) is None
    _refused(_with_number(data, name, value), name)
