"""``chordkit bench`` and ``chordkit devices``: latency that can be trusted, and where it can be measured."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import ArtifactsOption, BundlesArgument
from chordkit.cli.output import JsonOption, SeedOption, emit, progress_bar, rows, writable_file


def bench(
    bundles: BundlesArgument,
    device: Annotated[str, typer.Option("--device", help="What to measure on: a name from `chordkit devices`.")] = "host",
    artifact: ArtifactsOption = None,
    rounds: Annotated[int, typer.Option(min=5, help="Interleaved rounds; every artifact has one block in each.")] = 40,
    block_ms: Annotated[float, typer.Option(min=1, help="Length of a block, ms.")] = 10.0,
    processes: Annotated[int, typer.Option(min=0, help="Fresh processes per artifact for load time, first call and memory.")] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", callback=writable_file, help="Also write the JSON result here.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Time all artifacts of a bundle, or of several, and eager PyTorch in one interleaved run, one thread.

    Example: `chordkit bench shop.chord --device host --out bench.json`
    """
    import json

    from chordkit.files import write_json
    from chordkit.runtime_bench.bundles import bench_bundles
    from chordkit.runtime_bench.devices.registry import connect
    from chordkit.runtime_bench.results import Settings

    measuring = connect(device)
    settings = Settings(rounds=rounds, block_ms=block_ms, processes=processes, seed=seed)
    with progress_bar() as progress:
        report = bench_bundles(bundles, artifact, settings, progress, measuring)
    payload = json.loads(report.model_dump_json())
    if out is not None:
        write_json(out, payload)
    body = [
        [result.name,
         f"{result.isolated.load_ms:.2f}" if result.isolated else "", f"{result.isolated.first_call_us:.0f}" if result.isolated else "",
         f"{result.latency.min_us:.1f}", f"{result.latency.p50_us:.1f}", f"{result.latency.p90_us:.1f}", f"{result.latency.p99_us:.1f}",
         f"{result.latency.coefficient_of_variation:.2f}", f"{result.latency.n:,}",
         f"{result.ratio.value:.3f} [{result.ratio.low:.3f}, {result.ratio.high:.3f}]" if result.ratio else "",
         f"{result.isolated.peak_bytes / 2**20:.1f}" if result.isolated and result.isolated.peak_bytes is not None else "",
         f"{result.file_bytes:,}" if result.file_bytes is not None else "", "" if result.comparable else "not comparable"]
        for result in report.results
    ]  # fmt: skip
    columns = ["artifact", "load ms", "first us", "min us", "p50", "p90", "p99", "CV", "n", f"x {report.baseline}", "peak MiB", "bytes", ""]
    emit(as_json, payload, lambda: rows(f"{', '.join(map(str, bundles))} on {report.machine.cpu}, one thread", columns, body))
    for reason in report.reasons:
        typer.echo(f"note: {reason}", err=True)


def devices(seed: SeedOption = 0, as_json: JsonOption = False) -> None:
    """List what can be measured on, and what is attached besides.

    Example: `chordkit devices --json`
    """
    from chordkit.runtime_bench.devices.registry import list_devices

    found = list_devices()
    body = [[device.name, device.kind, "yes" if device.measurable else "no", device.detail] for device in found.devices]
    emit(as_json, found.model_dump(mode="json"), lambda: rows("devices", ["device", "kind", "measurable", "what"], body))
    for remark in found.remarks:
        typer.echo(f"note: {remark}", err=True)
