"""The native engine's ways to be called, over one model, and the engine of another revision beside it.

A session knows its last history, so every call has another newest item than the one before, written while no clock runs: what is timed is
a whole rerank.
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
from contest.revision import Loaded, library


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


BEFORE, AFTER = "chordkit, before", "chordkit, now"


def revision_contenders(case: ModelCase, revision: str) -> list[Contender]:
    """The libraries of ``revision`` and of this checkout, compiled and called in the same way; each checked."""
    forms = [
        Contender(name, "chordkit", loaded_bound(Loaded(library(of), case.master.to_bytes(), case.strategy), case), "int8", over)
        for name, of, over in ((BEFORE, revision, None), (AFTER, None, BEFORE))
    ]
    for contender in forms:
        case.check(contender, Precision.STRATEGY)
    return forms


def loaded_bound(engine: Loaded, case: ModelCase) -> Bound:
    history, candidates = case.histories[0].copy(), case.candidates[0].copy()
    run, scores = engine.rerank(history, candidates)
    write, vary = _varied(history, candidates)

    def anew(*arrays: Array) -> None:
        write(*arrays)
        engine.forget()

    return Bound(anew, run, lambda: scores[0].copy(), "chord_rerank_batch of one user, through a table of the library's functions", vary)


def _prepared(engine: Engine, case: ModelCase) -> Bound:
    call = engine.prepare(case.histories.shape[1], case.candidates.shape[1])
    write, vary = _varied(call.history, call.candidates)
    return Bound(write, call.run, lambda: call.scores.copy(), f"Engine.prepare() once, run(); kernels {engine.variant}", vary)


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
    bind, vary = _varied(history, candidates)

    def write(*arrays: Array) -> None:
        bind(*arrays)
        if rerank() != lib.CHORD_OK:
            raise RuntimeError("chord_rerank refuses the input")
        lib.chord_adopt_user(session[0], ffi.NULL, 0, ffi.NULL)  # so that this history is not known

    def read() -> Array:
        assert keep
        return scores.copy()

    return Bound(write, rerank, read, "chord_rerank through cffi, buffers bound once: what an application in C or Java pays", vary)


def _scores(engine: Engine, case: ModelCase) -> Bound:
    history, candidates = np.ones(case.histories.shape[1], np.int32), np.ones(case.candidates.shape[1], np.int32)
    last: list[Array] = []

    def score() -> None:
        last[:] = [engine.scores(history, candidates)]

    write, vary = _varied(history, candidates)
    return Bound(write, score, lambda: last[0], "Engine.scores(history, candidates): checks, and a new array of scores in every call", vary)


def _varied(history: Array, candidates: Array) -> tuple[Callable[..., None], Callable[[], None]]:
    """How both arrays are written, and how the newest item becomes in turns the one beside it and the one that was written."""
    newest = cycle([0])

    def write(*arrays: Array) -> None:
        nonlocal newest
        history[:], candidates[:] = arrays
        newest = cycle([int(history[-1]) - 1 or 2, int(history[-1])])

    def vary() -> None:
        history[-1] = next(newest)

    return write, vary
