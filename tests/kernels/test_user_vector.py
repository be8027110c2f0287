"""A user vector in the native engine: against its numpy reference bit for bit, against PyTorch, and never in another user's call."""

import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
import torch

from chordkit.backbones import BackboneConfig, SASRecConfig, from_master
from chordkit.errors import InputError, UserVectorError
from chordkit.kernels import Engine, available, variants
from chordkit.kernels.reference import ReferenceEngine
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy, UserVector, decode_user_vector, encode, encode_user_vector, quantize_user_vector
from tests.kernels.conftest import random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

VARIANTS = [variant.name for variant in variants() if variant.supported] if available() else []
ITEMS = 120


master_of = lru_cache(maxsize=32)(random_master)


def widths_of(master: MasterWeights, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([2, 4, 8], np.uint8), master.channel_table.channels)


def engine_of(master: MasterWeights, widths: np.ndarray, variant: str | None = None) -> Engine:
    engine = Engine(master.to_bytes(), variant)
    engine.adopt(encode(Strategy(widths, master.fingerprint)))
    return engine


def user_of(master: MasterWeights, seed: int = 0, size: float = 0.5) -> UserVector:
    values = np.random.default_rng([seed, 7]).normal(0, size, int(master.config["dim"]))  # type: ignore[call-overload]
    return quantize_user_vector(values, master.fingerprint)


def ids(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, count]).integers(1, ITEMS + 1, count).astype(np.int32)


