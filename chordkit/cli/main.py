"""Entry point of ``chordkit``: gathers the commands and turns errors into exit statuses.

0 = done, 1 = a check failed, 2 = the input is wrong (one sentence on stderr, never a traceback).
"""

import sys
from collections.abc import Sequence

import typer

from chordkit import __version__
from chordkit.cli import bench, bundle, data, demo, export, strategy, train, validate
from chordkit.errors import CheckFailed, ChordkitError

app = typer.Typer(
    name="chordkit",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Personal mixed-precision recommenders, from the cloud to the phone (CHORD, arXiv 2510.03038).",
    epilog="Start with `chordkit demo`: the whole way on a synthetic data set, in minutes.",
)
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
app.add_typer(strategy.app, name="strategy")
app.command(name="export")(export.export)
app.add_typer(bundle.app, name="bundle")
app.command(name="validate")(validate.validate)
app.command(name="bench")(bench.bench)
app.command(name="devices")(bench.devices)
app.command(name="report")(demo.report)
app.command(name="demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chordkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
) -> None: ...


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        status = app(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except CheckFailed as error:
        print(f"chordkit: {error}", file=sys.stderr)
        return 1
    except ChordkitError as error:
        print(f"chordkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("chordkit: interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has had enough; that is no error of ours.
        sys.stderr.close()
        return 0
    except Exception as error:
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        # A usage error of the command-line library; it knows which command it was parsing.
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context is not None else ""
        message = " ".join(format_message().split())
        if message:
            print(f"chordkit: {message}{hint}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    return status if isinstance(status, int) else 0


def main() -> None:
    """Console script."""
    sys.exit(run())
