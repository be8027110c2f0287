"""What a benchmark run writes down. Times are in us unless the name says otherwise, memory and files in bytes.

``make schemas`` writes the JSON schema beside this module.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chordkit.estimate import Estimate
from chordkit.export.artifact import Identity


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Latency(_Model):
    """Steady state: ``n`` calls in ``blocks`` interleaved blocks.

    ``median_of_blocks_us`` carries the interval (bootstrap over blocks); ``block_spread`` is the 90th percentile of the
    blocks' medians over the 10th, minus 1.
    """

    n: int
    blocks: int
    min_us: float
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    coefficient_of_variation: float
    median_of_blocks_us: Estimate
    block_spread: float


class Isolated(_Model):
    """A fresh process that loads one artifact and calls it; medians over ``processes`` of them. Files come from the page cache.

    Attributes:
        runtime_import_ms: importing the runtime's packages.
        load_ms: from the file to a runner that can be called.
        first_call_us: the first call, which may still allocate and pack.
        runtime_bytes: resident memory that the import added.
        peak_bytes: peak resident memory of loading and calling above what the process held before (VmHWM); None where
            the kernel cannot reset the peak.
    """

    processes: int
    runtime_import_ms: float
    load_ms: float
    first_call_us: float
    runtime_bytes: int
    peak_bytes: int | None


class Contention(_Model):
    """Whether the processor was ours: share of the blocks' wall time in which this process ran, and stolen time.

    ``other_threads`` is the share of this process's processor time spent outside the calling thread.
    """

    busy: float
    contended_blocks: int
    other_threads: float


class Result(Identity, _Model):
    """One contender. ``ratio`` is its time over the baseline's, round by round."""

    file_bytes: int | None
    isolated: Isolated | None
    latency: Latency
    ratio: Estimate | None
    contention: Contention
    comparable: bool
    reasons: tuple[str, ...]


class Settings(_Model):
    """The protocol.

    Attributes:
        rounds: every contender has one block in each round, in an order drawn anew.
        block_ms: a block makes as many calls as fit in this time, at least ``min_calls``.
        warmup_calls: unmeasured calls at the start of each block, after another contender had the caches.
        warmup_ms: unmeasured calls of each contender before the first round.
        processes: fresh processes for load time, first call and memory; 0 = none.
        max_interval: widest half of a 95 % interval, relative to the median, that is still comparable.
        max_block_spread: largest relative distance of the 90th and 10th percentile of block medians.
        min_busy: a block in which the process ran for a smaller share of the time is contended.
        max_contended: largest share of contended blocks.
    """

    rounds: int = Field(default=40, ge=5)
    block_ms: float = Field(default=10.0, gt=0)
    min_calls: int = Field(default=10, ge=1)
    warmup_calls: int = Field(default=3, ge=0)
    warmup_ms: float = Field(default=200.0, ge=0)
    processes: int = Field(default=3, ge=0)
    seed: int = 0
    max_interval: float = 0.05
    max_block_spread: float = 0.25
    min_busy: float = 0.95
    max_contended: float = 0.1


class Machine(_Model):
    """The machine and the software of a run."""

    cpu: str
    architecture: str
    flags: tuple[str, ...]
    cores: int
    memory_bytes: int
    kernel: str
    virtual: bool
    governor: str | None
    load_average: tuple[float, float, float]
    pinned_cpu: int | None
    python: str
    versions: dict[str, str]
    commit: str | None
    commit_dirty: bool | None


class BenchReport(_Model):
    """One interleaved run over several contenders."""

    format_version: Literal[1] = 1
    device: str
    machine: Machine
    settings: Settings
    baseline: str | None
    histories: int
    candidates: int
    steal: float
    results: tuple[Result, ...]
    comparable: bool
    reasons: tuple[str, ...]

    def result(self, name: str) -> Result | None:
        """The contender called ``name``, or None."""
        return next((result for result in self.results if result.name == name), None)


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a :class:`BenchReport`."""
    schema = BenchReport.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "chordkit benchmark"}
