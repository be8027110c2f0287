"""The native engine against its numpy reference, bit for bit, and against everything a caller can get wrong."""

import dataclasses
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, CaserConfig, SASRecConfig, build, from_master, make_master
from chordkit.errors import InputError, MasterError, StrategyError
from chordkit.hypernetwork.profile import profile
from chordkit.kernels import Engine, available, backbones, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import ENGINE_ARCHITECTURES, MasterWeights, engine_refusal
from chordkit.strategy import Strategy, encode
from tests.kernels.conftest import random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
ITEMS = 120
SASREC = SASRecConfig(items=ITEMS, dim=32, max_length=12, heads=2, norm_first=True)
CASER = CaserConfig(items=ITEMS, dim=32, max_length=10, heights=(2, 3), filters=5, vertical_filters=3, item_bias=True)


master_of = lru_cache(maxsize=32)(random_master)


def strategy_of(master: MasterWeights, widths: np.ndarray, allow_off: bool = False) -> bytes:
    return encode(Strategy(widths.astype(np.uint8), master.fingerprint), allow_off=allow_off)


def random_widths(master: MasterWeights, seed: int = 0, choices: tuple[int, ...] = (2, 4, 8)) -> np.ndarray:
    return np.random.default_rng(seed).choice(choices, master.channel_table.channels).astype(np.uint8)


def ids(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count]).integers(1, ITEMS + 1, count).astype(np.int32)