def test_every_variant_returns_the_reference_bit_for_bit(configuration: BackboneConfig) -> None:
    master = master_of(configuration)
    widths, lengths = widths_of(master), (configuration.max_length, configuration.max_length // 2, 1)
    reference, users = ReferenceEngine(master, widths), (user_of(master), user_of(master, 1, 40.0))
    expected = {(length, user): reference.scores(ids(length), ids(37, 1), user=user) for length in lengths for user in users}
    for variant in VARIANTS:
        engine = engine_of(master, widths, variant)
        for (length, user), scores in expected.items():
            np.testing.assert_array_equal(engine.scores(ids(length), ids(37, 1), user=user), scores, err_msg=f"{variant}, {length} items")


def test_quantised_activations_stay_near_the_fp32_model_with_the_same_vector(configuration: BackboneConfig) -> None:
    master = master_of(configuration)
    widths, user, history, candidates = widths_of(master), user_of(master), ids(configuration.max_length), ids(64, 1)
    with torch.no_grad():
        model = from_master(master, widths)
        row, values = torch.from_numpy(history)[None].long(), torch.from_numpy(user.values)[None]
        exact = model.score(model.encode_personal(row, values), torch.from_numpy(candidates)[None].long())[0].numpy()
    engine = engine_of(master, widths)
    error = engine.scores(history, candidates, user=user) - exact

    def rms(x: np.ndarray) -> float:
        return float(np.sqrt((x**2).mean()))

    # As without a vector (test_engine.py): 0.7 % of the scores for each quantised layer, added up in squares.
    tolerance = 0.007 * np.sqrt(len(master.layers)) * rms(exact)
    assert rms(error) <= tolerance
    # The test would see a vector that is left out, or added with the other sign.
    for other in (None, UserVector(-user.codes, user.scale, user.fingerprint)):
        assert rms(engine.scores(history, candidates, user=other) - exact) > 2 * tolerance


def test_where_norms_come_last_it_is_the_same_as_another_beta() -> None:
    config = SASRecConfig(items=ITEMS, dim=32, max_length=12, heads=2, norm_first=False)
    master = master_of(config)
    user = user_of(master)
    beta = master.tensors["embedding_norm.bias"] + user.values
    moved = MasterWeights(master.config, master.layers, master.embeddings, dict(master.tensors) | {"embedding_norm.bias": beta})
    expected = Engine(moved.to_bytes()).hidden(ids(12))
    np.testing.assert_array_equal(Engine(master.to_bytes()).hidden(ids(12), user=user), expected)


def test_zeros_change_nothing(configuration: BackboneConfig) -> None:
    master = master_of(configuration)
    nothing = UserVector(np.zeros(int(master.config["dim"]), np.int8), 1.0, master.fingerprint)  # type: ignore[call-overload]
    engine = Engine(master.to_bytes())
    # Equal as numbers: -0 + 0 is +0.
    np.testing.assert_array_equal(engine.hidden(ids(9), user=nothing), engine.hidden(ids(9)))
    np.testing.assert_array_equal(ReferenceEngine(master).hidden(ids(9), user=nothing), engine.hidden(ids(9)))


def test_every_way_of_asking_takes_the_vector(small: BackboneConfig) -> None:
    master = master_of(small)
    engine, user = engine_of(master, widths_of(master)), user_of(master)
    catalogue = np.arange(1, ITEMS + 1, dtype=np.int32)
    histories = np.stack([ids(10, seed) for seed in range(5)])
    scores = np.stack([engine.scores(history, catalogue, user=user) for history in histories])
    assert not np.array_equal(scores[0], engine.scores(histories[0], catalogue))
    batch = np.broadcast_to(catalogue, (5, ITEMS))
    np.testing.assert_array_equal(engine.scores(histories, batch, user=encode_user_vector(user)), scores)
    np.testing.assert_array_equal(engine.scores(histories, batch, user=user, threads=3), scores)
    np.testing.assert_array_equal(engine.hidden(histories, user=user), [engine.hidden(history, user=user) for history in histories])
    order = np.lexsort((catalogue, -scores[0]))
    np.testing.assert_array_equal(engine.top_k(histories[0], 7, user=user)[0], catalogue[order][:7])
    left = order[~np.isin(catalogue[order], histories[0])]
    np.testing.assert_array_equal(engine.top_k(histories[0], 7, user=user, exclude_history=True)[0], catalogue[left][:7])


def test_a_vector_is_gone_with_its_call(small: BackboneConfig) -> None:
    master = master_of(small)
    engine, user, history = Engine(master.to_bytes()), user_of(master), ids(8)
    before = engine.scores(history, ids(9, 1))
    engine.top_k(history, 3, user=user)
    engine.hidden(history, user=user)
    engine.scores(history, ids(9, 1), user=user)
    np.testing.assert_array_equal(engine.scores(history, ids(9, 1)), before)
    for call in (lambda: engine.scores(history, np.array([0]), user=user), lambda: engine.hidden(np.array([ITEMS + 1]), user=user)):
        with pytest.raises(InputError):
            call()
        np.testing.assert_array_equal(engine.scores(history, ids(9, 1)), before)


def test_calls_at_once_see_their_own_vector_only(small: BackboneConfig) -> None:
    master = master_of(small)
    engine, users = Engine(master.to_bytes()), [None, *(user_of(master, seed) for seed in range(3))]
    history, candidates = ids(8), ids(9, 1)
    expected = [Engine(master.to_bytes()).scores(history, candidates, user=user) for user in users]
    assert len({scores.tobytes() for scores in expected}) == 4
    with ThreadPoolExecutor(4) as pool:
        given = pool.map(lambda turn: engine.scores(history, candidates, user=users[turn % 4]), range(400))
        for turn, scores in enumerate(given):
            np.testing.assert_array_equal(scores, expected[turn % 4])


def test_a_prepared_rerank_keeps_its_vector_until_it_is_taken_off(small: BackboneConfig) -> None:
    master = master_of(small)
    engine, user = Engine(master.to_bytes()), user_of(master)
    mine, other = engine.prepare(8, 9), engine.prepare(8, 9)
    for prepared in (mine, other):
        prepared.history[:], prepared.candidates[:] = ids(8), ids(9, 1)
    before = mine.run().copy()
    mine.adopt_user(user)
    personal = engine.scores(ids(8), ids(9, 1), user=user)
    np.testing.assert_array_equal(mine.run(), personal)
    np.testing.assert_array_equal(other.run(), before)
    engine.adopt(encode(Strategy(widths_of(master), master.fingerprint)))
    np.testing.assert_array_equal(mine.run(), engine.scores(ids(8), ids(9, 1), user=user))
    with pytest.raises(UserVectorError):
        mine.adopt_user(encode_user_vector(user)[:-1])
    np.testing.assert_array_equal(mine.run(), engine.scores(ids(8), ids(9, 1), user=user))
    mine.adopt_user(None)
    np.testing.assert_array_equal(mine.run(), engine.scores(ids(8), ids(9, 1)))


@pytest.mark.parametrize("data", [b"", bytearray(), b"CHRU", memoryview(b"x" * 60)])
def test_bytes_that_are_no_vector_are_not_the_same_as_none(small: BackboneConfig, data: bytes) -> None:
    master = master_of(small)
    for engine in (Engine(master.to_bytes()), ReferenceEngine(master)):
        with pytest.raises(UserVectorError):
            engine.hidden(ids(4), user=data)


def test_the_vector_of_another_backbone_is_refused(small: BackboneConfig) -> None:
    master = master_of(small)
    other = UserVector(user_of(master).codes, 1.0, b"otherone")
    for engine in (Engine(master.to_bytes()), ReferenceEngine(master)):
        with pytest.raises(UserVectorError, match="fingerprint"):
            engine.hidden(ids(4), user=other)


def test_the_engine_and_python_refuse_and_accept_the_same_bytes() -> None:
    """What each names is the same check: the first that fails of the order in docs/formats.md."""
    checks = {
        "length": "too few|length is", "magic": "magic", "version": "version", "reserved": "reserved", "fingerprint": "fingerprint",
        "dim": "dim", "CRC": "checksum", "scale": "scale", "code": "code",
    }  # fmt: skip
    master = master_of(SASRecConfig(items=ITEMS, dim=16, max_length=4, blocks=1, heads=1))
    prepared = Engine(master.to_bytes()).prepare(4, 5)
    prepared.history[:], prepared.candidates[:] = ids(4), ids(5, 1)
    rng, seen = np.random.default_rng(3), dict.fromkeys([*checks, "accepted"], 0)
    in_use = prepared.run().copy()
    good = encode_user_vector(user_of(master))
    for _ in range(4000):
        data = bytearray(good)
        for _ in range(int(rng.integers(0, 3))):
            position, kind = int(rng.choice([rng.integers(len(data)), rng.integers(28)])), int(rng.integers(8))
            if kind == 0:
                del data[position : position + int(rng.integers(1, 9))]
            elif kind == 1:
                data[position:position] = rng.bytes(int(rng.integers(1, 9)))
            elif position < len(data):
                data[position] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
        if rng.integers(8) and len(data) >= 4:
            data[-4:] = zlib.crc32(bytes(data[:-4])).to_bytes(4, "little")
        try:
            decode_user_vector(data, fingerprint=master.fingerprint, dim=16)
        except UserVectorError as refused:
            check = str(refused).split(": ")[1]
            with pytest.raises(UserVectorError, match=f"^user vector: .*({checks[check]})"):
                prepared.adopt_user(bytes(data))
            np.testing.assert_array_equal(prepared.run(), in_use)
            seen[check] += 1
        else:
            prepared.adopt_user(bytes(data))
            in_use = prepared.run().copy()
            seen["accepted"] += 1
    assert all(seen.values()), seen
