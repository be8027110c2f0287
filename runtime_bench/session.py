"""The protocol on a device: programs and files go there, every artifact is held against its reference there, and then all take turns.

A turn is a launch: a fresh process that loads one artifact, scores all test inputs, and only then is timed. What a process writes is
parsed as untrusted (:mod:`chordkit.runtime_bench.records`) and its scores are judged here before a time of it counts.
docs/benchmarking.md tells what each number means.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from uuid import uuid4

import numpy as np

from chordkit.errors import CheckFailed, DeviceError
from chordkit.estimate import Estimate
from chordkit.export.parity import Ids
from chordkit.progress import Progress
from chordkit.runtime_bench import records as measured
from chordkit.runtime_bench.android.lock import clear_leftovers, lock
from chordkit.runtime_bench.app import prepare_app
from chordkit.runtime_bench.contender import Contender
from chordkit.runtime_bench.devices.device import Device
from chordkit.runtime_bench.launching import ProgramWay, Purpose, RefusedError, Room, Way
from chordkit.runtime_bench.protocol import check_names
from chordkit.runtime_bench.records import Records
from chordkit.runtime_bench.results import BenchReport, Counts, Isolated, Result, Settings, State, Warmup
from chordkit.runtime_bench.runners.launch import Launch
from chordkit.runtime_bench.runners.programs import program_for
from chordkit.runtime_bench.samples import SampleWriter
from chordkit.runtime_bench.statistics import drift, launch_ratio, spread_reasons, summarise_launches
from chordkit.runtime_bench.walk import walk_of

_GATE_S = 10.0
_NOT_BAD_HERE = "EMULATOR"
"""Said by ``emulated`` of the machine: emulated results compare with each other, and never with a phone's."""


def device_settings(device: Device) -> Settings:
    """The protocol's defaults on ``device``: where a clock counts instructions, every launch repeats the first, and few samples say all."""
    return Settings(launches=1, min_samples=50, min_seconds=0.0) if device.emulated else Settings(launches=3)


