"""What a hostile manifest costs whoever opens it: bounded by the format, not by what a stranger wrote."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chordkit.errors import BundleError
from chordkit.export import bundle
from chordkit.export.bundle import container as bundle_zip
from chordkit.export.bundle import manifest

ATTACK = "benchmarks/attack/manifest_bomb.py"

# Opens every bomb in every way, and tells by how many MB all of it together raised the peak of the resident memory.
_REFUSE_ALL = """
import sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from chordkit.errors import BundleError
from chordkit.export import bundle
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
keys = [None, *(Ed25519PrivateKey.from_private_bytes(seed).public_key() for seed in (bytes(32), bytes(range(32))))]
before = peak()
for path in sys.argv[1:]:
    for key in keys:
        try:
            bundle.open(path, key)
        except BundleError:
            continue
        sys.exit("a bomb was accepted")
print((peak() - before) // 1024)
"""


@pytest.mark.checkout
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_no_manifest_takes_more_than_a_hundred_megabytes_to_be_refused(script, tmp_path: Path) -> None:
    attack = script(ATTACK)
    bombs = [attack.bomb(make(size)) for make in attack.BOMBS.values() for size in (900_000, 2_000_000)]
    paths = [tmp_path / f"{number}.chord" for number in range(len(bombs) + 1)]
    for path, data in zip(paths, [*bombs, attack.crowd(4096)], strict=True):
        path.write_bytes(data)
    run = subprocess.run([sys.executable, "-c", _REFUSE_ALL, *map(str, paths)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # A manifest of 1 MB is at most some 30 MB of Python objects; when all of its errors were gathered it was 2,900 MB.
    assert int(run.stdout) < 100


def _with(toy: Any, signed: Path, **changes: Any) -> bytes:
    return toy.with_manifest(toy.members(signed), lambda document: document.update(changes))


def test_what_is_longer_or_deeper_than_a_manifest_is_refused_before_its_fields_are_looked_at(toy, signed: Path) -> None:
    deep: Any = 0
    for _ in range(manifest.MAX_DEPTH):
        deep = [deep]
    for changes, message in (
        ({"format_version": deep}, "is nested more than 8 deep"),
        ({"format_version": [0] * (manifest.MAX_LIST + 1)}, "holds a list of 4,097 entries, where 4,096 are possible"),
        ({"format_version": {str(n): n for n in range(257)}}, "holds an object of 257 fields, where 256 are possible"),
        ({"format_version": "x" * 4097}, "holds a text of 4,097 characters, where 4,096 are possible"),
        ({"format_version": {"x" * 4097: 0}}, "has a field whose name is longer than 4,096 characters"),
        ({"format_version": [[0] * 4096] * 16}, "holds more than 65,536 values"),
        ({"format_version": ["x" * 4000] * 270}, "manifest.json is 1,08"),
    ):
        for key in (toy.PUBLIC, None):
            assert message in toy.refused(_with(toy, signed, **changes), key)


def test_a_manifest_is_refused_by_its_length_before_it_is_hashed(toy, signed: Path) -> None:
    data = toy.rebuilt({**toy.members(signed), "manifest.json": b" " * (manifest.MAX_MANIFEST_BYTES + 1)})
    for key in (toy.PUBLIC, None):
        assert "manifest.json is 1,048,577 bytes long, more than the 1,048,576 of the longest" in toy.refused(data, key)


def test_the_first_wrong_entry_of_a_list_ends_it(toy, signed: Path) -> None:
    """Collecting the others is what cost gigabytes."""
    document = json.loads(toy.members(signed)["manifest.json"])
    for kind in ("artifacts", "strategies", "user_vectors", "members"):
        with pytest.raises(ValueError) as caught:
            manifest.Manifest.model_validate({**document, kind: [{}] * 4000})
        assert caught.value.error_count() < 20  # type: ignore[attr-defined]
    for section, field, value in (
        ("vectors", "references", [0] * 4000),
        ("backbone", "channels", [{}] * 4000),
        ("backbone", "config", {"x": ["x"] * 4000}),
        ("provenance", "options", {"x": [[]] * 4000}),
    ):
        with pytest.raises(ValueError) as caught:
            manifest.Manifest.model_validate({**document, section: {**document[section], field: value}})
        assert caught.value.error_count() < 20  # type: ignore[attr-defined]


def test_a_bundle_that_no_reader_would_take_is_not_written(toy, tmp_path: Path) -> None:
    contents = toy.contents()
    crowd = {f"{'u' * 90}{number}": contents.strategies["user-1"] for number in range(2300)} | contents.strategies
    with pytest.raises(BundleError, match=r"manifest\.json is 1,.* with fewer strategies or artifacts"):
        bundle.write(tmp_path / "x.chord", toy.contents(strategies=crowd), toy.KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_in_the_directory_is_refused_by_its_length(toy, signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 28 : directory + 30] = (404).to_bytes(2, "little")
    assert "name is 404 bytes long" in toy.refused(bytes(data), None)


def test_members_keep_their_limit(toy) -> None:
    with pytest.raises(BundleError, match="lists 4097 members, where 1 to 4096 are possible"):
        bundle_zip.read(memoryview(toy.rebuilt({f"m{number}": b"" for number in range(4097)})), "x")
