"""What a benchmark run writes down. Times are in us unless the name says otherwise, memory and files in bytes.

``make schemas`` writes the JSON schema beside this module.
"""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from chordkit.documents import Document
from chordkit.estimate import Estimate


class _Model(Document):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Latency(_Model):
    """Steady state: ``n`` samples in ``blocks`` blocks, each the mean over ``batch`` calls.

    ``median_of_blocks_us`` carries the interval (bootstrap over blocks); ``block_spread`` is the 90th percentile of the
    blocks' medians over the 10th, minus 1.
    """

    n: int
    blocks: int
    batch: int = 1
    min_us: float
    mean_us: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    max_us: float
    coefficient_of_variation: float
    median_of_blocks_us: Estimate
    block_spread: float


Mode = Literal["saturated", "cold", "sparse", "sustained"]
"""saturated: call after call. cold: the caches read over before each call, as on a phone that does other things between two. sparse: a call
every ``interval_ms``. sustained: saturated for minutes, with the drift."""


class Isolated(_Model):
    """A fresh process that loads one artifact and calls it; medians over ``processes`` of them. Files come from the page cache.

    Attributes:
        runtime_import_ms: importing the runtime's packages; None where the runtime is part of the program.
        load_ms: from the file to a runner that can be called.
        adoption_us: adopting a strategy once more, in the median; None where a strategy is part of the file.
        first_call_us: the first call, which may still allocate and pack.
        runtime_bytes: resident memory that the import added.
        peak_bytes: peak resident memory of loading and calling above what the process held before (VmHWM); None where
            the kernel cannot reset the peak.
    """

    processes: int
    runtime_import_ms: float | None
    load_ms: float
    adoption_us: float | None = None
    first_call_us: float
    runtime_bytes: int | None
    peak_bytes: int | None


class Contention(_Model):
    """Whether the processor was ours: share of the blocks' wall time in which this process ran, and stolen time.

    ``other_threads`` is the share of this process's processor time spent outside the calling thread.
    """

    busy: float
    contended_blocks: int
    other_threads: float


class Counts(_Model):
    """Executed instructions, user space, of one call and of one adoption.

    Attributes:
        by_layer, by_function: of one call, where it was profiled (:mod:`chordkit.runtime_bench.runners.profile`).
        code_bytes: distinct bytes of code that calls execute; bytes_read, bytes_written: of data in one call, each access counted.
    """

    per_call: float
    per_adoption: float | None = None
    by_layer: dict[str, float] = Field(default_factory=dict)
    by_function: dict[str, float] = Field(default_factory=dict)
    code_bytes: int | None = None
    bytes_read: float | None = None
    bytes_written: float | None = None


class Warmup(_Model):
    """Unmeasured calls until two moving averages of 30 calls agree within 4 %; medians over the launches."""

    calls: int
    seconds: float
    converged: bool


def _is_one(number: object) -> bool:
    return number == 1


class Result(_Model):
    """One contender. ``ratio`` is its time over the baseline's, round by round or launch by launch.

    Of an artifact that takes several histories a call, ``latency``, ``ratio`` and the samples are of one history: a call's time over
    ``histories_per_call``. What is in ``isolated`` is of a whole call.
    """

    name: str
    target: str
    precision: str
    file_bytes: int | None
    sha256: str | None = None
    strategy_sha256: str | None = None
    runtime: str | None = None
    variant: str | None = None
    histories_per_call: int = Field(default=1, ge=1, exclude_if=_is_one)
    isolated: Isolated | None
    warmup: Warmup | None = None
    latency: Latency
    ratio: Estimate | None
    counts: Counts | None = None
    drift_percent_per_minute: Estimate | None = None
    contention: Contention | None
    comparable: bool
    reasons: tuple[str, ...]


