"""Training on the phone in C (``kernels/libchord/include/chord_learn.h``), as the phone does it: the binding of libchord's learner.

What it computes is defined by :mod:`chordkit.coda`, whose options it takes; ``docs/kernels.md`` says how near it comes.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chordkit.coda.adapter import NO_STRATEGY
from chordkit.coda.gate import Verdict
from chordkit.coda.learning import PARTS, Lessons
from chordkit.coda.personal import PersonalOptions
from chordkit.errors import AdapterError, ChordkitError, InputError, SampleError
from chordkit.inputs import left_pad
from chordkit.kernels.engine import Engine, native


@dataclass(frozen=True, eq=False)
class NativeLessons:
    """Lessons as the learner has them: pieces of histories in a row, and where the targets stand in them.

    Attributes:
        items: int32 ``[items]``, all pieces one after the other.
        places: uint32 ``[n, 2]``: a target's place, and before it where its piece begins.
        states: float32 ``[n, dim]``, the frozen encoder's before each target.
    """

    items: np.ndarray
    places: np.ndarray
    states: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def reference(self) -> Lessons:
        """The same for :mod:`chordkit.coda`."""
        seen = left_pad([self.items[begin:place] for begin, place in self.places], int(max([1, *(self.places[:, 1] - self.places[:, 0])])))
        return Lessons(self.states, self.items[self.places[:, 1]], seen)


@dataclass(frozen=True)
class LearnerReport:
    """What came of it: the gate's verdict, the user's lessons, those from outside, and how many of these were learned from."""

    verdict: Verdict
    local: int
    outside: int
    kept: int


class Learner:
    """The learner over an engine, under the strategy that this has in use.

    Args:
        engine: whose item table and encoder are used.
        strategy: the first 8 bytes of SHA-256 over the strategy's wire bytes; zeros = none.
        temperature: what scores are divided by to make them logits.
        passes: of 8 bits that a product takes in a step: more is nearer to float32, and slower.
    """

    def __init__(self, engine: Engine, strategy: bytes = NO_STRATEGY, *, temperature: float = 1.0, passes: int = 1) -> None:
        self._ffi, self._lib = native()
        self._engine, self._strategy, self._temperature, self._passes = engine, strategy, temperature, passes

    # --- lessons --------------------------------------------------------------------------------------------------------------------

    def own_lessons(self, history: np.ndarray, most: int = 100) -> NativeLessons:
        """The newest ``most`` items of a history int32 ``[length]`` (without empty slots) that have one before them.

        Raises:
            InputError: an id outside the catalogue.
        """
        items = np.ascontiguousarray(history, np.int32)
        places = np.zeros((max(0, min(most, len(items) - 1)), 2), np.uint32)
        self._lib.chord_own_lessons(len(items), len(places), self._places(places))
        return self._taught(items, places)

    def sample_lessons(self, data: bytes) -> NativeLessons:
        """Those of samples on the wire (``CHRS``).

        Raises:
            SampleError: as :func:`chordkit.coda.samples.decode_samples`.
        """
        return self._taught(*self.read_samples(data))

    def read_samples(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """``items`` and ``places`` of samples on the wire, without the encoder's states."""
        found, diagnosis = self._struct("chord_samples"), self._struct("chord_diagnosis")
        view = self._ffi.from_buffer(data)
        self._check(self._lib.chord_samples_open(self._engine._model, view, len(data), found, diagnosis), diagnosis)
        stream = zlib.decompressobj(-15)
        try:
            payload = stream.decompress(data[found.offset : found.offset + found.deflated], found.most + 1)
        except zlib.error as error:
            raise SampleError(f"samples: deflate: the payload cannot be inflated ({error}); match again") from None
        if not stream.eof or stream.unused_data:
            raise SampleError("samples: deflate: the payload is longer or shorter than its counts say; match again")
        items, places = np.zeros(found.items, np.int32), np.zeros((found.samples, 2), np.uint32)
        status = self._lib.chord_samples_read(
            self._engine._model, found, self._ffi.from_buffer(payload), len(payload), self._ffi.from_buffer("int32_t[]", items),
            self._places(places), diagnosis,
        )  # fmt: skip
        self._check(status, diagnosis)
        return items, places

    def _taught(self, items: np.ndarray, places: np.ndarray) -> NativeLessons:
        states, diagnosis = np.zeros((len(places), self._engine.dim), np.float32), self._struct("chord_diagnosis")
        session = self._engine._open_session()
        status = self._lib.chord_lesson_states(
            session.handle, self._ffi.from_buffer("int32_t[]", items), len(items), self._places(places), len(places),
            self._ffi.from_buffer("float[]", states), diagnosis,
        )  # fmt: skip
        del session
        self._check(status, diagnosis)
        return NativeLessons(items, places, states)

    # --- learning -------------------------------------------------------------------------------------------------------------------

    def memory_bytes(self, local: int, outside: int, options: PersonalOptions | None = None) -> int:
        """Memory that learning from so many lessons takes, besides the lessons."""
        needed, diagnosis = self._ffi.new("uint64_t *"), self._struct("chord_diagnosis")
        status = self._lib.chord_learn_size(self._engine._model, self._options(options), local, outside, needed, diagnosis)
        self._check(status, diagnosis)
        return int(needed[0])

    def personalise(
        self, local: NativeLessons, outside: NativeLessons | None = None, options: PersonalOptions | None = None
    ) -> tuple[bytes | None, LearnerReport]:
        """:func:`chordkit.coda.personal.personalise` in C: the bytes of an adapter, or None where it is not worth having.

        Raises:
            InputError: options or lessons that are not possible.
        """
        report, size = self._struct("chord_learn_report"), self._ffi.new("size_t *")
        adapter = self._run(self._lib.chord_personalise, local, outside, options, size, report)
        verdict = Verdict(report.judged, report.before, report.after, report.low)
        return adapter or None, LearnerReport(verdict, report.local, report.outside, report.kept)

    def learn(
        self, local: NativeLessons, outside: NativeLessons | None = None, options: PersonalOptions | None = None
    ) -> tuple[bytes, int]:
        """The same without the gate: the bytes of an adapter, and how many outside lessons it learned from."""
        kept, size = self._ffi.new("uint32_t *"), self._ffi.new("size_t *")
        return self._run(self._lib.chord_learn, local, outside, options, size, kept), int(kept[0])

    def _run(
        self, call: Any, local: NativeLessons, outside: NativeLessons | None, options: PersonalOptions | None, size: Any, end: Any
    ) -> bytes:
        ffi, diagnosis = self._ffi, self._struct("chord_diagnosis")
        bytes_needed = self.memory_bytes(len(local), 0 if outside is None else len(outside), options)
        memory = ffi.new("char[]", bytes_needed)
        adapter = ffi.new("char[]", 36 + 8 * 256 + 40 * self._engine.dim)
        own, other = self._lessons(local), ffi.NULL if outside is None else self._lessons(outside)[0]
        strategy = ffi.from_buffer("uint8_t[]", self._strategy)
        status = call(
            self._engine._model, self._options(options), own[0], other, strategy, memory, bytes_needed, adapter, size, end, diagnosis
        )
        self._check(status, diagnosis)
        return bytes(ffi.buffer(adapter, size[0]))

    def inside(self, local: NativeLessons, outside: NativeLessons, options: PersonalOptions | None = None) -> np.ndarray:
        """:func:`chordkit.coda.classifier.probabilities` of the outside lessons, float32 ``[outside]``."""
        found, diagnosis = np.zeros(len(outside), np.float32), self._struct("chord_diagnosis")
        needed = self.memory_bytes(len(local), len(outside), options)
        memory = self._ffi.new("char[]", needed)
        own, other = self._lessons(local), self._lessons(outside)
        status = self._lib.chord_learn_inside(
            self._engine._model,
            self._options(options),
            own[0],
            other[0],
            memory,
            needed,
            self._ffi.from_buffer("float[]", found),
            diagnosis,
        )
        self._check(status, diagnosis)
        return found

    # --- an adapter at work ---------------------------------------------------------------------------------------------------------

    def adapt(self, adapter: bytes, hidden: np.ndarray) -> np.ndarray:
        """A hidden state float32 ``[dim]`` as an adapter moves it.

        Raises:
            AdapterError: the adapter is damaged, or of another backbone or strategy.
        """
        hidden, moved = np.ascontiguousarray(hidden, np.float32), np.zeros(self._engine.dim, np.float32)
        view = self._open(adapter)
        self._check(self._lib.chord_adapt(view[0], self._ffi.from_buffer("float[]", hidden), self._ffi.from_buffer("float[]", moved)))
        return moved

    def scores(self, adapter: bytes, hidden: np.ndarray, candidates: Sequence[int] | np.ndarray) -> np.ndarray:
        """Scores float32 ``[count]`` of candidates for the frozen model's hidden state ``[dim]``, with an adapter.

        Raises:
            AdapterError: as in :meth:`adapt`.
            InputError: a candidate outside the catalogue.
        """
        hidden, items = np.ascontiguousarray(hidden, np.float32), np.ascontiguousarray(candidates, np.int32)
        scores, view = np.zeros(len(items), np.float32), self._open(adapter)
        session = self._engine._open_session()
        status = self._lib.chord_adapted_scores(
            session.handle, view[0], self._temperature, self._ffi.from_buffer("float[]", hidden), self._ffi.from_buffer("int32_t[]", items),
            len(items), self._ffi.from_buffer("float[]", scores),
        )  # fmt: skip
        del session
        self._check(status)
        return scores

    def judge(self, adapter: bytes, lessons: NativeLessons, options: PersonalOptions | None = None) -> Verdict:
        """The gate's verdict on an adapter over lessons that it did not learn from."""
        report, diagnosis, view = self._struct("chord_learn_report"), self._struct("chord_diagnosis"), self._open(adapter)
        needed = self.memory_bytes(len(lessons), 0, options)
        memory, own = self._ffi.new("char[]", needed), self._lessons(lessons)
        status = self._lib.chord_adapter_judge(
            self._engine._model, self._options(options), view[0], own[0], memory, needed, report, diagnosis
        )
        self._check(status, diagnosis)
        return Verdict(report.judged, report.before, report.after, report.low)

    def _open(self, adapter: bytes) -> tuple[Any, Any]:
        view, diagnosis, data = self._struct("chord_adapter"), self._struct("chord_diagnosis"), self._ffi.from_buffer(adapter)
        strategy = self._ffi.from_buffer("uint8_t[]", self._strategy)
        self._check(self._lib.chord_adapter_open(self._engine._model, data, len(adapter), strategy, view, diagnosis), diagnosis)
        return view, data

    # --- between C and numpy --------------------------------------------------------------------------------------------------------

    def _options(self, options: PersonalOptions | None) -> Any:
        options = options or PersonalOptions()
        steps, border = options.steps, options.border
        return self._struct(
            "chord_learn_options", parts=sum(1 << PARTS.index(part) for part in steps.parts), share=options.share,
            method=("adam", "sgd").index(steps.method), steps=steps.count, rate=steps.rate, decay=steps.decay,
            temperature=self._temperature, weight=options.weight, folds=options.folds, others=options.others,
            border_folds=border.folds, border_steps=border.steps, border_decay=border.decay, passes=self._passes,
        )  # fmt: skip

    def _lessons(self, lessons: NativeLessons) -> tuple[Any, list[Any]]:
        """The struct, and what it points to."""
        items, places = np.ascontiguousarray(lessons.items, np.int32), np.ascontiguousarray(lessons.places, np.uint32)
        states = np.ascontiguousarray(lessons.states, np.float32)
        struct = self._struct(
            "chord_lessons", count=len(lessons), items=self._ffi.from_buffer("int32_t[]", items), item_count=len(items),
            lessons=self._places(places), states=self._ffi.from_buffer("float[]", states),
        )  # fmt: skip
        return struct, [items, places, states]

    def _places(self, places: np.ndarray) -> Any:
        return self._ffi.cast("chord_lesson *", self._ffi.from_buffer(places))

    def _struct(self, name: str, **values: Any) -> Any:
        return self._ffi.new(f"{name} *", {"struct_size": self._ffi.sizeof(name), **values})

    def _check(self, status: int, diagnosis: Any = None) -> None:
        if status == self._lib.CHORD_LEARN_OK:
            return
        text = "" if diagnosis is None else self._ffi.string(diagnosis.text).decode(errors="replace")
        kinds: dict[int, type[ChordkitError]] = {
            self._lib.CHORD_LEARN_BAD_SAMPLES: SampleError,
            self._lib.CHORD_LEARN_BAD_ADAPTER: AdapterError,
        }
        raise kinds.get(status, InputError)(text or self._ffi.string(self._lib.chord_learn_status_text(status)).decode())
