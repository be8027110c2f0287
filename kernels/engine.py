"""Python binding of libchord: zero-copy numpy in and out, without the GIL while it computes."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chordkit.errors import ChordkitError, InputError, MasterError, MissingRuntimeError, StrategyError, UserVectorError
from chordkit.inputs import checked_candidates, checked_history
from chordkit.kernels.crew import Crew
from chordkit.kernels.sessions import Session, wire_form
from chordkit.strategy import UserVector

try:
    from chordkit.kernels._native import ffi as _ffi
    from chordkit.kernels._native import lib as _lib
except ImportError:
    _ffi = _lib = None  # installed without a C compiler: native() says so

_INT, _FLOAT = np.dtype(np.int32), np.dtype(np.float32)
_BUSY_ATTEMPTS = 20
"""How often an adoption is tried again that libchord gave up after waiting for other threads (each time some tens of ms)."""


def available() -> bool:
    """Whether the native engine was compiled when the package was installed."""
    return _lib is not None


def native() -> tuple[Any, Any]:
    """The cffi pair ``(ffi, lib)``.

    Raises:
        MissingRuntimeError: the package was installed without a C compiler.
    """
    if _lib is None:
        raise MissingRuntimeError(
            "the native engine was not compiled: install a C compiler (gcc or clang), then run pip install --force-reinstall chordkit"
        )
    return _ffi, _lib


@dataclass(frozen=True)
class Variant:
    """A set of micro-kernels. ``supported`` says whether this CPU can run it."""

    name: str
    supported: bool


def variants() -> tuple[Variant, ...]:
    """All kernel variants compiled in, fastest first."""
    ffi, lib = native()
    found: list[Variant] = []
    while (name := lib.chord_variant_name(len(found))) != ffi.NULL:
        found.append(Variant(ffi.string(name).decode(), bool(lib.chord_variant_supported(len(found)))))
    return tuple(found)


def backbones() -> tuple[str, ...]:
    """The architectures that the engine runs, by their names in master weights."""
    ffi, lib = native()
    found: list[str] = []
    while (name := lib.chord_backbone_name(len(found))) != ffi.NULL:
        found.append(ffi.string(name).decode())
    return tuple(found)


class Engine:
    """A backbone in the native engine. All methods may be called from any number of threads at once.

    Args:
        master: a master-weights file (``MasterWeights.to_bytes()``, or a memory map of the file); it is read in place.
        variant: name of a kernel variant; None takes the fastest one that this CPU supports.
        copy: read the file once and keep a copy. Without it a map must stay as it is: a file that becomes shorter while it is mapped
            ends the process (SIGBUS). Worth its memory where others may write to the file.

    Attributes:
        architecture: one of :func:`backbones`.
        items: largest item id.
        max_length: slots of a history.
        dim: width of the hidden state.
        channels: length of a strategy.
        fingerprint: first 8 bytes of the master's SHA-256; strategies and user vectors must carry it.
        variant: name of the kernel variant in use.
        model_bytes: memory for two sets of weights.
        session_bytes: memory of one concurrent inference.

    Raises:
        MasterError: the file is damaged, or describes a model that the engine cannot run.
        InputError: the variant is unknown or not supported here.
        MissingRuntimeError: the package was installed without a C compiler.
    """

    def __init__(self, master: bytes | memoryview, variant: str | None = None, *, copy: bool = False) -> None:
        ffi, lib = native()
        self._ffi, self._lib = ffi, lib
        self._master = ffi.from_buffer(bytes(master) if copy else master)
        name = ffi.NULL if variant is None else ffi.new("char[]", variant.encode())
        options = ffi.new("chord_options *", {"struct_size": ffi.sizeof("chord_options"), "variant": name})
        sizes = ffi.new("chord_sizes *", {"struct_size": ffi.sizeof("chord_sizes")})
        diagnosis = self._diagnosis()
        self._check(lib.chord_query_sizes(self._master, len(self._master), options, sizes, diagnosis), diagnosis)
        self.model_bytes, self.session_bytes = int(sizes.model_bytes), int(sizes.session_bytes)
        self._memory = ffi.new("char[]", self.model_bytes)
        model = ffi.new("chord_model **")
        status = lib.chord_open(self._master, len(self._master), options, self._memory, self.model_bytes, model, diagnosis)
        self._check(status, diagnosis)
        self._model = model[0]
        info = ffi.new("chord_info *", {"struct_size": ffi.sizeof("chord_info")})
        self._check(lib.chord_describe(self._model, info), diagnosis)
        self.architecture = ffi.string(lib.chord_backbone_name(info.architecture - 1)).decode()
        self.items, self.max_length, self.dim, self.channels = info.items, info.max_length, info.dim, info.channels
        self.fingerprint = bytes(ffi.buffer(info.fingerprint))
        self.variant = ffi.string(info.variant).decode()
        # A session is taken for each call and given back: as many exist as calls ever ran at once. The last one goes first, as it knows its
        # history and its user vector.
        self._idle: deque[Session] = deque()
        self._crew = Crew(ffi, lib)
        # Types and dtypes looked up once: a rerank takes a few microseconds, and so would finding them by name in each call.
        self._ids_type, self._floats_type = ffi.typeof("int32_t[]"), ffi.typeof("float[]")

    def adopt(self, strategy: bytes) -> None:
        """Make a strategy (its wire form) the one in use; inferences under way finish with the one before.

        Raises:
            StrategyError: the strategy is damaged or belongs to another backbone; the one in use stays.
            ChordkitError: for a second or longer other threads were adopting, or one inference did not end.
        """
        diagnosis = self._diagnosis()
        data = self._ffi.from_buffer(strategy)
        for _ in range(_BUSY_ATTEMPTS):
            status = self._lib.chord_adopt(self._model, data, len(data), diagnosis)
            if status != self._lib.CHORD_BUSY:
                break
            time.sleep(1e-3)
        self._check(status, diagnosis)

    def check(self, strategy: bytes) -> np.ndarray:
        """Decode and check a strategy without adopting it: widths uint8 ``[channels]`` in {0, 2, 4, 8}.

        Raises:
            StrategyError: the strategy is damaged or belongs to another backbone.
        """
        diagnosis = self._diagnosis()
        widths = np.empty(self.channels, np.uint8)
        data = self._ffi.from_buffer(strategy)
        status = self._lib.chord_check_strategy(self._model, data, len(data), self._ffi.from_buffer("uint8_t[]", widths), diagnosis)
        self._check(status, diagnosis)
        return widths

    def scores(
        self, history: np.ndarray, candidates: np.ndarray, *, user: UserVector | bytes | None = None, threads: int = 1
    ) -> np.ndarray:
        """Scores of candidates.

        Args:
            history: item ids ``[length]``, oldest first, zeros = empty slots; or ``[users, length]``.
            candidates: item ids ``[count]``; or ``[users, count]``.
            user: a user vector (or its wire form) for all histories of this call; None = none.
            threads: among how many, this one included, the users of a batch are shared out; they stay for the next batch.

        Returns:
            float32 of the shape of ``candidates``.

        Raises:
            InputError: an id outside the catalogue, a history without an item in its last slot, or a hidden state or score that is not
                finite (weights or a user vector too large to compute with). In a batch the sentence names the row.
            UserVectorError: the user vector is damaged or belongs to another backbone.
        """
        history, candidates = checked_history(history, self.items), checked_candidates(candidates, self.items)
        users = _users(history, candidates)
        return self._scores(history, candidates, wire_form(user), users, min(threads, users))

    def _scores(self, history: np.ndarray, candidates: np.ndarray, user: bytes | None, users: int, threads: int) -> np.ndarray:
        scores = np.empty(candidates.shape, _FLOAT)
        buffer, ids = self._ffi.from_buffer, self._ids_type
        batch = (
            users, buffer(ids, history), history.shape[-1], buffer(ids, candidates), candidates.shape[-1],
            buffer(self._floats_type, scores),
        )  # fmt: skip
        if threads > 1:
            sessions = [self._take(user) for _ in range(threads)]
            handles = [session.handle for session in sessions]
            status = self._lib.chord_crew_rerank(self._crew.of(threads - 1), handles, threads, *batch)
            self._idle.extend(sessions)
        else:
            session = self._take(user)
            status = self._lib.chord_rerank_batch(session.handle, *batch)
            self._idle.append(session)
        if status:
            if users > 1:
                self._name_row(lambda row: self._scores(history[row], candidates[row], user, 1, 1), users)
            self._check(status)
        return scores

    def prepare(self, history_length: int, candidates: int) -> "PreparedRerank":
        """A rerank whose arrays are made once, for calls that must cost as little as possible.

        Args:
            history_length: slots of the history, 1 or more; zeros are empty slots.
            candidates: ids scored in each call, 1 or more.

        Raises:
            InputError: a length below 1.
        """
        if history_length < 1 or candidates < 1:
            raise InputError(f"prepare: {history_length} slots and {candidates} candidates; both must be 1 or more")
        return PreparedRerank(self, history_length, candidates)

    def hidden(self, history: np.ndarray, *, user: UserVector | bytes | None = None) -> np.ndarray:
        """Hidden state float32 ``[dim]`` (or ``[users, dim]``) after a history; arguments and errors as in :meth:`scores`."""
        history = checked_history(history, self.items)
        users = 1 if history.ndim == 1 else len(history)
        hidden = np.empty((*history.shape[:-1], self.dim), np.float32)
        session = self._take(wire_form(user))
        status = self._lib.chord_hidden_batch(
            session.handle, users, self._ffi.from_buffer("int32_t[]", history), history.shape[-1], self._ffi.from_buffer("float[]", hidden)
        )
        self._idle.append(session)
        if status and users > 1:
            self._name_row(lambda row: self.hidden(history[row], user=user), users)
        self._check(status)
        return hidden

    def score_hidden(self, hidden: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Scores float32 ``[count]`` of further candidates ``[count]`` for a hidden state ``[dim]`` of :meth:`hidden`: bit for bit those of
        :meth:`scores`, without encoding the history again.

        Raises:
            InputError: an id outside the catalogue, another shape, or a hidden state or score that is not finite.
        """
        candidates = checked_candidates(candidates, self.items)
        hidden = np.ascontiguousarray(hidden, _FLOAT)
        if hidden.shape != (self.dim,) or candidates.ndim != 1:
            shapes = f"a hidden state {list(hidden.shape)} and candidates {list(candidates.shape)}"
            raise InputError(f"{shapes} do not fit: give [{self.dim}] and [count]")
        scores = np.empty(candidates.shape, _FLOAT)
        buffer, session = self._ffi.from_buffer, self._take(None)
        status = self._lib.chord_score_hidden(
            session.handle, buffer(self._floats_type, hidden), buffer(self._ids_type, candidates), candidates.size,
            buffer(self._floats_type, scores),
        )  # fmt: skip
        self._idle.append(session)
        self._check(status)
        return scores

    def profile(self, history: np.ndarray, pools: Sequence[int] = (5, 25, 200)) -> np.ndarray:
        """What the cloud makes strategies from: the pooled profile float32 ``[len(pools) * dim + 1]`` of
        :mod:`chordkit.hypernetwork.profile`, as a phone computes it. ``history``: item ids ``[length]``; all empty slots = a new user.

        Raises:
            InputError: an id outside the catalogue, an empty slot behind an item, or pools that are not ascending from 1 on.
        """
        history = np.ascontiguousarray(history, _INT)
        if not pools or list(pools) != sorted(set(pools)) or pools[0] < 1:
            raise InputError(f"profile: the pools {tuple(pools)} are not ascending numbers from 1 on")
        profile = np.empty(len(pools) * self.dim + 1, _FLOAT)
        status = self._lib.chord_profile(
            self._model, self._ffi.from_buffer(self._ids_type, history), history.size, self._ffi.new("uint32_t[]", list(pools)), len(pools),
            self._ffi.from_buffer(self._floats_type, profile),
        )  # fmt: skip
        self._check(status)
        return profile

    def top_k(
        self, history: np.ndarray, k: int, *, exclude_history: bool = False, user: UserVector | bytes | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best items of the whole catalogue, best first, ties by lower id: ids int32 and scores float32.

        Fewer than ``k`` come back only when the catalogue (without the history, when it is excluded) is smaller. ``user`` as in
        :meth:`scores`.

        Raises:
            InputError: as in :meth:`scores` (any score of the catalogue counts), or ``k`` is below 1.
            UserVectorError: as in :meth:`scores`.
        """
        if k < 1:
            raise InputError(f"top_k: k = {k} is not possible, ask for at least one item")
        history = checked_history(history, self.items)
        k = min(k, self.items)
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        found = self._ffi.new("size_t *")
        session = self._take(wire_form(user))
        status = self._lib.chord_top_k(
            session.handle, self._ffi.from_buffer("int32_t[]", history), history.size, k, exclude_history,
            self._ffi.from_buffer("int32_t[]", items), self._ffi.from_buffer("float[]", scores), found,
        )  # fmt: skip
        self._idle.append(session)
        self._check(status)
        return items[: found[0]], scores[: found[0]]

    def _name_row(self, run: Callable[[int], object], users: int) -> None:
        """Run the rows of a batch that failed one by one, and raise the error of the first that fails, with its number."""
        for row in range(users):
            try:
                run(row)
            except InputError as error:
                raise type(error)(f"row {row}: {error}") from None

    def _take(self, user: bytes | None) -> Session:
        """A session with this user vector; appending and popping a deque is atomic."""
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._open_session()
        if session.user != user:
            self._adopt_user(session, user)
        return session

    def _adopt_user(self, session: Session, user: bytes | None) -> None:
        diagnosis = self._diagnosis()
        view = self._ffi.NULL if user is None else self._ffi.from_buffer(user)
        status = self._lib.chord_adopt_user(session.handle, view, 0 if user is None else len(user), diagnosis)
        self._check(status, diagnosis)
        session.user = user

    def _open_session(self) -> Session:
        memory = self._ffi.new("char[]", self.session_bytes)
        session = self._ffi.new("chord_session **")
        self._check(self._lib.chord_session_open(self._model, memory, self.session_bytes, session))
        return Session(session[0], memory)

    def _diagnosis(self) -> Any:
        return self._ffi.new("chord_diagnosis *", {"struct_size": self._ffi.sizeof("chord_diagnosis")})

    def _check(self, status: int, diagnosis: Any = None) -> None:
        if status == self._lib.CHORD_OK:
            return
        text = self._ffi.string(diagnosis.text).decode(errors="replace") if diagnosis is not None else ""
        kinds: dict[int, type[ChordkitError]] = {
            self._lib.CHORD_BAD_MASTER: MasterError,
            self._lib.CHORD_BAD_STRATEGY: StrategyError,
            self._lib.CHORD_BAD_USER_VECTOR: UserVectorError,
            self._lib.CHORD_NO_MEMORY: ChordkitError,
            self._lib.CHORD_BUSY: ChordkitError,
        }
        raise kinds.get(status, InputError)(text or self._ffi.string(self._lib.chord_status_text(status)).decode())


class PreparedRerank:
    """One rerank bound to its arrays: fill ``history`` and ``candidates`` in place, :meth:`run`, read ``scores``.

    It follows the strategies that its engine adopts, has a user vector of its own (none at first), and belongs to one thread at a time.
    Made by :meth:`Engine.prepare`.

    Attributes:
        history: int32 ``[history_length]``, oldest first, zeros = empty slots.
        candidates: int32 ``[count]``.
        scores: float32 ``[count]``, of the last run.
    """

    def __init__(self, engine: Engine, history_length: int, candidates: int) -> None:
        ffi, lib = native()
        self.history, self.candidates = np.zeros(history_length, _INT), np.zeros(candidates, _INT)
        self.scores = np.zeros(candidates, _FLOAT)
        self._engine = engine
        self._session = engine._open_session()
        arrays = ffi.from_buffer("int32_t[]", self.history), ffi.from_buffer("int32_t[]", self.candidates)
        scores = ffi.from_buffer("float[]", self.scores)
        self._rerank = partial(lib.chord_rerank, self._session.handle, arrays[0], history_length, arrays[1], candidates, scores)

    def adopt_user(self, user: UserVector | bytes | None) -> None:
        """Make a user vector (or its wire form) the one of all further runs; None takes it off.

        Raises:
            UserVectorError: it is damaged or belongs to another backbone; the one in use stays.
        """
        self._engine._adopt_user(self._session, wire_form(user))

    def run(self) -> np.ndarray:
        """Score ``candidates`` after ``history``; returns ``scores``, which the next run overwrites.

        Raises:
            InputError: as in :meth:`Engine.scores`.
        """
        status = self._rerank()
        if status:
            self._engine._check(status)
        return self.scores


def _users(history: np.ndarray, candidates: np.ndarray) -> int:
    if history.ndim == candidates.ndim == 1:
        return 1
    if history.ndim == candidates.ndim == 2 and len(history) == len(candidates):
        return len(history)
    shapes = f"histories {list(history.shape)} and candidates {list(candidates.shape)}"
    raise InputError(f"{shapes} do not fit: give [length] and [count], or [users, length] and [users, count]")
