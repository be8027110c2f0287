"""How a measuring program is started: both of them take the same options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chordkit.runtime_bench.results import Mode

NATIVE = "native"


@dataclass(frozen=True)
class Launch:
    """One process on a device. All files are the device's.

    Attributes:
        target: which runtime, as the program calls it: native, litert, onnx, executorch.
        artifact: the file; for native the master weights.
        strategy: for native; every other file has its strategy in it, so that it is not handed over.
        user: a user vector: its file for native and for a program that takes bytes, float32 ``[dim]`` for others.
        master: the master weights, for a file that is called with them.
        histories, candidates: int32, of ``users`` users.
        scores: where they are written to before anything is timed; records: where all that is measured is.
        pid: a file that names the process while it runs.
        count: calls whose instructions are counted, instead of any timing; memory: its peak is looked at, instead of any timing.
    """

    target: str
    artifact: str
    histories: str
    candidates: str
    users: int
    scores: str
    records: str
    strategy: str | None = None
    user: str | None = None
    master: str | None = None
    mode: Mode = "saturated"
    min_samples: int = 1024
    min_seconds: float = 10.0
    max_seconds: float = 60.0
    adoptions: int = 20
    flush_bytes: int = 64 << 20
    interval_ms: float = 1000.0
    block_ms: float = 10.0
    threads: int = 1
    cpus: Sequence[int] = ()
    pid: str | None = None
    variant: str | None = None
    count: int | None = None
    memory: bool = False

    def counting(self, calls: int) -> "Launch":
        """The same, for executed instructions over ``calls`` calls."""
        return replace(self, count=calls, memory=False)

    def remembering(self) -> "Launch":
        """The same, for the peak of memory."""
        return replace(self, count=None, memory=True)

    def arguments(self) -> list[str]:
        """What follows the program in a command."""
        options: dict[str, object] = {
            "target": self.target,
            "artifact": self.artifact,
            "strategy": self.strategy if self.target == NATIVE else None,
            "user": self.user,
            "master": self.master,
            "histories": self.histories,
            "candidates": self.candidates,
            "users": self.users,
            "scores": self.scores,
            "records": self.records,
            "mode": self.mode,
            "min-samples": self.min_samples,
            "min-seconds": f"{self.min_seconds:.6g}",
            "max-seconds": f"{self.max_seconds:.6g}",
            "adoptions": self.adoptions,
            "flush-bytes": self.flush_bytes,
            "interval-ms": f"{self.interval_ms:.6g}",
            "block-ms": f"{self.block_ms:.6g}",
            "threads": self.threads,
            "cpus": ",".join(map(str, self.cpus)) or None,
            "pid": self.pid,
            "variant": self.variant,
            "count": self.count,
        }
        words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        return [*words, "--memory"] if self.memory else words