@pytest.mark.parametrize("embedding_bits", [8, 4])
def test_every_variant_returns_the_reference_bit_for_bit(configuration: BackboneConfig, embedding_bits: int) -> None:
    master = master_of(configuration, embedding_bits)
    widths = random_widths(master)
    reference = ReferenceEngine(master, widths)
    lengths = {configuration.max_length, configuration.max_length // 2, 1}
    expected = {length: reference.scores(ids(length), ids(37, 1)) for length in lengths}
    assert VARIANTS[-1] == "scalar"
    for variant in VARIANTS:
        engine = Engine(master.to_bytes(), variant)
        engine.adopt(strategy_of(master, widths))
        for length in lengths:
            np.testing.assert_array_equal(engine.scores(ids(length), ids(37, 1)), expected[length], err_msg=f"{variant}, {length} items")


def test_every_backbone_that_the_engine_lists_is_among_those_that_are_tested(small_masters: dict[str, MasterWeights]) -> None:
    assert set(small_masters) == set(backbones())


def test_what_the_engine_runs_is_known_without_it() -> None:
    assert backbones() == ENGINE_ARCHITECTURES


def test_what_the_engine_runs_is_not_remarked_upon(configuration: BackboneConfig) -> None:
    assert engine_refusal(master_of(configuration)) is None


def test_a_model_says_which_backbone_it_is(small: BackboneConfig) -> None:
    assert Engine(master_of(small).to_bytes()).architecture == small.architecture


@pytest.mark.parametrize("run", [lambda master: Engine(master.to_bytes()), ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("architecture", ["gru4rec", "caser2", "x" * 300])
def test_an_architecture_that_the_engine_does_not_run_is_refused_with_those_that_it_runs(run: Any, architecture: str) -> None:
    master = master_of(CASER)
    with pytest.raises(MasterError, match=f"'{architecture[:32]}.*none that this engine runs .*{', '.join(backbones())}"):
        run(dataclasses.replace(master, config=master.config | {"architecture": architecture}))


def test_quantised_activations_stay_near_the_fp32_reference_model(configuration: BackboneConfig) -> None:
    master = master_of(configuration)
    history, candidates = ids(configuration.max_length), ids(64, 1)
    with torch.no_grad():
        model = from_master(master)
        exact = model.score(model.encode(torch.from_numpy(history)[None].long()), torch.from_numpy(candidates)[None].long())[0].numpy()
    error = Engine(master.to_bytes()).scores(history, candidates) - exact
    # An int8 activation is off by at most 1/254 of its row's largest element, 1/440 rms for a uniform remainder. A row's rms is about a
    # third of its largest element, so each quantised layer adds about 0.7 % of its own change. Those of all layers add up in squares.
    layers = len(master.layers)
    assert np.sqrt((error**2).mean()) <= 0.007 * np.sqrt(layers) * np.sqrt((exact**2).mean())


@pytest.mark.parametrize("widths", [2, 4, 8, 0])
def test_one_width_for_all_channels(small: BackboneConfig, widths: int) -> None:
    master = master_of(small)
    chosen = np.full(master.channel_table.channels, widths, np.uint8)
    engine = Engine(master.to_bytes())
    engine.adopt(strategy_of(master, chosen, allow_off=widths == 0))
    np.testing.assert_array_equal(engine.hidden(ids(9)), ReferenceEngine(master, chosen).hidden(ids(9)))


def test_without_a_strategy_all_channels_have_eight_bits() -> None:
    master = master_of(SASREC)
    np.testing.assert_array_equal(Engine(master.to_bytes()).hidden(ids(5)), ReferenceEngine(master).hidden(ids(5)))


def test_adopting_back_and_forth_leaves_no_trace() -> None:
    master = master_of(SASREC)
    engine = Engine(master.to_bytes())
    strategies = [strategy_of(master, random_widths(master, seed)) for seed in range(3)]
    seen: dict[int, np.ndarray] = {}
    for turn in (0, 1, 2, 1, 0, 2, 0):
        engine.adopt(strategies[turn])
        scores = engine.scores(ids(12), ids(20, 1))
        np.testing.assert_array_equal(scores, seen.setdefault(turn, scores))
    assert not np.array_equal(seen[0], seen[1])


def test_padding_and_long_histories() -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    short = ids(4)
    np.testing.assert_array_equal(engine.hidden(np.r_[np.zeros(8, np.int32), short]), engine.hidden(short))
    long = np.r_[ids(30), ids(12, 3)]
    np.testing.assert_array_equal(engine.hidden(long), engine.hidden(long[-12:]))


def test_a_batch_equals_its_histories_one_by_one(small: BackboneConfig) -> None:
    engine = Engine(master_of(small).to_bytes())
    histories = np.stack([ids(10, seed) for seed in range(5)])
    candidates = np.stack([ids(7, 10 + seed) for seed in range(5)])
    one_by_one = [engine.scores(*pair) for pair in zip(histories, candidates, strict=True)]
    np.testing.assert_array_equal(engine.scores(histories, candidates), one_by_one)
    np.testing.assert_array_equal(engine.scores(histories, candidates, threads=3), one_by_one)
    np.testing.assert_array_equal(engine.hidden(histories), [engine.hidden(history) for history in histories])


@pytest.mark.parametrize("k", [1, 2, 10, ITEMS, ITEMS + 5])
def test_top_k_is_the_head_of_the_sorted_catalogue(small: BackboneConfig, k: int) -> None:
    engine = Engine(master_of(small).to_bytes())
    history = ids(8)
    catalogue = np.arange(1, ITEMS + 1, dtype=np.int32)
    scores = engine.scores(history, catalogue)
    order = np.lexsort((catalogue, -scores))
    items, values = engine.top_k(history, k)
    np.testing.assert_array_equal(items, catalogue[order][:k])
    np.testing.assert_array_equal(values, scores[order][:k])
    left = order[~np.isin(catalogue[order], history)]
    np.testing.assert_array_equal(engine.top_k(history, k, exclude_history=True)[0], catalogue[left][:k])


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


def test_check_decodes_what_was_encoded() -> None:
    master = master_of(CASER)
    widths = random_widths(master, choices=(0, 2, 4, 8))
    np.testing.assert_array_equal(Engine(master.to_bytes()).check(strategy_of(master, widths, allow_off=True)), widths)


def test_a_newer_master_is_refused_by_its_version() -> None:
    data = master_of(SASREC).to_bytes()
    with pytest.raises(MasterError, match="version 3 is none of 1 and 2"):
        Engine(data[:4] + (3).to_bytes(4, "little") + data[8:])


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize("configuration", [SASREC, CASER], ids=["sasrec", "caser"])
def test_a_grown_master_takes_the_strategies_of_before_and_scores_the_old_items_as_before(
    configuration: BackboneConfig, embedding_bits: int
) -> None:
    master = random_master(configuration, embedding_bits)
    rows = np.random.default_rng(3).standard_normal((7, master.dim)).astype(np.float32)
    grown = master.grown(rows, np.ones(7, np.float32) if "item_bias" in master.tensors else None)
    strategy, history, candidates = strategy_of(master, random_widths(master)), ids(9), ids(40, 1)
    before, after = Engine(master.to_bytes()), Engine(grown.to_bytes())
    for engine in (before, after):
        engine.adopt(strategy)
    assert after.fingerprint == before.fingerprint and after.items == ITEMS + 7
    np.testing.assert_array_equal(after.scores(history, candidates), before.scores(history, candidates))
    new = np.arange(ITEMS + 1, ITEMS + 8, dtype=np.int32)
    history[-2:] = new[:2]
    np.testing.assert_array_equal(after.scores(history, new), ReferenceEngine(grown, random_widths(master)).scores(history, new))
    with pytest.raises(InputError):
        before.scores(history, candidates)


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


def test_a_prepared_rerank_scores_what_lies_in_its_arrays_with_the_strategy_in_use() -> None:
    master = master_of(SASREC)
    engine = Engine(master.to_bytes())
    prepared = engine.prepare(7, 11)
    for turn in range(3):
        engine.adopt(strategy_of(master, random_widths(master, turn)))
        prepared.history[:], prepared.candidates[:] = ids(7, turn), ids(11, turn)
        np.testing.assert_array_equal(prepared.run(), engine.scores(ids(7, turn), ids(11, turn)))
    prepared.candidates[3] = ITEMS + 1
    with pytest.raises(InputError, match="candidate"):
        prepared.run()
    prepared.candidates[3] = 1
    assert np.isfinite(prepared.run()).all()
    with pytest.raises(InputError, match="1 or more"):
        engine.prepare(0, 3)


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="a file cannot be shortened under its map here")
def test_a_copy_outlives_a_file_that_is_shortened_under_its_map(tmp_path: Path) -> None:
    (tmp_path / "master").write_bytes(master_of(SASREC).to_bytes())
    program = (
        "import mmap, os, sys\n"
        "from chordkit.kernels import Engine\n"
        "with open(sys.argv[1], 'r+b') as stream:\n"
        "    engine = Engine(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), copy=sys.argv[2] == 'copy')\n"
        "    stream.truncate(0)\n"
        "print(engine.scores([3, 1, 4], [1, 5, 9]).tobytes().hex())\n"
    )
    ends = []
    for mode in ("copy", "map"):
        path = shutil.copy(tmp_path / "master", tmp_path / mode)
        ends.append(subprocess.run([sys.executable, "-c", program, str(path), mode], capture_output=True, text=True, check=False))
    assert ends[0].returncode == 0, ends[0].stderr
    expected = Engine(master_of(SASREC).to_bytes()).scores(np.array([3, 1, 4]), np.array([1, 5, 9]))
    assert bytes.fromhex(ends[0].stdout) == expected.tobytes()
    assert ends[1].returncode == -signal.SIGBUS  # what the copy is for


def test_further_candidates_have_the_scores_that_they_have_with_the_history(small: BackboneConfig) -> None:
    master = master_of(small)
    engine = Engine(master.to_bytes())
    engine.adopt(strategy_of(master, random_widths(master)))
    history, candidates = ids(8), ids(40, 7)
    np.testing.assert_array_equal(engine.score_hidden(engine.hidden(history), candidates), engine.scores(history, candidates))
    user = np.full(small.dim, 3.0, np.float32)
    assert engine.score_hidden(user, candidates).tolist() != engine.scores(history, candidates).tolist()
    with pytest.raises(InputError, match="candidates"):
        engine.score_hidden(user, np.array([1, 0], np.int32))
    with pytest.raises(InputError, match="do not fit"):
        engine.score_hidden(user[1:], candidates)
    user[3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        engine.score_hidden(user, candidates)


@pytest.mark.parametrize("embedding_bits", [8, 4])
@pytest.mark.parametrize("length", [0, 1, 4, 5, 6, 30])
def test_a_phone_computes_the_profile_that_the_hypernetwork_was_trained_on(embedding_bits: int, length: int) -> None:
    master = random_master(SASREC, embedding_bits=embedding_bits)
    backbone, pools, history = from_master(master), (2, 5, 20), ids(length, 3)
    wanted = profile(backbone, torch.from_numpy(np.r_[0, history])[None], pools)[0].numpy()
    # A sum of at most 20 products in any order, each of a magnitude below the table's largest: half an ulp a step.
    slack = 21 * 2.0**-24 * float(backbone.item_embedding.weight.detach().abs().max())
    for history_with_slots in (history, np.r_[np.zeros(4, np.int32), history]):
        found = Engine(master.to_bytes()).profile(history_with_slots, pools)
        np.testing.assert_allclose(found[:-1], wanted[:-1], rtol=0, atol=slack)
        np.testing.assert_allclose(found[-1], wanted[-1], rtol=2**-22)


def test_a_profile_of_what_is_no_history_is_refused() -> None:
    engine = Engine(master_of(SASREC).to_bytes())
    for pools in ((), (0, 5), (5, 5), (5, 2)):
        with pytest.raises(InputError, match="not ascending numbers"):
            engine.profile(ids(4), pools)
    for wrong in ([1, 0], [1, 0, 2], [ITEMS + 1], [-1]):
        with pytest.raises(InputError, match="history holds"):
            engine.profile(np.array(wrong, np.int32))
