"""Which versions of each runtime compute chordkit's artifacts rightly: a table found by running them, kept as data.

``scripts/try_runtimes.py`` writes ``runtimes.json`` beside this module; ``docs/results/runtimes.md`` is the same for people.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Literal

from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from chordkit.documents import Document, parse_json
from chordkit.errors import InputError
from chordkit.export.artifact import Activations, Artifact, Label, Precision, RuntimeRange
from chordkit.export.targets.profiles import find_profile, profiles_of
from chordkit.quantization import WIDTHS

if TYPE_CHECKING:
    import numpy as np

    from chordkit.quantization import MasterWeights

FILE = "runtimes.json"
Verdict = Literal["right", "wrong", "refused"]


def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        raise ValueError(str(error)) from None
    return text


VersionText = Annotated[str, AfterValidator(_version)]
_VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "refused")
_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Untried(Document):
    """A version that could not be tried, and why."""

    model_config = _FROZEN

    version: VersionText
    reason: str


class Tried(Document):
    """The versions of one package.

    Attributes:
        name: of the package; target: whose files it runs.
        versions: that were run, oldest first.
        beside: what ran with them, as ``package==version``.
        untried: those that could not be had.
        emulated: those of ``versions`` that ran as aarch64 packages on an emulated processor.
    """

    model_config = _FROZEN

    name: str
    target: Label
    versions: tuple[VersionText, ...]
    beside: tuple[str, ...] = ()
    untried: tuple[Untried, ...] = ()
    emulated: tuple[VersionText, ...] = ()

    @property
    def here(self) -> tuple[str, ...]:
        """The versions that ran on the table's machine itself."""
        return tuple(version for version in self.versions if version not in self.emulated)


class Row(Document):
    """What a range of versions makes of one artifact.

    Attributes:
        package: the runtime's; oldest, newest: of its tried versions, inclusive.
        target, backbone, dim, precision, activations, layout, embedding_bits, user_vector: of the artifact.
        widths: of its channels; empty for fp32.
        runtime: the profile that it was made for; None = the target's own.
        verdict: "right": the parity gate passes. "wrong": it answers, and the gate does not pass. "refused": it gives no scores.
        reason: what the runtime says as it refuses, or what is wrong; "" where it is right.
        error: relative root mean square of the scores' error, the largest of the range; None where there are no scores.
    """

    model_config = _FROZEN

    target: Label
    package: str
    oldest: VersionText
    newest: VersionText
    backbone: Label
    dim: Annotated[int, Field(ge=1)]
    precision: Label
    widths: tuple[Literal[0, 2, 4, 8], ...]
    activations: Activations
    layout: Literal["size", "speed"] = "size"
    embedding_bits: Literal[4, 8] = 8
    user_vector: bool = False
    runtime: Label | None = None
    verdict: Verdict
    reason: Annotated[str, Field(max_length=200)] = ""
    error: Annotated[float, Field(ge=0)] | None = None

    def covers(self, version: str) -> bool:
        """Whether ``version`` lies in the range."""
        return Version(self.oldest) <= Version(version) <= Version(self.newest)


class RuntimeTable(Document):
    """The whole table.

    Attributes:
        date: of the run; chordkit: version that made the artifacts; machine: architecture that it ran on; python: its version.
        packages: what was tried.
        rows: what was found.
    """

    model_config = _FROZEN

    format: Literal["chordkit-runtimes"]
    version: Literal[1]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    chordkit: str
    machine: str
    python: str
    packages: tuple[Tried, ...]
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _rows_name_tried_versions(self) -> "RuntimeTable":
        known = {package.name: package for package in self.packages}
        for row in self.rows:
            tried = known.get(row.package)
            if tried is None or tried.target != row.target or not {row.oldest, row.newest} <= set(tried.versions):
                raise ValueError(f"rows: {row.package} {row.oldest} to {row.newest} of {row.target} was not tried")
            if Version(row.oldest) > Version(row.newest):
                raise ValueError(f"rows: {row.package}: the range {row.oldest} to {row.newest} runs backwards")
        return self

    def of(self, target: str, **wanted: object) -> list[Row]:
        """The rows of a target whose fields equal ``wanted``."""
        return [row for row in self.rows if row.target == target and all(getattr(row, name) == value for name, value in wanted.items())]

    def tried(self, target: str) -> list[Tried]:
        """The packages that run a target's files."""
        return [package for package in self.packages if package.target == target]


@functools.cache
def load_runtimes() -> RuntimeTable:
    """The table that came with this chordkit.

    Raises:
        InputError: it is damaged.
    """
    data = resources.files("chordkit.export.targets").joinpath(FILE).read_bytes()
    try:
        parse_json(data)
        return RuntimeTable.model_validate_json(data)
    except ValueError as error:
        raise InputError(f"{FILE}: not chordkit's table of runtimes: {str(error).splitlines()[0]}; install chordkit again") from None


