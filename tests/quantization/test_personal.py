"""Personal files: the widths' codes and nothing wider, the same scores to the last bit, and a reader that takes only what is written."""

import zlib

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, build, make_master
from chordkit.errors import MasterError
from chordkit.kernels import Engine, available
from chordkit.quantization import read_personal, write_personal
from chordkit.strategy import Strategy, encode, to_wire

MODELS = {
    "sasrec": SASRecConfig(items=300, max_length=10, dim=32, blocks=1, heads=2, ffn_dim=48),
    "caser": CaserConfig(items=300, max_length=8, dim=32, heights=(1, 2), filters=16, vertical_filters=16, item_bias=True),
}


def made(architecture, bits=8):
    torch.manual_seed(0)
    master = make_master(build(MODELS[architecture]).eval(), embedding_bits=bits)
    widths = np.random.default_rng(0).choice([0, 2, 4, 8], master.channel_table.channels, p=[0.1, 0.55, 0.2, 0.15]).astype(np.uint8)
    return master, widths


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("architecture", MODELS)
def test_the_expanded_master_gives_the_strategys_scores_bit_for_bit(architecture, bits):
    if not available():
        pytest.skip("the native engine was not compiled")
    master, widths = made(architecture, bits)
    own = Engine(master.to_bytes())
    own.adopt(encode(Strategy(widths, master.fingerprint), allow_off=True))
    read = read_personal(write_personal(master, widths))
    personal = Engine(read.master.to_bytes())
    personal.adopt(to_wire(Strategy(read.master_widths, read.master.fingerprint)))
    generator = np.random.default_rng(1)
    for _ in range(20):
        history = generator.integers(1, 301, MODELS[architecture].max_length).astype(np.int32)
        ids = generator.choice(np.arange(1, 301), 50, replace=False).astype(np.int32)
        np.testing.assert_array_equal(personal.scores(history, ids), own.scores(history, ids))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("architecture", MODELS)
def test_a_file_is_what_its_numbers_take_and_a_short_description(architecture, bits):
    from chordkit.export.targets import ideal_bytes

    master, widths = made(architecture, bits)
    data = write_personal(master, widths)
    least = sum(ideal_bytes(master, widths).values()) - 4 * int((widths == 0).sum())  # no scale where a channel is off
    # Besides: 2 bits a channel, 24 bytes of header, and each part's name with at most 18 bytes.
    names = [*master.config, *master.layers, *master.embeddings, *master.tensors]
    assert least < len(data) <= least + -(-widths.size // 4) + 24 + 8 + sum(len(name) + 18 for name in names) + 20


def test_what_was_written_is_read():
    master, widths = made("sasrec")
    data = write_personal(master, widths)
    read = read_personal(data)
    np.testing.assert_array_equal(read.widths, widths)
    assert read.fingerprint == master.fingerprint and read.master.config == master.config


def test_a_file_that_is_cut_or_has_another_bit_is_refused():
    data = write_personal(*made("sasrec"))
    generator = np.random.default_rng(0)
    for length in generator.integers(0, len(data), 40):
        with pytest.raises(MasterError):
            read_personal(data[:length])
    for bit in generator.integers(0, 8 * len(data), 60):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MasterError):
            read_personal(bytes(damaged))


def test_of_a_file_with_a_right_checksum_only_what_is_written_back_alike_is_read():
    data = write_personal(*made("caser", 4))
    generator = np.random.default_rng(0)
    taken = 0
    for turn in range(300):
        damaged = bytearray(data)
        # Half of them in the description, where one number decides where all others stand.
        place = generator.integers(16, 400 if turn % 2 else len(data))
        damaged[place] = generator.integers(256)
        damaged[12:16] = zlib.crc32(damaged[16:]).to_bytes(4, "little")
        try:
            read = read_personal(bytes(damaged))
        except MasterError:
            continue
        taken += 1
        assert read.master.to_bytes()
    assert 0 < taken < 300


def test_widths_that_are_not_the_masters_are_refused():
    master, widths = made("sasrec")
    with pytest.raises(MasterError, match="are needed for"):
        write_personal(master, widths[1:])
    with pytest.raises(MasterError, match="0, 2, 4 or 8"):
        write_personal(master, np.full_like(widths, 3))
