"""Changes of a registry that are made together."""

import dataclasses
import json
from collections.abc import Callable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from chordkit.errors import ReleaseError
from chordkit.release.records import MOST_EVENT_TEXT, ROLES, STATES, Health, RegisteredRelease, State
from chordkit.release.registry import reading, tables
from chordkit.release.words import Difference, Killed, Release, Stage


class Transaction:
    """What can be done between the beginning and the end of :meth:`Registry.transaction`; it sees its own changes."""

    def __init__(self, connection: Connection, now: Callable[[], float]) -> None:
        self._connection, self._now = connection, now

    def releases(self) -> tuple[RegisteredRelease, ...]:
        """All of them, the first one first."""
        return reading.releases(self._connection)

    def health(self, release: int) -> tuple[Health, ...]:
        """What phones said of a release, per runtime and ABI."""
        return reading.health(self._connection, release)

    def next_number(self) -> int:
        """The number that the next release has to have."""
        return reading.highest(self._connection) + 1

    def add(self, release: Release, state: State) -> None:
        """Put a release in.

        Raises:
            ReleaseError: its number is not the next one, or it takes back one that is not there.
        """
        _require_state(state)
        if release.number != self.next_number():
            raise ReleaseError(f"release {release.number}: the registry's next one is {self.next_number()}; give it that number")
        if release.rollback_of is not None:
            self._require(release.rollback_of)
        self._connection.execute(
            tables.releases.insert(),
            {
                "number": release.number,
                "counter": release.counter,
                "fingerprint": release.fingerprint,
                "bundle": release.bundle,
                "name": release.name,
                "length": release.length,
                "salt": release.stage.salt,
                "basis_points": release.stage.basis_points,
                "cohort": json.dumps(release.cohort.to_json(), sort_keys=True, separators=(",", ":")),
                "rollback_of": release.rollback_of,
                "state": state,
                "created": int(self._now()),
            },
        )

    def set_stage(self, number: int, basis_points: int, state: State) -> None:
        """Say which part of its cohort may have a release from now on, and what has become of it.

        Raises:
            ReleaseError: there is no such release, or no such part.
        """
        _require_state(state)
        Stage("0" * 32, basis_points)
        self._require(number)
        changed = {"basis_points": basis_points, "state": state}
        self._connection.execute(sa.update(tables.releases).where(tables.releases.c.number == number).values(changed))

    def differences(self) -> tuple[Difference, ...]:
        """All of them, by release and name."""
        return reading.differences(self._connection)

    def add_difference(self, difference: Difference) -> None:
        """Put a difference in.

        Raises:
            ReleaseError: its release is not there, or its name is taken.
        """
        self._require(difference.release)
        if difference.name in {each.name for each in self.differences()}:
            raise ReleaseError(f"release: {difference.name}: the registry has a difference of this name; give another one")
        self._connection.execute(tables.differences.insert(), dataclasses.asdict(difference))

    def killed(self) -> tuple[Killed, ...]:
        """Families that no phone may use."""
        return reading.killed(self._connection)

    def kill(self, killed: Killed) -> None:
        """Take a family from all phones; once more does nothing."""
        if killed not in self.killed():
            self._connection.execute(tables.killed.insert(), _row(killed))

    def unkill(self, killed: Killed) -> None:
        """Give a family back.

        Raises:
            ReleaseError: it was not taken.
        """
        conditions = [tables.killed.c[name] == value for name, value in _row(killed).items()]
        if self._connection.execute(sa.delete(tables.killed).where(*conditions)).rowcount != 1:
            raise ReleaseError(f"release: backbone {killed.fingerprint}: no such family was killed; give one of those that status shows")

    def versions(self) -> dict[str, int]:
        """The newest version of each role's metadata that was written."""
        return reading.versions(self._connection)

    def set_versions(self, versions: Mapping[str, int]) -> None:
        """Say which versions were written; roles that are not named stay.

        Raises:
            ReleaseError: a role that there is not, or a version below the one before.
        """
        before = self.versions()
        for role, version in versions.items():
            if role not in ROLES:
                raise ReleaseError(f"release: {role!r} is no role; give one of {', '.join(ROLES)}")
            if version < before.get(role, 1):
                raise ReleaseError(
                    f"release: {role}: version {version} is below {before.get(role, 1)}, and phones never go back; give a higher one"
                )
            if role in before:
                self._connection.execute(sa.update(tables.versions).where(tables.versions.c.role == role).values(version=version))
            else:
                self._connection.execute(tables.versions.insert(), {"role": role, "version": version})

    def note(self, what: str, who: str, release: int | None = None) -> None:
        """Write an event into the audit log; it stays with the transaction or goes with it."""
        event = {"time": int(self._now()), "what": what[:MOST_EVENT_TEXT], "who": who[:MOST_EVENT_TEXT], "release": release}
        self._connection.execute(tables.events.insert(), event)

    def _require(self, number: int) -> None:
        if not reading.numbers(self._connection, [number]):
            raise ReleaseError(f"release {number}: the registry has none of this number; give one of those that status shows")


def _require_state(state: str) -> None:
    if state not in STATES:
        raise ReleaseError(f"release: {state!r} is no state; give one of {', '.join(STATES)}")


def _row(killed: Killed) -> dict[str, str | int]:
    key = killed.key or ""
    return {"fingerprint": killed.fingerprint, "key": key, "serial_from": killed.serial_from, "serial_to": killed.serial_to}
