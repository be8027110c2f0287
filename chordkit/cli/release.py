"""``chordkit release``: a channel of releases, from its first key to the kill switch (docs/release.md)."""

import getpass
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chordkit.cli.options import BundleArgument, RevokedOption, read_revoked
from chordkit.cli.output import JsonOption, emit, key_values, note, rows, writable_folder
from chordkit.errors import InputError

if TYPE_CHECKING:
    from chordkit.release.channel import Channel

app = typer.Typer(no_args_is_help=True, help="Put out bundles in stages that phones can trust, take them back, and kill what must not run.")

ChannelOption = Annotated[
    Path, typer.Option("--channel", "-c", metavar="FOLDER", help="The channel's folder, as `release init` made it.", file_okay=False)
]
NumberArgument = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Of the release.")]
PercentOption = Annotated[float, typer.Option("--percent", min=0, max=100, help="Part of the cohort, in steps of 0.01.")]
RootKeysOption = Annotated[
    list[Path] | None,
    typer.Option("--root-keys", metavar="FOLDER", help="Where root keys are now, when not in their usual place; may be repeated."),
]
FingerprintOption = Annotated[str, typer.Option("--fingerprint", help="Of the backbone: 16 hexadecimal digits.")]
KeyOption = Annotated[str | None, typer.Option("--key", help="Identifier of the key that signed; without, whichever.")]
FromOption = Annotated[int, typer.Option("--from", min=1, help="The lowest serial.")]
ToOption = Annotated[int, typer.Option("--to", min=1, help="The highest serial.")]

_SHARE = re.compile(r"(root|targets|snapshot|timestamp)=([0-9]{1,2})/([0-9]{1,2})")
_LIFETIME = re.compile(r"(root|targets|snapshot|timestamp)=([0-9]+(?:\.[0-9]+)?)")


def _open(folder: Path) -> "Channel":
    from chordkit.release import require_packages

    require_packages()
    from chordkit.release.channel import Channel

    return Channel.open(folder, who=getpass.getuser())


def _basis_points(percent: float) -> int:
    points = round(percent * 100)
    if abs(points - percent * 100) > 1e-6:
        raise InputError(f"--percent {percent:g}: a stage has steps of 0.01; round it")
    return points


