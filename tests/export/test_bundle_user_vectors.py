"""User vectors in a bundle: what goes in comes out, what is not for its backbone is refused, and a bundle without any is as it was."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from chordkit.errors import BundleError, InputError, UserVectorError
from chordkit.export import bundle
from chordkit.export.bundle import manifest
from chordkit.export.collection import Sources
from chordkit.export.judge import judge
from chordkit.strategy import UserVector, encode_user_vector


def test_user_vectors_come_out_as_they_went_in(toy, personal: Path) -> None:
    contents = toy.personal_contents()
    with bundle.open(personal, toy.PUBLIC) as opened:
        assert opened.manifest.format_version == 5
        assert [entry.name for entry in opened.manifest.user_vectors] == ["user-1", "user-3"]
        assert {name: opened.user_vector(name) for name in contents.user_vectors} == contents.user_vectors
        assert opened.user_vector_bytes("user-3") == encode_user_vector(contents.user_vectors["user-3"])
        listed = {member.name: member.sha256 for member in opened.manifest.members}
        assert listed["user_vectors/user-3.chru"] == hashlib.sha256(opened.user_vector_bytes("user-3")).hexdigest()
        assert all(artifact.user_vector for artifact in opened.manifest.artifacts)
        np.testing.assert_array_equal(opened.vectors().users, contents.vectors.users)
        with pytest.raises(BundleError, match="no user vector 'user-2'; it has: user-1, user-3"):
            opened.user_vector("user-2")
    schema = json.loads(Path(manifest.__file__).with_name("manifest.schema.json").read_text())
    jsonschema.validate(json.loads(toy.members(personal)["manifest.json"]), schema)
    assert [entry.name for entry in bundle.inspect(personal).user_vectors] == ["user-1", "user-3"]
    report = bundle.verify(personal, toy.PUBLIC)
    assert report.passed and report.user_vectors == 2 and "user_vectors" in report.checks


def test_a_bundle_without_user_vectors_does_not_speak_of_them(toy, signed: Path) -> None:
    raw = toy.members(signed)["manifest.json"]
    assert b"user_vector" not in raw
    with bundle.open(signed) as opened:
        assert opened.manifest.user_vectors == () and not any(artifact.user_vector for artifact in opened.manifest.artifacts)
        assert opened.vectors().users is None
        with pytest.raises(BundleError, match="no user vector 'user-1'; it has: none"):
            opened.user_vector("user-1")


def spoiled(toy, personal: Path, data: bytes) -> bytes:
    """The bundle with other bytes for user-3's vector and a manifest to match, signed: its owner made the mistake."""
    name = "user_vectors/user-3.chru"
    members = {**toy.members(personal), name: data}

    def change(document: dict[str, Any]) -> None:
        entry = next(member for member in document["members"] if member["name"] == name)
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    return toy.with_manifest(members, change)


def test_a_vector_that_is_damaged_or_of_another_backbone_is_refused_with_its_name(toy, personal: Path, tmp_path: Path) -> None:
    right = encode_user_vector(toy.user_vector(3))
    flipped = bytearray(right)
    flipped[-6] ^= 1
    other, longer = toy.user_vector(3, toy.master(1)), UserVector(np.ones(5, np.int8), 1.0, toy.master().fingerprint)
    for data, reason in (
        (bytes(flipped), "CRC: the checksum does not match; the bytes are damaged, fetch it again"),
        (right[:20], "length: 20 bytes cannot hold"),
        (encode_user_vector(other), "fingerprint: it is for backbone"),
        (encode_user_vector(longer), "dim: 5 numbers instead of the backbone's 4"),
    ):
        path = tmp_path / "x.chord"
        path.write_bytes(spoiled(toy, personal, data))
        with bundle.open(path, toy.PUBLIC) as opened, pytest.raises(BundleError, match=reason) as caught:
            opened.user_vector("user-3")
        assert str(caught.value).startswith(f"{path}: user_vectors/user-3.chru: user vector: ") and "\n" not in str(caught.value)
        with pytest.raises(BundleError, match=r"user_vectors/user-3\.chru"):
            bundle.verify(path, toy.PUBLIC)
    # Damage on the way is found when the bundle is opened.
    whole = personal.read_bytes()
    place = whole.index(right)
    assert "CRC of member 'user_vectors/user-3.chru'" in toy.refused(whole[:place] + b"X" + whole[place + 1 :], toy.PUBLIC)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 1, "format_version: 1, and with 2 user vectors it is 2"),
        ("user_vectors.0.member", "user_vectors/user-3.chru", "is listed but used by nothing"),
        ("artifacts.0.user_vector", False, "litert-fp32 takes no user vector, and the bundle has some"),
        ("artifacts.0.user_vector", 1, "artifacts.0.user_vector"),
        ("user_vectors.0.name", "user-3", "user_vectors: a name comes twice"),
        ("user_vectors.0.member", "user_vectors/user-9.chru", "is listed but used by nothing"),
        ("user_vectors.0.scale", 1, "user_vectors.0.scale"),
    ],
)
def test_a_manifest_that_is_wrong_about_user_vectors_is_refused(toy, personal: Path, path: str, value: object, message: str) -> None:
    assert message in toy.refused(toy.with_manifest(toy.members(personal), toy.setting(path, value)), toy.PUBLIC)


def test_contents_with_vectors_that_do_not_fit_are_not_written(toy, tmp_path: Path) -> None:
    good, plain = toy.personal_contents(), toy.contents()
    users = good.vectors.users
    assert users is not None
    for changes, message in (
        ({"user_vectors": {"user-1": toy.user_vector(1, toy.master(1))}}, "user vector 'user-1' was made for another backbone"),
        ({"user_vectors": {"../up": toy.user_vector(1)}}, "the user vector name '../up' is not allowed"),
        ({"user_vectors": {}}, "where the bundle has user vectors, and only there"),
        ({"vectors": plain.vectors}, "the test vectors need user vectors of 4 numbers"),
        ({"vectors": dataclasses.replace(good.vectors, users=np.tile(users, 2))}, "the test vectors need user vectors of 4 numbers"),
        ({"artifacts": plain.artifacts}, "litert-fp32 takes no user vector, and the bundle has some"),
    ):
        with pytest.raises(BundleError, match=message):
            bundle.write(tmp_path / "x.chord", toy.personal_contents(**changes))
    assert list(tmp_path.iterdir()) == []


def test_sources_take_no_vector_of_another_backbone(toy) -> None:
    master = toy.master()
    short = UserVector(np.ones(3, np.int8), 1.0, master.fingerprint)
    for vector in (toy.user_vector(1, toy.master(1)), short):
        with pytest.raises(UserVectorError, match=r"user vector user-1: it is \d numbers for backbone .*; make it again for this backbone"):
            Sources(master, None, {}, {"user-1": vector})


def test_an_artifact_is_not_judged_on_inputs_of_the_other_kind(toy) -> None:
    personal, plain = toy.personal_contents(), toy.contents()
    for artifact, vectors, message in (
        (personal.artifacts[0], plain.vectors, "takes a user vector and the test vectors have none"),
        (plain.artifacts[0], personal.vectors, "takes no user vector and the test vectors have some"),
    ):
        with pytest.raises(InputError, match=message):
            judge(artifact, None, toy.master(), None, vectors)  # type: ignore[arg-type]
