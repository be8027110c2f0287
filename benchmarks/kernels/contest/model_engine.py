"""The native engine's ways to be called, over one model.

A session knows its last history, so every other call has another newest item: what is timed is a whole rerank.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle

import numpy as np

from chordkit.export.artifact import Precision
from chordkit.kernels import Engine
from chordkit.kernels.engine import native
from contest.contender import Array, Bound, Contender
from contest.model import ModelCase


def engine_contenders(case: ModelCase) -> list[Contender]:
    """The engine at the case's strategy: prepared, the bare C function, and the everyday method; each checked."""
    engine = Engine(case.master.to_bytes())
    engine.adopt(case.strategy)
    forms = [
        ("chordkit prepared", _prepared(engine, case)),
        ("chordkit C call", _c_call(engine, case)),
        ("chordkit Engine.scores", _scores(engine, case)),
    ]
    contenders = [Contender(name, "chordkit", bound, "int8") for name, bound in forms]
    for contender in contenders:
        case.check(contender, Precision.STRATEGY)
    return contenders


def _prepared(engine: Engine, case: ModelCase) -> Bound:
    call = engine.prepare(case.histories.shape[1], case.candidates.shape[1])

    write, run = _varied(call.history, call.candidates, call.run)
    return Bound(write, run, lambda: call.scores.copy(), f"Engine.prepare() once, run(); kernels {engine.variant}")


def _c_call(engine: Engine, case: ModelCase) -> Bound:
    ffi, lib = native()
    memory, session = ffi.new("char[]", engine.session_bytes), ffi.new("chord_session **")
    status = lib.chord_session_open(engine._model, memory, engine.session_bytes, session)
    if status != lib.CHORD_OK:
        raise RuntimeError(f"chord_session_open: {status}")
    history, candidates = np.zeros(case.histories.shape[1], np.int32), np.zeros(case.candidates.shape[1], np.int32)
    scores = np.empty(len(candidates), np.float32)
    pointers = [ffi.from_buffer(kind, array) for kind, array in (("int32_t[]", history), ("int32_t[]", candidates), ("float[]", scores))]
    rerank = partial(lib.chord_rerank, session[0], pointers[0], len(history), pointers[1], len(candidates), pointers[2])
    keep = (engine, memory)
    bind, run = _varied(history, candidates, rerank)

    def write(*arrays: Array) -> None:
        bind(*arrays)
        if rerank() != lib.CHORD_OK:
            raise RuntimeError("chord_rerank refuses the input")
        lib.chord_adopt_user(session[0], ffi.NULL, 0, ffi.NULL)  # so that this history is not known

    def read() -> Array:
        assert keep
        return scores.copy()

    return Bound(write, run, read, "chord_rerank through cffi, buffers bound once: what an application in C or Java pays")


def _scores(engine: Engine, case: ModelCase) -> Bound:
    history, candidates = np.ones(case.histories.shape[1], np.int32), np.ones(case.candidates.shape[1], np.int32)
    last: list[Array] = []

    def score() -> None:
        last[:] = [engine.scores(history, candidates)]

    write, run = _varied(history, candidates, score)
    return Bound(write, run, lambda: last[0], "Engine.scores(history, candidates): checks, and a new array of scores in every call")


def _varied(history: Array, candidates: Array, rerank: Callable[[], object]) -> tuple[Callable[..., None], Callable[[], object]]:
    """How both arrays are written, and a rerank whose newest item is in turns the one that was written and the one beside it."""
    newest = cycle([0])

    def write(*arrays: Array) -> None:
        nonlocal newest
        history[:], candidates[:] = arrays
        newest = cycle([int(history[-1]), int(history[-1]) - 1 or 2])

    def run() -> object:
        history[-1] = next(newest)
        return rerank()

    return write, run
