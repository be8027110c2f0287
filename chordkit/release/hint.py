"""Which release a phone may look for on the mirrors, told to it when it asks for a strategy. Nobody signs it: it spares a look, no more."""

from collections.abc import Iterable

from chordkit.release.records import RegisteredRelease
from chordkit.release.report import Report
from chordkit.release.words import Cohort, app_version


def hint(releases: Iterable[RegisteredRelease], report: Report, device: str | None = None) -> int | None:
    """The highest number of a release that may be for a phone; None = there is none.

    What a phone does not say of itself keeps nothing from it, and of a release for a part of the phones all hear: which part it is, they
    alone know.

    Args:
        releases: of the channel.
        report: of the phone.
        device: class of the phone, where it names one.
    """
    found = (each.release.number for each in releases if each.offered and _may_match(each.release.cohort, report, device))
    return max(found, default=None)


def _may_match(cohort: Cohort, report: Report, device: str | None) -> bool:
    version = None if report.app is None else app_version(report.app)
    return (
        (version is None or cohort.app_from is None or version >= app_version(cohort.app_from))
        and (version is None or cohort.app_below is None or version < app_version(cohort.app_below))
        and _may_be(report.abi, cohort.abi)
        and _may_be(report.runtime, cohort.runtime)
        and _may_be(device, cohort.device)
    )


def _may_be(said: str | None, wanted: tuple[str, ...]) -> bool:
    return said is None or not wanted or said in wanted
