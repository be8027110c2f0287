"""What phones report of releases with their requests, added up and told to the registry; and what they are hinted at in return."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chordkit.errors import RegistryUnreachable
from chordkit.release import require_packages
from chordkit.release.hint import hint
from chordkit.release.home import read_home
from chordkit.release.records import RegisteredRelease
from chordkit.release.report import Report, ReportKey
from chordkit.service.diary import Tell
from chordkit.service.metrics import Metrics

if TYPE_CHECKING:
    from chordkit.release.registry import Registry

MOST_KINDS = 4096
"""Of reports that are kept apart until the registry has them, and of headers whose meaning is remembered."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a report means: a phone's words, what they are counted under, and the headers that its answer carries for them."""

    check: str
    key: ReportKey | None
    headers: dict[str, str]


class Reports:
    """The sums of one process, and its knowledge of the releases; both are exchanged with the registry every few seconds.

    A registry that is gone changes no answer: hints stay those of the last state, and sums are kept until it is back. What is kept is
    bounded by the releases that the registry knows, whatever phones say.

    Args:
        place: URL of the registry, or the folder of its channel's owner.
        every_s: between two exchanges.
        tell: writes an event down.
        metrics: what counts.

    Raises:
        InputError: there is no registry at this place.
        MissingRuntimeError: a package is not installed.
    """

    def __init__(self, place: str, every_s: float, tell: Tell, metrics: Metrics) -> None:
        require_packages()
        self._url, self._every_s, self._tell, self._metrics = registry_url(place), every_s, tell, metrics
        self._registry: Registry | None = None
        self._reached = True
        self._releases: tuple[RegisteredRelease, ...] = ()
        self._known: frozenset[int] = frozenset()
        self._sums: dict[ReportKey, int] = {}
        self._heard: dict[tuple[str, str | None], Heard] = {}
        self._wake = asyncio.Event()
        self._ending = False
        try:
            self._learn(*self._exchange({}))
        except RegistryUnreachable as error:
            self._miss(error)

    # --- with a request -------------------------------------------------------------------------------------------------------------

    def hear(self, text: str, device: str | None) -> Heard:
        """What a report means now; it is not counted yet.

        Raises:
            ReleaseError: it is none.
        """
        found = self._heard.get((text, device))
        if found is None:
            report = Report.parse(text)
            number = hint(self._releases, report, device)
            found = Heard(report.check, report.key, {} if number is None else {"chord-release": str(number)})
            if len(self._heard) >= MOST_KINDS:
                self._heard.clear()
            self._heard[text, device] = found
        return found

    def count(self, heard: Heard) -> None:
        """Count a report whose request was answered."""
        self._metrics.report(heard.check)
        key = heard.key
        if key is None:
            return
        if key.release not in self._known:
            self._metrics.dropped_reports("unknown release", 1)
        elif key not in self._sums and len(self._sums) >= MOST_KINDS:
            self._metrics.dropped_reports("too many kinds", 1)
        else:
            self._sums[key] = self._sums.get(key, 0) + 1

    # --- with the registry ----------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Exchange with the registry every few seconds, and once more at the end."""
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._wake.wait()
            self._wake.clear()
            taken, self._sums = self._sums, {}
            try:
                self._learn(*await asyncio.to_thread(self._exchange, taken))
            except Exception as error:  # whatever it is: the next time may do what this one did not
                for key, count in taken.items():
                    self._sums[key] = self._sums.get(key, 0) + count
                self._miss(error)
        if left := sum(self._sums.values()):
            self._tell("reports lost", f"{left} reports could not be told to the registry before the end")

    def exchange_now(self) -> None:
        """Do not wait for the next time."""
        self._wake.set()

    def end(self) -> None:
        """Let :meth:`watch` come to its end."""
        self._ending = True
        self._wake.set()

    def _exchange(self, sums: dict[ReportKey, int]) -> tuple[tuple[RegisteredRelease, ...], int]:
        """The releases, and how many of the reports were of none; the sums are told last, since they must not be told twice."""
        if self._registry is None:
            from chordkit.release.registry import Registry

            self._registry = Registry.open(self._url, create=False)
        return self._registry.releases(), self._registry.count(sums)

    def _learn(self, releases: tuple[RegisteredRelease, ...], dropped: int) -> None:
        if dropped:
            self._metrics.dropped_reports("unknown release", dropped)
        if not self._reached:
            self._reached = True
            self._tell("registry back", "what was kept has been told to it")
        if releases != self._releases:
            self._releases, self._known = releases, frozenset(each.release.number for each in releases)
            self._heard.clear()

    def _miss(self, error: Exception) -> None:
        if self._reached:
            self._reached = False
            self._tell("registry lost", f"{type(error).__name__}: {error}; hints stay as they are, and reports are kept until it is back")


def registry_url(place: str) -> str:
    """The URL of a registry, which may be named by the folder of its channel.

    Raises:
        InputError: there is no channel in this folder.
    """
    return place if "://" in place else read_home(Path(place)).registry_url
