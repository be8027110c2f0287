"""The signed envelope of a strategy or of a user vector: who made it, for whom, the how-manieth, and until when (docs/formats.md).

A bare strategy can be made by anyone who knows the backbone's fingerprint. Bare ones are for tests, and for apps whose transport already
says who speaks; everything else travels in an envelope, at most 128 bytes more.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chordkit.errors import EnvelopeError
from chordkit.signing import SIGNATURE_BYTES, SigningKey, TrustedKeys, VerifyingKey, is_valid, key_id, load_private_key
from chordkit.strategy import user_vector, wire

MAGIC = b"CHRE"
VERSION = 1
LARGEST_SUBJECT = 24
LARGEST_NUMBER = 2**53 - 1
"""The largest serial and time: what JSON and a Java ``double`` still count exactly."""
MAX_BYTES = 1 << 20
_HEADER = struct.Struct("<4sBBHQQQ8s")
_KINDS = {wire.MAGIC: "strategy", user_vector.MAGIC: "user vector"}
_FINGERPRINT = slice(8, 16)
_LEAST_PAYLOAD = 16  # as far as the fingerprint; what follows is for the payload's own decoder
_REMAKE = "make it again with `chordkit strategy seal`"


@dataclass(frozen=True)
class Envelope:
    """An opened envelope: signed by an accepted key, and meant for here and now.

    Attributes:
        payload: a whole ``CHRD`` strategy or ``CHRU`` user vector, for :func:`chordkit.strategy.decode` or
            :func:`chordkit.strategy.decode_user_vector`, which check what is inside.
        kind: "strategy" or "user vector".
        serial: 1 .. 2^53 - 1; keep the highest adopted one, and give it as ``minimum_serial`` from then on.
        subject: whom it is for, 0 to 24 bytes that the app chose.
        not_before: seconds since 1970 UTC; 0 = always.
        expires: seconds since 1970 UTC, the first second in which it is no longer good; 0 = never.
        fingerprint: the 8 bytes of the backbone that the payload names.
        key: identifier of the key that signed it.
        latest_seen: the latest time that is known now, to be kept and given the next time; 0 = no clock was given.
    """

    payload: bytes
    kind: str
    serial: int
    subject: bytes
    not_before: int
    expires: int
    fingerprint: bytes
    key: str
    latest_seen: int


def envelope_bytes(payload: int, subject: int = 0) -> int:
    """Bytes of an envelope around ``payload`` bytes, with a subject of ``subject`` bytes: 104 more than both."""
    return _HEADER.size + subject + payload + SIGNATURE_BYTES


def seal(
    payload: bytes,
    *,
    serial: int,
    signing_key: SigningKey,
    subject: bytes = b"",
    not_before: int = 0,
    expires: int = 0,
) -> bytes:
    """Put a strategy or a user vector into a signed envelope, version 1. The same arguments give the same bytes.

    Args:
        payload: the wire bytes of a strategy (``to_wire``) or of a user vector (``encode_user_vector``).
        serial: counts up by at least 1 for everything that one subject gets.
        signing_key: an Ed25519 key or the PEM file that holds it.
        subject: an opaque identifier of whom it is for, chosen by the app; may be empty.
        not_before: seconds since 1970 UTC; 0 = always.
        expires: seconds since 1970 UTC, after ``not_before``; 0 = never.

    Raises:
        EnvelopeError: a value is outside its range, or the payload is neither a strategy nor a user vector.
        InputError: the key cannot be used.
    """
    key = load_private_key(signing_key)
    if not 0 <= len(subject) <= LARGEST_SUBJECT:
        raise EnvelopeError(f"envelope: subject: {len(subject)} bytes are more than {LARGEST_SUBJECT}; use a shorter identifier")
    if problem := _serial_problem(serial) or _times_problem(not_before, expires):
        raise EnvelopeError(f"envelope: {problem}")
    _payload_kind(payload)
    if envelope_bytes(len(payload), len(subject)) > MAX_BYTES:
        raise EnvelopeError(f"envelope: payload: {len(payload)} bytes are more than an envelope holds ({MAX_BYTES} in all)")
    identifier = bytes.fromhex(key_id(key.public_key()))
    body = _HEADER.pack(MAGIC, VERSION, len(subject), 0, serial, not_before, expires, identifier) + subject + payload
    return body + key.sign(body)


def open_envelope(
    data: bytes | bytearray | memoryview,
    keys: VerifyingKey | Sequence[VerifyingKey] | TrustedKeys,
    *,
    fingerprint: bytes | None,
    subject: bytes | None = None,
    minimum_serial: int = 1,
    now: int | None = None,
    latest_seen: int = 0,
    revoked: Iterable[str] = (),
) -> Envelope:
    """Open an envelope, or refuse it with one sentence.

    The checks run in this order, as in the C verifier: structure, key identifier, signature; and only of what is signed: serial, times,
    subject, payload. The payload itself is for its decoder.

    A clock that goes backwards does not bring an expired envelope back as long as the caller keeps ``Envelope.latest_seen`` and gives it
    the next time: the later of the two counts as now.

    Args:
        data: the envelope, no more and no less.
        keys: whose signatures are accepted; several while one key takes another's place.
        fingerprint: of the master weights in use; None = do not compare (to look at an envelope, not to use it).
        subject: whom it must be for; None = do not compare.
        minimum_serial: the lowest serial that is accepted: that of the newest one adopted before.
        now: seconds since 1970 UTC. None = there is no clock, and an envelope that has times is refused.
        latest_seen: the latest time known from before, in seconds; 0 = none.
        revoked: identifiers of keys that are accepted no more.

    Raises:
        EnvelopeError: the envelope is refused.
        InputError: a key cannot be used.
    """
    trusted = TrustedKeys.of(keys, revoked)
    data = bytes(data)
    size, serial, not_before, expires, identifier = _structure(data)
    key = trusted.find(identifier)
    if key is None:
        why = "is revoked" if identifier in trusted.revoked else "is none of those accepted"
        raise EnvelopeError(f"envelope: key: {identifier}, with which it was signed, {why}; fetch one signed with a current key")
    if not is_valid(key, data[-SIGNATURE_BYTES:], data[:-SIGNATURE_BYTES]):
        raise EnvelopeError("envelope: signature: it does not fit: the envelope was altered; fetch it again from its maker")
    if problem := _serial_problem(serial):
        raise EnvelopeError(f"envelope: {problem}; {_REMAKE}")
    if serial < minimum_serial:
        raise EnvelopeError(f"envelope: serial: {serial} is older than {minimum_serial}, the lowest accepted; fetch the current one")
    if problem := _times_problem(not_before, expires):
        raise EnvelopeError(f"envelope: {problem}; {_REMAKE}")
    latest_seen = _check_times(not_before, expires, now, latest_seen)
    theirs, payload = data[_HEADER.size : _HEADER.size + size], data[_HEADER.size + size : -SIGNATURE_BYTES]
    if subject is not None and theirs != subject:
        raise EnvelopeError(f"envelope: subject: it is for {theirs.hex() or 'nobody'}, not for {subject.hex() or 'nobody'}")
    kind, backbone = _payload_kind(payload), payload[_FINGERPRINT]
    if fingerprint is not None and backbone != fingerprint:
        raise EnvelopeError(
            f"envelope: fingerprint: its {kind} is for backbone {backbone.hex()}, not {bytes(fingerprint).hex()}; "
            "fetch one for this backbone"
        )
    return Envelope(payload, kind, serial, theirs, not_before, expires, backbone, identifier, latest_seen)


def _structure(data: bytes) -> tuple[int, int, int, int, str]:
    """Size of the subject, serial, not before, expires, key identifier: read before the signature, believed after it."""
    if len(data) > MAX_BYTES:
        raise EnvelopeError(f"envelope: length: {len(data)} bytes are more than any envelope has ({MAX_BYTES})")
    if len(data) < envelope_bytes(_LEAST_PAYLOAD):
        raise EnvelopeError(f"envelope: length: {len(data)} bytes cannot hold an envelope; it is truncated, fetch it again")
    magic, version, size, reserved, serial, not_before, expires, identifier = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise EnvelopeError("envelope: magic: the data does not begin with CHRE; it is not a signed envelope")
    if version != VERSION:
        raise EnvelopeError(f"envelope: version: {version} is not {VERSION}; update chordkit or {_REMAKE}")
    if size > LARGEST_SUBJECT:
        raise EnvelopeError(f"envelope: subject: {size} bytes are more than {LARGEST_SUBJECT}; fetch it again")
    if reserved != 0:
        raise EnvelopeError(f"envelope: reserved: bytes 6 and 7 are not zero, as version {VERSION} wants them; update chordkit")
    if len(data) < envelope_bytes(_LEAST_PAYLOAD, size):
        raise EnvelopeError(f"envelope: length: {len(data)} bytes cannot hold its subject and a payload; it is truncated, fetch it again")
    return size, serial, not_before, expires, identifier.hex()


def _serial_problem(serial: int) -> str | None:
    return None if 1 <= serial <= LARGEST_NUMBER else f"serial: {serial} is outside 1 .. 2^53 - 1"


def _times_problem(not_before: int, expires: int) -> str | None:
    if not (0 <= not_before <= LARGEST_NUMBER and 0 <= expires <= LARGEST_NUMBER):
        return f"times: {not_before} and {expires} are not both in 0 .. 2^53 - 1, seconds since 1970"
    if expires and expires <= not_before:
        return f"times: it expires at {expires}, which is not after its beginning at {not_before}"
    return None


def _check_times(not_before: int, expires: int, now: int | None, latest_seen: int) -> int:
    """The latest time known, in which the envelope is good."""
    if now is None:
        if not_before or expires:
            raise EnvelopeError("envelope: times: it is good for a time only, and no clock was given to compare with; give `now`")
        return latest_seen
    latest = max(now, latest_seen)
    if latest < not_before:
        raise EnvelopeError(
            f"envelope: times: it is good from {not_before} on and it is {latest} (seconds since 1970); wait, or set the clock"
        )
    if expires and latest >= expires:
        raise EnvelopeError(f"envelope: times: it expired at {expires} and it is {latest} (seconds since 1970); fetch the current one")
    return latest


def _payload_kind(payload: bytes) -> str:
    kind = _KINDS.get(payload[:4])
    if kind is None or len(payload) < _LEAST_PAYLOAD:
        raise EnvelopeError("envelope: payload: it is neither a strategy (CHRD) nor a user vector (CHRU); seal one of these")
    return kind
