"""Two runs of one device held against each other, contender by contender: for a person, and for CI.

A machine is not as fast today as it was yesterday, so where both runs hold the same baseline, unchanged, the ratios to it are compared,
which cancels that. Intervals are combined as MOVER does (Zou and Donner 2008), on logarithms; raw samples, where they are given, are
compared launch by launch instead.
"""

import math
import os
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from chordkit.documents import MOST_BYTES, parse_json
from chordkit.errors import InputError
from chordkit.estimate import Estimate
from chordkit.files import read_bytes
from chordkit.runtime_bench.results import BenchReport, Result
from chordkit.runtime_bench.samples import Samples, launches
from chordkit.runtime_bench.statistics import run_ratio

Verdict = Literal["faster", "slower", "same within noise", "not comparable"]
HOST = "host"
_MEND = "measure again with `chordkit bench run --out`"


class Compared(BaseModel):
    """One contender in both runs.

    Attributes:
        before_us, after_us: median with interval; None where the run does not hold it.
        ratio: after over before; None where that would say nothing.
        anchored: the ratio is one of ratios to the baseline.
        instructions: executed instructions of a call, after over before; exact, None where either was not counted.
        reasons: why not comparable.
        notes: what else differs, or what the ratio cannot rule out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    before_us: Estimate | None
    after_us: Estimate | None
    ratio: Estimate | None
    anchored: bool
    instructions: float | None
    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


class Comparison(BaseModel):
    """Run "after" against run "before". ``threshold`` is the relative change that counts; ``baseline`` cancels drift, None = none does."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    threshold: float
    baseline: str | None
    contenders: tuple[Compared, ...]
    notes: tuple[str, ...]

    @property
    def slower(self) -> tuple[str, ...]:
        """Contenders that became slower than the threshold allows, with certainty."""
        return tuple(each.name for each in self.contenders if each.verdict == "slower")

    def columns(self) -> list[str]:
        """Heads of :meth:`rows`."""
        return ["artifact", "before us", "after us", "ratio", "instructions", "verdict", "why"]

    def rows(self) -> list[list[str]]:
        """The comparison as a table of words."""
        return [
            [
                each.name,
                _words(each.before_us, ".1f"),
                _words(each.after_us, ".1f"),
                _words(each.ratio, ".3f") + (f" over {self.baseline}" if each.anchored else ""),
                "" if each.instructions is None else f"{each.instructions:.4f}",
                each.verdict,
                "; ".join(each.reasons or each.notes),
            ]
            for each in self.contenders
        ]


