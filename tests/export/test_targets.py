"""What a target can run: what is refused is refused with a reason, and what is written about it follows from its row."""

import configparser
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import ARCHITECTURES, SASRecConfig, build
from chordkit.backbones.master import make_master
from chordkit.errors import CapabilityError, InputError
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.targets import all_targets, find_target, lower, support_matrix_markdown
from chordkit.export.targets import target as target_module
from chordkit.kernels import available, backbones

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def backbone():
    return build(SASRecConfig(items=20, max_length=6, dim=16, blocks=1)).eval()


@pytest.mark.parametrize("target", ["executorch", "litert", "onnx", "openvino"])
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_backbone_goes_to_every_stock_target(target, precision, architecture):
    find_target(target).check(architecture, precision)


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("native", "gru4rec", "int8"), {}, "the native engine does not know it; use sasrec or caser"),
        (("executorch-chord", "gru4rec", "int8"), {}, "the native engine does not know it"),
        (("native", "sasrec", "fp32"), {}, "int8 master weights"),
        (("executorch", "sasrec", "int8"), {"activations": "int8"}, "float32 activations"),
        (("executorch-chord", "sasrec", "fp32"), {}, "int8 master weights"),
        (("executorch-chord", "caser", "int8"), {"activations": "fp32"}, "8-bit activations"),
        (("executorch-chord-linear", "sasrec", "fp32"), {}, "int8, int4 and int2 weights"),
        (("onnx", "sasrec", "strategy"), {"activations": "int8"}, "no kernel"),
        (("litert", "sasrec", "fp32"), {"activations": "int8"}, "fp32 artifact"),
        (("litert", "sasrec", "strategy"), {"widths": np.array([2, 3], np.uint8)}, "3 bits"),
        (("onnx", "sasrec", "int8"), {"widths": np.array([8, 4], np.uint8)}, "other widths"),
    ],
)
def test_refusals_name_the_target_and_the_reason(arguments, options, reason):
    target, architecture, precision = arguments
    with pytest.raises(CapabilityError, match=reason) as caught:
        find_target(target).check(architecture, Precision(precision), **options)
    assert str(caught.value).startswith(f"{target}: ")


def test_only_litert_and_what_libchord_computes_take_int8_activations():
    assert find_target("litert").check("caser", Precision.STRATEGY, activations="int8") == "int8"
    assert [target.name for target in all_targets() if "int8" in target.capability.activations] == [
        "executorch-chord",
        "executorch-chord-linear",
        "litert",
        "native",
    ]


def test_a_source_of_the_wrong_kind_is_refused(backbone):
    with pytest.raises(InputError, match="master weights with widths"):
        lower(ArtifactSpec("onnx", "int8"), backbone)
    with pytest.raises(InputError, match="the float backbone"):
        lower(ArtifactSpec("onnx", "fp32"), (make_master(backbone), np.full(96, 8, np.uint8)))


def test_a_spec_takes_plain_strings_and_unknown_words_are_refused_with_the_known_ones(backbone):
    assert ArtifactSpec("onnx", "int8") == ArtifactSpec("onnx", Precision.INT8)
    with pytest.raises(CapabilityError, match="int3: there is no such precision; use fp32, int8, strategy"):
        ArtifactSpec("onnx", "int3")
    with pytest.raises(CapabilityError, match="tpu: there is no such target; use executorch, "):
        lower(ArtifactSpec("tpu", "fp32"), backbone)


@pytest.mark.parametrize("target", [target.name for target in all_targets() if target.capability.suffix is not None])
def test_a_spec_without_activations_means_the_targets_own(backbone, target):
    source = (make_master(backbone), np.full(96, 8, np.uint8))
    default = find_target(target).capability.activations[0]
    assert lower(ArtifactSpec(target, "int8", 5), source) == lower(ArtifactSpec(target, "int8", 5, activations=default), source)


def test_what_is_claimed_of_the_engine_is_what_it_runs():
    if not available():
        pytest.skip("the native engine was not compiled")
    for target in ("native", "executorch-chord"):
        assert set(find_target(target).capability.backbones) == set(backbones())


def test_a_target_without_files_has_nothing_to_export(backbone):
    with pytest.raises(CapabilityError, match="native: there is nothing to export"):
        lower(ArtifactSpec("native", "int8"), (make_master(backbone), np.full(96, 8, np.uint8)))


@pytest.mark.checkout
def test_required_runtimes_are_the_versions_that_are_installed_with_the_extras():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for target in all_targets():
        if target.capability.extra is not None:
            assert target.required_runtime() in setup["options.extras_require"][target.capability.extra].split()
    assert find_target("native").required_runtime() is None


def test_installed_says_the_version_or_nothing(monkeypatch):
    onnx = find_target("onnx")
    assert onnx.installed() == onnx.capability.runtime[1]

    def missing(name):
        raise target_module.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(target_module.metadata, "version", missing)
    assert onnx.installed() is None
    assert find_target("native").installed() is None


def test_the_support_matrix_has_a_row_for_each_target_with_its_facts():
    header, rule, *rows = support_matrix_markdown().splitlines()
    assert header.count("|") == rule.count("|")
    assert len(rows) == len(all_targets())
    for target, row in zip(all_targets(), rows, strict=True):
        assert row.count("|") == header.count("|")
        assert row.startswith(f"| {target} |")
        assert target.capability.note in row
    assert "8 / 4 / 4 / 4 bits" in rows[0]


def test_a_files_name_is_its_artifacts_and_one_ending() -> None:
    # Manifests tell an artifact by its member's name up to the last dot.
    assert all(target.capability.suffix is None or target.capability.suffix.rfind(".") == 0 for target in all_targets())
