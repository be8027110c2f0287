"""Entry point of ``chordkit``: gathers the commands and turns errors into exit statuses.

0 = done, 1 = a check failed, 2 = the input is wrong (one sentence on stderr, never a traceback), 130 = interrupted.
"""

import contextvars
import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO

import typer

from chordkit import __version__
from chordkit.cli import (
    accuracy,
    bench,
    bench_import,
    bundle,
    catalogue,
    config,
    data,
    demo,
    devices,
    envelope,
    evaluate,
    export,
    flow,
    import_,
    match,
    patch,
    personal,
    recommend,
    release,
    report,
    serve,
    strategy,
    train,
    trainer,
    validate,
)
from chordkit.cli.command import Command
from chordkit.cli.output import be_quiet, be_verbose, clean, is_verbose
from chordkit.cli.project import NAME, default_map
from chordkit.errors import CheckFailed, ChordkitError, InputError, MasterWarning, RuntimeVersionWarning
from chordkit.processes import follows, several, told_by

app = typer.Typer(
    name="chordkit",
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Personal mixed-precision recommenders, from the cloud to the phone (CHORD, arXiv 2510.03038).",
    epilog="Start with `chordkit demo`: the whole way on a synthetic data set, in minutes.",
)
app.add_typer(data.app, name="data")
app.add_typer(train.app, name="train")
strategy.app.command(name="seal", epilog=envelope.SEAL_EXAMPLE)(envelope.seal)
strategy.app.command(name="open", epilog=envelope.OPEN_EXAMPLE)(envelope.open_)
strategy.app.command(name="pack", epilog=personal.PACK_EXAMPLE)(personal.pack)
strategy.app.command(name="unpack", epilog=personal.UNPACK_EXAMPLE)(personal.unpack)
app.add_typer(strategy.app, name="strategy")
evaluate.app.command(name="accuracy", epilog=accuracy.EXAMPLE)(accuracy.accuracy)
evaluate.app.command(name="flow", epilog=flow.EXAMPLE)(flow.flow)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(match.app, name="match")
app.add_typer(trainer.app, name="trainer")
app.command(name="export")(export.export)
app.command(name="import", epilog=import_.EXAMPLE)(import_.import_)
app.command(name="patch", epilog=patch.EXAMPLE)(patch.patch)
app.add_typer(bundle.app, name="bundle")
app.command(name="recommend", epilog=recommend.EXAMPLE)(recommend.recommend)
app.command(name="validate")(validate.validate)
bench.app.command(name="import")(bench_import.import_)
app.add_typer(bench.app, name="bench")
app.add_typer(devices.app, name="devices")
app.add_typer(config.app, name="config")
app.add_typer(serve.app, name="serve")
app.add_typer(release.app, name="release")
app.command(name="report", epilog=report.EXAMPLE)(report.report)
app.command(name="demo")(demo.demo)
for _group in (app, *(each.typer_instance for each in app.registered_groups)):
    for _command in _group.registered_commands if _group is not None else ():
        _command.cls = Command


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chordkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Say nothing of the progress, and make no remarks beside the result."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say how long each phase took, and with an error where it happened."),
    configuration: Annotated[
        Path | None, typer.Option("--config", help=f"Take options from this file instead of {NAME} in this folder.")
    ] = None,
) -> None:
    if quiet and verbose:
        raise InputError("--quiet and --verbose: give one of them")
    if quiet or follows():
        be_quiet()
    if verbose and not follows():
        be_verbose()
    file = configuration or Path(NAME)
    if configuration is not None or file.is_file():
        context.default_map = default_map(file, context.command)
        context.obj = str(file)


_MENDS = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "raise the limit of file sizes and run the same command again",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EPERM: "check its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.ENOENT: "check the path",
    errno.EEXIST: "choose another name",
    errno.ENOTDIR: "a part of this path is a file; choose another place",
    errno.EISDIR: "give the name of a file",
    errno.ENAMETOOLONG: "choose a shorter name",
}


_INTERRUPTED = 130


def _sentence(error: OSError) -> str:
    """What the operating system refused, and the mend."""
    name = "" if error.filename is None else f"{error.filename}: "
    return f"{name}{error.strerror}; {_MENDS.get(error.errno or 0, 'check the path and the disk')}"


def _say(message: str) -> None:
    """One line on stderr, whatever a file's content put into the message."""
    print(f"chordkit: {clean(' '.join(message.split()))}", file=sys.stderr)


def _say_once(message: str) -> None:
    """What ends a command; of several processes that train together one says it: the others end of the same, or because that one did."""
    if several():
        from chordkit.training.parallel import speaks

        if not speaks():
            return
    _say(told_by() + message)


def _say_where() -> None:
    """Where the error that is being handled was raised, for whoever asked to know."""
    if is_verbose():
        print("\n".join(map(clean, traceback.format_exc().splitlines())), file=sys.stderr)


_show_foreign_warning = warnings.showwarning


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """Chordkit's own warnings as one line; those of other packages as Python shows them."""
    if issubclass(category, (MasterWarning, RuntimeVersionWarning)):
        if not follows():
            _say(f"warning: {message}")
    else:
        _show_foreign_warning(message, category, filename, lineno, file, line)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        # Quiet is one command's wish: whoever runs several in one process is not silenced by the first.
        return contextvars.copy_context().run(_until_told, arguments)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """Of those who end what they started (schedulers, `timeout`, `docker stop`): as if a person had pressed Ctrl-C."""
    raise KeyboardInterrupt


def _hint(error: Any) -> str:
    """Behind a usage error of the command-line library, which knows which command it was parsing: where to look."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    root, option = context.find_root(), getattr(error, "option_name", None)
    if context is not root and any(option in parameter.opts for parameter in root.command.params):
        before, after = root.command_path, context.command_path.removeprefix(root.command_path)
        return f" ({option} stands before the command: '{before} {option}{after}')"
    parameter = getattr(error, "param", None)
    source = None if parameter is None else context.get_parameter_source(parameter.name)
    if source is not None and source.name == "DEFAULT_MAP":
        return f" (from {root.obj})"
    return f" (see '{context.command_path} --help')"


def _until_told(arguments: Sequence[str] | None) -> int:
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        # Also one that comes while something else is being told: whoever starts several processes ends the others of one that is lost.
        _say_once("interrupted; what was finished is kept, run the same command to go on")
        return _INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = app(args=list(arguments) if arguments is not None else None, prog_name="chordkit", standalone_mode=False)
    except ChordkitError as error:
        _say_where()
        _say_once(str(error))
        return 1 if isinstance(error, CheckFailed) else 2
    except SystemExit as leaving:
        # How the command-line library answers a reader (head, less) that has had enough; that is no error of ours.
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        return 0
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except MemoryError as error:
        _say_once(f"the machine's memory does not hold what was asked for ({error}); ask for less, or use a larger machine")
        return 2
    except OSError as error:
        if error.errno is None:
            raise
        _say_where()
        _say_once(_sentence(error))
        return 2
    except Exception as error:
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        message = format_message()
        if message:
            _say_once(message + _hint(error))
        return int(getattr(error, "exit_code", 2))
    if status == _INTERRUPTED:
        raise KeyboardInterrupt
    return status if isinstance(status, int) else 0


def _make_streams_able() -> None:
    """Ids and names have characters that not every terminal has; and whoever starts a program may have closed its streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Console script."""
    if not follows():
        # One that follows has nothing to keep, and may be waiting for the others where Python's own handlers do not run.
        signal.signal(signal.SIGTERM, _as_interrupt)
    _make_streams_able()
    status = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be written would fail once more when Python ends, with a status of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
