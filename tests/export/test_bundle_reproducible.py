"""Equal contents are equal files, wherever and however they are written; what a bundle says of where it comes from is such, too."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from chordkit import provenance
from chordkit.errors import BundleError, MissingRuntimeError
from chordkit.export import bundle
from chordkit.export.assembly import provenance as provenance_here

EXTRAS = ("onnx", "litert", "executorch", "openvino")

_WRITE = """
import os, sys
os.umask(int(sys.argv[3], 8))
sys.path.insert(0, sys.argv[1])
from test_bundle_reproducible import everything
from conftest import Toy
from chordkit.export import bundle
bundle.write(sys.argv[2], everything(Toy()), Toy.KEY)
"""


def everything(toy: Any) -> bundle.BundleContents:
    """Contents with all that a bundle can have."""
    pytest.importorskip("cyclonedx")
    contents = toy.personal_contents(counter=3, sbom=True)
    told = contents.provenance.model_copy(update={"lock_sha256": provenance.lock(EXTRAS)})
    return dataclasses.replace(contents, provenance=told)


def test_other_hash_seeds_time_zones_locales_umasks_and_folders_give_the_same_bytes(toy, tmp_path: Path) -> None:
    bundle.write(tmp_path / "here.chord", everything(toy), toy.KEY)
    expected = hashlib.sha256((tmp_path / "here.chord").read_bytes()).hexdigest()
    surroundings = [
        ("0077", {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "SOURCE_DATE_EPOCH": "0"}),
        ("0000", {"PYTHONHASHSEED": "4242", "TZ": "America/Los_Angeles", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    ]
    running = []
    for number, (umask, changes) in enumerate(surroundings):
        folder = tmp_path / f"folder {number}"
        folder.mkdir()
        command = [sys.executable, "-c", _WRITE, str(Path(__file__).parent), "there.chord", umask]
        environment = {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "HOME": str(folder)}
        running.append((folder, subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)))
    for folder, process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert hashlib.sha256((folder / "there.chord").read_bytes()).hexdigest() == expected


def test_the_lock_is_of_what_chordkit_needs_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = provenance.lock(EXTRAS)
    assert whole == provenance.lock(reversed(EXTRAS)) == provenance_here(0).lock_sha256
    assert len(whole) == 64 and provenance.lock(()) != whole
    real = metadata.distribution

    class Newer:
        """A distribution of a later version."""

        def __init__(self, name: str) -> None:
            self.version, self.requires = real(name).version + ".post1", real(name).requires

    for name, counts in (("numpy", True), ("typing-extensions", True), ("onnxruntime", True), ("pytest", False), ("pip", False)):
        monkeypatch.setattr(metadata, "distribution", lambda asked, name=name: Newer(asked) if asked == name else real(asked))
        assert (provenance.lock(EXTRAS) != whole) is counts, name


def test_the_sbom_lists_what_ships_and_what_it_needs(toy, tmp_path: Path) -> None:
    contents = everything(toy)
    bundle.write(tmp_path / "toy.chord", contents, toy.KEY)
    members = toy.members(tmp_path / "toy.chord")
    document = json.loads(members["sbom.cdx.json"])
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6") and "timestamp" not in document["metadata"]
    found = {each["name"]: each for each in document["components"]}
    shipped = members.keys() - {"manifest.json", "manifest.sig", "sbom.cdx.json"}
    assert {name for name, each in found.items() if "hashes" in each} == shipped
    for name in shipped:
        assert found[name]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(members[name]).hexdigest()}]
    assert found["ai-edge-litert"]["purl"] == "pkg:pypi/ai-edge-litert@2.3.0"
    needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert needs["artifacts/litert-fp32.tflite"] == ["ai-edge-litert@2.3.0"] and set(needs["bundle:toy"]) == shipped
    told = {each["name"]: each["value"] for each in found["master.chrm"]["properties"]}
    assert told["chordkit:training:lock_sha256"] == contents.provenance.lock_sha256 and told["chordkit:training:seed"] == "7"
    report = bundle.verify(tmp_path / "toy.chord", toy.PUBLIC)
    assert report.passed and "sbom" in report.checks


def test_the_sbom_is_what_cyclonedx_says_it_is(toy, tmp_path: Path) -> None:
    schema = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    bundle.write(tmp_path / "toy.chord", everything(toy), toy.KEY)
    document = toy.members(tmp_path / "toy.chord")["sbom.cdx.json"].decode()
    try:
        assert schema.JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    except schema.MissingOptionalDependencyException as error:
        pytest.skip(str(error))


def test_an_sbom_of_other_members_is_refused(toy, tmp_path: Path) -> None:
    path = tmp_path / "toy.chord"
    bundle.write(path, everything(toy), toy.KEY)
    members = toy.members(path)
    document = json.loads(members["sbom.cdx.json"])
    less = {**document, "components": [each for each in document["components"] if each["name"] != "items.json"]}
    wrong = json.loads(json.dumps(document).replace(hashlib.sha256(members["items.json"]).hexdigest(), "0" * 64))
    for value, message in (
        (less, "it lists 'items.json' otherwise than the manifest does"),
        (wrong, "it lists 'items.json' otherwise than the manifest does"),
        ([], "it is no CycloneDX document"),
        ({"components": [1]}, "it is no CycloneDX document"),
    ):
        path.write_bytes(toy.rehashed({**members, "sbom.cdx.json": json.dumps(value).encode()}))
        with pytest.raises(BundleError, match=f"sbom.cdx.json: {message}"):
            bundle.verify(path, toy.PUBLIC)


def test_without_the_library_an_sbom_is_refused_and_a_bundle_without_one_is_written(
    toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx", None)
    monkeypatch.setitem(sys.modules, "cyclonedx.model", None)
    with pytest.raises(MissingRuntimeError, match=r"pip install 'chordkit\[sbom\]'"):
        bundle.write(tmp_path / "x.chord", toy.contents(sbom=True), toy.KEY)
    assert list(tmp_path.iterdir()) == []
    bundle.write(tmp_path / "x.chord", toy.contents(), toy.KEY)
    assert bundle.inspect(tmp_path / "x.chord").sbom is None
