"""The page of a benchmark run, and the page of many: self-contained HTML, nothing fetched, everything from a file escaped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from chordkit.report import bench_charts
from chordkit.report.bench_charts import COLOURS, DASHES, Spot
from chordkit.report.parts import Cell, Chart, Table, estimate_cell, facts_table, in_bytes, without_empty_columns
from chordkit.report.templating import embedded, page
from chordkit.runtime_bench.results import BenchReport, Cluster, ClusterState, Result, State
from chordkit.runtime_bench.samples import Samples

# AOSP's PowerManager.THERMAL_STATUS_*.
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# Below so many samples a distribution function is a staircase; a box says what there is to say.
_FEW = 40


@dataclass
class _Panel:
    """Runs that may stand in one drawing."""

    name: str
    emulated: bool
    about: str
    reports: list[BenchReport] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    table: Table = field(default_factory=lambda: Table("", (), ()))


def render_bench(report: BenchReport, samples: Samples | None = None) -> str:
    """One run as a page. Without raw samples it has no distributions and no drift over time."""
    machine = report.machine
    commit = f"commit {machine.commit[:12]}{'+' if machine.commit_dirty else ''}" if machine.commit else ""
    measured = {result.name for result in report.results}
    kept = {name: launches for name, launches in (samples or {}).items() if name in measured and any(launches)}
    return page(
        "bench.html.j2",
        title=f"Latency on {report.device}",
        origin=" · ".join(part for part in (f"chordkit {machine.versions.get('chordkit', '')}".strip(), report.before.at, commit) if part),
        report=report,
        facts=_facts(report),
        protocol=_protocol(report),
        names=[result.name for result in report.results],
        charts=_charts(report, kept),
        comparison=_comparison(report),
        instructions=_instructions(report.results),
        states=_states(report.before, report.after),
        machine=_machine(report),
        embedded_json=embedded(report),
        colours=COLOURS,
        dashes=DASHES,
    )


def render_history(reports: Sequence[BenchReport]) -> str:
    """Many results as a page: p50 run by run, one panel for each device and way of measuring; emulated never beside real."""
    panels: dict[tuple[Any, ...], _Panel] = {}
    for report in sorted(reports, key=lambda report: report.before.at):
        machine, settings = report.machine, report.settings
        model = machine.android.model if machine.android else machine.cpu
        of = (
            machine.emulated,
            report.device,
            model,
            machine.abi or machine.architecture,
            settings.mode,
            settings.threads,
            report.candidates,
        )
        name = f"{report.device}: {model}, {settings.mode}"
        about = f"{of[3]}, {settings.threads} thread{'s' if settings.threads > 1 else ''}, {report.candidates} candidates a call."
        panels.setdefault(of, _Panel(name, machine.emulated, about)).reports.append(report)
    names = list(dict.fromkeys(result.name for report in reports for result in report.results))
    places = {name: index for index, name in enumerate(names)}
    for number, panel in enumerate(panels.values()):
        panel.charts += _history(panel, places, f"h{number}")
        panel.table = _history_table(panel, names)
    count = len(reports)
    return page(
        "bench_history.html.j2",
        title="Latency from run to run",
        about=f"{count} result{'s' if count != 1 else ''}. Each point is the p50 of a contender in one run, with its 95 % interval; rings "
        "are runs that were not comparable. Other machines, modes or numbers of candidates have panels of their own.",
        names=names,
        panels=list(panels.values()),
        colours=COLOURS,
        dashes=DASHES,
    )


def _facts(report: BenchReport) -> list[tuple[str, str]]:
    machine, android = report.machine, report.machine.android
    facts = []
    if android is not None:
        facts.append((f"{android.manufacturer} {android.model}", "emulated phone" if machine.emulated else "phone"))
        facts.append((f"Android {android.release}", f"API {android.sdk}, {android.build_type} build {android.build}"))
        if android.soc:
            facts.append((android.soc, "SoC"))
    kind = "emulated processor" if machine.emulated else "processor of a virtual machine" if machine.virtual else "processor"
    facts.append((machine.cpu, f"{kind}, {machine.abi or machine.architecture}"))
    facts += [(_cluster(cluster), f"processors {_numbers(cluster.cpus)}") for cluster in machine.clusters]
    facts.append((in_bytes(machine.memory_bytes), "memory"))
    facts.append((report.settings.mode, "mode"))
    if android is not None or report.before.bad:
        facts.append((", ".join(report.before.bad) or "none", "states in which AndroidX refuses to measure"))
    return facts


def _cluster(cluster: Cluster) -> str:
    speed = f" up to {cluster.max_khz / 1e6:.2f} GHz" if cluster.max_khz else ""
    return f"{len(cluster.cpus)} x {cluster.core or 'unknown core'}{speed}"


def _numbers(cpus: Sequence[int]) -> str:
    """0, 1, 2, 3, 6 -> "0-3, 6"."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _protocol(report: BenchReport) -> str:
    settings = report.settings
    how = {
        "saturated": "Call after call.",
        "cold": "The caches read over before each call.",
        "sparse": f"A call every {settings.interval_ms:g} ms.",
        "sustained": f"Call after call for {settings.minutes:g} minutes.",
    }[settings.mode]
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    base = f" Ratios are over {report.baseline}." if report.baseline else ""
    return (
        f"One rerank of {report.candidates} candidates a call, over {report.histories} real histories, {threads}. {how} Each artifact's "
        f"scores were checked on this device before it was timed.{base}"
    )