def load_report(path: str | os.PathLike[str]) -> BenchReport:
    """Read a result of ``chordkit bench run --out``.

    Raises:
        InputError: the file is missing, is not JSON, is no result, or is one of another format; the message names the field and the mend.
    """
    data = read_bytes(path, "benchmark result", MOST_BYTES)
    try:
        found = parse_json(data)
    except ValueError as error:
        raise InputError(f"{path}: damaged: it is not JSON ({error}); {_MEND}") from None
    version = found.get("format_version") if isinstance(found, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version != 2:
        older = "it knows nothing of devices, modes and launches" if version == 1 else "this chordkit reads format 2"
        raise InputError(f"{path}: a benchmark result of format {version}: {older}; {_MEND if version < 2 else 'update chordkit'}")
    if version != 2 or "results" not in found:
        raise InputError(f"{path}: this is no benchmark result; give the JSON file that `chordkit bench run --out` wrote")
    try:
        return BenchReport.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: not a whole benchmark result: {field}: {first['msg']}; {_MEND}") from None


def compare(
    before: BenchReport,
    after: BenchReport,
    threshold: float = 0.05,
    *,
    samples: tuple[Samples | None, Samples | None] = (None, None),
    seed: int = 0,
) -> Comparison:
    """Say of every contender whether it became slower or faster by more than ``threshold``, with certainty.

    "slower": the whole 95 % interval of after / before is above 1 + threshold; "faster": below 1 / (1 + threshold); in between, "same
    within noise".

    Args:
        before, after: the runs.
        threshold: relative change that counts, 0.05 = 5 %.
        samples: raw samples of the two runs, used where both are given.
        seed: of what is resampled.

    Raises:
        ValueError: the threshold is negative or no number.
    """
    if not 0 <= threshold < math.inf:
        raise ValueError(f"the threshold is {threshold}, it must be 0 or more")
    reasons = _reasons(before, after)
    anchor = None if reasons else _anchor(before, after)
    names = list(dict.fromkeys(result.name for report in (before, after) for result in report.results))
    rows = [_compared(name, before, after, anchor, reasons, threshold, samples, seed) for name in names]
    anchor = anchor if any(row.anchored for row in rows) else None
    return Comparison(threshold=threshold, baseline=anchor, contenders=tuple(rows), notes=tuple(_notes(before, after, anchor, reasons)))


def _words(estimate: Estimate | None, spec: str) -> str:
    return "" if estimate is None else f"{estimate.value:{spec}} [{estimate.low:{spec}}, {estimate.high:{spec}}]"


def _reasons(before: BenchReport, after: BenchReport) -> list[str]:
    """Why nothing of the two runs can be compared."""
    if before.machine.emulated != after.machine.emulated:
        return ["one machine is emulated, the other is real"]
    mine, other = before.machine, after.machine
    pairs: list[tuple[str, object, object]] = [
        ("device", before.device, after.device),
        ("machine", mine.cpu, other.cpu),
        ("architecture", mine.architecture, other.architecture),
        ("ABI", mine.abi, other.abi),
        ("phone", mine.android and mine.android.model, other.android and other.android.model),
        ("mode", before.settings.mode, after.settings.mode),
        ("number of threads", before.settings.threads, after.settings.threads),
        ("number of candidates", before.candidates, after.candidates),
        ("number of histories", before.histories, after.histories),
    ]
    if before.settings.mode == "sparse":
        pairs.append(("time between calls, ms", before.settings.interval_ms, after.settings.interval_ms))
    return [f"other {what}: {one}, then {two}" for what, one, two in pairs if one != two]


def _notes(before: BenchReport, after: BenchReport, anchor: str | None, reasons: Sequence[str]) -> list[str]:
    """What a reader of the whole table should know."""
    notes = [f"nothing is comparable: {reason}" for reason in reasons]
    one, two = before.machine, after.machine
    if anchor is not None:
        notes.append(f"ratios are ratios to {anchor} of the same run, which cancels what the machine did that day")
    if one.emulated and two.emulated:
        notes.append("both machines are emulated: what changed is what is executed, not a phone's time")
    elif before.device == HOST or before.settings.processes < 2 or after.settings.processes < 2:
        notes.append(
            "a contender has one launch a run, so what differs from launch to launch is in no interval; measure twice before acting"
        )
    pairs = [
        ("commit", one.commit, two.commit),
        ("kernel", one.kernel, two.kernel),
        ("Android build", one.android and one.android.build, two.android and two.android.build),
        ("processor that was measured on", one.pinned_cpu, two.pinned_cpu),
        *((f"version of {name}", one.versions.get(name), two.versions.get(name)) for name in sorted({*one.versions, *two.versions})),
    ]
    return notes + [f"other {what}: {first}, then {second}" for what, first, second in pairs if first != second]


def _anchor(before: BenchReport, after: BenchReport) -> str | None:
    """The common baseline, if it is the same thing in both runs."""
    name = before.baseline
    if name is None or name != after.baseline:
        return None
    one, two = before.result(name), after.result(name)
    if one is None or two is None or not (one.comparable and two.comparable) or _changed(one, two):
        return None
    # The native engine is this checkout's own code: at another commit it is another thing, whatever its file's hash.
    own = one.target == "native" and (before.machine.commit != after.machine.commit or after.machine.commit_dirty)
    return None if own else name


def _changed(before: Result, after: Result) -> list[str]:
    """What is not the same of one contender."""
    changed = []
    if before.sha256 != after.sha256:
        changed.append("other file")
    if before.strategy_sha256 != after.strategy_sha256:
        changed.append("other strategy")
    pairs = [("runtime", before.runtime, after.runtime), ("variant", before.variant, after.variant)]
    return changed + [f"other {what}: {one}, then {two}" for what, one, two in pairs if one != two]


def _compared(
    name: str,
    before: BenchReport,
    after: BenchReport,
    anchor: str | None,
    reasons: Sequence[str],
    threshold: float,
    samples: tuple[Samples | None, Samples | None],
    seed: int,
) -> Compared:
    one, two = before.result(name), after.result(name)
    why = [*reasons, *_own_reasons(one, two)]
    ratio: Estimate | None = None
    instructions: float | None = None
    anchored = False
    notes: list[str] = []
    if one is not None and two is not None:
        notes = _changed(one, two)
        if one.latency.batch != two.latency.batch:
            notes.append(f"samples are means of {one.latency.batch}, then {two.latency.batch} calls")
        if not reasons and one.counts is not None and two.counts is not None and one.counts.per_call >= 1:
            instructions = two.counts.per_call / one.counts.per_call
        if not why:
            anchored = anchor is not None and name != anchor and _plausible(one.ratio) and _plausible(two.ratio)
            ratio = _sampled(name, anchor if anchored else None, samples, seed) or _reported(one, two, anchored)
    verdict = _verdict(ratio, threshold)
    if ratio is not None and verdict == "same within noise" and ratio.high > 1 + threshold:
        notes.append(f"it may have become up to {ratio.high - 1:.0%} slower")
    return Compared(
        name=name,
        before_us=None if one is None else one.latency.median_of_blocks_us,
        after_us=None if two is None else two.latency.median_of_blocks_us,
        ratio=ratio,
        anchored=anchored,
        instructions=instructions,
        verdict=verdict,
        reasons=tuple(why),
        notes=tuple(notes),
    )


def _own_reasons(before: Result | None, after: Result | None) -> list[str]:
    if before is None:
        return ["only the second run holds it"]
    if after is None:
        return ["only the first run holds it"]
    pairs = [("target", before.target, after.target), ("precision", before.precision, after.precision)]
    reasons = [f"other {what}: {one}, then {two}" for what, one, two in pairs if one != two]
    for which, result in (("first", before), ("second", after)):
        if not result.comparable:
            reasons.append(f"the {which} run: " + ("; ".join(result.reasons) or "marked not comparable"))
        if not _plausible(result.latency.median_of_blocks_us):
            reasons.append(f"the {which} run: its median with interval, {result.latency.median_of_blocks_us}, is no time of a call")
    return reasons


def _plausible(estimate: Estimate | None) -> bool:
    """Whether this can be a time or a ratio, with an interval around it: a file may hold anything."""
    return estimate is not None and 1e-9 < estimate.low <= estimate.value <= estimate.high < 1e15


def _sampled(name: str, anchor: str | None, samples: tuple[Samples | None, Samples | None], seed: int) -> Estimate | None:
    """The ratio from launches, where both runs kept more than one of each contender that is needed."""
    first, second = samples
    needed = [name] if anchor is None else [name, anchor]
    if first is None or second is None or any(len(run.get(each, ())) < 2 for run in (first, second) for each in needed):
        return None
    anchors = None if anchor is None else (launches(second[anchor]), launches(first[anchor]))
    try:
        return run_ratio(launches(second[name]), launches(first[name]), anchors, seed)
    except ValueError:
        return None


def _reported(before: Result, after: Result, anchored: bool) -> Estimate:
    """The ratio from the two runs' intervals."""
    one, two = before.latency.median_of_blocks_us, after.latency.median_of_blocks_us
    if anchored and before.ratio is not None and after.ratio is not None:
        one, two = before.ratio, after.ratio
    ratio = math.log(two.value / one.value)
    down = math.hypot(math.log(two.value / two.low), math.log(one.high / one.value))
    up = math.hypot(math.log(two.high / two.value), math.log(one.value / one.low))
    return Estimate(value=math.exp(ratio), low=math.exp(ratio - down), high=math.exp(ratio + up))


def _verdict(ratio: Estimate | None, threshold: float) -> Verdict:
    if ratio is None:
        return "not comparable"
    if ratio.low > 1 + threshold:
        return "slower"
    return "faster" if ratio.high < 1 / (1 + threshold) else "same within noise"
