"""What a caller, a strategy or a master can get wrong is refused by the engine, and changes nothing."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import BackboneConfig, SASRecConfig, build, make_master
from chordkit.errors import InputError, MasterError, StrategyError
from chordkit.kernels import Engine, available
from tests.kernels.test_engine import CASER, ITEMS, SASREC, ids, master_of, random_widths, strategy_of

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")


def test_an_id_outside_the_catalogue_is_refused() -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    for wrong in (0, -1, ITEMS + 1, 2**31 - 1, -(2**31)):
        with pytest.raises(InputError, match="candidate"):
            engine.scores(ids(3), np.array([1, wrong], np.int32))
        with pytest.raises(InputError, match="history"):
            engine.scores(np.array([1, wrong, wrong], np.int32), ids(3))
    for empty in (np.zeros(0, np.int32), np.zeros(12, np.int32)):
        with pytest.raises(InputError, match="history"):
            engine.hidden(empty)
    with pytest.raises(InputError, match="fit"):
        engine.scores(ids(4), np.ones((2, 3), np.int32))
    with pytest.raises(InputError, match="k = 0"):
        engine.top_k(ids(4), 0)
    assert engine.scores(ids(4), np.zeros(0, np.int32)).shape == (0,)


def test_c_itself_refuses_what_is_no_history_or_no_candidate(small: BackboneConfig) -> None:
    # A prepared rerank hands its arrays to C as they are, as an app does.
    call = Engine(master_of(small).to_bytes()).prepare(4, 2)
    call.candidates[:] = 1, ITEMS
    for history in ([0, 0, 0, 0], [1, 2, 3, 0], [1, 0, 2, 3], [0, 1, 0, 2], [0, 0, -1, 2], [1, 2, 3, ITEMS + 1]):
        call.history[:] = history
        with pytest.raises(InputError, match="history"):
            call.run()
    call.history[:] = 0, 0, 1, 2
    call.run()
    for candidate in (0, -1, ITEMS + 1):
        call.candidates[1] = candidate
        with pytest.raises(InputError, match="candidate"):
            call.run()


@pytest.mark.parametrize("wrong", [[1.0, 2.9], [True, True], [1, 2**32 + 1], [3, 0], [3, 0, 3]])
def test_ids_of_another_type_or_beyond_32_bits_are_refused_and_not_cast(wrong: list[Any]) -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    for call in (engine.hidden, lambda history: engine.scores(history, ids(3)), lambda history: engine.top_k(history, 3)):
        with pytest.raises(InputError, match="history"):
            call(np.array(wrong))


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(InputError, match="variant 'z80'"):
        Engine(master_of(SASREC).to_bytes(), "z80")


def _resealed(strategy: bytearray) -> bytes:
    return bytes(strategy[:-4]) + struct.pack("<I", zlib.crc32(strategy[:-4]))


def test_every_flipped_bit_of_a_strategy_is_refused_and_changes_nothing() -> None:
    master = master_of(CASER)
    engine = Engine(master.to_bytes())
    strategy = strategy_of(master, random_widths(master))
    engine.adopt(strategy)
    before = engine.scores(ids(8), ids(9, 1))
    for bit in range(8 * len(strategy)):
        damaged = bytearray(strategy)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StrategyError):
            engine.adopt(bytes(damaged))
    np.testing.assert_array_equal(engine.scores(ids(8), ids(9, 1)), before)


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [(0, 0, "magic"), (4, 2, "version"), (5, 1, "encoding"), (6, 2, "flags"), (7, 1, "flags"), (8, None, "fingerprint"),
     (16, None, "channels"), (20, 0, "off"), (-5, 0xFF, "unused bits")],
)  # fmt: skip
def test_a_strategy_with_a_valid_checksum_is_still_checked(offset: int, value: int | None, says: str) -> None:
    master = master_of(CASER)
    assert master.channel_table.channels % 4 != 0
    engine = Engine(master.to_bytes())
    strategy = bytearray(strategy_of(master, random_widths(master)))
    strategy[offset] = strategy[offset] ^ 1 if value is None else value
    before = engine.hidden(ids(8))
    for act in (engine.adopt, engine.check):
        with pytest.raises(StrategyError, match=says):
            act(_resealed(strategy))
    np.testing.assert_array_equal(engine.hidden(ids(8)), before)


def test_a_strategy_of_another_length_is_refused() -> None:
    master = master_of(SASREC)
    engine, strategy = Engine(master.to_bytes()), strategy_of(master, random_widths(master))
    for wrong in (b"", strategy[:10], strategy[:-1], strategy + b"\0", strategy[:-8] + strategy[-4:]):
        with pytest.raises(StrategyError):
            engine.adopt(wrong)


def test_a_newer_master_is_refused_by_its_version() -> None:
    data = master_of(SASREC).to_bytes()
    with pytest.raises(MasterError, match="version 3 is none of 1 and 2"):
        Engine(data[:4] + (3).to_bytes(4, "little") + data[8:])


def test_a_damaged_master_is_refused() -> None:
    data = master_of(SASREC).to_bytes()
    for wrong in (b"", data[:63], data[:-1], data + b"\0"):
        with pytest.raises(MasterError):
            Engine(wrong)
    for position in np.random.default_rng(0).integers(0, len(data), 200):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(MasterError):
            Engine(bytes(damaged))


def _with_entry(data: bytes, name: str, change: tuple[int, bytes]) -> bytes:
    """``data`` with bytes of one record replaced (offset inside the record) and a valid checksum."""
    image = bytearray(data)
    record = image.index(name.encode() + b"\0", 64)
    offset, value = change
    image[record + offset : record + offset + len(value)] = value
    struct.pack_into("<I", image, 20, zlib.crc32(image[24:]))
    return bytes(image)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("layers/blocks.0.query/codes", (112, struct.pack("<Q", 2**63))),
        ("layers/blocks.0.query/codes", (112, struct.pack("<Q", 64))),
        ("layers/blocks.0.query/codes", (120, struct.pack("<Q", 2**64 - 1))),
        ("layers/blocks.0.query/codes", (96, struct.pack("<I", 2**31))),
        ("layers/blocks.0.query/codes", (92, struct.pack("<I", 9))),
        ("layers/blocks.1.ffn2/scales", (88, struct.pack("<I", 7))),
        ("layers/blocks.1.ffn2/ratios", (0, b"x")),
        ("embeddings/item_embedding/bits", (0, b"x")),
        ("config/items", (0, b"x")),
    ],
)
def test_a_master_with_a_valid_checksum_is_still_checked(name: str, change: tuple[int, bytes]) -> None:
    with pytest.raises(MasterError):
        Engine(_with_entry(master_of(SASREC).to_bytes(), name, change))


def test_a_configuration_that_the_engine_cannot_run_is_refused_by_name() -> None:
    for config, says in (
        (SASRecConfig(items=9, dim=24, heads=2, max_length=4), "dim"),
        (SASRecConfig(items=9, dim=1024, max_length=2), "dim"),
    ):
        with pytest.raises(MasterError, match=says):
            Engine(make_master(build(config)).to_bytes())


def test_a_profile_of_what_is_no_history_is_refused() -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    for pools in ((), (0, 5), (5, 5), (5, 2)):
        with pytest.raises(InputError, match="not ascending numbers"):
            engine.profile(ids(4), pools)
    for wrong in ([1, 0], [1, 0, 2], [ITEMS + 1], [-1]):
        with pytest.raises(InputError, match="history holds"):
            engine.profile(np.array(wrong, np.int32))
