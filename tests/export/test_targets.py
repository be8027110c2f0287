"""The capability table: what is refused is refused with a reason, and what is written about it follows from it."""

import configparser
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import SASRecConfig, build
from chordkit.backbones.master import make_master
from chordkit.errors import CapabilityError, InputError
from chordkit.export.targets import target as targets
from chordkit.export.targets.lowering import ArtifactSpec, lower
from chordkit.export.targets.target import CAPABILITIES, Precision, Target, check, installed, required_runtime, support_matrix_markdown

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def backbone():
    return build(SASRecConfig(items=20, max_length=6, dim=8, blocks=1)).eval()


@pytest.mark.parametrize("target", [Target.EXECUTORCH, Target.LITERT, Target.ONNX])
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("architecture", ["sasrec", "caser"])
def test_every_backbone_goes_to_every_exported_target(target, precision, architecture):
    check(target, architecture, precision)


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("coreml", "sasrec", "fp32"), {}, "coreml"),
        (("onnx", "sasrec", "int3"), {}, "int3"),
        (("onnx", "gru4rec", "fp32"), {}, "gru4rec"),
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
    with pytest.raises(CapabilityError, match=reason) as caught:
        check(*arguments, **options)
    assert arguments[0] in str(caught.value)


def test_only_litert_and_what_libchord_computes_take_int8_activations():
    check(Target.LITERT, "caser", Precision.STRATEGY, activations="int8")
    assert [target for target in Target if "int8" in CAPABILITIES[target].activations] == [
        Target.EXECUTORCH_CHORD,
        Target.EXECUTORCH_CHORD_LINEAR,
        Target.LITERT,
        Target.NATIVE,
    ]


def test_a_source_of_the_wrong_kind_is_refused(backbone):
    with pytest.raises(InputError, match="master weights with widths"):
        lower(ArtifactSpec(Target.ONNX, Precision.INT8), backbone)
    with pytest.raises(InputError, match="the float backbone"):
        lower(ArtifactSpec(Target.ONNX, Precision.FP32), (make_master(backbone), np.full(48, 8, np.uint8)))


def test_a_spec_takes_plain_strings_and_refuses_others():
    assert ArtifactSpec("onnx", "int8") == ArtifactSpec(Target.ONNX, Precision.INT8)  # type: ignore[arg-type]
    with pytest.raises(CapabilityError, match="tpu"):
        ArtifactSpec("tpu", "int8")  # type: ignore[arg-type]


def test_required_runtimes_are_the_versions_that_are_installed_with_the_extras():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for target, capability in CAPABILITIES.items():
        if capability.extra is not None:
            assert required_runtime(target) in setup["options.extras_require"][capability.extra].split()
    assert required_runtime(Target.NATIVE) is None


def test_installed_says_the_version_or_nothing(monkeypatch):
    assert installed(Target.ONNX) == CAPABILITIES[Target.ONNX].runtime[1]

    def missing(name):
        raise targets.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(targets.metadata, "version", missing)
    assert installed(Target.ONNX) is None
    assert installed(Target.NATIVE) is None


def test_the_support_matrix_has_a_row_for_each_target_with_its_facts():
    header, rule, *rows = support_matrix_markdown().splitlines()
    assert header.count("|") == rule.count("|")
    assert len(rows) == len(Target)
    for target, row in zip(Target, rows, strict=True):
        assert row.count("|") == header.count("|")
        assert row.startswith(f"| {target} |")
        assert CAPABILITIES[target].note in row
    assert "8 / 4 / 4 / 4 bits" in rows[0]
