"""The signed envelope: round trips, and everything that must be refused."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chordkit.errors import EnvelopeError, InputError
from chordkit.signing import TrustedKeys, generate_key_pair, key_id
from chordkit.strategy import Strategy, UserVector, encode, encode_user_vector, envelope_bytes, open_envelope, seal

FINGERPRINT = b"\x01\x23\x45\x67\x89\xab\xcd\xef"
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in (1, 2))
PUBLIC = KEY.public_key()
STRATEGY = encode(Strategy(np.full(9, 4, np.uint8), FINGERPRINT))
VECTOR = encode_user_vector(UserVector(np.arange(5, dtype=np.int8), 0.5, FINGERPRINT))
NUMBER = st.integers(0, 2**53 - 1)


def _sealed(**values: object) -> bytes:
    return seal(STRATEGY, **{"serial": 7, "signing_key": KEY, "subject": b"user"} | values)


@given(st.sampled_from([STRATEGY, VECTOR]), st.integers(1, 2**53 - 1), st.binary(max_size=24), NUMBER, NUMBER)
def test_an_envelope_comes_back_as_it_went(payload: bytes, serial: int, subject: bytes, not_before: int, expires: int) -> None:
    values = {"serial": serial, "subject": subject, "not_before": not_before, "expires": expires}
    if expires and expires <= not_before:
        with pytest.raises(EnvelopeError, match="times"):
            seal(payload, signing_key=KEY, **values)
        return
    data = seal(payload, signing_key=KEY, **values)
    assert len(data) == envelope_bytes(len(payload), len(subject)) == len(payload) + 104 + len(subject) <= len(payload) + 128
    opened = open_envelope(data, PUBLIC, fingerprint=FINGERPRINT, subject=subject, minimum_serial=serial, now=not_before)
    assert opened.payload == payload and opened.key == key_id(PUBLIC) and opened.latest_seen == not_before
    assert {name: getattr(opened, name) for name in values} == values
    assert opened.kind == ("strategy" if payload is STRATEGY else "user vector")


def test_the_layout_is_that_of_the_contract() -> None:
    data = _sealed(serial=258, not_before=1, expires=2)
    assert data[:8] == b"CHRE\x01\x04\0\0" and data[8:16] == bytes([2, 1, 0, 0, 0, 0, 0, 0])
    assert data[16:32] == bytes([1, *[0] * 7, 2, *[0] * 7]) and data[32:40].hex() == key_id(PUBLIC)
    assert data[40:-64] == b"user" + STRATEGY
    PUBLIC.verify(data[-64:], data[:-64])


def test_every_single_bit_flip_and_every_truncation_is_refused() -> None:
    data = _sealed()
    # Nothing else is asked for, so that only what is signed can refuse it.
    terms = {"fingerprint": None, "subject": None, "now": 0}
    open_envelope(data, PUBLIC, **terms)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EnvelopeError):
            open_envelope(flipped, PUBLIC, **terms)
    for length in range(len(data)):
        with pytest.raises(EnvelopeError):
            open_envelope(data[:length], PUBLIC, **terms)


def test_random_mutations_are_refused() -> None:
    rng, good = random.Random(11), _sealed()
    for _ in range(5_000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            position, kind = rng.randrange(len(data) + 1), rng.randrange(3)
            if kind == 0:
                data[position : position + 1] = rng.randbytes(1)
            elif kind == 1:
                del data[position : position + rng.randint(1, 9)]
            else:
                data[position:position] = rng.randbytes(rng.randint(1, 9))
        if data != good:
            with pytest.raises(EnvelopeError):
                open_envelope(data, PUBLIC, fingerprint=None, now=0)


@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_that_are_signed_raise_nothing_but_envelope_errors(data: bytes, headed: bool) -> None:
    body = (b"CHRE\x01\x00\x00\x00" + data if headed else data)[:32] + bytes.fromhex(key_id(PUBLIC)) + data[32:]
    try:
        opened = open_envelope(body + KEY.sign(body), PUBLIC, fingerprint=None, now=10**9)
    except EnvelopeError:
        return
    assert opened.serial >= 1 and opened.payload[:4] in (b"CHRD", b"CHRU")


def test_nothing_of_an_envelope_is_judged_before_its_signature() -> None:
    expired = bytearray(_sealed(expires=5))
    with pytest.raises(EnvelopeError, match="times"):
        open_envelope(expired, PUBLIC, fingerprint=FINGERPRINT, now=5)
    expired[8] ^= 1
    with pytest.raises(EnvelopeError, match="signature"):
        open_envelope(expired, PUBLIC, fingerprint=b"another.", subject=b"else", minimum_serial=100, now=5)


def test_keys_take_each_others_place_and_are_revoked() -> None:
    old, new = _sealed(), _sealed(signing_key=OTHER)
    both = TrustedKeys.of([PUBLIC, OTHER.public_key()])
    for data in (old, new):
        open_envelope(data, both, fingerprint=FINGERPRINT)
    with pytest.raises(EnvelopeError, match="none of those accepted"):
        open_envelope(new, PUBLIC, fingerprint=FINGERPRINT)
    with pytest.raises(EnvelopeError, match="is revoked"):
        open_envelope(old, both, fingerprint=FINGERPRINT, revoked=[key_id(PUBLIC)])


def test_a_clock_that_goes_backwards_brings_no_expired_envelope_back() -> None:
    data = _sealed(expires=1000)
    seen = open_envelope(data, PUBLIC, fingerprint=FINGERPRINT, now=999).latest_seen
    assert open_envelope(data, PUBLIC, fingerprint=FINGERPRINT, now=1, latest_seen=seen).latest_seen == 999
    with pytest.raises(EnvelopeError, match="expired at 1000 and it is 1001"):
        open_envelope(data, PUBLIC, fingerprint=FINGERPRINT, now=1, latest_seen=1001)


def test_times_without_a_clock_are_refused_and_not_skipped() -> None:
    for times in ({"expires": 1000}, {"not_before": 1}):
        with pytest.raises(EnvelopeError, match="no clock"):
            open_envelope(_sealed(**times), PUBLIC, fingerprint=FINGERPRINT)
    assert open_envelope(_sealed(), PUBLIC, fingerprint=FINGERPRINT).latest_seen == 0


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"serial": 0}, "serial"),
        ({"serial": 2**53}, "serial"),
        ({"subject": bytes(25)}, "subject"),
        ({"not_before": -1}, "times"),
        ({"expires": 2**53}, "times"),
        ({"not_before": 5, "expires": 5}, "times"),
    ],
    ids=str,
)
def test_what_would_be_refused_cannot_be_sealed(values: dict, check: str) -> None:
    with pytest.raises(EnvelopeError, match=f"^envelope: {check}: "):
        _sealed(**values)


@pytest.mark.parametrize("payload", [b"", b"CHRD", b"CHRM" + bytes(40), STRATEGY[:15]])
def test_only_a_strategy_or_a_user_vector_can_be_sealed(payload: bytes) -> None:
    with pytest.raises(EnvelopeError, match="payload"):
        seal(payload, serial=1, signing_key=KEY)


def test_an_envelope_of_a_megabyte_is_neither_made_nor_hashed() -> None:
    with pytest.raises(EnvelopeError, match="payload"):
        seal(STRATEGY + bytes(1 << 20), serial=1, signing_key=KEY)
    with pytest.raises(EnvelopeError, match="length"):
        open_envelope(_sealed() + bytes(1 << 20), PUBLIC, fingerprint=None)


def test_the_command_seals_and_opens(tmp_path: Path, command: Callable) -> None:
    (tmp_path / "u.chrd").write_bytes(STRATEGY)
    identifier = generate_key_pair(tmp_path / "key.pem", tmp_path / "key.pub.pem")
    times = ("--not-before", "2027-01-31", "--expires", "2027-02-28T12:00")
    sealing = ("strategy", "seal", tmp_path / "u.chrd", "--key", tmp_path / "key.pem", "--serial", 3, "--subject", "hex:0aFF", *times)
    told = command(*sealing, "--out", tmp_path / "u.chre", "--json").json
    assert (told["key"], told["overhead_bytes"]) == (identifier, 106)
    opening = ("strategy", "open", tmp_path / "u.chre", "--public-key", tmp_path / "key.pub.pem", "--subject", "hex:0aff")
    opened = command(*opening, "--now", "2027-02-01", "--out", tmp_path / "back.chrd", "--json").json
    assert (opened["serial"], opened["expires"], opened["backbone_checked"]) == (3, 1803816000, False)
    assert (tmp_path / "back.chrd").read_bytes() == STRATEGY
    for options, words in [
        (("--now", "2027-02-28T12:00Z"), "expired"),
        (("--now", "2027-02-01", "--minimum-serial", 4), "older than 4"),
        (("--now", "2027-02-01", "--revoked", identifier), "revoked"),
        (("--now", "yesterday"), "not a time"),
    ]:
        outcome = command(*opening, *options)
        assert outcome.status == 2 and words in outcome.err, outcome.err


def test_a_key_that_signs_for_anybody_is_refused_when_it_is_given() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    with pytest.raises(InputError, match="anybody can sign"):
        TrustedKeys.of(Ed25519PublicKey.from_public_bytes(b"\1" + bytes(31)))
