"""The one function of a job: a record batch of users and histories in, one of users and strategies out, row for row."""

import threading
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from chordkit.errors import EnvelopeError, InputError
from chordkit.jobs.histories import Catalogue, is_text
from chordkit.jobs.job import Job
from chordkit.signing import load_private_key
from chordkit.strategy import average_bits_each, seal
from chordkit.strategy.envelope import LARGEST_SUBJECT

STRATEGY, USER_VECTOR, AVERAGE_BITS, UNKNOWN_ITEMS = "strategy", "user_vector", "average_bits", "unknown_items"
_AT_ONCE = 4096
"""Users whose profiles and importances are in memory together."""


class Worker:
    """A process's own copy of a job's model.

    Raises:
        InputError: the files of the job do not belong together, or its key cannot be read here.
    """

    def __init__(self, job: Job, device: str = "cpu") -> None:
        self.job = job
        self._maker = job.maker(device)
        self._budget = self._maker.budget(job.budget)
        self._catalogue = Catalogue(self._maker.items, job.item_ids())
        self._key = None if job.sealing is None else load_private_key(job.sealing.key)
        self.fingerprint: bytes = self._maker.fingerprint
        self.items = self._maker.items

    @property
    def columns(self) -> list[str]:
        """Those of a table that are looked at."""
        subject = self.job.sealing.subject if self.job.sealing is not None else ""
        return list(dict.fromkeys([self.job.user, self.job.history, *([subject] if subject else [])]))

    def require_schema(self, schema: pa.Schema) -> None:
        """Hold that a table of this schema can be worked on.

        Raises:
            InputError: a column is missing or of another kind; the sentence names it.
        """
        for name in self.columns:
            if schema.get_all_field_indices(name) == []:
                raise InputError(f"there is no column {name!r} among {', '.join(map(repr, schema.names[:20]))}")
        user = _plain(schema.field(self.job.user).type)
        if not (is_text(user) or pa.types.is_integer(user)):
            raise InputError(f"column {self.job.user!r} is {user}; a user's id is text or a whole number")
        self._catalogue.require_type(self.job.history, schema.field(self.job.history).type)
        if self.job.sealing is not None and self.job.sealing.subject:
            kind = _plain(schema.field(self.job.sealing.subject).type)
            if not (is_text(kind) or pa.types.is_integer(kind) or _is_binary(kind)):
                raise InputError(f"column {self.job.sealing.subject!r} is {kind}; a subject is text, a whole number or bytes")

    def schema(self, given: pa.Schema) -> pa.Schema:
        """Of what comes of a table with the schema ``given``."""
        vector = [pa.field(USER_VECTOR, pa.binary())] if self._maker.options.user_vector else []
        return pa.schema(
            [
                pa.field(self.job.user, _plain(given.field(self.job.user).type)),
                pa.field(STRATEGY, pa.binary()),
                *vector,
                pa.field(AVERAGE_BITS, pa.float32()),
                pa.field(UNKNOWN_ITEMS, pa.int32()),
            ]
        )

    def make(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A row for every row of ``batch``, whose schema :meth:`require_schema` took.

        A user without an id, or without a known item, has no strategy: null. The bytes depend on the row and the job alone.

        Raises:
            InputError: a subject is missing or too long for an envelope.
        """
        schema = self.schema(batch.schema)
        users = batch.column(self.job.user).cast(schema.field(0).type)
        histories = self._catalogue.histories(batch.column(self.job.history))
        taken = (np.diff(histories.ends, prepend=0) > 0) & users.is_valid().to_numpy(zero_copy_only=False)
        subjects = self._subjects(batch, taken)
        strategies, vectors, bits = self._compute(histories.padded(taken, self._maker.pools[-1]))
        columns = [self._binary(strategies, taken, subjects)]
        if self._maker.options.user_vector:
            columns.append(self._binary(vectors, taken, subjects))
        average = np.zeros(len(taken), np.float32)
        average[taken] = bits
        columns += [pa.array(average, mask=~taken), pa.array(histories.unknown)]
        return pa.record_batch([users, *columns], schema=schema)

    def _compute(self, histories: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
        """Strategies and user vectors on the wire, a row each, and average bits, of users with ``histories``."""
        strategies, vectors, bits = [], [], []
        maker = self._maker
        # At least once, so that no user at all has arrays as well.
        for start in range(0, max(1, len(histories)), _AT_ONCE):
            profiles = maker.profiles(histories[start : start + _AT_ONCE])
            widths = maker.widths(profiles, self._budget)
            strategies.append(maker.wire(widths))
            bits.append(average_bits_each(widths, maker.table).astype(np.float32))
            if maker.options.user_vector:
                vectors.append(maker.user_vectors_wire(profiles))
        return np.concatenate(strategies), np.concatenate(vectors or strategies), np.concatenate(bits)

    def _binary(self, rows: NDArray[np.uint8], taken: NDArray[np.bool_], subjects: list[bytes]) -> pa.Array:
        """A binary column with ``rows``, in envelopes where the job wants them, in the places ``taken`` and null in the others."""
        sealing, key = self.job.sealing, self._key
        lengths = np.zeros(len(taken) + 1, np.int64)
        data = np.ascontiguousarray(rows)
        lengths[1:][taken] = rows.shape[1]
        if sealing is not None and key is not None:
            pairs = zip(rows, subjects, strict=True)
            sealed = [seal(row.tobytes(), serial=sealing.serial, signing_key=key, subject=subject) for row, subject in pairs]
            lengths[1:][taken] = [len(each) for each in sealed]
            data = np.frombuffer(b"".join(sealed), np.uint8)
        offsets = np.cumsum(lengths)
        if offsets[-1] > np.iinfo(np.int32).max:
            raise InputError(f"a batch of {len(taken)} users is too large; give smaller ones, of 10,000 users")
        valid = np.packbits(taken, bitorder="little")
        return pa.Array.from_buffers(
            pa.binary(), len(taken), [pa.py_buffer(valid), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
        )

    def _subjects(self, batch: pa.RecordBatch, taken: NDArray[np.bool_]) -> list[bytes]:
        """Whom the envelopes of the users ``taken`` are for."""
        sealing = self.job.sealing
        if sealing is None:
            return []
        if not sealing.subject:
            return [b""] * int(taken.sum())
        column = batch.column(sealing.subject)
        found = []
        for value in column.cast(_plain(column.type)).filter(pa.array(taken)).to_pylist():
            if value is None:
                raise EnvelopeError(f"column {sealing.subject!r}: a subject is missing, and without one nobody in particular is meant")
            subject = value if isinstance(value, bytes) else str(value).encode()
            if not 1 <= len(subject) <= LARGEST_SUBJECT:
                raise EnvelopeError(
                    f"column {sealing.subject!r}: {value!r} has {len(subject)} bytes, and a subject 1 to {LARGEST_SUBJECT}; "
                    "name another column of subjects"
                )
            found.append(subject)
        return found


_lock = threading.Lock()
_kept: dict[tuple[str, str], Worker] = {}


def worker_of(digest: str, fetch: Callable[[], Job], device: str = "cpu") -> Worker:
    """This process's worker for the job of a digest, which is fetched and made once; of the jobs before none is kept."""
    with _lock:
        if (digest, device) not in _kept:
            _kept.clear()
            _kept[digest, device] = Worker(fetch(), device)
        return _kept[digest, device]


def sole_worker_of(digest: str, fetch: Callable[[], Job], device: str = "cpu") -> Worker:
    """:func:`worker_of` in a process that an engine started for a share of the work: other cores have processes of their own."""
    torch.set_num_threads(1)
    return worker_of(digest, fetch, device)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type without the dictionary that its values may stand in."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