def right_range(rows: Iterable[Row], versions: Sequence[str]) -> tuple[str, str] | None:
    """Oldest and newest of the newest unbroken run of ``versions`` in which every artifact of ``rows`` is right, or None.

    Args:
        rows: of one package; several artifacts.
        versions: of the package, those tried, oldest first.
    """
    rows = list(rows)
    right = [bool(here) and all(row.verdict == "right" for row in here) for here in ([r for r in rows if r.covers(v)] for v in versions)]
    if not any(right):
        return None
    newest = len(right) - 1 - right[::-1].index(True)
    oldest = newest
    while oldest > 0 and right[oldest - 1]:
        oldest -= 1
    return versions[oldest], versions[newest]


@dataclass(frozen=True)
class Stretch:
    """What consecutive versions of a package make of something.

    Attributes:
        package, oldest, newest: which versions.
        verdict: the worst of anything in it; reason: what the runtime says, or what is wrong.
    """

    package: str
    oldest: str
    newest: str
    verdict: Verdict
    reason: str


def rows_like(artifact: Artifact, master: "MasterWeights", widths: "np.ndarray | None") -> list[Row]:
    """Everything tried that has nothing but what ``artifact`` has, of any backbone and size; how its calls are shaped does not count.

    Arguments as those of :func:`runtime_range`.
    """
    floats, bits = artifact.precision == Precision.FP32, master.embeddings["item_embedding"].bits
    known = {8} if widths is None else {8, *widths.tolist()} if artifact.layout == "size" else {0, *WIDTHS}
    return [
        row
        for row in load_runtimes().of(artifact.target, runtime=artifact.runtime, activations=artifact.activations)
        if (row.precision == Precision.FP32) is floats
        and (floats or row.layout == artifact.layout)
        and set(row.widths) <= known
        and (floats or row.embedding_bits in (8, bits))
        and row.user_vector <= artifact.user_vector
    ]


def stretches(rows: Iterable[Row], target: str) -> list[Stretch]:
    """What every tried version of every package makes of the artifacts of ``rows``, oldest first; the worst of them counts."""
    rows, found = list(rows), []
    for tried in load_runtimes().tried(target):
        own = [row for row in rows if row.package == tried.name]
        worst = [
            max((row for row in own if row.covers(version)), key=lambda row: _VERDICTS.index(row.verdict))
            for version in tried.versions
            if own
        ]
        for (verdict, reason), group in itertools.groupby(
            zip(tried.versions, worst, strict=False), key=lambda each: (each[1].verdict, each[1].reason)
        ):
            members = [version for version, _ in group]
            found.append(Stretch(tried.name, members[0], members[-1], verdict, reason))
    return found


def runtime_range(artifact: Artifact, master: "MasterWeights", widths: "np.ndarray | None") -> RuntimeRange | None:
    """The versions of its runtime that a file runs on, from the table; None where none was tried.

    A file of a shape that the table does not try (its best alone, several histories a call) has the versions that run everything.

    Args:
        artifact: what it is.
        master: that it is made from.
        widths: of its strategy; None = it has none.

    Raises:
        CapabilityError: there is no such runtime.
    """
    if artifact.runtime is not None:
        return find_profile(artifact.runtime).range
    own = profiles_of(artifact.target)
    if not own:
        return None
    newest = own[-1]
    tried = next(each for each in load_runtimes().packages if each.name == newest.package)
    if artifact.top is not None or artifact.batch != 1:
        return newest.range
    rows = (row for row in rows_like(artifact, master, widths) if row.package == tried.name)
    found = right_range(rows, tried.versions)
    return newest.range if found is None else RuntimeRange(package=tried.name, oldest=found[0], newest=found[1])


def ranges_markdown(target: str, package: str) -> str:
    """The cell of the README's matrix: on which versions each kind of file runs right, oldest to newest, layout by layout.

    Args:
        target: whose files.
        package: of the runtime that they are tested with, which comes first.
    """
    table = load_runtimes()
    lines = []
    for tried in sorted(table.tried(target), key=lambda each: each.name != package):
        kinds: dict[tuple[str, str], list[str]] = {}
        for layout, precision in (("size", "fp32"), ("size", "int8"), ("size", "strategy"), ("speed", "int8"), ("speed", "strategy")):
            rows = [row for row in table.of(target, package=tried.name, precision=precision, layout=layout) if _usual(row)]
            found = right_range(rows, tried.versions)
            if found is not None:
                kinds.setdefault(found, []).append(precision if layout == "size" else f"{precision} in layout speed")
        lines += [f"{tried.name} {_span(*found)}: {', '.join(names)}" for found, names in kinds.items()]
    return "<br>".join(lines) or "that version alone"


def _usual(row: Row) -> bool:
    """Whether a row is of a file as it is made without options."""
    mixed = row.precision != "strategy" or row.widths == (0, 2, 4, 8)
    return mixed and row.activations == "fp32" and row.embedding_bits == 8 and not row.user_vector and row.runtime is None


def _span(oldest: str, newest: str) -> str:
    return oldest if oldest == newest else f"{oldest} to {newest}"
