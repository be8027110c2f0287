"""``chordkit report``: the page of whatever there is of a run."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from chordkit.cli.options import MinimumCounterOption, PublicKeysOption, RevokedOption, read_revoked
from chordkit.cli.output import JsonOption, emit, writable_file

EXAMPLE = "Example: `chordkit report shop.chord accuracy.json bench.json evaluation/evaluation.json --out report.html`"


def report(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Bundles; JSON that demo, evaluate, validate --stages and bench wrote; trained backbones and checkpoints of trainings. "
            "Each is known by its content, none is needed: what is not given has no section."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", callback=writable_file, help="Where the page goes; the default is beside the first source."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", callback=writable_file, help="Also write the tables here, as Markdown.")
    ] = None,
    document: Annotated[
        Path | None, typer.Option("--document", callback=writable_file, help="Also write what the page shows here, as JSON.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page; the default is after the first source.")] = None,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    as_json: JsonOption = False,
) -> None:
    """One self-contained HTML page of a bundle, of what was measured on it, and of how its models were trained."""
    from chordkit.report import gather_report, save_html, save_json, save_markdown

    page = out if out is not None else sources[0].with_suffix(".html")
    found = gather_report(sources, title, public_key=public_key or None, revoked=read_revoked(revoked), minimum=minimum_counter)
    save_html(found, page)
    if markdown is not None:
        save_markdown(found, markdown)
    if document is not None:
        save_json(found, document)
    emit(as_json, {"file": str(page), "bytes": page.stat().st_size}, lambda: Text(f"{found.title} -> {page}"))
