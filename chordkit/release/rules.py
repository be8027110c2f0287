"""What an owner may do with which release: the rules of publishing, promoting and taking back, apart from files and keys."""

from collections.abc import Collection

from chordkit.errors import ReleaseError
from chordkit.release.records import ENDED, RegisteredRelease, State
from chordkit.release.registry import Transaction
from chordkit.release.words import ALL_BASIS_POINTS, Cohort, Release

_MENDS = {
    "paused": "resume it first",
    "stopped": "resume it if the phones were wrong, or roll it back",
    "rolled back": "publish it again under a counter of its own",
    "replaced": "a later one stands in its place",
}


def found(releases: Collection[RegisteredRelease], number: int) -> RegisteredRelease:
    """The release of this number.

    Raises:
        ReleaseError: there is none.
    """
    for each in releases:
        if each.release.number == number:
            return each
    raise ReleaseError(f"release {number}: there is none of this number; `chordkit release status` shows those that are")


def on_its_way(releases: Collection[RegisteredRelease], number: int) -> RegisteredRelease:
    """The release of this number, if phones may get it.

    Raises:
        ReleaseError: there is none, or they may not.
    """
    each = found(releases, number)
    if each.state in _MENDS:
        raise ReleaseError(f"release {number}: it is {each.state}; {_MENDS[each.state]}")
    return each


def state_of(basis_points: int) -> State:
    """Of a release that is on its way to this part of its cohort."""
    return "live" if basis_points == ALL_BASIS_POINTS else "staged"


def percent(basis_points: int) -> str:
    """For people."""
    return f"{basis_points / 100:g} %"


def require_counter(releases: Collection[RegisteredRelease], counter: int, digest: str, cohort: Cohort, label: str) -> None:
    """Hold that a bundle's counter is not below another one's, and that it is not out already.

    Raises:
        ReleaseError: it is.
    """
    highest = max((each.release.counter for each in releases), default=0)
    if counter < highest:
        raise ReleaseError(
            f"{label}: its counter is {counter}, and one with {highest} was put out; make it with a higher --counter, "
            "or take a release back with `chordkit release rollback`"
        )
    for each in releases:
        if each.release.counter == counter and each.release.bundle != digest:
            raise ReleaseError(f"{label}: release {each.release.number} is another bundle of counter {counter}; give it one of its own")
        if (each.release.bundle, each.release.cohort) == (digest, cohort) and each.state not in ENDED:
            raise ReleaseError(
                f"{label}: this is release {each.release.number} already ({each.state}); `chordkit release refresh` writes what is missing"
            )


def replace_covered(transaction: Transaction, new: Release) -> None:
    """A release that all of its cohort may have stands in the place of older ones; of each cohort the last that all may have stays, for
    phones to fall back on."""
    releases = {each.release.number: each for each in transaction.releases()}
    if releases[new.number].state != "live":
        return
    covered = [
        each for number, each in sorted(releases.items())
        if number < new.number and each.state not in ENDED and new.cohort in (Cohort(), each.release.cohort)
    ]  # fmt: skip
    stay = {each.release.cohort: each.release.number for each in covered if each.state == "live"}.values()
    for each in covered:
        if each.release.number not in stay:
            transaction.set_stage(each.release.number, each.release.stage.basis_points, "replaced")


def rollback_pair(releases: Collection[RegisteredRelease], number: int | None, to: int | None) -> tuple[Release, Release]:
    """The release that is taken back and the one whose bundle comes in its place; None = as :meth:`Channel.rollback` has it.

    Raises:
        ReleaseError: there are none.
    """
    standing = [each.release for each in releases if each.state not in ENDED and number in (None, each.release.number)]
    if not standing:
        what = "there is no release" if number is None else f"release {number}: there is none of this number"
        raise ReleaseError(f"{what} that stands; `chordkit release status` shows those that do")
    taken = standing[-1]
    older = [each for each in releases if each.release.number < taken.number and each.release.bundle != taken.bundle]
    if to is None:
        older = [each for each in older if each.state == "live" and each.release.cohort in (Cohort(), taken.cohort)]
    else:
        older = [each for each in older if each.release.number == to]
    if not older:
        wanted = "older one that went to all of its cohort" if to is None else f"older one {to} with another bundle"
        raise ReleaseError(f"release {taken.number}: there is no {wanted}; give --to, or publish a bundle that is good")
    return taken, older[-1].release
