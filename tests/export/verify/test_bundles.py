"""Bundles in C: whole ones open, and what Python refuses is refused."""

import json
import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import BundleError
from chordkit.signing import key_id

OTHER = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32).public_key()

pytestmark = pytest.mark.checkout


def with_counter(toy, path: Path, counter: object, **more: object) -> bytes:
    """The bundle with a counter."""

    def change(document: dict[str, Any]) -> None:
        document.update({"counter": counter} | more)

    return toy.with_manifest(toy.members(path), change)


@pytest.mark.parametrize("kind", ["signed", "personal"])
def test_a_bundle_opens_with_all_its_members(kind: str, toy, verifier, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    with toy.read(path.read_bytes()) as opened:
        found = verifier.bundle(path.read_bytes(), [OTHER, toy.PUBLIC]).found
        assert found["fingerprint"] == opened.manifest.backbone.fingerprint and found["key"] == key_id(toy.PUBLIC)
        assert found["format_version"] == opened.manifest.format_version
        assert found["members"] == {entry.name: bytes(opened.member(entry.name)) for entry in opened.manifest.members}


def test_a_counter_is_read_and_a_later_version_is_too_new(toy, signed: Path, personal: Path, verifier) -> None:
    for path in (signed, personal):
        document = json.loads(toy.members(path)["manifest.json"])
        old = verifier.bundle(path.read_bytes(), [toy.PUBLIC])
        assert old.found["format_version"] == document["format_version"] and old.found["counter"] == document.get("counter", 0)
        for counter in (0, 7, 2**53 - 1):
            verdict = verifier.bundle(with_counter(toy, path, counter), [toy.PUBLIC])
            assert (verdict.found["format_version"], verdict.found["counter"]) == (5, counter)
    newer = with_counter(toy, signed, 1, format_version=6, another_part={"1": [1.5e-7]})
    assert verifier.bundle(newer, [toy.PUBLIC]).status == "TOO_NEW"
    for counter in (-1, 2**53, 1.0, "1", None, True, [1]):
        assert verifier.bundle(with_counter(toy, signed, counter), [toy.PUBLIC]).status == "DAMAGED"


def test_an_older_counter_is_refused(toy, signed: Path, verifier) -> None:
    data = with_counter(toy, signed, 7)
    assert verifier.bundle(data, [toy.PUBLIC], minimum=7).accepted
    verdict = verifier.bundle(data, [toy.PUBLIC], minimum=8)
    assert verdict.status == "OLDER" and "counter of the bundle is 7" in verdict.sentence
    old = verifier.bundle(signed.read_bytes(), [toy.PUBLIC], minimum=1)
    assert old.status == "OLDER" and verifier.bundle(signed.read_bytes(), [toy.PUBLIC]).accepted


def test_only_an_accepted_key_that_is_not_revoked_opens_a_bundle(toy, signed: Path, unsigned: Path, verifier) -> None:
    data = signed.read_bytes()
    assert verifier.bundle(data, [OTHER, toy.PUBLIC], revoked=[key_id(OTHER)]).accepted
    assert verifier.bundle(data, [OTHER]).status == "BAD_SIGNATURE"
    assert verifier.bundle(data, [OTHER, toy.PUBLIC], revoked=[key_id(toy.PUBLIC)]).status == "BAD_SIGNATURE"
    assert verifier.bundle(data, [toy.PUBLIC], revoked=[key_id(toy.PUBLIC)]).status == "UNKNOWN_KEY"
    assert verifier.bundle(unsigned.read_bytes(), [toy.PUBLIC]).status == "UNSIGNED"
    assert verifier.bundle(data, [toy.PUBLIC], arithmetic=0).status == "NO_VERIFIER"
    assert verifier.bundle(data, []).status == "BAD_ARGUMENT"


def test_a_change_of_any_byte_and_a_cut_anywhere_is_refused(toy, signed: Path, verifier) -> None:
    data, rng = signed.read_bytes(), random.Random(3)
    changed = bytearray(data)
    for position in range(len(data)):
        changed[position] ^= rng.randrange(1, 256)
        assert not verifier.bundle(bytes(changed), [toy.PUBLIC]).accepted, position
        changed[position] = data[position]
    assert verifier.bundle(bytes(changed), [toy.PUBLIC]).accepted
    for length in {*range(0, 200), *range(0, len(data), 37), *range(len(data) - 200, len(data))}:
        assert not verifier.bundle(data[:length], [toy.PUBLIC]).accepted
    for longer in (data + b"\0", b"\0" + data, data + data):
        assert verifier.bundle(longer, [toy.PUBLIC]).status == "DAMAGED"


def test_nothing_of_a_manifest_is_read_before_its_signature(toy, signed: Path, verifier) -> None:
    members = toy.members(signed)
    for manifest in (b"{", b"[" * 1000, b""):
        data = toy.rebuilt({**members, "manifest.json": manifest})
        assert verifier.bundle(data, [toy.PUBLIC]).status == "BAD_SIGNATURE"
    long = toy.rebuilt({**members, "manifest.json": bytes((1 << 20) + 1)})
    assert "more than any manifest" in verifier.bundle(long, [toy.PUBLIC]).sentence


# What its owner got wrong: path in the manifest, and value.
WRONG = [
    ("format_version", 0), ("format_version", "1"), ("format_version", 2), ("format_version", 1.0), ("backbone", None), ("backbone", []),
    ("backbone.fingerprint", "0" * 16), ("backbone.fingerprint", "0" * 15), ("backbone.fingerprint", 5), ("backbone.fingerprint", "G" * 16),
    ("members", {}), ("members", []), ("members.0", None), ("members.0.bytes", 5), ("members.0.bytes", -1), ("members.0.name", "x"),
    ("members.0.sha256", "0" * 64), ("members.0.sha256", "A" * 64), ("members.0.more", 1), ("signature", None), ("signature", {}),
    ("signature.algorithm", "rsa"), ("signature.more", 1), ("signature.key", 5), ("counter", "1"), ("user_vectors", []), ("sbom", None),
    ("words", None), ("words", {}), ("words", []), ("format_version", 3),
    ("unknown", 1), ("é", 1),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), WRONG, ids=str)
