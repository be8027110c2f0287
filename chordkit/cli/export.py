"""``chordkit export``: from master weights and strategies to files that runtimes load."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType

from chordkit.cli.options import (
    MasterOption,
    StrategiesOption,
    TargetsOption,
    UserVectorsOption,
    parse_precisions,
    parse_targets,
    read_strategies,
    read_user_vectors,
)
from chordkit.cli.output import JsonOption, emit, progress_bar, rows, writable_folder
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.export.explain import Elsewhere, Explanation

_TARGETS = "executorch,litert,onnx,native"


def export(
    master: MasterOption,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", callback=writable_folder, help="Folder for the artifacts and their index, export.json.")
    ] = None,
    target: TargetsOption = _TARGETS,
    precision: Annotated[
        str, typer.Option("--precision", "-p", help="Comma-separated: fp32, int8, strategy; the default is all that the given files allow.")
    ] = "",
    strategy: StrategiesOption = None,
    user_vector: UserVectorsOption = None,
    backbone: Annotated[
        Path | None, typer.Option("--backbone", "-b", help="The float backbone behind the master, for fp32 artifacts.")
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(min=1, help="Candidates per call, fixed in the artifact; the default is 100, or all items where there are fewer."),
    ] = None,
    activations: Annotated[
        Literal["fp32", "int8"] | None,
        typer.Option(help="What quantised layers compute with, of every target given; the default is each target's fastest."),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            "-r",
            metavar="NAME",
            help="The runtime that people have, which decides the target: tflite-2.14, litert-1.x, litert-2.x, onnxruntime-1.18, ...; "
            "the default is each target's newest.",
        ),
    ] = None,
    layout: Annotated[
        Literal["size", "speed"] | None,
        typer.Option(
            help="How a strategy's weights lie in a file. size: each channel at its width. speed: the same numbers, a byte each, which "
            "older runtimes load too, and all run faster. The default is the runtime's first, size where it can be."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Write nothing: say what will run where, from which version on, layer by layer, in bytes."),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Files that choose: ids and scores of the so many best candidates, instead of scores for all."),
    ] = None,
    catalogue: Annotated[
        bool, typer.Option("--catalogue", help="With --top: of all items, which are then part of the file and no input.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="Histories per call, fixed in the artifact.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Lower a backbone to every target: FP32, uniform int8, and users' strategies with real int2/int4/int8 weights.

    With a user vector, artifacts take one as an input; with none they have no such input. What the folder holds of the same backbone
    already stays, but for what has the same name.

    Example: `chordkit export --target litert,onnx --master master.chrm --strategy 42.chrd --out artifacts`, or for an app with an older
    runtime `chordkit export --runtime tflite-2.14 --master master.chrm --strategy 42.chrd --out artifacts`

    The 20 best of all items: `chordkit export --target litert --top 20 --catalogue --master master.chrm --out artifacts`

    Beforehand: `chordkit export --explain --master master.chrm --strategy 42.chrd`
    """
    from chordkit.export.collection import Sources, export_artifacts, write_folder
    from chordkit.export.explain import explain as explained
    from chordkit.export.targets import find_profile
    from chordkit.quantization import MasterWeights
    from chordkit.training import load_backbone

    if out is None and not explain:
        raise InputError("--out: name a folder for the artifacts, or ask with --explain what they would be")
    if runtime is not None and target == _TARGETS:
        target = find_profile(runtime).target
    targets = parse_targets(target)
    weights = MasterWeights.load(master)
    floats = None if backbone is None else load_backbone(backbone)[0]
    strategies = read_strategies(strategy, weights)
    sources = Sources(weights, floats, strategies, read_user_vectors(user_vector, weights))
    precisions = parse_precisions(precision) if precision else None
    with progress_bar() as progress:
        artifacts = export_artifacts(
            targets,
            sources,
            precisions,
            candidates,
            progress,
            activations=activations,
            runtime=runtime,
            layout=layout,
            top=top,
            batch=batch,
            catalogue=catalogue,
        )
    if explain:
        _tell(explained(artifacts, sources), as_json)
        return
    assert out is not None
    index = write_folder(out, artifacts, sources)
    sizes = {entry.name: (out / entry.file).stat().st_size for entry in index.artifacts}
    payload = {
        "folder": str(out),
        "artifacts": [{**entry.model_dump(mode="json"), "bytes": sizes[entry.name]} for entry in index.artifacts],
    }
    body = [[entry.name, entry.file, f"{sizes[entry.name]:,}"] for entry in index.artifacts]
    emit(as_json, payload, lambda: rows(f"artifacts -> {out}", ["artifact", "file", "bytes"], body))


def _tell(explanations: "list[Explanation]", as_json: bool) -> None:
    """Print what artifacts would be, as tables or as JSON."""
    payload = {"artifacts": [{**asdict(each), "kinds": {str(kind): size for kind, size in each.kinds.items()}} for each in explanations]}
    emit(as_json, payload, lambda: Group(*(table for each in explanations for table in _tables(each))))


def _tables(each: "Explanation") -> list[RenderableType]:
    body = [
        [
            group.layer,
            _width(group.width),
            f"{group.channels:,}" + (f", {group.left_out:,} left out" if group.left_out else ""),
            f"{group.stored} bits, {group.container}",
            f"{group.bytes:,}",
            group.oldest or "",
        ]
        for group in each.groups
    ]
    where = f"{each.package} {each.oldest} to {each.newest}" if each.oldest else each.package or "chordkit's own engine"
    heads = ["layer", "width", "channels", "stored in", "bytes", f"from {each.package}" if each.oldest else ""]
    layers = rows(f"{each.artifact}: {each.bytes:,} bytes, on {where}", heads, body)
    facts = [["computes with", f"{each.activations} activations" + (f": {each.computing}" if each.computing else "")]]
    facts += [[str(kind), f"{size:,} bytes"] for kind, size in each.kinds.items()]
    facts += [[f"{other.package} {other.oldest} to {other.newest}", _verdict(other)] for other in each.elsewhere]
    return [layers, rows("of the whole file", ["", ""], facts)]


def _verdict(other: "Elsewhere") -> str:
    if other.verdict == "right":
        return "right as well"
    mend = f"; make a file for it with --runtime {other.runtimes[-1]}" if other.runtimes else ""
    return f"{other.verdict} ({other.reason}){mend}"


def _width(width: int) -> str:
    return "off" if width == 0 else "float32" if width == 32 else f"int{width}"
