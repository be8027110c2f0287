"""What goes into a bundle comes out of it, in one spelling."""

import json
import zipfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import chordkit
from chordkit.errors import BundleError
from chordkit.export import bundle
from chordkit.export.bundle import manifest


def test_everything_comes_out_as_it_went_in(toy, signed: Path) -> None:
    contents = toy.contents()
    with bundle.open(signed, toy.PUBLIC) as opened:
        assert opened.signature_checked
        assert opened.master().to_bytes() == contents.master.to_bytes()
        assert opened.artifact("litert-fp32") == toy.TFLITE
        assert opened.artifact("native-user-1") == contents.master.to_bytes()
        assert {name: opened.strategy(name) for name in ("user-1", "user-2")} == contents.strategies
        assert opened.item_ids() == contents.item_ids
        vectors = opened.vectors()
        for name in ("histories", "candidates", "targets"):
            np.testing.assert_array_equal(getattr(vectors, name), getattr(contents.vectors, name))
        for name, scores in contents.vectors.scores.items():
            np.testing.assert_array_equal(vectors.scores[name], scores)
        assert opened.manifest.provenance == contents.provenance
        assert opened.manifest.dataset == contents.dataset
        assert opened.manifest.artifacts[0].parity == contents.artifacts[0].parity
        assert opened.manifest.artifacts[1].requires == {"chordkit": chordkit.__version__}
        assert opened.manifest.strategies[0].average_bits == 4.0
        assert opened.manifest.backbone.config["heights"] == [2, 3]


def test_the_same_contents_and_key_give_the_same_bytes(toy, signed: Path, tmp_path: Path) -> None:
    bundle.write(tmp_path / "again.chord", toy.contents(), toy.KEY)
    assert (tmp_path / "again.chord").read_bytes() == signed.read_bytes()


def test_any_zip_tool_lists_it_and_members_are_views_aligned_for_mapping(signed: Path) -> None:
    with zipfile.ZipFile(signed) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names[:2] == ["manifest.json", "manifest.sig"]
    with bundle.open(signed) as opened:
        assert names[2:] == [member.name for member in opened.manifest.members]
        for name in names[2:]:
            view = np.frombuffer(opened.member(name), np.uint8)
            assert view.ctypes.data % 64 == 0
            assert not view.flags.writeable


def test_a_view_outlives_the_bundle(toy, signed: Path) -> None:
    with bundle.open(signed) as opened:
        view = opened.artifact("litert-fp32")
        codes = opened.master().layers["blocks.0.query"].rows.codes
    assert view == toy.TFLITE
    np.testing.assert_array_equal(codes, toy.master().layers["blocks.0.query"].rows.codes)


def test_the_manifest_is_what_the_schema_says(signed: Path) -> None:
    schema = json.loads(Path(manifest.__file__).with_name("manifest.schema.json").read_text())
    with zipfile.ZipFile(signed) as archive:
        jsonschema.validate(json.loads(archive.read("manifest.json")), schema)


def test_inspect_tells_what_is_inside_without_a_key(toy, signed: Path, unsigned: Path) -> None:
    summary = bundle.inspect(signed)
    assert (summary.name, summary.format_version, summary.bytes) == ("toy", 5, signed.stat().st_size)
    assert summary.key == bundle.key_id(toy.PUBLIC)
    assert [member.name for member in summary.members][:2] == ["master.chrm", "strategies/user-1.chrd"]
    assert sum(member.bytes for member in summary.members) + summary.overhead_bytes == summary.bytes
    assert bundle.inspect(unsigned).key is None
    json.loads(summary.model_dump_json())


def test_asking_for_what_is_not_there_names_what_is(signed: Path) -> None:
    with bundle.open(signed) as opened:
        with pytest.raises(BundleError, match="no artifact 'x'; it has: litert-fp32, native-user-1"):
            opened.artifact("x")
        with pytest.raises(BundleError, match="no strategy 'x'; it has: user-1, user-2"):
            opened.strategy("x")
        with pytest.raises(BundleError, match="no member 'x'"):
            opened.member("x")
