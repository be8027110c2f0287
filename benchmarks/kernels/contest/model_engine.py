"""The native engine's ways to be called, over one model."""

from functools import partial

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

    def write(history: Array, candidates: Array) -> None:
        call.history[:], call.candidates[:] = history, candidates

    return Bound(write, call.run, lambda: call.scores.copy(), f"Engine.prepare() once, run(); kernels {engine.variant}")


def _c_call(engine: Engine, case: ModelCase) -> Bound:
    ffi, lib = native()
    memory, session = ffi.new("char[]", engine.session_bytes), ffi.new("chord_session **")
    status = lib.chord_session_open(engine._model, memory, engine.session_bytes, session)
    if status != lib.CHORD_OK:
        raise RuntimeError(f"chord_session_open: {status}")
    history, candidates = np.zeros(case.histories.shape[1], np.int32), np.zeros(case.candidates.shape[1], np.int32)
    scores = np.empty(len(candidates), np.float32)
    pointers = [ffi.from_buffer(kind, array) for kind, array in (("int32_t[]", history), ("int32_t[]", candidates), ("float[]", scores))]
    run = partial(lib.chord_rerank, session[0], pointers[0], len(history), pointers[1], len(candidates), pointers[2])
    keep = (engine, memory)

    def write(*arrays: Array) -> None:
        history[:], candidates[:] = arrays
        if run() != lib.CHORD_OK:
            raise RuntimeError("chord_rerank refuses the input")

    def read() -> Array:
        assert keep
        return scores.copy()

    return Bound(write, run, read, "chord_rerank through cffi, buffers bound once: what an application in C or Java pays")


def _scores(engine: Engine, case: ModelCase) -> Bound:
    history, candidates = np.ones(case.histories.shape[1], np.int32), np.ones(case.candidates.shape[1], np.int32)

    def write(*arrays: Array) -> None:
        history[:], candidates[:] = arrays

    run = partial(engine.scores, history, candidates)
    return Bound(write, run, run, "Engine.scores(history, candidates): checks, and a new array of scores in every call")
