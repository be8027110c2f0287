"""Where the bytes of artifacts go: told from finished files, to the last byte, and near to what they could be at the least."""

import contextlib

import numpy as np
import pytest
import torch

from chordkit.backbones import build, make_master
from chordkit.backbones.architectures.sasrec import SASRecConfig
from chordkit.errors import CapabilityError, InputError
from chordkit.export.artifact import ArtifactSpec
from chordkit.export.targets import Kind, all_targets, bytes_of, find_target, ideal_bytes, lower

ITEMS, LENGTH = 400, 20
SASREC = SASRecConfig(items=ITEMS, max_length=LENGTH, dim=32, blocks=1, heads=2, ffn_dim=48)


def model(bits=8):
    torch.manual_seed(0)
    backbone = build(SASREC).eval()
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if parameter.dim() == 1:  # equal constants are stored once
                parameter.uniform_(0.5 if "norm" in name else -0.5, 1.5 if "norm" in name else 0.5)
    master = make_master(backbone, embedding_bits=bits)
    return backbone, master, np.random.default_rng(0).choice([2, 4, 8], master.channel_table.channels, p=[0.6, 0.2, 0.2]).astype(np.uint8)


@pytest.fixture(scope="module")
def files():
    """Artifacts of one model on every target that has files, made when first asked for."""
    made = {}

    def file(target, bits=4):
        key = target, bits
        if key not in made:
            _, master, widths = model(bits)
            data = master.to_bytes() if target == "native" else lower(ArtifactSpec(target, "strategy", 20), (master, widths))
            made[key] = data, master, widths
        return made[key]

    return file


NAMES = ["litert", "onnx", "openvino", "executorch", "executorch-chord", "native"]


@pytest.mark.parametrize(("target", "bits"), [*((name, 4) for name in NAMES), ("litert", 8), ("onnx", 8), ("native", 8)])
def test_every_byte_is_told_and_the_weights_are_what_they_are_said_to_be(files, target, bits):
    data, master, widths = files(target, bits=bits)
    told = bytes_of(target, data)
    assert sum(told.values()) == len(data)
    least = ideal_bytes(master, widths)
    stored = find_target(target).capability.stored_bits
    table = master.channel_table
    sizes = table.in_features.astype(np.int64)
    # A channel may stand among wider ones where that saves an operator; none stands among narrower ones.
    for width in (2, 4, 8):
        narrow = sum(told.get(kind, 0) for kind in (Kind.WEIGHTS_2, Kind.WEIGHTS_4, Kind.WEIGHTS_8) if int(kind.split()[1]) <= width)
        assert narrow <= sum(int(sizes[widths == own].sum()) * stored[own] // 8 for own in (2, 4, 8) if stored[own] <= width)
    if find_target(target).capability.master:  # none of the model's numbers is in the file
        assert not told.keys() & {Kind.EMBEDDINGS, Kind.WEIGHTS_8, Kind.SCALES} and len(data) < 4096
        return
    # The least is a float32 scale a row and codes at the table's bits; alignment adds less than 64 bytes a part.
    assert least[Kind.EMBEDDINGS] <= told[Kind.EMBEDDINGS] <= least[Kind.EMBEDDINGS] + 128


def test_a_float_file_has_float_weights(files):
    backbone, master, _ = model()
    least = ideal_bytes(master, None)
    for target in ("litert", "onnx", "openvino"):
        told = bytes_of(target, lower(ArtifactSpec(target, "fp32", 20), backbone))
        assert told[Kind.WEIGHTS_32] == least[Kind.WEIGHTS_32]
        assert told[Kind.EMBEDDINGS] == least[Kind.EMBEDDINGS] == 4 * 32 * (ITEMS + 1)
        assert told[Kind.POSITIONS] == least[Kind.POSITIONS]


@pytest.mark.parametrize(("target", "most"), [("litert", 11_000), ("onnx", 6_700), ("openvino", 10_000), ("executorch", 19_000)])
def test_what_is_no_number_of_the_model_is_bounded(files, target, most):
    data, master, widths = files(target)
    # Measured with these versions, and a tenth: what grows past it is a change of how files are written.
    beside = len(data) - sum(ideal_bytes(master, widths).values())
    assert 0 < beside < most


@pytest.mark.parametrize("target", NAMES)
def test_a_damaged_file_is_refused_or_told_to_its_last_byte(files, target):
    data, _, _ = files(target)
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data[: generator.integers(8, len(data))] if generator.random() < 0.3 else data)
        for place in generator.integers(0, min(len(damaged), 12_000), generator.integers(1, 6)):
            damaged[place] = generator.integers(256)
        with contextlib.suppress(InputError):
            assert sum(bytes_of(target, bytes(damaged)).values()) == len(damaged)


def test_a_target_whose_files_nobody_has_taken_apart_says_so():
    class Unknown(type(find_target("onnx"))):
        account = None

    from chordkit.export.targets.target import Target

    with pytest.raises(CapabilityError, match="where the bytes of its files go is not known"):
        Target.account(find_target("onnx"), memoryview(b""), None)
    assert {target.name for target in all_targets()} >= set(NAMES)


def test_masks_of_two_numbers_and_orders_take_few_bytes(files):
    for target in ("litert", "onnx", "executorch"):
        data, _, widths = files(target)
        told = bytes_of(target, data)
        assert told.get(Kind.ORDERS, 0) <= 2 * widths.size
        # A causal mask as float32 would be 1,600 bytes; biases, norms and the rest of the constants are 1,536.
        assert told[Kind.CONSTANTS] < 1_600 + 1_536