class Settings(_Model):
    """The protocol.

    Attributes:
        mode: how calls follow each other.
        rounds: every contender has one block in each round, in an order drawn anew (host).
        block_ms: a block makes as many calls as fit in this time, at least ``min_calls``.
        warmup_calls: unmeasured calls at the start of each block, after another contender had the caches.
        warmup_ms: unmeasured calls of each contender before the first round.
        launches: on the host, processes in which all contenders take turns, which share the rounds; on a device, processes of each
            contender, in turns.
        processes: fresh processes for load time, first call and memory; 0 = none (host).
        min_samples: fewest samples of a launch (device).
        min_seconds: shortest time of a launch's measured part (device).
        interval_ms: from one call to the next in sparse mode.
        minutes: of sustained mode.
        threads: that a runtime may use.
        thermal_wait_s: longest wait for the device to cool down before it is measured anyway and called not comparable.
        max_interval: widest half of a 95 % interval, relative to the median, that is still comparable.
        max_block_spread: largest relative distance of the 90th and 10th percentile of block medians.
        min_busy: a block in which the process ran for a smaller share of the time is contended.
        max_contended: largest share of contended blocks.
    """

    mode: Mode = "saturated"
    rounds: int = Field(default=40, ge=5)
    block_ms: float = Field(default=10.0, gt=0)
    min_calls: int = Field(default=10, ge=1)
    warmup_calls: int = Field(default=3, ge=0)
    warmup_ms: float = Field(default=200.0, ge=0)
    launches: int = Field(default=1, ge=1)
    processes: int = Field(default=3, ge=0)
    min_samples: int = Field(default=1024, ge=1)
    min_seconds: float = Field(default=10.0, ge=0)
    interval_ms: float = Field(default=1000.0, gt=0)
    minutes: float = Field(default=10.0, gt=0)
    threads: int = Field(default=1, ge=1)
    thermal_wait_s: float = Field(default=300.0, ge=0)
    seed: int = 0
    max_interval: float = 0.05
    max_block_spread: float = 0.25
    min_busy: float = 0.95
    max_contended: float = 0.1


class Cluster(_Model):
    """Processors of one kind: numbers, name of the core (``Cortex-A76``) where it is known, and frequencies in kHz."""

    cpus: tuple[int, ...]
    core: str | None
    min_khz: int | None
    max_khz: int | None


class Android(_Model):
    """The build of an Android device, from its properties."""

    manufacturer: str
    model: str
    soc: str | None
    release: str
    sdk: int
    build: str
    build_type: str
    security_patch: str | None


class Machine(_Model):
    """The machine and the software of a run. ``emulated`` machines have emulated times: never set beside a phone's."""

    cpu: str
    architecture: str
    abi: str | None = None
    emulated: bool = False
    android: Android | None = None
    clusters: tuple[Cluster, ...] = ()
    flags: tuple[str, ...]
    cores: int
    memory_bytes: int
    kernel: str
    virtual: bool
    pinned_cpu: int | None
    python: str | None
    versions: dict[str, str]
    commit: str | None
    commit_dirty: bool | None


class ClusterState(_Model):
    """What a cluster's clock does now: its governor, and kHz of each of its processors (lowest and highest allowed now beside it)."""

    cpus: tuple[int, ...]
    governor: str | None
    khz: tuple[int, ...]
    allowed_min_khz: int | None
    allowed_max_khz: int | None


class Battery(_Model):
    """Charge and temperature of the battery, and whether a cable gives power."""

    level_percent: int
    temperature_c: float | None
    powered: bool


class State(_Model):
    """A device at one moment.

    Attributes:
        at: UTC, ISO 8601.
        thermal_status: of Android's PowerManager, 0 = NONE to 6 = SHUTDOWN; None where the system does not tell.
        temperatures_c: of the thermal zones that read plausibly.
        bad: states in which AndroidX Benchmark refuses to measure, by its names: DEBUGGABLE, EMULATOR, ENG-BUILD, UNLOCKED, LOW-BATTERY.
    """

    at: str
    load_average: tuple[float, float, float] | None = None
    clusters: tuple[ClusterState, ...] = ()
    battery: Battery | None = None
    thermal_status: int | None = None
    temperatures_c: dict[str, float] = Field(default_factory=dict)
    bad: tuple[str, ...] = ()


class BenchReport(_Model):
    """One run over several contenders.

    Attributes:
        before, after: state of the device around the measuring.
        waited_s: seconds that the run waited for the device to cool down.
        samples: file of the raw samples, JSON lines, beside this result; None = not kept.
        skipped: artifacts that the device could not run, each with the reason.
    """

    format_version: Literal[2] = 2
    device: str
    machine: Machine
    settings: Settings
    baseline: str | None
    histories: int
    candidates: int
    before: State
    after: State
    waited_s: float = 0.0
    steal: float | None
    samples: str | None = None
    skipped: dict[str, str] = Field(default_factory=dict)
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