def test_a_signed_manifest_that_is_wrong_is_refused(path: str, value: object, toy, signed: Path, verifier) -> None:
    data = toy.with_manifest(toy.members(signed), toy.setting(path, value))
    assert verifier.bundle(data, [toy.PUBLIC]).status == "DAMAGED"
    toy.refused(data, toy.PUBLIC)


@pytest.mark.parametrize(
    "part", ["artifacts", "backbone", "dataset", "format_version", "members", "name", "provenance", "signature", "vectors"]
)
def test_a_signed_manifest_without_one_of_its_parts_is_refused(part: str, toy, signed: Path, verifier) -> None:
    data = toy.with_manifest(toy.members(signed), lambda document: document.pop(part))
    assert verifier.bundle(data, [toy.PUBLIC]).status == "DAMAGED"


SPELLINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("no final newline", lambda raw: raw[:-1]),
    ("two", lambda raw: raw + b"\n"),
    ("a space more", lambda raw: raw.replace(b'": ', b'":  ', 1)),
    ("indented otherwise", lambda raw: json.dumps(json.loads(raw), sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"),
    ("in one line", lambda raw: json.dumps(json.loads(raw), sort_keys=True, ensure_ascii=False).encode() + b"\n"),
    ("in another order", lambda raw: json.dumps(dict(reversed(json.loads(raw).items())), indent=1, ensure_ascii=False).encode() + b"\n"),
    ("a key twice", lambda raw: raw.replace(b' "name": "toy",\n "prov', b' "name": "toy",\n "name": "toy",\n "prov')),
    ("escaped without need", lambda raw: raw.replace(b'"toy"', b'"t\\u006fy"')),
    ("a slash escaped", lambda raw: raw.replace(b"strategies/", b"strategies\\/")),
    ("a tab as it is", lambda raw: raw.replace(b'"abc"', b'"a\tc"')),
    ("a tab by its number", lambda raw: raw.replace(b'"abc"', b'"a\\u0009c"')),
    ("upper-case hexadecimal", lambda raw: raw.replace(b'"abc"', b'"a\\u001Fc"')),
    ("no UTF-8", lambda raw: raw.replace(b'"abc"', b'"a\xffc"')),
    ("a second spelling of UTF-8", lambda raw: raw.replace(b'"abc"', b'"a\xc1\xa1c"')),
    ("half a pair", lambda raw: raw.replace(b'"abc"', b'"a\xed\xa0\x80c"')),
    ("no number", lambda raw: raw.replace(b": 0.001", b": NaN")),
    ("a number with zeros before it", lambda raw: raw.replace(b": 0.001", b": 00.001")),
    ("minus zero", lambda raw: raw.replace(b'"seed": 7', b'"seed": -0')),
    ("a byte order mark", lambda raw: b"\xef\xbb\xbf" + raw),
    ("cut", lambda raw: raw[:-9]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change"), SPELLINGS, ids=lambda value: value if isinstance(value, str) else "")
def test_another_spelling_of_a_signed_manifest_is_refused(name: str, change: Callable, toy, signed: Path, verifier) -> None:
    members = toy.members(signed)
    raw = change(members["manifest.json"])
    assert raw != members["manifest.json"]
    data = toy.resigned(members, raw)
    assert verifier.bundle(data, [toy.PUBLIC]).status == "DAMAGED"
    toy.refused(data, toy.PUBLIC)


def test_what_a_manifest_may_hold_is_read(toy, signed: Path, verifier) -> None:
    texts = ["\x7f", 'a "b" \\ \b\f\n\r\t\x00\x1f', "é \U0001f600 \u2028", "\ud7ff\ue000", ""]
    options = {text: [text, -1, 2**70, -1.5e-07, 1e16, True, False, None] for text in texts}
    data = toy.with_manifest(toy.members(signed), toy.setting("provenance.options", options))
    toy.read(data)
    assert verifier.bundle(data, [toy.PUBLIC]).accepted


def test_limits_are_those_of_python(toy, signed: Path, verifier) -> None:
    members = toy.members(signed)

    def nested(depth: int) -> Any:
        return [] if depth == 0 else [nested(depth - 1)]

    # A value of `options` lies on level 4, and there are 8.
    for values, accepted in [
        ({"x": nested(4)}, True), ({"x": nested(5)}, False), ({"x": [0] * 4096}, True), ({"x": [0] * 4097}, False),
        ({"x": "é" * 4096}, True), ({"x": "é" * 4097}, False), ({f"{i:03}": 0 for i in range(256)}, True),
        ({f"{i:03}": 0 for i in range(257)}, False), ({f"{i}": [0] * 4096 for i in range(10, 25)}, True),
        ({f"{i}": [0] * 4096 for i in range(10, 27)}, False), ({"é" * 4097: 0}, False),
    ]:  # fmt: skip
        data = toy.with_manifest(members, toy.setting("provenance.options", values))
        assert verifier.bundle(data, [toy.PUBLIC]).accepted is accepted, str(values)[:60]
        said = "" if _accepts(toy, data) else toy.refused(data, toy.PUBLIC)
        assert bool(re.search("manifest.json (holds|has a field|is nested)", said)) is not accepted, said


@pytest.mark.parametrize(("digits", "accepted"), [(4300, True), (4301, False)])
def test_a_number_has_as_many_digits_as_python_reads(digits: int, accepted: bool, toy, signed: Path, verifier) -> None:
    members = toy.members(signed)
    data = toy.resigned(members, members["manifest.json"].replace(b'"seed": 7', b'"seed": ' + b"1" * digits))
    assert verifier.bundle(data, [toy.PUBLIC]).accepted is accepted is _accepts(toy, data)


def _accepts(toy, data: bytes) -> bool:
    try:
        toy.read(data)
    except BundleError:
        return False
    return True


def test_a_master_that_has_grown_is_known_by_the_one_it_grew_out_of(toy, grown: Path, verifier) -> None:
    found = verifier.bundle(grown.read_bytes(), [toy.PUBLIC]).found
    assert found["fingerprint"] == toy.master().fingerprint.hex() and found["members"]["master.chrm"][4] == 2
    for data in _other_masters(toy, grown):
        verdict = verifier.bundle(data, [toy.PUBLIC])
        assert verdict.status == "DAMAGED" and "not the backbone" in verdict.sentence
        assert "is not the backbone" in toy.refused(data, toy.PUBLIC)


def _other_masters(toy, grown: Path) -> list[bytes]:
    """Bundles whose master neither is the backbone of their strategies nor, by their version, has grown out of it."""
    members = toy.members(grown)
    master = members["master.chrm"]
    changed = [
        toy.with_lineage(master, b"stranger"), master[:63], master[:31], b"", b"CHRD" + master[4:], master[:4] + b"\3" + master[5:],
        master[:5] + b"\1" + master[6:],
    ]  # fmt: skip
    wordless = {name: data for name, data in members.items() if name not in ("names.json", "categories.json")}

    def older(document: dict[str, Any]) -> None:
        del document["words"]
        for artifact in document["artifacts"]:
            artifact.pop("runs_on", None)
        document.update(format_version=3, members=[each for each in document["members"] if each["name"] in wordless])

    return [toy.with_manifest(wordless, older), *(toy.rehashed({**members, "master.chrm": each}) for each in changed)]


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_bundles_of_every_format_version_open(version: int, toy, verifier) -> None:
    data = (Path(__file__).parents[2] / "golden" / f"bundle_v{version}.chord").read_bytes()
    verdict = verifier.bundle(data, [toy.PUBLIC])
    with toy.read(data) as opened:
        assert (verdict.found["format_version"], verdict.found["counter"]) == (version, opened.manifest.counter)


def test_names_that_differ_in_case_alone_are_refused(toy, signed: Path, verifier) -> None:
    old, new = b"strategies/user-2.chrd", b"strategies/USER-1.chrd"
    manifest = toy.members(signed)["manifest.json"].replace(old, new).replace(b'"user-2"', b'"USER-1"')
    # The manifest has the new name alone, so what is replaced is in the headers.
    data = toy.resigned(toy.members(signed), manifest).replace(old, new)
    verdict = verifier.bundle(data, [toy.PUBLIC])
    assert verdict.status == "DAMAGED" and "comes twice" in verdict.sentence
    assert "comes twice" in toy.refused(data, toy.PUBLIC)


@pytest.mark.parametrize("place", ["before the directory", "in the directory"])
def test_room_around_the_directory_is_refused(place: str, toy, signed: Path, verifier) -> None:
    data = bytearray(signed.read_bytes())
    offset, size = (int.from_bytes(data[start : start + 4], "little") for start in (len(data) - 6, len(data) - 10))
    at = offset if place == "before the directory" else offset + size
    changed = data[:at] + bytes(64) + data[at:]
    if place == "before the directory":
        changed[-6:-2] = (offset + 64).to_bytes(4, "little")
    else:
        changed[-10:-6] = (size + 64).to_bytes(4, "little")
    verdict = verifier.bundle(bytes(changed), [toy.PUBLIC])
    assert verdict.status == "DAMAGED" and "something lies between" in verdict.sentence
    toy.refused(bytes(changed), toy.PUBLIC)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "items.json"])
def test_a_crc_that_is_not_the_datas_is_refused_though_the_headers_agree(name: str, toy, signed: Path, verifier) -> None:
    crc = zlib.crc32(toy.members(signed)[name]).to_bytes(4, "little")
    assert signed.read_bytes().count(crc) == 2
    data = signed.read_bytes().replace(crc, bytes([crc[0] ^ 1]) + crc[1:])
    verdict = verifier.bundle(data, [toy.PUBLIC])
    assert verdict.status == "DAMAGED" and "CRC" in verdict.sentence
    toy.refused(data, toy.PUBLIC)


def test_a_key_that_the_manifest_announces_and_did_not_sign_is_refused(toy, signed: Path, verifier) -> None:
    data = toy.with_manifest(toy.members(signed), toy.setting("signature.key", "0" * 16))
    verdict = verifier.bundle(data, [toy.PUBLIC])
    assert verdict.status == "DAMAGED" and "another key" in verdict.sentence
    toy.refused(data, toy.PUBLIC)


def test_members_that_are_not_the_listed_ones_are_refused(toy, signed: Path, verifier) -> None:
    members = toy.members(signed)
    names = list(members)
    spoiled = {
        "one left out": {name: members[name] for name in names if name != "items.json"},
        "one more": {**members, "more": b""},
        "exchanged": {name: members[name] for name in [*names[:3], names[4], names[3], *names[5:]]},
        "changed": {**members, "items.json": members["items.json"].replace(b"1", b"2")},
        "longer": {**members, "items.json": members["items.json"] + b" "},
        "the signature is short": {**members, "manifest.sig": members["manifest.sig"][:-1]},
        "the signature is long": {**members, "manifest.sig": members["manifest.sig"] + b"\0"},
        "the signature is elsewhere": {name: members[name] for name in [names[0], *names[2:], names[1]]},
        "the manifest is elsewhere": {name: members[name] for name in [names[1], names[0], *names[2:]]},
        "only the manifest": {"manifest.json": members["manifest.json"]},
    }
    for name, changed in spoiled.items():
        data = toy.rebuilt(changed)
        assert not verifier.bundle(data, [toy.PUBLIC]).accepted, name
        toy.refused(data, toy.PUBLIC)
