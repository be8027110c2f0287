"""A clock that moves only when a fake call says so: what is measured is then known, on however busy a machine."""

import pytest

from chordkit.runtime_bench import interleave, isolated


class FakeTime:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.wall = self.process = self.thread = 0

    def perf_counter_ns(self) -> int:
        return self.wall

    def process_time_ns(self) -> int:
        return self.process

    def thread_time_ns(self) -> int:
        return self.thread

    def work(self, us: float, busy: float = 1.0, own_thread: float = 1.0) -> None:
        """``us`` pass; the process has the processor for the share ``busy`` of it, its calling thread for ``own_thread`` of that."""
        self.wall += round(us * 1e3)
        self.process += round(us * 1e3 * busy)
        self.thread += round(us * 1e3 * busy * own_thread)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock that the bench looks at."""
    fake = FakeTime()
    for module in (interleave, isolated):
        monkeypatch.setattr(module, "time", fake)
    return fake
