"""A damaged bundle is never taken for a whole one, whatever the damage."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from chordkit.errors import BundleError, InputError
from chordkit.export import bundle
from chordkit.export.bundle import container as bundle_zip

pytestmark = pytest.mark.long


@pytest.mark.parametrize("with_key", [True, False], ids=["with the key", "without a key"])
def test_a_change_of_any_byte_is_refused(toy, signed: Path, with_key: bool) -> None:
    data, key = signed.read_bytes(), toy.PUBLIC if with_key else None
    generator = np.random.default_rng(0)
    changed = bytearray(data)
    for position in range(len(data)):
        changed[position] ^= int(generator.integers(1, 256))
        with pytest.raises(BundleError):
            toy.read(bytes(changed), key)
        changed[position] = data[position]
    toy.read(bytes(changed), key)  # and the loop changed what it meant to change


def test_a_change_of_any_bit_of_the_signature_is_refused_even_with_a_crc_to_match(toy, signed: Path) -> None:
    members = toy.members(signed)
    for bit in range(64 * 8):
        signature = bytearray(members["manifest.sig"])
        signature[bit // 8] ^= 1 << bit % 8
        assert "altered" in toy.refused(toy.rebuilt({**members, "manifest.sig": bytes(signature)}), toy.PUBLIC)


def test_a_file_that_stops_early_or_goes_on_is_refused(toy, signed: Path, tmp_path: Path) -> None:
    data = signed.read_bytes()
    for length in {*range(0, 200), *range(0, len(data), 37), *range(len(data) - 200, len(data))}:
        toy.refused(data[:length], toy.PUBLIC)
    for changed in (data + b"\0", b"\0" + data, data + data):
        toy.refused(changed, toy.PUBLIC)
    (tmp_path / "cut.chord").write_bytes(data[:-1])
    with pytest.raises(BundleError, match=r"cut\.chord: the bundle is damaged"):
        bundle.open(tmp_path / "cut.chord")


def test_fuzzed_members_and_manifests_only_ever_raise_bundle_errors(toy, signed: Path) -> None:
    """Damage that has a container, sizes, hashes and a signature to match: the parsers behind them must hold too."""
    members = toy.members(signed)
    document = json.loads(members["manifest.json"])
    names = [member["name"] for member in document["members"]]
    generator = np.random.default_rng(1)
    refused = 0
    for _ in range(2000):
        changed = dict(members)
        if generator.random() < 0.6:
            name = names[generator.integers(len(names))]
            changed[name] = _damaged(members[name], generator)
            for entry in document["members"]:
                entry.update(bytes=len(changed[entry["name"]]), sha256=hashlib.sha256(changed[entry["name"]]).hexdigest())
            document["backbone"]["fingerprint"] = document["members"][0]["sha256"][:16]
            raw = toy.spelled(document)
        else:
            raw = _damaged(members["manifest.json"], generator)
        changed.update({"manifest.json": raw, "manifest.sig": toy.KEY.sign(raw)})
        try:
            opened = toy.read(toy.rebuilt(changed))
        except BundleError:
            refused += 1
            continue
        words = (opened.item_ids, opened.item_names, opened.item_categories)
        for use in (*words, opened.vectors, opened.master, lambda opened=opened: opened.strategy("user-1")):
            try:
                use()
            except BundleError:
                refused += 1
    assert refused > 1500  # the rest hit bytes that no parser can judge: codes, scores, an artifact


def _damaged(data: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.integers(1, 5)):
        position = int(generator.integers(len(changed)))
        kind = generator.random()
        if kind < 0.7:
            changed[position] = int(generator.choice([0, 1, 0x22, 0x2D, 0x39, 0x5B, 0x7B, 0x80, 0xFF, int(generator.integers(256))]))
        elif kind < 0.85:
            del changed[position : position + int(generator.integers(1, 9))]
        else:
            changed[position:position] = generator.integers(0, 256, int(generator.integers(1, 9)), np.uint8).tobytes()
        if not changed:
            break
    return bytes(changed)


def test_random_positions_of_a_large_bundle(toy, tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    parity = toy.contents().artifacts[0].parity
    artifact = toy.artifact("onnx-fp32", "onnx", generator.bytes(300_000), requires={"onnxruntime": "1.31.1"}, parity=parity)
    bundle.write(tmp_path / "large.chord", toy.contents(artifacts=[artifact]), toy.KEY)
    changed = bytearray((tmp_path / "large.chord").read_bytes())
    for position in generator.integers(0, len(changed), 300):
        before = changed[position]
        changed[position] ^= int(generator.integers(1, 256))
        with pytest.raises(BundleError):
            toy.read(bytes(changed))
        changed[position] = before


def test_files_that_are_no_bundle_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_bytes(b"item,user\n1,2\n" * 10)
    for name, message in (
        ("gone", "no such bundle file"),
        ("empty", "is empty"),
        ("text", "not a chordkit bundle"),
        (".", "cannot be read"),
    ):
        with pytest.raises(BundleError, match=message):
            bundle.open(tmp_path / name)
    with pytest.raises(InputError, match="no such public key"):
        bundle.open(tmp_path / "text", tmp_path / "gone.pem")


def test_skipping_the_hashes_still_checks_container_manifest_and_signature(toy, signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    view = memoryview(bytes(data))
    artifact = next(x for x in bundle_zip.read(view, "x") if x.entry.name.startswith("artifacts/"))
    data[artifact.offset] ^= 1
    bundle.read(memoryview(bytes(data)), "x", toy.PUBLIC, verify=False)
    with pytest.raises(BundleError, match="CRC"):
        bundle.read(memoryview(bytes(data)), "x", toy.PUBLIC, verify=True)
    data[data.index(b'"toy"') + 1] ^= 1
    with pytest.raises(BundleError):
        bundle.read(memoryview(bytes(data)), "x", verify=False)
