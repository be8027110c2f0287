"""What a phone says of its bundle in a request's header ``Chord-Report``, and what is counted of it (docs/release.md)."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from chordkit.errors import ReleaseError
from chordkit.release.words import LARGEST_NUMBER, app_version

Check = Literal["passed", "failed", "none"]
MOST_BYTES = 256
OTHER = "other"
RUNTIMES = ("native", "litert", "executorch", "executorch-chord", "executorch-chord-linear", "onnx")
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64", "x86", "riscv64")
"""What is counted by itself. A phone may say another word: then it is one of the others, so that no phone makes rows of a table."""

_NUMBER = "(?:0|[1-9][0-9]{0,15})"
_WORD = "[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
_PART = "(?:0|[1-9][0-9]{0,9})"
PATTERN = (
    rf"release=({_NUMBER})(?:,counter=({_NUMBER}))?(?:,runtime=({_WORD}))?(?:,abi=({_WORD}))?"
    rf"(?:,app=({_PART}(?:\.{_PART}){{0,3}}))?,check=(passed|failed|none)"
)
"""All of the grammar but how large numbers may be."""
_REPORT = re.compile(PATTERN)


@dataclass(frozen=True, order=True)
class ReportKey:
    """What reports are added up by: nothing that would tell one phone from another.

    Attributes:
        release: its number, 1 and up.
        runtime: one of ``RUNTIMES``, or "other".
        abi: one of ``ABIS``, or "other".
        check: "passed" or "failed".
    """

    release: int
    runtime: str
    abi: str
    check: str


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        release: what it is about: the one that runs, or, after a failure, the one that failed; 0 = none from a channel.
        check: how the phone's self-check of it ended; "none" = it has been told before, or was not made.
        counter: of the bundle that runs.
        runtime: in which it runs.
        abi: of the process.
        app: version of the app.

    Raises:
        ReleaseError: a field is none that the header can carry.
    """

    release: int
    check: Check
    counter: int | None = None
    runtime: str | None = None
    abi: str | None = None
    app: str | None = None

    def __post_init__(self) -> None:
        _fields(self.header())

    @classmethod
    def parse(cls, text: str) -> "Report":
        """The report of a header.

        Raises:
            ReleaseError: it is longer than 256 bytes, or not written as docs/release.md says.
        """
        return cls(**_fields(text))

    def header(self) -> str:
        """As the header carries it; the one way to write it."""
        optional = (("counter", self.counter), ("runtime", self.runtime), ("abi", self.abi), ("app", self.app))
        named = [("release", self.release), *((name, value) for name, value in optional if value is not None), ("check", self.check)]
        return ",".join(f"{name}={value}" for name, value in named)

    @property
    def key(self) -> ReportKey | None:
        """What it is counted under; None = there is nothing to count."""
        if not self.release or self.check == "none":
            return None
        runtime = self.runtime if self.runtime in RUNTIMES else OTHER
        return ReportKey(self.release, runtime, self.abi if self.abi in ABIS else OTHER, self.check)


def _fields(text: str) -> dict[str, Any]:
    found = _REPORT.fullmatch(text) if len(text) <= MOST_BYTES else None
    if found is None:
        raise ReleaseError(
            f"report: {text[:MOST_BYTES]!r} is none; write release=12,counter=12,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed, "
            "all but release and check where they are known"
        )
    release, counter, runtime, abi, app, check = found.groups()
    numbers = {"release": int(release)} | ({} if counter is None else {"counter": int(counter)})
    for name, number in numbers.items():
        if number > LARGEST_NUMBER:
            raise ReleaseError(f"report: {name}: {number} is above {LARGEST_NUMBER}; give the number that the phone has")
    if app is not None:
        try:
            app_version(app)
        except ReleaseError:
            raise ReleaseError(f"report: app: {app!r} has a part above 2147483647; give up to four whole numbers between dots") from None
    words = {"runtime": runtime, "abi": abi, "app": app}
    return {**numbers, **{name: word for name, word in words.items() if word is not None}, "check": check}
