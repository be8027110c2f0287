"""``chordkit bench``: latency that can be trusted, what two runs differ in, and what many runs tell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chordkit.cli.groups import DefaultGroup
from chordkit.cli.options import (
    UNVERIFIED,
    ArtifactsOption,
    BundlesArgument,
    MinimumCounterOption,
    PublicKeysOption,
    RevokedOption,
    read_revoked,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, note, progress_bar, rows, writable_file

if TYPE_CHECKING:
    from chordkit.runtime_bench.operators import OperatorTimes
    from chordkit.runtime_bench.results import BenchReport, Result

app = typer.Typer(
    cls=DefaultGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Measure the artifacts of bundles; compare and collect what was measured. `chordkit bench shop.chord` is `chordkit bench run`.",
)

Results = Annotated[list[Path], typer.Argument(help="Results of runs, as JSON.", exists=True, dir_okay=False)]
_COLUMNS = ["artifact", "load ms", "first us", "adopt us", "p50 us [95 %]", "p90", "p95", "p99", "CV", "n", "ratio to baseline [95 %]"]
_MORE_COLUMNS = ["instructions", "peak MiB", "bytes", ""]


@app.command()
def run(
    bundles: BundlesArgument,
    device: Annotated[str, typer.Option("--device", help="What to measure on: a name from `chordkit devices`.")] = "host",
    artifact: ArtifactsOption = None,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    mode: Annotated[
        Literal["saturated", "cold", "sparse", "sustained"],
        typer.Option(help="Call after call; with the caches read over before each call, as on a phone; one call a second; or for minutes."),
    ] = "saturated",
    baseline: Annotated[
        str | None,
        typer.Option(help="What ratios are taken against. Default: eager PyTorch on the host, else the first FP32 artifact."),
    ] = None,
    rounds: Annotated[int, typer.Option(min=5, help="Host: interleaved rounds; every artifact has one block in each.")] = 40,
    block_ms: Annotated[float, typer.Option(min=1, help="Length of a block, ms.")] = 10.0,
    launches: Annotated[
        int | None,
        typer.Option(min=1, help="Processes in which they take turns; on a device, of each. Default: 3; emulated or sustained: 1."),
    ] = None,
    processes: Annotated[int, typer.Option(min=0, help="Host: fresh processes an artifact for load time, first call and memory.")] = 3,
    min_samples: Annotated[int | None, typer.Option(min=1, help="Device: samples of a launch. Default: 1,024; emulated: 50.")] = None,
    min_seconds: Annotated[float | None, typer.Option(min=0, help="Device: seconds of a launch. Default: 10; emulated: 0.")] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="Length of sustained mode.")] = 10.0,
    interval_ms: Annotated[float, typer.Option(min=1, help="From one call to the next in sparse mode.")] = 1000.0,
    threads: Annotated[int, typer.Option(min=1, help="Device: threads of a runtime.")] = 1,
    by_layer: Annotated[
        bool, typer.Option("--by-layer", help="Emulated device: the native engine's instructions by layer and function as well.")
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Host: also where the time of a call goes, operator by operator, by the runtimes' own profilers."),
    ] = False,
    app: Annotated[
        bool,
        typer.Option(
            "--app", help="Phone: measure the native artifacts in the installed demo app as well, as NAME@app; with --public-key."
        ),
    ] = False,
    app_package: Annotated[str, typer.Option(help="Package of that app.")] = "io.chordkit.demo",
    thermal_wait_s: Annotated[float, typer.Option(min=0, help="Longest wait, in all, for a hot device to cool down.")] = 300.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", callback=writable_file, help="Also write the result here, samples (.jsonl) and a page (.html) beside it."
        ),
    ] = None,
    androidx: Annotated[
        Path | None, typer.Option(callback=writable_file, help="Also write it in the shape of AndroidX Benchmark's benchmarkData.json.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time all artifacts of a bundle, or of several, once their scores are right where they are timed.

    Example: `chordkit bench run shop.chord --device host --out bench.json`
    """
    import contextlib
    import json

    from chordkit.files import write_bytes, write_json
    from chordkit.runtime_bench.androidx import benchmark_data
    from chordkit.runtime_bench.bundles import bench_bundles
    from chordkit.runtime_bench.devices.registry import connect
    from chordkit.runtime_bench.operators import OperatorTimes, operator_times
    from chordkit.runtime_bench.samples import SampleWriter
    from chordkit.runtime_bench.session import device_settings

    if profile and device != "host":
        raise typer.BadParameter("the runtimes' profilers are asked on this host; leave --device out", param_hint="--profile")
    if androidx is not None and out is None:
        raise typer.BadParameter("give --out as well: AndroidX's shape holds the raw samples", param_hint="--androidx")
    with contextlib.ExitStack() as stack:
        measuring = stack.enter_context(connect(device))
        given = {"launches": launches, "min_samples": min_samples, "min_seconds": min_seconds}
        always = {
            "processes": processes,
            "mode": mode,
            "rounds": rounds,
            "block_ms": block_ms,
            "minutes": minutes,
            "interval_ms": interval_ms,
            "threads": threads,
        }
        chosen = {name: value for name, value in given.items() if value is not None} | always
        if mode == "sustained" and launches is None:
            chosen["launches"] = 1
        settings = device_settings(measuring).model_copy(update={**chosen, "thermal_wait_s": thermal_wait_s, "seed": seed})
        samples = None if out is None else stack.enter_context(SampleWriter(out.with_suffix(".jsonl")))
        progress = stack.enter_context(progress_bar())
        report = bench_bundles(
            bundles,
            artifact,
            settings,
            progress,
            measuring,
            baseline,
            samples,
            by_layer,
            public_key=public_key or None,
            revoked=read_revoked(revoked),
            minimum=minimum_counter,
            app=app_package if app else None,
        )
    payload = json.loads(report.model_dump_json())
    if out is not None:
        from chordkit.report import render_bench
        from chordkit.runtime_bench.samples import read_samples

        kept = read_samples(out.with_suffix(".jsonl"))
        write_json(out, payload)
        write_bytes(out.with_suffix(".html"), render_bench(report, kept).encode())
        if androidx is not None:
            write_json(androidx, benchmark_data(report, kept))
    operators: tuple[OperatorTimes, ...] = ()
    if profile:
        keys, gone = public_key or None, read_revoked(revoked)
        operators = tuple(
            found for path in bundles for found in operator_times(path, artifact, public_key=keys, revoked=gone, minimum=minimum_counter)
        )
        payload["operators"] = [found.model_dump(mode="json") for found in operators]
    title = f"{', '.join(map(str, bundles))} on {_machine(report)}"
    emit(as_json, payload, lambda: rows(title, [*_COLUMNS, *_MORE_COLUMNS], [_cells(each) for each in report.results]))
    for found in operators:
        if not as_json and found.operators:
            emit(False, {}, rows(f"{found.artifact}: operators of a call", ["operator", "name", "us"], _operators(found)))
        if found.reason is not None:
            note(f"{found.artifact} was not profiled: {found.reason}")
    for each in report.results:
        if not as_json and each.counts and each.counts.by_layer:
            emit(False, {}, rows(f"{each.name}: instructions of a call", ["where", "instructions"], _parts(each)))
    if report.machine.emulated:
        note(f"{device} is emulated: its times and counts compare with each other, never with a phone's")
    for name, reason in report.skipped.items():
        note(f"{name} was not measured: {reason}")
    for reason in report.reasons:
        note(f"not comparable: {reason}")
    if not public_key:
        note(UNVERIFIED.format(", ".join(map(str, bundles))))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="The result of a run, as JSON.", exists=True, dir_okay=False)],
    after: Annotated[Path, typer.Argument(help="Another one, to hold against it.", exists=True, dir_okay=False)],
    threshold: Annotated[float, typer.Option(min=0, help="So much slower is a failure, 0.05 = 5 %.")] = 0.05,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare two results, artifact by artifact; exit status 1 when one has surely become slower than the threshold allows.

    Example: `chordkit bench compare main.json branch.json --threshold 0.05`
    """
    from chordkit.errors import CheckFailed
    from chordkit.runtime_bench.compare import compare as compare_reports
    from chordkit.runtime_bench.compare import load_report
    from chordkit.runtime_bench.samples import read_samples

    samples = [read_samples(path.with_suffix(".jsonl")) if path.with_suffix(".jsonl").exists() else None for path in (before, after)]
    comparison = compare_reports(load_report(before), load_report(after), threshold=threshold, samples=(samples[0], samples[1]), seed=seed)
    emit(as_json, comparison.model_dump(mode="json"), lambda: rows(f"{after} against {before}", comparison.columns(), comparison.rows()))
    for remark in comparison.notes:
        note(remark)
    if comparison.slower:
        raise CheckFailed(f"{after}: slower than {before} by more than {threshold:.1%}: {', '.join(comparison.slower)}")


@app.command()
def history(
    results: Results,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="The page.")],
    as_json: JsonOption = False,
) -> None:
    """One page over many results: how latency went from run to run, a panel for each device.

    Example: `chordkit bench history results/*.json --out history.html`
    """
    from chordkit.files import write_bytes
    from chordkit.report import render_history
    from chordkit.runtime_bench.compare import load_report

    reports = [load_report(path) for path in results]
    write_bytes(out, render_history(reports).encode())
    payload = {"out": str(out), "results": len(reports), "devices": sorted({report.device for report in reports})}
    emit(as_json, payload, f"{out}: {len(reports)} results")


def _operators(found: "OperatorTimes") -> list[list[str]]:
    """The slowest first; those that are alike are told together."""
    sums: dict[tuple[str, str], float] = {}
    for each in found.operators:
        sums[each.kind, each.name] = sums.get((each.kind, each.name), 0.0) + each.us
    return [[kind, name, f"{us:.1f}"] for (kind, name), us in sorted(sums.items(), key=lambda item: -item[1])]


def _machine(report: "BenchReport") -> str:
    return f"{report.device} ({report.machine.cpu}){', EMULATED' if report.machine.emulated else ''}, {report.settings.threads} thread"


def _cells(result: "Result") -> list[str]:
    alone, latency, ratio, counts = result.isolated, result.latency, result.ratio, result.counts
    middle = latency.median_of_blocks_us
    return [
        result.name + (f" (us a history, {result.histories_per_call} a call)" if result.histories_per_call > 1 else ""),
        f"{alone.load_ms:.2f}" if alone else "",
        f"{alone.first_call_us:.0f}" if alone else "",
        f"{alone.adoption_us:.1f}" if alone and alone.adoption_us is not None else "",
        f"{middle.value:.1f} [{middle.low:.1f}, {middle.high:.1f}]",
        f"{latency.p90_us:.1f}",
        f"{latency.p95_us:.1f}",
        f"{latency.p99_us:.1f}",
        f"{latency.coefficient_of_variation:.2f}",
        f"{latency.n:,}" + (f" x {latency.batch}" if latency.batch > 1 else ""),
        f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "",
        f"{counts.per_call:,.0f}" if counts else "",
        f"{alone.peak_bytes / 2**20:.1f}" if alone and alone.peak_bytes is not None else "",
        f"{result.file_bytes:,}" if result.file_bytes is not None else "",
        "" if result.comparable else "not comparable",
    ]


def _parts(result: "Result") -> list[list[str]]:
    """Where the instructions of a call go, and what code and data it touches."""
    counts = result.counts
    assert counts is not None
    lines = [[name, f"{value:,.0f}"] for name, value in counts.by_layer.items()]
    touched = {"bytes of code": counts.code_bytes, "bytes read": counts.bytes_read, "bytes written": counts.bytes_written}
    return lines + [[f"({name})", f"{value:,.0f}"] for name, value in touched.items() if value is not None]
