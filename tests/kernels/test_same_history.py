"""A session keeps its last history: what any sequence of calls gives is bit for bit what a session without a past gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import BackboneConfig
from chordkit.errors import InputError, UserVectorError
from chordkit.kernels import Engine, available
from chordkit.kernels.engine import native
from chordkit.strategy import Strategy, encode, encode_user_vector, quantize_user_vector
from tests.kernels.conftest import ITEMS, random_master

pytestmark = pytest.mark.skipif(not available(), reason="the native engine was not compiled")

K = 5
WRONG = (np.array([3, 0], np.int32), np.array([0], np.int32), np.array([ITEMS + 1], np.int32), np.array([], np.int32))


class Session:
    """One session of an engine, bare."""

    def __init__(self, engine: Engine, user: bytes | None = None) -> None:
        self.ffi, self.lib = native()
        self.engine = engine
        self._opened = engine._open_session()
        self.session = self._opened.handle
        if user is not None:
            assert self.adopt_user(user) == self.lib.CHORD_OK

    def adopt_user(self, user: bytes | None) -> int:
        view = self.ffi.NULL if user is None else self.ffi.from_buffer(user)
        return self.lib.chord_adopt_user(self.session, view, 0 if user is None else len(user), self.ffi.NULL)

    def _answer(self, call: Callable[..., int], history: np.ndarray, size: int, *rest: Any) -> bytes:
        out = np.zeros(size, np.float32)
        status = call(self.session, self._ids(history), len(history), *rest, self.ffi.from_buffer("float[]", out))
        return bytes([status]) + (out.tobytes() if status == self.lib.CHORD_OK else b"")

    def rerank(self, history: np.ndarray, candidates: np.ndarray) -> bytes:
        return self._answer(self.lib.chord_rerank, history, len(candidates), self._ids(candidates), len(candidates))

    def hidden(self, history: np.ndarray, candidates: np.ndarray) -> bytes:
        return self._answer(self.lib.chord_hidden, history, self.engine.dim)

    def score_hidden(self, history: np.ndarray, candidates: np.ndarray) -> bytes:
        """Of a hidden state that no history has."""
        state, out = np.sin(np.arange(self.engine.dim) + len(history)).astype(np.float32), np.zeros(len(candidates), np.float32)
        floats = [self.ffi.from_buffer("float[]", array) for array in (state, out)]
        assert self.lib.chord_score_hidden(self.session, floats[0], self._ids(candidates), len(candidates), floats[1]) == self.lib.CHORD_OK
        return out.tobytes()

    def top_k(self, history: np.ndarray, candidates: np.ndarray) -> bytes:
        items, found = np.zeros(K, np.int32), self.ffi.new("size_t *")
        return self._answer(self._top_k, history, K, self._ids(items), found) + items.tobytes()

    def _top_k(self, session: Any, history: Any, length: int, items: Any, found: Any, scores: Any) -> int:
        return self.lib.chord_top_k(session, history, length, K, length % 2, items, scores, found)

    def _ids(self, ids: np.ndarray) -> Any:
        return self.ffi.from_buffer("int32_t[]", ids)


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_calls_gives_what_a_session_without_a_past_gives(small: BackboneConfig, seed: int) -> None:
    master, rng = random_master(small), np.random.default_rng(seed)
    engine = Engine(master.to_bytes())
    strategies = [encode(Strategy(rng.choice(np.array([2, 4, 8], np.uint8), engine.channels), master.fingerprint)) for _ in range(2)]
    users = [None, *(encode_user_vector(quantize_user_vector(rng.normal(0, 1, engine.dim), master.fingerprint)) for _ in range(2))]
    whole = rng.integers(1, ITEMS + 1, small.max_length + 3).astype(np.int32)
    other = whole.copy()
    other[-2] = 1 + whole[-2] % ITEMS
    # The same items behind empty slots and behind forgotten ones, their ends, their beginnings, and all but one the same.
    histories = [whole, whole[3:], other, other[3:], whole[-4:], np.concatenate([np.zeros(2, np.int32), whole[-4:]]), whole[3:8], *WRONG]
    candidates = [rng.integers(1, ITEMS + 1, count).astype(np.int32) for count in (20, 20, 3)]
    session, user, answers = Session(engine), None, set()
    for _ in range(400):
        turn = rng.integers(12)
        if turn == 0:
            engine.adopt(strategies[rng.integers(2)])
        elif turn == 1:
            user = users[rng.integers(3)]
            assert session.adopt_user(user) == 0
        elif turn == 2:
            assert session.adopt_user(b"CHRU" + bytes(40)) != 0
        else:
            what = ("rerank", "rerank", "rerank", "hidden", "score_hidden", "top_k")[rng.integers(6)]
            given = histories[min(rng.geometric(0.25) - 1, len(histories) - 1)], candidates[rng.integers(3)]
            answer = getattr(session, what)(*given)
            assert answer == getattr(Session(engine, user), what)(*given)
            answers.add(answer)
    assert len(answers) > 60


def test_a_prepared_rerank_and_an_engine_follow_what_changes_between_two_calls(small: BackboneConfig) -> None:
    master, rng = random_master(small), np.random.default_rng(0)
    engine, history = Engine(master.to_bytes()), rng.integers(1, ITEMS + 1, 6).astype(np.int32)
    prepared = engine.prepare(6, 20)
    prepared.history[:], prepared.candidates[:] = history, np.arange(1, 21)
    strategy = encode(Strategy(np.full(engine.channels, 2, np.uint8), master.fingerprint))
    user = quantize_user_vector(rng.normal(0, 1, engine.dim), master.fingerprint)
    seen = set()

    def ask() -> None:
        fresh = Session(engine, vector and encode_user_vector(vector)).rerank(prepared.history, prepared.candidates)[1:]
        for _ in range(2):
            assert prepared.run().tobytes() == fresh
            assert engine.scores(prepared.history, prepared.candidates, user=vector).tobytes() == fresh
        seen.add(fresh)

    vector = None
    ask()
    prepared.candidates += 20
    ask()
    engine.adopt(strategy)
    ask()
    vector = user
    prepared.adopt_user(vector)
    ask()
    prepared.history[0] = 1 + history[0] % ITEMS
    ask()
    vector = None
    prepared.adopt_user(vector)
    ask()
    assert len(seen) == 6


def test_a_refused_call_or_vector_leaves_the_next_call_right(small: BackboneConfig) -> None:
    master = random_master(small)
    engine, history, candidates = Engine(master.to_bytes()), np.arange(1, 9, dtype=np.int32), np.arange(1, 30, dtype=np.int32)
    before = engine.scores(history, candidates)
    vector = encode_user_vector(quantize_user_vector(np.sin(np.arange(engine.dim)), master.fingerprint))
    with pytest.raises(UserVectorError):
        engine.scores(history, candidates, user=vector[:-1] + bytes([vector[-1] ^ 1]))
    np.testing.assert_array_equal(engine.scores(history, candidates), before)
    given = bytearray(vector)
    with_vector = engine.scores(history, candidates, user=bytes(given))
    assert not np.array_equal(with_vector, before)
    np.testing.assert_array_equal(engine.scores(history, candidates, user=memoryview(given)), with_vector)
    given[20:] = encode_user_vector(quantize_user_vector(np.cos(np.arange(engine.dim)), master.fingerprint))[20:]
    assert not np.array_equal(engine.scores(history, candidates, user=memoryview(given)), with_vector)
    with pytest.raises(InputError):
        engine.scores(np.array([ITEMS + 1]), candidates)
    np.testing.assert_array_equal(engine.scores(history, candidates), before)
