"""What a service counts, for Prometheus; over all its processes where there are several."""

import os
from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from chordkit.release.report import Check
from chordkit.service.settings import METRICS_VARIABLE

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and histograms, no gauges: they add up over processes, those that were killed included."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("chordkit_requests", "Requests answered.", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "chordkit_request_seconds", "From a request's header to its answer's end.", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._batches = Histogram(
            "chordkit_batch_requests", "Requests that were computed together.", buckets=_SIZES, registry=self._registry
        )
        self._computed = Counter("chordkit_compute_seconds", "Spent on making strategies and signing them.", registry=self._registry)
        self._events = Counter("chordkit_events", "What was told on stderr.", ["event"], registry=self._registry)
        self._reports = Counter("chordkit_reports", "Reports of self-checks on phones.", ["check"], registry=self._registry)
        self._checks = {check: self._reports.labels(check) for check in get_args(Check)}
        self._dropped = Counter("chordkit_reports_dropped", "Those that were not counted for a release.", ["why"], registry=self._registry)
        self._of: dict[tuple[str, int], Counter] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        counter = self._of.get((route, status))
        if counter is None:
            counter = self._of[route, status] = self._requests.labels(route, str(status))
        counter.inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, requests: int, seconds: float) -> None:
        """Count requests that were computed together."""
        self._batches.observe(requests)
        self._computed.inc(seconds)

    def report(self, check: str) -> None:
        """Count a phone's report."""
        self._checks[check].inc()

    def dropped_reports(self, why: str, reports: int) -> None:
        """Count reports that do not count."""
        self._dropped.labels(why.replace(" ", "_")).inc(reports)

    def event(self, event: str) -> None:
        """Count something that was told."""
        self._events.labels(event.replace(" ", "_")).inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        if METRICS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
