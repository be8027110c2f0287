"""Raw samples of a run as JSON lines, one line a block, beside its result::

    {"contender":"native-int8","launch":0,"block":3,"at_s":0.031,"batch":1,"us":[41.201,40.987]}

What was measured survives whatever happens to the run: lines go to ``name.partial.jsonl`` as they come, and the file takes its name when
the run is complete.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, BinaryIO, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ConfigDict, Field, ValidationError

from chordkit.documents import Document
from chordkit.errors import InputError
from chordkit.files import rename, sole_writer
from chordkit.runtime_bench.statistics import Calls

_MOST_BYTES = 1 << 30
_MOST_LINE_BYTES = 4 << 20
_MEND = "measure again with `chordkit bench run --out`"


@dataclass(frozen=True)
class SampleBlock:
    """One block: ``us [samples]``, each the mean over ``batch`` calls; ``at_s`` seconds after its launch began to measure."""

    contender: str
    launch: int
    block: int
    at_s: float
    batch: int
    us: Calls


Samples = Mapping[str, tuple[tuple[SampleBlock, ...], ...]]
"""Contender -> launches -> blocks, in the order of their numbers."""


class _Line(Document):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    contender: str = Field(min_length=1)
    launch: int = Field(ge=0)
    block: int = Field(ge=0)
    at_s: float = Field(ge=0)
    batch: int = Field(ge=1)
    us: list[Annotated[float, Field(ge=0)]] = Field(min_length=1)


class SampleWriter:
    """Writes samples while they are measured; a context manager.

    ``path`` appears when the ``with`` block ends well. Until then, and after an exception or a kill, the lines are in
    ``name.partial.jsonl`` beside it (the next run of this name begins it anew); an empty one is removed.

    Raises:
        InputError: another run is writing it.
        OSError: the file cannot be written; it carries the path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.partial = partial_path(self.path)
        self._stream: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._stream = sole_writer(self.partial)
        return self

    def add(self, contender: str, *, launch: int, block: int, at_s: float, batch: int, us: ArrayLike) -> None:
        """One block. Its line has left the process when this returns."""
        if self._stream is None:
            raise ValueError("samples are added within the writer's `with` block")
        # Clocks tell nanoseconds; the mean of a batch is worth three digits more.
        values = [round(value, 6) for value in np.asarray(us, np.float64).tolist()]
        line = {"contender": contender, "launch": launch, "block": block, "at_s": round(float(at_s), 6), "batch": batch, "us": values}
        with self._naming():
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n")
            self._stream.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        with self._naming(), stream:
            stream.flush()
            os.fsync(stream.fileno())
            # Before the lock ends with the stream, so that nobody takes the file for theirs to begin anew.
            if kind is None:
                rename(self.partial, self.path)
            elif stream.tell() == 0:
                self.partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """A full disk does not say which file it was full for."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(self.partial)) from None


def partial_path(path: Path) -> Path:
    """Where the samples of a run that is not complete are: ``run.jsonl`` -> ``run.partial.jsonl``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def read_samples(path: str | os.PathLike[str]) -> Samples:
    """Read the samples of a run. The last line of a ``.partial.jsonl`` may be cut off, as the run was; it does not count.

    Raises:
        InputError: the file is missing, larger than 1 GiB, or has a line that is no block; the message names the line.
    """
    path = Path(path)
    found: dict[str, dict[int, dict[int, SampleBlock]]] = {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: larger than {_MOST_BYTES >> 30} GiB, which no run of this tool leaves; {_MEND}")
        with path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_MOST_LINE_BYTES + 1), b""), 1):
                if len(line) > _MOST_LINE_BYTES:
                    raise InputError(f"{path}: line {number} is longer than {_MOST_LINE_BYTES} bytes, which no block is; {_MEND}")
                if not line.endswith(b"\n") and path.stem.endswith(".partial"):
                    break
                _place(found, _block(path, number, line), f"{path}: line {number}")
    except FileNotFoundError:
        raise InputError(f"{path}: no such samples file; {_MEND}") from None
    except OSError as error:
        raise InputError(f"{path}: the samples file cannot be read: {error.strerror}") from None
    return {
        contender: tuple(tuple(blocks[block] for block in sorted(blocks)) for _, blocks in sorted(launches.items()))
        for contender, launches in found.items()
    }


def launches(blocks: Iterable[Iterable[SampleBlock]]) -> list[list[Calls]]:
    """The samples of one contender as the functions of ``statistics`` take them: launches of blocks of us."""
    return [[block.us for block in launch] for launch in blocks]


def _block(path: Path, number: int, line: bytes) -> SampleBlock:
    try:
        read = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise InputError(f"{path}: line {number} is no block of samples: {field}: {first['msg']}; {_MEND}") from None
    return SampleBlock(read.contender, read.launch, read.block, read.at_s, read.batch, np.array(read.us))


def _place(found: dict[str, dict[int, dict[int, SampleBlock]]], block: SampleBlock, where: str) -> None:
    of_launch = found.setdefault(block.contender, {}).setdefault(block.launch, {})
    if block.block in of_launch:
        raise InputError(f"{where}: block {block.block} of launch {block.launch} of {block.contender} is there twice; {_MEND}")
    of_launch[block.block] = block
