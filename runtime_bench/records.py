"""What a measuring program writes on a device, a JSON object a line: read as untrusted, since it comes from there.

The programs are ``chord_runner`` (``kernels/libchord/tools/runner``), ``chord_executorch_bench`` (``kernels/executorch/tools/bench.cc``)
and :mod:`chordkit.runtime_bench.runners.on_device`; the demo app writes the same (:mod:`chordkit.runtime_bench.app`). They say in this
order: start, app (the app), load, adopt (native), first, checked, and then what the run was for: warmup and blocks; warmup and counts; or
memory. A run that came to its end says so in its last line.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from chordkit.documents import Document, parse_json
from chordkit.errors import DeviceError
from chordkit.runtime_bench.results import Mode

MAX_BYTES = 64 << 20
MAX_LINE_BYTES = 4 << 20
MAX_LINES = 200_000

Us = Annotated[float, Field(ge=0, le=1e12)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Times = Annotated[tuple[Us, ...], Field(min_length=1, max_length=1 << 16)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[ -~]*$")]


class _Record(Document):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Start(_Record):
    """The process: its program and runtime, the kernel variant if it has one, and where it may run."""

    event: Literal["start"]
    version: Literal[1]
    program: Word
    abi: Word
    runtime: Word
    variant: Word | None
    pid: Count
    cpus: Annotated[tuple[Count, ...], Field(min_length=1, max_length=4096)]
    threads: Annotated[int, Field(ge=1, le=1024)]
    mode: Mode


class App(_Record):
    """Of an app alone: which run of it this is, of which bytes, and how it is built (``android_demo/app``).

    ``run`` is the name that it was started with. ``strategy`` and ``user`` are names in the bundle; ``fingerprint`` is the backbone's.
    ``sustained``: it asked Android for sustained performance.
    """

    event: Literal["app"]
    version: Literal[1]
    run: Annotated[str, Field(pattern=r"^[0-9a-f]{8,32}$")]
    package: Word
    app_version: Word
    debuggable: bool
    sdk: Annotated[int, Field(ge=0, le=1000)]
    sustained: bool
    bundle_sha256: Sha256
    bundle_counter: Count
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    strategy: Word | None
    strategy_sha256: Sha256 | None
    user: Word | None


class Load(_Record):
    """From the file to a runner that can be called; ``runtime_us`` is importing the runtime, None where it is part of the program."""

    event: Literal["load"]
    us: Us
    runtime_us: Us | None


class Adopt(_Record):
    """Adoptions of the strategy, the first one first."""

    event: Literal["adopt"]
    us: Times


class First(_Record):
    """The first call."""

    event: Literal["first"]
    us: Us


class Checked(_Record):
    """The scores of all users are on the disk of the device."""

    event: Literal["checked"]
    users: Annotated[int, Field(ge=1, le=1_000_000)]
    candidates: Annotated[int, Field(ge=1, le=1 << 31)]


class Warmup(_Record):
    """Calls before those that count, until two moving averages of 30 agreed within 4 %, or 8 s had passed."""

    event: Literal["warmup"]
    calls: Count
    seconds: Seconds
    converged: bool


class Block(_Record):
    """Samples in a row, each the mean over ``batch`` calls; ``at_s`` counts from the beginning of the measuring."""

    event: Literal["block"]
    at_s: Seconds
    batch: Annotated[int, Field(ge=1, le=1_000_000)]
    us: Times


class Counts(_Record):
    """Executed instructions, user space: of all ``calls`` together, and of one adoption in the mean."""

    event: Literal["counts"]
    calls: Annotated[int, Field(ge=1, le=1 << 53)]
    instructions: Count
    adoption_instructions: Annotated[float, Field(ge=0, le=1e15)] | None


class Memory(_Record):
    """The peak of resident memory, and what was resident before the artifact was loaded."""

    event: Literal["memory"]
    peak_bytes: Count
    before_bytes: Count


class End(_Record):
    """The last line: how many samples all blocks have, and how long they took."""

    event: Literal["end"]
    samples: Count
    seconds: Seconds


Record = Start | App | Load | Adopt | First | Checked | Warmup | Block | Counts | Memory | End
_MODELS: dict[str, type[Record]] = {
    "start": Start, "app": App, "load": Load, "adopt": Adopt, "first": First, "checked": Checked, "warmup": Warmup, "block": Block,
    "counts": Counts, "memory": Memory, "end": End,
}  # fmt: skip
_FOLLOWS: dict[str, tuple[str, ...]] = {
    "start": ("",),
    "app": ("start",),
    "load": ("start", "app"),
    "adopt": ("load",),
    "first": ("load", "adopt"),
    "checked": ("first",),
    "warmup": ("checked",),
    "block": ("warmup", "block"),
    "counts": ("warmup",),
    "memory": ("checked",),
    "end": ("warmup", "block", "counts", "memory"),
}
"""What may stand before a record; an empty name is the beginning of the file."""


@dataclass(frozen=True)
class Records:
    """A file of records. ``end`` is None when the program was stopped or killed: what there is is whole, and not to be believed."""

    start: Start
    load: Load
    first: First
    app: App | None = None
    adopt: Adopt | None = None
    checked: Checked | None = None
    warmup: Warmup | None = None
    blocks: tuple[Block, ...] = ()
    counts: Counts | None = None
    memory: Memory | None = None
    end: End | None = None


def read_records(path: str | os.PathLike[str]) -> Records:
    """The records of a file. A last line that was cut off is left out.

    Raises:
        DeviceError: the file cannot be read, is too large, breaks off before the first call, or is not what the programs write; the
            sentence has the line and the field.
    """
    data = _read(Path(path))
    *lines, cut = data.split(b"\n")
    if len(lines) > MAX_LINES:
        raise DeviceError(f"{path}: has {len(lines)} lines where {MAX_LINES} are the most; measure in longer blocks")
    found: dict[str, Any] = {}
    blocks: list[Block] = []
    before = ""
    for number, line in enumerate(lines, 1):
        record = _record(path, number, line)
        event = record.event
        if before not in _FOLLOWS[event]:
            raise DeviceError(
                f"{path}, line {number}: {event!r} cannot follow {before or 'the beginning'!r}; it was not written by chordkit"
            )
        before = event
        if isinstance(record, Block):
            if blocks and (record.at_s < blocks[-1].at_s or record.batch != blocks[-1].batch):
                raise DeviceError(f"{path}, line {number}, at_s or batch: does not go on from the block before; measure again")
            blocks.append(record)
        else:
            found[event] = record
    if before == "end" and cut:
        raise DeviceError(f"{path}, line {len(lines) + 1}: nothing may follow 'end'; measure again")
    if "first" not in found:
        raise DeviceError(
            f"{path}: breaks off before the first call was made, after {before or 'nothing'!r}; look at what the program said"
        )
    records = Records(**found, blocks=tuple(blocks))
    samples = sum(len(block.us) for block in blocks)
    if records.end is not None and records.end.samples != samples:
        raise DeviceError(f"{path}, line {len(lines)}, samples: says {records.end.samples} where the blocks have {samples}; measure again")
    return records


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeviceError(f"{path}: the records cannot be read ({error.strerror}); measure again") from None
    if len(data) > MAX_BYTES:
        raise DeviceError(f"{path}: records above {MAX_BYTES} bytes are not read; measure for a shorter time")
    return data


def _record(path: str | os.PathLike[str], number: int, line: bytes) -> Record:
    where = f"{path}, line {number}"
    if len(line) > MAX_LINE_BYTES:
        raise DeviceError(f"{where}: is longer than {MAX_LINE_BYTES} bytes; measure again")
    try:
        value = parse_json(line.decode("ascii"))
    except ValueError as error:
        raise DeviceError(f"{where}: is not one JSON object ({error}); measure again") from None
    event = value.get("event") if isinstance(value, dict) else None
    model = _MODELS.get(event) if isinstance(event, str) else None
    if model is None:
        raise DeviceError(f"{where}, event: {str(event)[:40]!r} is no record of this version; measure again with this chordkit's program")
    try:
        # Through JSON's rules: a list is a tuple there, and a true is no number.
        return model.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise DeviceError(f"{where}, {field[:80]}: {first['msg']}; measure again") from None
