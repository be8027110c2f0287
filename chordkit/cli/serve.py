"""``chordkit serve``: the service that hands out strategies and samples, and the tokens of those who may ask it."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.groups import DefaultGroup
from chordkit.cli.output import JsonOption, emit, key_values, writable_file
from chordkit.errors import InputError

app = typer.Typer(cls=DefaultGroup, no_args_is_help=True, help="Answer phones: strategies, and samples of others, for their profiles.")

_MODELS = "A folder with master.chrm, hypernetwork.safetensors and, for samples, pool.safetensors; or a folder of such folders."


@app.command(
    name="run",
    epilog="Example: `chordkit serve run models --key key.pem --tokens tokens.txt --workers 2`; without `run` it is the same",
)
def run_(
    models: Annotated[Path, typer.Argument(help=_MODELS)],
    key: Annotated[Path | None, typer.Option("--key", help="Private Ed25519 key (PEM) to sign envelopes with.")] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Hand out strategies without an envelope, which anyone on the way can forge.")
    ] = False,
    tokens: Annotated[
        Path | None, typer.Option(help="The apps that may ask, as `serve token` writes them; without, whoever is on this machine.")
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FOLDER",
            help="Add phones' reports to this registry of releases, and hint at the current one: its URL, or its channel.",
        ),
    ] = None,
    items: Annotated[bool, typer.Option("--items", help="Take items in place of a profile.")] = False,
    device: Annotated[
        list[str] | None, typer.Option(metavar="NAME=BITS", help="A class of devices and its average bits; may be repeated.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")] = 8350,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; one a core.")] = 1,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate chain (PEM), where no proxy ends TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may wait; more are refused.")] = 256,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Requests that are computed together at most.")] = 128,
    linger_ms: Annotated[float, typer.Option(min=0, max=1000, help="How long the first of a batch waits for others.")] = 1.0,
    deadline_ms: Annotated[int, typer.Option(min=1, max=600_000, help="Within which a request is answered or refused.")] = 1000,
    refresh_s: Annotated[float, typer.Option(min=0.05, max=86_400, help="Between two looks at models and tokens.")] = 5.0,
    drain_s: Annotated[
        float, typer.Option(min=0, max=600, help="After SIGTERM: how long /readyz says no before connections are taken no more.")
    ] = 0.0,
    access_log: Annotated[bool, typer.Option(help="A line of JSON on stdout for every request.")] = True,
    tracing: Annotated[
        bool, typer.Option("--tracing", help="A span of OpenTelemetry for every request; its own variables say where they go.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Answer requests until SIGTERM or Ctrl-C, which lets those that came before have their answers.

    What stands in the folder of models is looked at again while it runs.
    """
    from chordkit.service import Settings, require_packages

    require_packages()
    from chordkit.service import settings as defaults
    from chordkit.service.server import Place, run

    settings = Settings(
        models=models,
        key=key,
        bare=bare,
        tokens=tokens,
        channel=channel,
        items=items,
        devices=defaults.DEVICES if device is None else tuple(map(_device, device)),
        queue=queue,
        batch=batch,
        linger_ms=linger_ms,
        deadline_ms=deadline_ms,
        refresh_s=refresh_s,
        drain_s=drain_s,
        access_log=access_log,
        tracing=tracing,
    )
    place = Place(host, port, workers, tls_certificate, tls_key)
    run(settings, place)
    told = {"served": str(models), "host": host, "port": port}
    if as_json:
        emit(as_json, told, lambda: key_values("service", told))


def _device(text: str) -> tuple[str, float]:
    name, _, bits = text.partition("=")
    try:
        return name, float(bits)
    except ValueError:
        raise InputError(f"--device {text}: give NAME=BITS, such as small=2.5") from None


@app.command(epilog="Example: `chordkit serve token shop-android --tokens tokens.txt`")
def token(
    name: Annotated[str, typer.Argument(help="The app that will carry it.")],
    tokens: Annotated[
        Path | None, typer.Option(callback=writable_file, help="Let it in: the file that gets its line; it may be served already.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for an app. It is shown once; the service's file holds its digest alone."""
    from chordkit.files import read_bytes, write_bytes
    from chordkit.service.tokens import MOST_BYTES, Tokens, make_token

    made, line = make_token(name)
    if tokens is not None:
        before = b""
        if tokens.exists():
            Tokens(tokens)
            before = read_bytes(tokens, "tokens", MOST_BYTES)
        write_bytes(tokens, before + (b"" if not before or before.endswith(b"\n") else b"\n") + line.encode() + b"\n")
    told = {"app": name, "token": made, "line": line}
    emit(as_json, told, lambda: key_values("token", told))
