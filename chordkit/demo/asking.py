"""Phones that ask the service for strategies, and what that takes."""

import time
from dataclasses import dataclass, field

import numpy as np

from chordkit.errors import EnvelopeError
from chordkit.release.report import Report
from chordkit.report.model import ServedStrategies
from chordkit.service import Client
from chordkit.strategy import envelope_bytes


@dataclass
class Asking:
    """Questions to one service.

    Attributes:
        client: that asks and checks what comes.
        fingerprint: of the backbone.
        profiles: float32 ``[users, width]``; phones take turns with them.
    """

    client: Client
    fingerprint: bytes
    profiles: np.ndarray
    _ms: list[float] = field(default_factory=list)
    _accepted: int = 0
    _answer: int = 0

    def ask(self, phone: int, report: Report | None = None) -> int | None:
        """One phone gets a strategy; the release that the service hints at.

        Raises:
            ServiceError: the service says no.
        """
        begun = time.perf_counter()
        profile, subject = self.profiles[phone % len(self.profiles)], phone.to_bytes(4, "big")
        try:
            found = self.client.strategy(self.fingerprint, profile, subject=subject, report=report)
        except EnvelopeError:
            return None
        finally:
            self._ms.append((time.perf_counter() - begun) * 1000)
        self._accepted += 1
        self._answer = envelope_bytes(len(found.payload), len(found.subject))
        return self.client.release_hint

    def told(self) -> ServedStrategies:
        """What all of it took."""
        p50, p99 = np.percentile(self._ms, (50, 99))
        return ServedStrategies(
            requests=len(self._ms),
            accepted=self._accepted,
            profile_bytes=self.profiles.shape[1] * 4,
            answer_bytes=self._answer,
            p50_ms=round(float(p50), 2),
            p99_ms=round(float(p99), 2),
        )
