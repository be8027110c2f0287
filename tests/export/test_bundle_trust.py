"""Whose bundles are accepted, in which order a bundle is looked at, and that nobody is taken back to an older one."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import BundleError, InputError
from chordkit.export import bundle
from chordkit.signing import TrustedKeys, key_id

NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def test_nothing_is_parsed_before_its_signature_fits(toy, signed: Path) -> None:
    """Whatever is wrong inside, a signature that does not fit is all that is said of it."""
    members = toy.members(signed)
    good = json.loads(members["manifest.json"])
    documents = (b"[" * 1000, b"{}", b"\xff\xfe", toy.spelled({**good, "format_version": 99}), toy.spelled({**good, "members": [0] * 1000}))
    for raw in documents:
        refusal = toy.refused(toy.rebuilt({**members, "manifest.json": raw}), toy.PUBLIC)
        assert "the signature does not fit the manifest: the bundle was altered" in refusal, refusal
        signature = NEXT.sign(raw)
        assert "signature" in toy.refused(toy.rebuilt({**members, "manifest.json": raw, "manifest.sig": signature}), toy.PUBLIC)
    for length in (0, 63, 65):
        cut = toy.rebuilt({**members, "manifest.sig": bytes(length)})
        assert f"manifest.sig is {length} bytes long, a signature is 64" in toy.refused(cut, toy.PUBLIC)


def test_one_of_several_keys_may_have_signed(toy, signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    for keys in ([toy.PUBLIC, NEXT.public_key()], (NEXT.public_key(), toy.PUBLIC), TrustedKeys.of([toy.PUBLIC])):
        assert toy.read(data, keys).signature_checked
    other = Ed25519PrivateKey.generate().public_key()
    refusal = toy.refused(data, [NEXT.public_key(), other])
    given = ", ".join(sorted({key_id(NEXT.public_key()), key_id(other)}))
    assert f"says that it was signed with key {key_id(toy.PUBLIC)}, not with any of {given} that were given" in refusal
    bundle.write(tmp_path / "next.chord", toy.contents(), NEXT)
    with bundle.open(tmp_path / "next.chord", [toy.PUBLIC, NEXT.public_key()]) as opened:
        assert opened.signature_checked
    with pytest.raises(InputError, match="no public key was given"):
        toy.read(data, [])


def test_a_revoked_key_is_not_accepted_whoever_lists_it(toy, signed: Path) -> None:
    data, revoked = signed.read_bytes(), [key_id(toy.PUBLIC)]
    for keys in (toy.PUBLIC, [toy.PUBLIC, NEXT.public_key()], TrustedKeys.of([toy.PUBLIC])):
        with pytest.raises(BundleError, match=f"signed with key {revoked[0]}, which is revoked"):
            bundle.read(memoryview(data), "x.chord", keys, revoked=revoked)
    assert bundle.read(memoryview(data), "x.chord", [toy.PUBLIC], revoked=[key_id(NEXT.public_key())]).signature_checked
    with pytest.raises(InputError, match="no public key is given to verify with"):
        bundle.read(memoryview(data), "x.chord", revoked=revoked)


def test_a_manifest_that_announces_another_key_than_signed_it_is_refused(toy, signed: Path) -> None:
    other = "0" * 16
    data = toy.with_manifest(toy.members(signed), toy.setting("signature.key", other))
    assert f"announces key {other} and was signed with {key_id(toy.PUBLIC)}" in toy.refused(data, toy.PUBLIC)


def test_an_older_bundle_is_refused_and_its_counter_is_under_the_signature(toy, tmp_path: Path) -> None:
    path = tmp_path / "toy.chord"
    bundle.write(path, toy.contents(counter=7), toy.KEY)
    for minimum in (0, 6, 7):
        with bundle.open(path, toy.PUBLIC, minimum=minimum) as opened:
            assert opened.manifest.counter == 7
    with pytest.raises(BundleError, match=r"toy\.chord: its counter is 7, and the lowest that is accepted is 8: .* fetch the newest"):
        bundle.open(path, toy.PUBLIC, minimum=8)
    assert bundle.verify(path, toy.PUBLIC, minimum=7).counter == bundle.inspect(path).counter == 7
    for ask in (bundle.verify, bundle.inspect):
        with pytest.raises(BundleError, match="the lowest that is accepted is 8"):
            ask(path, toy.PUBLIC, minimum=8)
    raised = path.read_bytes().replace(b'"counter": 7', b'"counter": 9')
    assert raised != path.read_bytes()
    with pytest.raises(BundleError):
        bundle.read(memoryview(raised), "x", toy.PUBLIC)
    forged = {**toy.members(path), "manifest.json": toy.members(path)["manifest.json"].replace(b'"counter": 7', b'"counter": 9')}
    assert "does not fit the manifest" in toy.refused(toy.rebuilt(forged), toy.PUBLIC)


def test_a_bundle_that_was_never_counted_is_below_every_counter(toy, signed: Path) -> None:
    for path in (signed, Path(__file__).parents[1] / "golden" / "bundle_v1.chord"):
        with bundle.open(path, toy.PUBLIC) as opened:
            assert opened.manifest.counter == 0
        with pytest.raises(BundleError, match="its counter is 0, and the lowest that is accepted is 1"):
            bundle.open(path, toy.PUBLIC, minimum=1)


def test_a_counter_that_no_json_reader_could_hold_is_not_written(toy, tmp_path: Path) -> None:
    for counter in (-1, 2**53):
        with pytest.raises(BundleError, match="contents do not fit together"):
            bundle.write(tmp_path / "x.chord", toy.contents(counter=counter), toy.KEY)
    bundle.write(tmp_path / "x.chord", toy.contents(counter=2**53 - 1), toy.KEY)
    with bundle.open(tmp_path / "x.chord", toy.PUBLIC, minimum=2**53 - 1) as opened:
        assert opened.manifest.counter == 2**53 - 1


# --- older versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "users"), [(1, 0), (2, 2), (3, 2), (4, 2), (5, 0)])
def test_bundles_of_every_version_are_read(toy, version: int, users: int) -> None:
    path = Path(__file__).parents[1] / "golden" / f"bundle_v{version}.chord"
    with bundle.open(path, toy.PUBLIC) as opened:
        assert opened.manifest.format_version == version
        assert opened.manifest.counter == (5 if version >= 3 else 0)
        assert len(opened.manifest.user_vectors) == users
        assert opened.strategy("user-1") == toy.contents().strategies["user-1"]
        assert opened.item_names() == (toy.contents().item_names if version >= 4 else [])
        assert opened.item_ids() == toy.contents().item_ids and len(opened.vectors().histories) == 3
        assert opened.manifest.to_bytes() == toy.members(path)["manifest.json"]
    assert bundle.verify(path, toy.PUBLIC).passed


def _changed(toy: Any, version: int, change: Any) -> str:
    path = Path(__file__).parents[1] / "golden" / f"bundle_v{version}.chord"
    return str(toy.refused(toy.with_manifest(toy.members(path), change), toy.PUBLIC))


def test_an_older_version_says_nothing_that_came_later(toy) -> None:
    for version in (1, 2):
        assert "not written the way" in _changed(toy, version, toy.setting("counter", 0))
        assert "came with 3" in _changed(toy, version, toy.setting("counter", 1))
        assert "came with 3" in _changed(toy, version, toy.setting("provenance.lock_sha256", "0" * 64))
        assert "counter: Field required" in _changed(toy, version, toy.setting("format_version", 3))
        assert f"format_version: {3 - version}, and with" in _changed(toy, version, toy.setting("format_version", 3 - version))
