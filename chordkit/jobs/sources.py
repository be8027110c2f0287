"""What a run works on: tables in a folder, one by one, or a data set in parts."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chordkit.data import Dataset
from chordkit.errors import InputError
from chordkit.files import sha256
from chordkit.jobs.job import one_line
from chordkit.jobs.places import Place, find_tables

BATCH = 8192
"""Users that are in memory together: what is read ahead and padded for them is about 20 MB."""
_READ_AHEAD = 1 << 20
PART = 65_536
"""Users of a part of a data set: one or two seconds of work."""


class Source(Protocol):
    """Shards by their names; it is sent to other processes as it is."""

    def shards(self) -> dict[str, str]:
        """Names, and what tells a shard from one that was changed."""

    def say(self, name: str) -> str:
        """What to call a shard in a sentence."""

    @contextlib.contextmanager
    def open(self, name: str, columns: list[str]) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """The schema of a shard, and its ``columns`` in batches.

        Raises:
            InputError: it is damaged.
        """


@dataclass(frozen=True)
class Tables:
    """Parquet files, read a piece of a row group at a time."""

    url: str
    names: dict[str, str]

    @classmethod
    def find(cls, source: str) -> "Tables":
        """The tables that a path, a URL or a pattern stands for.

        Raises:
            InputError: there is none.
        """
        place, names = find_tables(source)
        return cls(place.url or ".", names)

    def shards(self) -> dict[str, str]:
        """Their names and versions."""
        return self.names

    def say(self, name: str) -> str:
        """Path or URL."""
        return Place.of(self.url).said(name)

    @contextlib.contextmanager
    def open(self, name: str, columns: list[str]) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """See :class:`Source`."""
        with contextlib.ExitStack() as stack:
            try:
                place = Place.of(self.url)
                there = place.inside(name) if place.local else stack.enter_context(place.open(name))
                file = stack.enter_context(pq.ParquetFile(there, buffer_size=_READ_AHEAD))
                schema = file.schema_arrow
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"damaged: {one_line(error)}; make this table again") from None
            yield schema, self._batches(file, [each for each in columns if each in schema.names])

    def _batches(self, file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
        batches = file.iter_batches(BATCH, columns=columns, use_threads=False)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"damaged: {one_line(error)}; make this table again") from None
            yield batch


@dataclass(frozen=True)
class Parts:
    """A data set, ``PART`` users at a time."""

    dataset: Dataset
    part: int = field(default_factory=lambda: PART)

    def shards(self) -> dict[str, str]:
        """One identity for all of them: a data set changes as a whole."""
        ids = "\0".join(self.dataset.user_ids).encode("utf-8", "surrogatepass")
        version = f"{self.dataset.fingerprint}, users {sha256(ids)}, {self.part} a part"
        return {f"part-{number:06d}.parquet": version for number in range(-(-self.dataset.users // self.part))}

    def say(self, name: str) -> str:
        """The data set, and which part."""
        return f"data set '{self.dataset.name}', {name}"

    @contextlib.contextmanager
    def open(self, name: str, columns: list[str]) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        """See :class:`Source`."""
        schema = pa.schema([("user", pa.string()), ("history", pa.list_(pa.int32()))])
        first = int(name[len("part-") : -len(".parquet")]) * self.part
        yield schema, self._batches(first, min(first + self.part, self.dataset.users), schema)

    def _batches(self, first: int, last: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        data: Any = self.dataset
        for start in range(first, last, BATCH):
            end = min(start + BATCH, last)
            offsets = data.offsets[start : end + 1]
            flat = pa.array(np.asarray(data.flat[offsets[0] : offsets[-1]], np.int32))
            lists = pa.ListArray.from_arrays(pa.array((offsets - offsets[0]).astype(np.int32)), flat)
            yield pa.record_batch([pa.array(data.user_ids[start:end], pa.string()), lists], schema=schema)