def run_on_device(
    device: Device,
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings | None = None,
    *,
    baseline: str | None = None,
    must: bool = False,
    samples: SampleWriter | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Time ``contenders`` on ``device``.

    Args:
        device: where.
        contenders: the artifacts.
        histories: int32 ``[n, length]``, real ones; candidates: int32 ``[n, candidates]``. A history that follows itself is varied
            (:mod:`chordkit.runtime_bench.walk`).
        settings: the protocol; None = :func:`device_settings`.
        baseline: what ratios are taken against; None = the first FP32 artifact that runs there, else the first of all.
        must: an artifact that the device cannot run is an error; else it is told of in ``skipped``.
        samples: takes the raw samples, launch by launch, so that a run that breaks off leaves what it has measured.
        progress: called with (phase, done, total).

    Raises:
        DeviceError: the device went away, is in use, cannot run what it must, or answered with something that is no answer.
        CheckFailed: the scores of an artifact are not those of its reference on this device.
    """
    settings = settings or device_settings(device)
    check_names(contenders, baseline)
    with lock(device), tempfile.TemporaryDirectory(prefix="chordkit-bench-") as here:
        clear_leftovers(device)
        room = Room(device, Path(here), f"{device.folder}/{uuid4().hex[:12]}")
        with room.kept():
            return _measure(room, contenders, histories, candidates, settings, baseline, must, samples, progress)


@dataclass
class _Job:
    """A contender on the device, and what its launches have said."""

    contender: Contender
    way: Way
    launches: list[Records] = field(default_factory=list)
    counts: Records | None = None
    memory: Records | None = None


def _measure(
    room: Room,
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings,
    baseline: str | None,
    must: bool,
    samples: SampleWriter | None,
    progress: Progress | None,
) -> BenchReport:
    device = room.device
    described, before = device.describe(), device.state()
    jobs, skipped = _prepare(room, contenders, histories, candidates, settings, must, progress)
    if not jobs:
        raise DeviceError(
            f"{device.name}: it can run none of the artifacts: " + "; ".join(f"{name}: {why}" for name, why in skipped.items())
        )
    shape = candidates.shape
    generator = np.random.default_rng(settings.seed)
    launches, done, waited = settings.launches, 0, 0.0
    total = len(jobs) * (launches + 2)
    for job in list(jobs):
        try:
            job.counts = _run(device, job, Purpose.COUNTS, shape)
            job.memory = _run(device, job, Purpose.MEMORY, shape)
        except RefusedError as refusal:
            if must or len(jobs) == 1:
                raise
            jobs.remove(job)
            skipped[job.contender.name] = str(refusal)
        done += 2
        _tell(progress, done, total)
    for number in range(launches):
        for index in generator.permutation(len(jobs)):
            job = jobs[int(index)]
            waited += _cool(device, settings, waited)
            records = _run(device, job, Purpose.TIMES, shape)
            if records is None:
                continue
            job.launches.append(records)
            if samples is not None:
                for block, each in enumerate(records.blocks):
                    samples.add(job.contender.name, launch=number, block=block, at_s=each.at_s, batch=each.batch, us=each.us)
            done += 1
            _tell(progress, done, total)
    after = device.state()
    chosen = baseline if baseline is not None else _baseline(jobs)
    base = next((job for job in jobs if job.contender.name == chosen), None)
    if base is None:
        why = skipped.get(chosen, "it is not among the artifacts")
        raise DeviceError(f"{device.name}: the baseline {chosen!r} does not run here: {why}")
    about = [] if device.has_clock else [f"{device.name} has the host's clock: its instructions repeat, its times do not"]
    about += _reasons(before, after, waited)
    results = tuple(_result(job, base, settings, about) for job in jobs)
    own = [f"{each.name}: {reason}" for each in results for reason in each.reasons if reason not in about]
    told = (*about, *own)
    return BenchReport(
        device=device.name,
        machine=described,
        settings=settings,
        baseline=chosen,
        histories=len(histories),
        candidates=candidates.shape[1],
        before=before,
        after=after,
        waited_s=waited,
        steal=None,
        samples=None if samples is None else samples.name,
        skipped=skipped,
        results=results,
        comparable=not told,
        reasons=told,
    )


def _prepare(
    room: Room,
    contenders: Sequence[Contender],
    histories: Ids,
    candidates: Ids,
    settings: Settings,
    must: bool,
    progress: Progress | None,
) -> tuple[list[_Job], dict[str, str]]:
    """The programs and files on the device, and the artifacts that it cannot run, with the reason."""
    walk = walk_of(histories, candidates)
    inputs = (room.put_array(walk.histories, "histories.i32"), room.put_array(walk.candidates, "candidates.i32"))
    programs = _Programs(room, inputs, len(walk.histories), walk.step, settings, room.device.processors() or ())
    jobs: list[_Job] = []
    skipped: dict[str, str] = {}
    for number, contender in enumerate(contenders):
        app = contender.app
        way = programs.way(number, contender) if app is None else prepare_app(room, contender.name, app, settings)
        if isinstance(way, str):
            if must:
                raise DeviceError(f"{contender.name}: {room.device.name} cannot run it: {way}")
            skipped[contender.name] = way
            continue
        jobs.append(_Job(contender, way))
        if progress is not None:
            progress("bench: files to the device", number + 1, len(contenders))
    return jobs, skipped


@dataclass(frozen=True)
class _Programs:
    """The measuring programs on the device; each is pushed once."""

    room: Room
    inputs: tuple[str, str]
    users: int
    step: int
    settings: Settings
    cpus: tuple[int, ...]
    pushed: dict[Path, str] = field(default_factory=dict)

    def way(self, number: int, contender: Contender) -> ProgramWay | str:
        """How the artifact is measured there, or why it cannot be."""
        room, settings = self.room, self.settings
        program = program_for(contender.target, room.device)
        if isinstance(program, str):
            return program
        if program.file not in self.pushed:
            self.pushed[program.file] = room.put(program.file, program.file.name)
        if contender.file is None:
            raise DeviceError(f"{contender.name}: it has no artifact that could be brought to {room.device.name}")
        named = {"artifact": contender.file, "strategy": contender.strategy, "user": contender.user, "master": contender.master}
        there = {name: room.put(file, f"{number}{PurePosixPath(file).suffix}") for name, file in named.items() if file is not None}
        launch = Launch(
            target=program.target,
            artifact=there["artifact"],
            strategy=there.get("strategy"),
            user=there.get("user"),
            master=there.get("master"),
            histories=self.inputs[0],
            candidates=self.inputs[1],
            users=self.users,
            scores=f"{room.there}/scores.f32",
            records=f"{room.there}/records.jsonl",
            pid=f"{room.there}/runner.pid",
            mode=settings.mode,
            min_samples=settings.min_samples,
            min_seconds=settings.min_seconds,
            max_seconds=settings.minutes * 60 if settings.mode == "sustained" else max(60.0, 3 * settings.min_seconds),
            interval_ms=settings.interval_ms,
            block_ms=settings.block_ms,
            threads=settings.threads,
            cpus=self.cpus,
        )
        return ProgramWay(contender.name, room, (*program.prefix, self.pushed[program.file]), launch, self.step)


def _run(device: Device, job: _Job, purpose: Purpose, shape: tuple[int, ...]) -> Records | None:
    """One process on the device: its records, once its scores are right and it came to its end. None: it cannot be started for that."""
    name = job.contender.name
    if purpose not in job.way.purposes:
        return None
    answer = job.way.launch(purpose)
    if answer.scores.size != shape[0] * shape[1]:
        raise CheckFailed(f"{name}: {device.name} gave {answer.scores.size} scores where {shape[0] * shape[1]} were asked for")
    if job.contender.check is not None:
        try:
            job.contender.check(answer.scores.reshape(shape))
        except CheckFailed as error:
            raise CheckFailed(f"on {device.name}: {error}") from None
    read = answer.read()
    if read.end is None:
        raise DeviceError(f"{name}: what {device.name} measured has no end; it was cut off, so measure again")
    return read


def _cool(device: Device, settings: Settings, waited: float) -> float:
    """Wait until the device does not call itself hot; seconds waited, of all ``settings.thermal_wait_s`` together."""
    start = time.monotonic()
    while (device.state().thermal_status or 0) > 0:
        if waited + time.monotonic() - start + _GATE_S > settings.thermal_wait_s:
            break
        time.sleep(_GATE_S)
    return time.monotonic() - start if time.monotonic() - start >= _GATE_S else 0.0


def _reasons(before: State, after: State, waited: float) -> list[str]:
    """Why no number of this run should be compared with others."""
    found = [f"the device is {state}" for state in dict.fromkeys([*before.bad, *after.bad]) if state != _NOT_BAD_HERE]
    if (after.thermal_status or 0) > 0:
        waits = f" after {waited:.0f} s of waiting" if waited else ""
        found.append(f"the device is hot (thermal status {after.thermal_status}){waits}")
    return found


def _baseline(jobs: Sequence[_Job]) -> str:
    fp32 = [job.contender.name for job in jobs if job.contender.precision == "fp32"]
    return (fp32 or [jobs[0].contender.name])[0]


def _result(job: _Job, base: _Job, settings: Settings, about: Sequence[str]) -> Result:
    launches = [[np.asarray(block.us) for block in records.blocks] for records in job.launches]
    batch = max((block.batch for records in job.launches for block in records.blocks), default=1)
    latency = summarise_launches(launches, batch, settings.seed)
    ratio = launch_ratio(launches, [[np.asarray(block.us) for block in records.blocks] for records in base.launches], settings.seed)
    warmups = [records.warmup for records in job.launches if records.warmup is not None]
    reasons = [*about, *job.way.reasons(job.launches[0]), *spread_reasons(latency, settings.max_interval, settings.max_block_spread)]
    if any(not warmup.converged for warmup in warmups):
        reasons.append("a launch was still becoming faster or slower when its warm-up ended")
    first = job.launches[0]
    return Result(
        name=job.contender.name,
        target=job.contender.target,
        precision=job.contender.precision,
        file_bytes=job.contender.file_bytes,
        sha256=job.contender.sha256,
        strategy_sha256=job.contender.strategy_sha256,
        runtime=first.start.runtime,
        variant=first.start.variant,
        isolated=_isolated(job),
        warmup=_warmup(warmups),
        latency=latency,
        ratio=ratio,
        counts=_counts(job),
        drift_percent_per_minute=_drift(job, settings),
        contention=None,
        comparable=not reasons,
        reasons=tuple(reasons),
    )


def _isolated(job: _Job) -> Isolated:
    def median(values: Sequence[float]) -> float:
        return float(statistics.median(values))

    adoptions = [us for records in job.launches if records.adopt is not None for us in records.adopt.us]
    runtimes = [records.load.runtime_us for records in job.launches if records.load.runtime_us is not None]
    memory = None if job.memory is None else job.memory.memory
    return Isolated(
        processes=len(job.launches),
        runtime_import_ms=median(runtimes) / 1e3 if runtimes else None,
        load_ms=median([records.load.us for records in job.launches]) / 1e3,
        adoption_us=median(adoptions) if adoptions else None,
        first_call_us=median([records.first.us for records in job.launches]),
        runtime_bytes=None if memory is None else memory.before_bytes,
        peak_bytes=None if memory is None else max(0, memory.peak_bytes - memory.before_bytes),
    )


def _warmup(warmups: Sequence[measured.Warmup]) -> Warmup | None:
    if not warmups:
        return None
    return Warmup(
        calls=int(statistics.median(each.calls for each in warmups)),
        seconds=float(statistics.median(each.seconds for each in warmups)),
        converged=all(each.converged for each in warmups),
    )


def _counts(job: _Job) -> Counts | None:
    counted = None if job.counts is None else job.counts.counts
    return None if counted is None else Counts(per_call=counted.instructions / counted.calls, per_adoption=counted.adoption_instructions)


def _drift(job: _Job, settings: Settings) -> Estimate | None:
    if settings.mode != "sustained":
        return None
    blocks = job.launches[0].blocks
    return drift([block.at_s for block in blocks], [float(np.median(block.us)) for block in blocks], settings.seed)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress("bench: launches", done, total)