@app.command(epilog="Example: `chordkit release init shop --name shop --share root=2/3 --root-keys /media/stick/root`")
def init(
    folder: Annotated[
        Path,
        typer.Argument(help="The channel's folder: settings, keys, registry, and `mirror`, which is served.", callback=writable_folder),
    ],
    name: Annotated[str, typer.Option("--name", help="Files are called <name>-<number>.chord.")] = "bundle",
    mirror: Annotated[
        Path | None,
        typer.Option("--mirror", help="Where the files that are served go, when not into FOLDER/mirror.", callback=writable_folder),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Where the keys of targets, snapshot and timestamp go.", callback=writable_folder)
    ] = None,
    root_keys: Annotated[
        Path | None,
        typer.Option("--root-keys", help="Where the root keys go; take them off this machine afterwards.", callback=writable_folder),
    ] = None,
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="URL", help="postgresql://...; without, an SQLite file in FOLDER.")
    ] = None,
    share: Annotated[
        list[str] | None, typer.Option("--share", metavar="ROLE=NEEDED/KEYS", help="How many of how many keys have to sign; 1/1.")
    ] = None,
    lifetime: Annotated[
        list[str] | None,
        typer.Option("--lifetime", metavar="ROLE=DAYS", help="Until metadata ends; root 365, targets 90, snapshot 7, timestamp 1."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a channel: keys, a registry, and metadata with nothing in it. Ship its first root with the app."""
    from chordkit.release import require_packages

    require_packages()
    from chordkit.release.channel import Channel
    from chordkit.release.home import Lifetimes

    shares: dict[str, tuple[int, int]] = {}
    for text in share or []:
        if (parts := _SHARE.fullmatch(text)) is None:
            raise InputError(f"--share {text}: give ROLE=NEEDED/KEYS, such as root=2/3")
        shares[parts[1]] = int(parts[2]), int(parts[3])
    days: dict[str, float] = {}
    for text in lifetime or []:
        if (parts := _LIFETIME.fullmatch(text)) is None or not 0.001 <= float(parts[2]) <= 3650:
            raise InputError(f"--lifetime {text}: give ROLE=DAYS with days in 0.001..3650, such as timestamp=2")
        days[parts[1]] = float(parts[2])
    channel = Channel.init(
        folder, name, mirror=mirror, keys=keys, root_keys=root_keys, registry=registry,
        lifetimes=Lifetimes(**days), shares=shares, who=getpass.getuser(),
    )  # fmt: skip
    home = channel.home
    told = {
        "channel": str(folder),
        "mirror": str(home.mirror),
        "ship with the app": str(home.mirror / "metadata" / "1.root.json"),
        "keys": str(home.keys),
        "root keys": str(home.root_keys),
        "registry": channel.registry.name,
    }
    emit(as_json, {key.replace(" ", "_"): value for key, value in told.items()}, lambda: key_values("channel", told))
    note(f"{home.root_keys}: the root keys sign new roots alone; keep them where this machine cannot read them")


@app.command(
    epilog="Example: `chordkit release publish shop-12.chord --channel shop --public-key key.pub.pem --percent 5 --abi arm64-v8a "
    "--difference-from 11`"
)
def publish(
    bundle: BundleArgument,
    channel: ChannelOption,
    public_key: Annotated[
        list[Path],
        typer.Option("--public-key", metavar="FILE", help="Whose signature the bundle must have (PEM); repeated: of one of them."),
    ],
    revoked: RevokedOption = None,
    percent: PercentOption = 100.0,
    app_from: Annotated[str | None, typer.Option("--app-from", help="The lowest version of the app.")] = None,
    app_below: Annotated[str | None, typer.Option("--app-below", help="The lowest version of the app that is too new.")] = None,
    abi: Annotated[list[str] | None, typer.Option("--abi", metavar="NAME", help="Only phones of this ABI; may be repeated.")] = None,
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", metavar="NAME", help="Only apps with this runtime; may be repeated.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option("--device", metavar="NAME", help="Only this class of devices; may be repeated.")
    ] = None,
    difference_from: Annotated[
        list[int] | None,
        typer.Option("--difference-from", metavar="NUMBER", help="Put out the difference from this release too; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a bundle to the last byte and put it out under the next number."""
    opened = _open(channel)
    from chordkit.release.channel import Candidate
    from chordkit.release.words import Cohort

    cohort = Cohort(app_from, app_below, tuple(abi or ()), tuple(runtime or ()), tuple(device or ()))
    candidate = Candidate(bundle, public_key, read_revoked(revoked))
    release = opened.publish(candidate, cohort=cohort, basis_points=_basis_points(percent), differences_from=difference_from or [])
    _tell(as_json, {**release.to_json(), "name": release.name, "length": release.length}, f"release {release.number}")


@app.command(epilog="Example: `chordkit release promote 12 --channel shop --percent 50`")
def promote(number: NumberArgument, channel: ChannelOption, percent: PercentOption, as_json: JsonOption = False) -> None:
    """Let a larger part of the cohort have a release."""
    _open(channel).promote(number, _basis_points(percent))
    _tell(as_json, {"release": number, "percent": percent}, "promoted")


@app.command(epilog="Example: `chordkit release pause 12 --channel shop`")
def pause(number: NumberArgument, channel: ChannelOption, as_json: JsonOption = False) -> None:
    """Let no further phone have a release; those that have it keep it."""
    _open(channel).pause(number)
    _tell(as_json, {"release": number, "state": "paused"}, "paused")


@app.command(epilog="Example: `chordkit release resume 12 --channel shop`")
def resume(number: NumberArgument, channel: ChannelOption, as_json: JsonOption = False) -> None:
    """Go on with a release that was paused, or that stopped by itself."""
    _open(channel).resume(number)
    _tell(as_json, {"release": number, "state": "resumed"}, "resumed")


@app.command(epilog="Example: `chordkit release rollback 12 --channel shop --to 11`")
def rollback(
    channel: ChannelOption,
    number: Annotated[
        int | None, typer.Argument(metavar="[NUMBER]", min=1, help="What is taken back; without, the newest that stands.")
    ] = None,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="Whose bundle comes in its place; without, the last that went to all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a release back: its cohort gets an older bundle under a higher number."""
    release = _open(channel).rollback(number, to)
    _tell(as_json, {**release.to_json(), "name": release.name, "length": release.length}, f"release {release.number}")


@app.command(epilog="Example: `chordkit release kill --channel shop --fingerprint 46afccc803a06ae9 --from 1800 --to 1999`")
def kill(
    channel: ChannelOption,
    fingerprint: FingerprintOption,
    serial_from: FromOption,
    serial_to: ToOption,
    key: KeyOption = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let phones take this family again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a family of strategies and user vectors from all phones: those of a backbone with serials in a range."""
    opened = _open(channel)
    from chordkit.release.words import Killed

    family = Killed(fingerprint, key, serial_from, serial_to)
    if undo:
        opened.unkill(family)
    else:
        opened.kill(family)
    _tell(as_json, {"killed": not undo, **family.to_json()}, "given back" if undo else "killed")


@app.command(epilog="Example: `chordkit release refresh --channel shop`")
def refresh(
    channel: ChannelOption,
    root: Annotated[bool, typer.Option("--root", help="Also make a root like the one before that ends later; needs its keys.")] = False,
    root_keys: RootKeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign metadata that is about to end, and write what a crash kept from being written."""
    opened = _open(channel)
    version = opened.renew_root(root_keys or []) if root else None
    written = opened.refresh()
    _tell(as_json, {"written": list(written), "root": version}, "refreshed")


@app.command(epilog="Example: `chordkit release rotate targets --channel shop --root-keys /media/stick/root`")
def rotate(
    role: Annotated[str, typer.Argument(help="root, targets, snapshot or timestamp.")],
    channel: ChannelOption,
    needed: Annotated[int, typer.Option("--needed", min=1, help="New keys that have to sign.")] = 1,
    keys: Annotated[int, typer.Option("--count", min=1, help="New keys.")] = 1,
    root_keys: RootKeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a role new keys, after which the old ones count no more; root keys sign it."""
    version = _open(channel).rotate(role, needed, keys, root_keys or [])
    _tell(as_json, {"role": role, "root": version}, "rotated")


@app.command(epilog="Example: `chordkit release status --channel shop --json`")
def status(channel: ChannelOption, as_json: JsonOption = False) -> None:
    """Show whether phones take the mirror, until when, and what became of each release."""
    opened = _open(channel)
    from rich.console import Group

    from chordkit.release.status import status as status_of

    payload = status_of(opened, time.time)

    def view() -> Group:
        roles = [
            [role, each["version"], each["expires"] or "missing", f"{each['threshold']} of {each['keys']}"]
            for role, each in payload["roles"].items()
        ]
        releases = [
            [each["release"], each["state"], f"{each['stage']['basis_points'] / 100:g} %", each["counter"], each["fingerprint"],
             _cohort(each.get("cohort", {})), each.get("rollback_of", ""), each["passed"], each["failed"]]
            for each in payload["releases"]
        ]  # fmt: skip
        killed = [[each["fingerprint"], each.get("key", "any"), each["from"], each["to"]] for each in payload["killed"]]
        columns = ["release", "state", "stage", "counter", "backbone", "cohort", "takes back", "passed", "failed"]
        shown = [rows(f"{channel}: metadata", ["role", "version", "good until", "keys"], roles)]
        if releases:
            shown.append(rows("releases", columns, releases))
        if killed:
            shown.append(rows("killed", ["backbone", "key", "from", "to"], killed))
        return Group(*shown)

    emit(as_json, payload, view)
    for remark in payload["remarks"]:
        note(remark)


@app.command(epilog="Example: `chordkit release log --channel shop --last 20`")
def log(
    channel: ChannelOption,
    last: Annotated[int, typer.Option("--last", min=1, max=100_000, help="So many events.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List who did what, and when: the registry's audit log, the newest first."""
    opened = _open(channel)
    from chordkit.release.status import log as log_of

    payload = log_of(opened, last)
    shown = [[each["time"], each["who"], each["release"] or "", each["what"]] for each in payload["events"]]
    emit(as_json, payload, lambda: rows(f"{channel}: what was done", ["time", "who", "release", "what"], shown))


@app.command(epilog="Example: `chordkit release watch --channel shop --every 60`")
def watch(
    channel: ChannelOption,
    every: Annotated[float, typer.Option("--every", min=0.1, max=86_400, help="Seconds between two looks.")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end: for a scheduler.")] = False,
    threshold: Annotated[float, typer.Option("--threshold", help="Share of self-checks that may fail.")] = 0.005,
    as_json: JsonOption = False,
) -> None:
    """Sign metadata before it ends, and stop a release whose self-checks fail on phones. One of these runs for each channel."""
    opened = _open(channel)
    from chordkit.release.stop import Rule
    from chordkit.release.watch import watch as watch_over

    def tell(what: dict[str, Any]) -> None:
        emit(as_json, what, lambda: " ".join(f"{key}: {value}" for key, value in what.items()))

    watch_over(opened, Rule(threshold=threshold), tell, None if once else every)


def _cohort(cohort: dict[str, Any]) -> str:
    app_bounds = " ".join(f"{name} {bound}" for name, bound in cohort.get("app", {}).items())
    return ", ".join(filter(None, [app_bounds, *(" ".join(cohort.get(name, [])) for name in ("abi", "runtime", "device"))])) or "all"


def _tell(as_json: bool, payload: dict[str, Any], title: str) -> None:
    emit(as_json, payload, lambda: key_values(title, payload))
