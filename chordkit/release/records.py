"""What a registry tells: releases with their state, sums of reports, events. No database is needed here."""

from dataclasses import dataclass
from typing import Literal, get_args

from chordkit.release.words import Release

State = Literal["staged", "live", "paused", "stopped", "rolled back", "replaced"]
"""``staged``: a part of the cohort may have it. ``live``: all of it. ``paused`` and ``stopped``: nobody gets it any more, by hand or by the
automatic stop. ``rolled back`` and ``replaced``: a later release stands in its place."""
STATES: tuple[State, ...] = get_args(State)
OFFERED: tuple[State, ...] = ("staged", "live")
"""States in which a phone may get a release."""
ENDED: tuple[State, ...] = ("rolled back", "replaced")
"""States of releases that no metadata names any more."""
ROLES = ("root", "targets", "snapshot", "timestamp")
MOST_EVENT_TEXT = 255


@dataclass(frozen=True)
class RegisteredRelease:
    """A release and what became of it.

    Attributes:
        release: as it is signed now.
        state: one of ``STATES``.
        created: seconds since 1970.
    """

    release: Release
    state: State
    created: int

    @property
    def offered(self) -> bool:
        """Whether some phone may get it."""
        return self.state in OFFERED and self.release.stage.basis_points > 0


@dataclass(frozen=True)
class Health:
    """What phones reported of a release from one runtime on one ABI.

    Attributes:
        runtime: of the phones; "other" = one that is not counted by itself.
        abi: of the phones, likewise.
        passed: phones whose self-check passed.
        failed: phones whose self-check failed.
    """

    runtime: str
    abi: str
    passed: int
    failed: int


@dataclass(frozen=True)
class Event:
    """A line of the audit log.

    Attributes:
        time: seconds since 1970.
        what: was done, in one sentence.
        who: did it.
        release: its number, where it was about one.
    """

    time: int
    what: str
    who: str
    release: int | None