def _charts(report: BenchReport, samples: Samples) -> list[Chart]:
    timed = [result for result in report.results if _drawable(result)]
    if not timed:
        return []
    places = {result.name: index for index, result in enumerate(report.results)}
    note = "Thin: shortest to p99. Thick: p50 to p95. Dot: p50, dark line: its interval."
    charts = [Chart("Fastest first", note, Markup(bench_charts.ranges_chart(timed, places, "range")))]
    counts = {name: sum(block.us.size for launch in launches for block in launch) for name, launches in samples.items()}
    many = {name: launches for name, launches in samples.items() if counts[name] >= _FEW}
    few = {name: launches for name, launches in samples.items() if counts[name] < _FEW}
    if many:
        note = "Share of samples that took at most so long; steeper is steadier. Cut at the slowest 0.5 %."
        charts.append(Chart("Every sample", note, Markup(bench_charts.ecdf_chart(many, places, "ecdf"))))
    if few:
        note = f"Fewer than {_FEW} samples. Box: the middle half; line: median; rings: more than 1.5 boxes away."
        charts.append(Chart("Every sample", note, Markup(bench_charts.box_chart(few, places, "box"))))
    if report.settings.mode == "sustained" and samples:
        note = "Distance from the contender's own median: above 0 it is slower. Launches laid over each other."
        charts.append(Chart("Over time", note, Markup(bench_charts.drift_chart(samples, places, "drift"))))
    return charts


def _drawable(result: Result) -> bool:
    """Whether these are times: a result that was read from a file may hold any numbers."""
    latency, middle = result.latency, result.latency.median_of_blocks_us
    times = (latency.min_us, latency.p50_us, latency.p95_us, latency.p99_us, middle.low, middle.value, middle.high)
    return all(1e-6 < us < 1e12 for us in times)


def _comparison(report: BenchReport) -> Table:
    """All contenders, fastest first; columns that nobody fills are left out."""
    ordered = sorted(report.results, key=lambda result: result.latency.p50_us)
    ratio = f"ratio to {report.baseline}"
    heads = ["artifact", "comparable", "p50", ratio, "p90", "p95", "p99", "min", "CV", "n", "batch", "load, ms", "first call", "adoption",
             "instructions", "memory", "bytes", "drift, % a minute"]  # fmt: skip
    caption = (
        "All contenders, fastest first. Times in us unless told otherwise; intervals are 95 %. Instructions: user space, a call. "
        "Memory: peak above the program's own."
    )
    return without_empty_columns(Table(caption, heads, [_cells(result) for result in ordered]))


def _cells(result: Result) -> list[Cell]:
    latency, alone, counts = result.latency, result.isolated, result.counts
    middle = latency.median_of_blocks_us
    verdict = Cell("yes", css="ok") if result.comparable else Cell("no", "; ".join(result.reasons), "no words")
    adoption = alone.adoption_us if alone else None
    per_adoption = f"adoption {counts.per_adoption:,.0f}" if counts and counts.per_adoption is not None else ""
    return [
        Cell(result.name, " ".join(part for part in (result.runtime, result.variant) if part)),
        verdict,
        Cell(_time(latency.p50_us), f"[{_time(middle.low)}, {_time(middle.high)}]"),
        estimate_cell(result.ratio, ".3f"),
        Cell(_time(latency.p90_us)),
        Cell(_time(latency.p95_us)),
        Cell(_time(latency.p99_us)),
        Cell(_time(latency.min_us)),
        Cell(f"{latency.coefficient_of_variation:.3f}"),
        Cell(f"{latency.n:,}"),
        Cell(str(latency.batch)),
        Cell(f"{alone.load_ms:.2f}" if alone else ""),
        Cell(_time(alone.first_call_us) if alone else ""),
        Cell(_time(adoption) if adoption is not None else ""),
        Cell(f"{counts.per_call:,.0f}" if counts else "", per_adoption),
        Cell(in_bytes(alone.peak_bytes) if alone else ""),
        Cell(f"{result.file_bytes:,}" if result.file_bytes is not None else ""),
        estimate_cell(result.drift_percent_per_minute, "+.3f"),
    ]


def _instructions(results: Iterable[Result]) -> Table:
    rows = []
    for result in results:
        parts = result.counts.by_layer if result.counts else {}
        whole = sum(parts.values())
        for part, count in sorted(parts.items(), key=lambda item: -item[1]):
            share = f"{100 * count / whole:.1f} %" if whole > 0 else ""
            rows.append([Cell(result.name), Cell(part), Cell(f"{count:,.0f}"), Cell(share)])
    return Table("User-space instructions of a call, by part", ("artifact", "part", "a call", "share"), rows)


