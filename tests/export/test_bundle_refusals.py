"""A bundle that is whole but wrong is refused with one clear sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.export import bundle


def test_a_wrong_key_and_a_missing_signature_are_told_apart(toy, signed: Path, unsigned: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    assert f"signed with key {bundle.key_id(toy.PUBLIC)}, not with the key {bundle.key_id(other)}" in toy.refused(
        signed.read_bytes(), other
    )
    assert "is not signed, and a key was given" in toy.refused(unsigned.read_bytes(), toy.PUBLIC)
    with bundle.open(unsigned) as opened:
        assert not opened.signature_checked


def test_a_signature_cannot_be_taken_off_or_put_on(toy, signed: Path, unsigned: Path) -> None:
    without = {name: data for name, data in toy.members(signed).items() if name != "manifest.sig"}
    assert "is not signed" in toy.refused(toy.rebuilt(without), toy.PUBLIC)
    assert "signature that manifest.json announces is missing" in toy.refused(toy.rebuilt(without), None)
    first, *rest = toy.members(unsigned).items()
    added = dict([first, ("manifest.sig", toy.KEY.sign(first[1])), *rest])
    assert "announces" in toy.refused(toy.rebuilt(added), toy.PUBLIC)


def test_a_newer_format_is_refused_whatever_else_it_holds(toy, signed: Path) -> None:
    members = toy.members(signed)

    def newer(document: dict[str, Any]) -> None:
        document.update(format_version=6, something_new=[1])
        del document["dataset"]

    for key in (toy.PUBLIC, None):
        assert "format version 6 and this chordkit reads up to 5; update chordkit" in toy.refused(toy.with_manifest(members, newer), key)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 0, "format_version"),
        ("format_version", True, "format_version"),
        ("format_version", 2, "format_version: 2, and with 0 user vectors it is 1"),
        ("format_version", 1, "format_version: 1, and words for items and the temperature came with 4"),
        ("counter", -1, "counter: Input should be greater than or equal to 0"),
        ("counter", 2**53, "counter: Input should be less than or equal to"),
        ("counter", 1.0, "counter: Input should be a valid integer"),
        ("counter", True, "counter: Input should be a valid integer"),
        ("strategies.0.member", "strategies/user-2.chrd", "is listed but used by nothing"),
        ("provenance.lock_sha256", "f" * 63, "provenance.lock_sha256"),
        ("sbom", {"member": "items.json", "format": "SPDX 2.3"}, "sbom.format"),
        ("surprise", 1, "surprise: Extra inputs are not permitted"),
        ("provenance.surprise", 1, "provenance.surprise"),
        ("dataset.items", "9", "dataset.items"),
        ("backbone.fingerprint", "0" * 16, "is not the backbone 0000000000000000"),
        ("members.0.bytes", 1, "bytes long, manifest.json says 1;"),
        ("members.0.sha256", "f" * 64, "the SHA-256 of member 'master.chrm'"),
        ("members.1.sha256", "f" * 64, "the SHA-256 of member 'strategies/user-1.chrd'"),
        ("members.1.name", "strategies/other.chrd", "'strategies/other.chrd' is listed but used by nothing"),
        ("members.1.name", "../evil", "member name '../evil'"),
        ("members.1.name", "master.chrm", "a name comes twice"),
        ("members.1.name", "manifest.json", "cannot list themselves"),
        ("artifacts.0.member", "items.json", "is listed but used by nothing"),
        ("artifacts.0.name", "native-user-1", "artifacts: a name comes twice"),
        ("artifacts.0.reference", "int4", "refers to test vectors 'int4'"),
        ("artifacts.0.candidates", 6, "scores 6 candidates, the test vectors have 5"),
        ("artifacts.0.user_vector", True, "litert-fp32 takes a user vector, and the bundle has none"),
        ("artifacts.0.user_vector", False, "not written the way"),
        ("user_vectors", [], "not written the way"),
        ("artifacts.1.strategy", "user-9", "was made with strategy 'user-9'"),
        ("signature", None, "announces"),
        ("signature.algorithm", "none", "signature.algorithm"),
    ],
)
def test_a_manifest_that_is_signed_but_wrong_is_refused_with_the_field(toy, signed: Path, path: str, value: object, message: str) -> None:
    refusal = toy.refused(toy.with_manifest(toy.members(signed), toy.setting(path, value)), toy.PUBLIC)
    assert message in refusal
    assert refusal.startswith("x.chord: ")
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": 1' + b"0" * 5000 + b"}",
        b'{"name": "\\ud800"}',
        b'{"format_version": NaN}',
    ],
)
def test_a_manifest_that_is_no_manifest_is_refused(toy, signed: Path, raw: bytes) -> None:
    refusal = toy.refused(toy.rebuilt({**toy.members(signed), "manifest.json": raw, "manifest.sig": toy.KEY.sign(raw)}), toy.PUBLIC)
    assert "manifest.json" in refusal or "format version" in refusal


def test_a_manifest_in_another_spelling_is_refused(toy, signed: Path) -> None:
    members = toy.members(signed)
    document = json.loads(members["manifest.json"])
    for raw in (json.dumps(document).encode(), members["manifest.json"] + b" ", members["manifest.json"].replace(b'"name"', b'"name" ', 1)):
        assert "not written the way" in toy.refused(
            toy.rebuilt({**members, "manifest.json": raw, "manifest.sig": toy.KEY.sign(raw)}), toy.PUBLIC
        )


def test_members_that_are_missing_added_or_moved_are_refused(toy, signed: Path) -> None:
    members = toy.members(signed)
    without = {name: data for name, data in members.items() if name != "items.json"}
    assert "'items.json' is not as manifest.json lists it" in toy.refused(toy.rebuilt(without), toy.PUBLIC)
    assert "'extra' is not as manifest.json lists it" in toy.refused(toy.rebuilt({**members, "extra": b"x"}), toy.PUBLIC)
    assert "the order of the members" in toy.refused(
        toy.rebuilt(dict([*list(members.items())[:2], *reversed(list(members.items())[2:])])), toy.PUBLIC
    )
    assert "its first member is not manifest.json" in toy.refused(toy.rebuilt(dict(reversed(members.items()))), toy.PUBLIC)
