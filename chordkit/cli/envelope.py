"""``chordkit strategy seal`` and ``open``: signed envelopes around strategies and user vectors."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chordkit.cli.output import JsonOption, emit, key_values, writable_file
from chordkit.errors import EnvelopeError, InputError, StrategyError, UserVectorError

if TYPE_CHECKING:
    from chordkit.quantization import MasterWeights

SEAL_EXAMPLE = "Example: `chordkit strategy seal 42.chrd --key key.pem --serial 7 --subject user-42 --expires 2027-01-31 --out 42.chre`"
OPEN_EXAMPLE = (
    "Example: `chordkit strategy open 42.chre --public-key key.pub.pem --minimum-serial 7 --subject user-42 --master master.chrm "
    "--out 42.chrd`"
)
SubjectOption = Annotated[
    str | None, typer.Option("--subject", help="Whom it is for: a text, or hex:0A1B for any bytes; 24 bytes at most.")
]


def seal(
    strategy: Annotated[Path, typer.Argument(help="A strategy (.chrd) or a user vector (.chru).")],
    key: Annotated[Path, typer.Option("--key", help="Private Ed25519 key (PEM) to sign with; see `chordkit bundle key`.")],
    serial: Annotated[int, typer.Option(help="Counts up with everything that one subject gets; a phone refuses a lower one.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the envelope goes (.chre).")],
    subject: SubjectOption = None,
    not_before: Annotated[
        str | None, typer.Option(help="Good from then on: 2027-01-31, 2027-01-31T12:00 (UTC) or seconds since 1970.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Good until then, likewise; the default is for ever.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a strategy for a phone that trusts nobody else's."""
    from chordkit.files import read_bytes, write_bytes
    from chordkit.signing import key_id, load_private_key
    from chordkit.strategy import seal as seal_payload

    private = load_private_key(key)
    payload = read_bytes(strategy, "strategy")
    try:
        sealed = seal_payload(
            payload,
            serial=serial,
            signing_key=private,
            subject=_subject(subject) or b"",
            not_before=_seconds(not_before, "--not-before"),
            expires=_seconds(expires, "--expires"),
        )
    except EnvelopeError as error:
        raise EnvelopeError(f"{strategy}: {error}") from None
    write_bytes(out, sealed)
    told = {"file": str(out), "bytes": len(sealed), "overhead_bytes": len(sealed) - len(payload), "serial": serial}
    told |= {"key": key_id(private.public_key())}
    emit(as_json, told, lambda: key_values("envelope", told))


def open_(
    envelope: Annotated[Path, typer.Argument(help="A signed envelope (.chre).")],
    public_key: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Public Ed25519 key (PEM) whose signature is accepted; may be repeated.")
    ],
    revoked: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Identifier of a key that is accepted no more; may be repeated.")
    ] = None,
    minimum_serial: Annotated[int, typer.Option(min=1, help="The lowest serial that is accepted.")] = 1,
    subject: SubjectOption = None,
    now: Annotated[str | None, typer.Option(help="The time to compare with, as for `seal`; the default is this machine's clock.")] = None,
    master: Annotated[
        Path | None, typer.Option("--master", "-m", help="Check what is inside against these master weights (.chrm).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", callback=writable_file, help="Where what is inside goes.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a signed envelope as a phone does, and take out what is inside."""
    from chordkit.files import read_bytes, write_bytes
    from chordkit.quantization import MasterWeights
    from chordkit.strategy import open_envelope

    weights = None if master is None else MasterWeights.load(master)
    data = read_bytes(envelope, "envelope")
    try:
        opened = open_envelope(
            data,
            public_key,
            fingerprint=None if weights is None else weights.fingerprint,
            subject=_subject(subject),
            minimum_serial=minimum_serial,
            now=int(time.time()) if now is None else _seconds(now, "--now"),
            revoked=revoked or (),
        )
        if weights is not None:
            _check_payload(opened.kind, opened.payload, weights)
    except (StrategyError, UserVectorError) as error:
        raise type(error)(f"{envelope}: {error}") from None
    if out is not None:
        write_bytes(out, opened.payload)
    told = {
        "file": str(envelope),
        "kind": opened.kind,
        "payload_bytes": len(opened.payload),
        "serial": opened.serial,
        "subject": opened.subject.hex(),
        "not_before": opened.not_before,
        "expires": opened.expires,
        "backbone": opened.fingerprint.hex(),
        "backbone_checked": weights is not None,
        "key": opened.key,
    }
    shown = told | {name: _date(value) for name, value in (("not_before", opened.not_before), ("expires", opened.expires))}
    emit(as_json, told, lambda: key_values("envelope", shown))


def _check_payload(kind: str, payload: bytes, weights: "MasterWeights") -> None:
    from chordkit.strategy import decode, decode_user_vector

    if kind == "strategy":
        decode(payload, fingerprint=weights.fingerprint, channels=weights.channel_table.channels)
    else:
        decode_user_vector(payload, fingerprint=weights.fingerprint, dim=weights.dim)


def _subject(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not text.startswith("hex:"):
        return text.encode()
    try:
        return bytes.fromhex(text[4:])
    except ValueError:
        raise InputError(f"--subject {text}: after hex: come pairs of hexadecimal digits, such as hex:0A1B") from None


def _seconds(text: str | None, option: str) -> int:
    """Seconds since 1970 UTC; 0 for None."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text}: not a time such as 2027-01-31, 2027-01-31T12:00 or seconds since 1970") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _date(seconds: int) -> str:
    try:
        return "-" if seconds == 0 else datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # later than the year 9999
        return str(seconds)