def _states(before: State, after: State) -> Table:
    rows = [[Cell(name), Cell(one), Cell(two)] for name, one, two in zip(*_state(before), _state(after)[1], strict=True) if one or two]
    return Table("The device before and after the run", ("what", "before", "after"), rows, words=True)


def _state(state: State) -> tuple[list[str], list[str]]:
    """Names of what a state tells, and what it tells."""
    status, battery = state.thermal_status, state.battery
    heat = "" if status is None else _THERMAL[status] if 0 <= status < len(_THERMAL) else str(status)
    charge = ""
    if battery is not None:
        warm = "" if battery.temperature_c is None else f", {battery.temperature_c:.1f} °C"
        charge = f"{battery.level_percent} %{warm}, {'cable gives power' if battery.powered else 'on battery'}"
    told = {
        "time": state.at,
        "bad states": ", ".join(state.bad) or "none",
        "thermal status": heat,
        "temperatures, °C": ", ".join(f"{name} {value:.1f}" for name, value in state.temperatures_c.items()),
        "battery": charge,
        "clocks": "; ".join(_clock(cluster) for cluster in state.clusters),
        "load average": " ".join(f"{load:.2f}" for load in state.load_average or ()),
    }
    return list(told), list(told.values())


def _clock(cluster: ClusterState) -> str:
    now = ", ".join(f"{khz / 1e6:.2f}" for khz in dict.fromkeys(cluster.khz))
    allowed = [f"{khz / 1e6:.2f}" for khz in (cluster.allowed_min_khz, cluster.allowed_max_khz) if khz is not None]
    limits = f" of {' to '.join(allowed)}" if allowed else ""
    return f"processors {_numbers(cluster.cpus)}: {cluster.governor or 'unknown governor'}{f', {now} GHz' if now else ''}{limits}"


def _machine(report: BenchReport) -> Table:
    machine, settings = report.machine, report.settings
    told: dict[str, Any] = {
        "cores": machine.cores, "kernel": machine.kernel, "virtual machine": "yes" if machine.virtual else "no",
        "measured on processor": machine.pinned_cpu, "instruction sets": " ".join(machine.flags),
        "security patch": machine.android.security_patch if machine.android else None, "Python": machine.python,
        "steal": None if report.steal is None else f"{report.steal:.2%}", "raw samples": report.samples,
    }  # fmt: skip
    told |= {f"version of {name}": version for name, version in machine.versions.items()}
    told |= {f"setting {name}": value for name, value in settings.model_dump().items()}
    for result in report.results:
        told |= {f"SHA-256 of {result.name}": result.sha256, f"strategy of {result.name}": result.strategy_sha256}
    return facts_table("Machine, software, settings and files of the run", told)


def _run_name(report: BenchReport) -> str:
    """Day and commit, short enough for an axis."""
    commit = report.machine.commit
    return f"{report.before.at[:10]} {commit[:7] + ('+' if report.machine.commit_dirty else '') if commit else report.before.at[11:16]}"


def _history(panel: _Panel, places: dict[str, int], key: str) -> list[Chart]:
    series: dict[str, list[Spot]] = {}
    for place, report in enumerate(panel.reports):
        for result in filter(_drawable, report.results):
            series.setdefault(result.name, []).append(Spot(place, result.latency.median_of_blocks_us, result.comparable))
    if not series:
        return []
    runs = [_run_name(report) for report in panel.reports]
    label, against = f"p50 from run to run on {panel.name}", f"change of p50 since the first run on {panel.name}"
    drawn = bench_charts.history_chart(series, places, runs, key, label)
    changed = bench_charts.history_chart(series, places, runs, f"{key}c", against, change=True)
    since = "Against the contender's first run here; above 0 it became slower."
    return [Chart("p50 from run to run", "Oldest left.", Markup(drawn)), Chart("What changed", since, Markup(changed))]


def _history_table(panel: _Panel, names: Sequence[str]) -> Table:
    here = [name for name in names if any(report.result(name) for report in panel.reports)]
    rows = []
    for report in panel.reports:
        cells = [Cell(report.before.at[:16].replace("T", " "), (report.machine.commit or "")[:12])]
        for name in here:
            result = report.result(name)
            middle = result.latency.median_of_blocks_us if result else None
            css = "" if result is None or result.comparable else "no"
            cells.append(Cell("") if middle is None else Cell(_time(middle.value), f"[{_time(middle.low)}, {_time(middle.high)}]", css))
        rows.append(cells)
    return Table(f"{panel.name}: p50 in us with 95 % interval; red: not comparable", ["run", *here], rows)


def _time(us: float) -> str:
    """Four digits that count."""
    if us == 0 or not math.isfinite(us):
        return f"{us:g}"
    return f"{us:,.{min(3, max(0, 3 - math.floor(math.log10(abs(us)))))}f}"
