"""Runtimes that people have: what is made for one of them by name, and what is said where another one is installed."""

import dataclasses
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chordkit.backbones import Backbone, build, default_config, initialise, make_master
from chordkit.errors import BundleError, CapabilityError, InputError, RuntimeVersionWarning
from chordkit.export import bundle
from chordkit.export.artifact import Artifact, ArtifactSpec, Layout, Precision, RuntimeRange
from chordkit.export.judge import judge
from chordkit.export.parity import draw, references
from chordkit.export.targets import all_profiles, artifact_name, find_profile, find_target, load_runner, lower, runtime_range
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

ITEMS, CANDIDATES, LENGTH = 60, 20, 8
GOLDEN = Path(__file__).parents[1] / "golden" / "bundle_v5.chord"


def _backbone(name: str) -> Backbone:
    own = {"hidden": 16} if name == "gru4rec" else {}
    return initialise(build(default_config(name, ITEMS, dim=16, max_length=LENGTH, **own)), "random", distribution="normal", seed=3).eval()


@pytest.fixture(scope="module")
def masters() -> dict[str, MasterWeights]:
    return {name: make_master(_backbone(name), embedding_bits=4) for name in ("sasrec", "gru4rec")}


def _spec(target: str, precision: Precision = Precision.STRATEGY, **more: Any) -> ArtifactSpec:
    return ArtifactSpec(target, precision, CANDIDATES, **more)


def _mixed(master: MasterWeights, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.name)
def test_a_profile_offers_no_more_than_its_target(profile) -> None:
    can = find_target(profile.target).capability
    assert set(profile.layouts) <= set(can.layouts) and set(profile.activations) <= set(can.activations)
    assert profile.has(profile.package, profile.oldest) and profile.has(profile.package, profile.newest)
    assert not profile.has(profile.package, "0.9") and not profile.has("another", profile.newest)


@pytest.mark.parametrize(
    ("target", "options", "sentence"),
    [
        ("litert", {"runtime": "tflite-2.14", "layout": "size"}, "tflite-2.14: layout size is not supported: it does not know int4"),
        ("litert", {"runtime": "litert-1.x", "activations": "int8"}, "litert-1.x: int8 activations are not supported: .* without a word"),
        ("onnx", {"runtime": "litert-1.x"}, "onnx: litert-1.x is a runtime of litert; this target has onnxruntime-1.18"),
        ("native", {"runtime": "litert-1.x"}, "this target has none"),
        ("native", {"layout": "speed"}, "native: layout speed is not supported: .* use size"),
        ("litert", {"runtime": "tflite-9"}, "there is no such runtime; use tflite-2.14, litert-1.x"),
    ],
)
def test_what_a_runtime_cannot_is_refused_with_the_mend(target: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CapabilityError, match=sentence):
        find_target(target).settle(_spec(target, **options), "sasrec")


@pytest.mark.parametrize(("top", "batch"), [(0, 1), (CANDIDATES + 1, 1), (None, 0)])
def test_shapes_of_calls_that_cannot_be_are_refused(top: int | None, batch: int) -> None:
    with pytest.raises(InputError, match=r"top|batch"):
        _spec("litert", top=top, batch=batch)


@pytest.mark.parametrize(
    ("options", "precision", "name"),
    [
        ({}, Precision.STRATEGY, "litert-u5"),
        ({"layout": "speed"}, Precision.STRATEGY, "litert-u5-speed"),
        ({"runtime": "tflite-2.14"}, Precision.STRATEGY, "tflite-2.14-u5"),
        ({"runtime": "litert-2.2", "layout": "speed"}, Precision.STRATEGY, "litert-2.2-u5-speed"),
        ({"runtime": "tflite-2.14"}, Precision.FP32, "tflite-2.14-fp32"),
        ({"layout": "speed"}, Precision.FP32, "litert-fp32"),
    ],
)
def test_an_artifact_is_called_after_what_it_was_made_for(options: dict[str, Any], precision: Precision, name: str) -> None:
    settled = find_target("litert").settle(_spec("litert", precision, **options), "sasrec")
    assert artifact_name(settled, "u5" if precision is Precision.STRATEGY else None) == name


def _judged(master: MasterWeights, widths: np.ndarray, spec: ArtifactSpec, data: bytes) -> bool:
    generator = np.random.default_rng(1)
    histories = generator.integers(1, ITEMS + 1, (6, LENGTH)).astype(np.int32)
    histories[:3, :5] = 0
    drawn = draw(histories, generator.integers(1, ITEMS + 1, 6).astype(np.int32), ITEMS, count=6, candidates=CANDIDATES)
    vectors = drawn.with_scores({"u": references(master, None, {"u": Strategy(widths, master.fingerprint)})["u"]})
    fields = {"name": "x", "target": spec.target, "precision": "strategy", "candidates": CANDIDATES, "strategy": "u"}
    artifact = Artifact(activations=spec.activations or "fp32", **fields)  # type: ignore[arg-type]
    return judge(artifact, load_runner(spec.target, data), master, widths, vectors).passed


@pytest.mark.parametrize(
    ("architecture", "target", "options"),
    [
        ("sasrec", "litert", {"layout": "speed"}),
        ("sasrec", "litert", {"layout": "speed", "activations": "int8"}),
        ("gru4rec", "litert", {"runtime": "tflite-2.14"}),
        ("sasrec", "onnx", {"layout": "speed"}),
        ("gru4rec", "onnx", {"runtime": "onnxruntime-1.18"}),
    ],
)
def test_files_with_a_byte_a_code_differ_in_codes_and_scales_alone(masters, architecture, target: str, options: dict[str, Any]) -> None:
    master = masters[architecture]
    spec = _spec(target, **options)
    widths = _mixed(master, 1)
    mixed, other, off = (
        lower(spec, (master, each)) for each in (widths, _mixed(master, 2), np.zeros(master.channel_table.channels, np.uint8))
    )
    assert _judged(master, widths, spec, mixed) and not _judged(master, _mixed(master, 2), spec, mixed)
    # With all channels off all layers of one shape are equal, and still nothing of them is shared.
    assert len(mixed) == len(other) == len(off)
    codes = sum(layer.rows.codes.size + 4 * len(layer.rows.codes) for layer in master.layers.values())
    assert 0 < np.count_nonzero(np.frombuffer(mixed, np.uint8) != np.frombuffer(other, np.uint8)) <= codes


def test_executorch_takes_a_strategy_as_bytes(masters) -> None:
    master, spec = masters["sasrec"], _spec("executorch", layout="speed")
    widths = _mixed(master, 1)
    assert _judged(master, widths, spec, lower(spec, (master, widths)))


def _sub_byte(data: bytes) -> set[str]:
    from chordkit.export.targets.litert.describe import describe

    return set(describe(data).tensors) & {"INT4", "INT2", "INT16"}


def test_a_file_for_an_old_runtime_has_no_types_that_it_does_not_know(masters) -> None:
    master = masters["sasrec"]
    widths = _mixed(master, 1)
    assert _sub_byte(lower(_spec("litert"), (master, widths))) >= {"INT4", "INT2"}
    for name in ("tflite-2.14", "litert-1.x", "litert-2.x"):
        from chordkit.export.targets.litert.describe import describe

        data = lower(_spec("litert", runtime=name), (master, widths))
        assert _sub_byte(data) == set() and describe(data).required_version == find_profile(name).oldest


def test_an_onnx_file_for_an_old_runtime_asks_for_no_newer_operators(masters) -> None:
    import onnx

    master = masters["gru4rec"]
    model = onnx.load_from_string(lower(_spec("onnx", runtime="onnxruntime-1.18"), (master, _mixed(master, 1))))
    assert (model.opset_import[0].version, model.ir_version) == (20, 9)
    names = [node.name for node in model.graph.node if node.op_type in ("Gather", "Slice")]
    assert all(names) and len(set(names)) == len(names)


# --- what is installed ------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """Says which packages are installed, in which versions."""

    def say(**versions: str) -> None:
        def version(package: str) -> str:
            try:
                return versions[package.replace("-", "_")]
            except KeyError:
                raise metadata.PackageNotFoundError(package) from None

        monkeypatch.setattr("chordkit.export.targets.target.metadata.version", version)

    return say


NEW = RuntimeRange(package="ai-edge-litert", oldest="2.2.0", newest="2.3.0")
OLD = RuntimeRange(package="tflite-runtime", oldest="2.14.0", newest="2.14.0")


def test_an_older_runtime_is_refused_with_the_profile_to_export_with(installed) -> None:
    litert = find_target("litert")
    installed(ai_edge_litert="2.1.6")
    with pytest.raises(CapabilityError, match=r"ai-edge-litert 2\.1\.6 is installed; export it with --runtime litert-2\.x, or pip install"):
        litert.require_runtime(NEW, "litert-u5")
    installed(tflite_runtime="2.14.0")
    with pytest.raises(CapabilityError, match=r"export it with --runtime tflite-2\.14, or pip install 'ai-edge-litert>=2\.2\.0'"):
        litert.require_runtime(NEW, "litert-u5")
    installed(ai_edge_litert="0.9")
    with pytest.raises(CapabilityError, match=r"0\.9 is installed; pip install"):
        litert.require_runtime(NEW, "litert-u5")


@pytest.mark.filterwarnings("error")
def test_a_runtime_of_the_range_is_taken_and_a_package_runs_the_files_of_the_one_before(installed) -> None:
    litert = find_target("litert")
    for version in ("2.2.0", "2.3.0", "2.2.5rc1"):
        installed(ai_edge_litert=version)
        litert.require_runtime(NEW, "x")
        litert.require_runtime(OLD, "x")
        litert.require_runtime(None, "x")
    installed(tflite_runtime="2.14.0")
    litert.require_runtime(OLD, "x")
    find_target("native").require_runtime(None, "x")


def test_a_runtime_that_is_newer_than_any_that_was_tried_gets_a_warning(installed) -> None:
    installed(ai_edge_litert="2.10.0")
    with pytest.warns(RuntimeVersionWarning, match=r"ai-edge-litert 2\.10\.0 is installed, which it was never run on"):
        find_target("litert").require_runtime(NEW, "x")


def test_a_bundle_says_what_its_artifacts_run_on_and_loads_them_nowhere_else(toy, installed) -> None:
    with bundle.open(GOLDEN, toy.PUBLIC) as opened:
        found = {entry.name: entry for entry in opened.manifest.artifacts}
        assert [str(entry.runs_on) for entry in found.values()] == ["ai-edge-litert 2.2.0 to 2.3.0", "None", "tflite-runtime 2.14.0"]
        assert (found["tflite-2.14-int8"].runtime, found["tflite-2.14-int8"].layout) == ("tflite-2.14", "speed")
        installed(ai_edge_litert="1.4.0")
        with pytest.raises(CapabilityError, match=r"export it with --runtime litert-1\.x"):
            opened.runner(found["litert-fp32"])


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("format_version", 4, "came with 5"),
        ("artifacts.2.runs_on.oldest", "2.15", "is newer than the newest"),
        ("artifacts.2.runs_on.oldest", "2.x", "artifacts.2.runs_on.oldest"),
        ("artifacts.2.layout", "small", "artifacts.2.layout"),
        ("artifacts.2.layout", "size", "is not written the way"),
        ("artifacts.2.batch", 0, "artifacts.2.batch"),
        ("artifacts.2.top", 6, "top: 6 is more than the 5 candidates"),
    ],
)
def test_what_a_manifest_cannot_say_of_a_runtime_is_refused(toy, path: str, value: object, sentence: str) -> None:
    assert sentence in toy.refused(toy.with_manifest(toy.members(GOLDEN), toy.setting(path, value)), toy.PUBLIC)


def test_an_artifact_that_its_runtime_cannot_be_is_found_by_verify(toy, tmp_path: Path) -> None:
    contents = toy.old_runtime_contents()
    wrong = contents.artifacts[-1].model_copy(update={"layout": "size"})
    bundle.write(tmp_path / "x.chord", dataclasses.replace(contents, artifacts=[*contents.artifacts[:-1], wrong]), toy.KEY)
    with pytest.raises(BundleError, match=r"tflite-2\.14-int8: tflite-2\.14: layout size is not supported"):
        bundle.verify(tmp_path / "x.chord", toy.PUBLIC)


def _range(master: MasterWeights, target: str, precision: str, widths: Sequence[int] = (), **more: Any) -> str:
    fields = {"name": "x", "activations": "fp32", "candidates": CANDIDATES, "strategy": "u5" if widths else None, **more}
    artifact = Artifact(target=target, precision=precision, **fields)
    chosen = np.resize(np.array(widths, np.uint8), master.channel_table.channels) if widths else None
    return str(runtime_range(artifact, master, chosen))


def test_a_file_runs_on_what_the_table_proves_of_everything_in_it(masters) -> None:
    four = masters["sasrec"]
    eight = dataclasses.replace(four, embeddings={name: dataclasses.replace(each, bits=8) for name, each in four.embeddings.items()})
    assert _range(four, "litert", "fp32") == _range(eight, "litert", "int8") == "ai-edge-litert 1.0.0 to 2.3.0"
    for narrow in (_range(four, "litert", "int8"), _range(eight, "litert", "strategy", (4, 8)), _range(eight, "litert", "fp32", top=5)):
        assert narrow == "ai-edge-litert 2.2.0 to 2.3.0"
    assert _range(eight, "litert", "int8", activations="int8") == "ai-edge-litert 2.1.0 to 2.3.0"
    assert _range(eight, "litert", "strategy", (2, 8), layout="speed") == "ai-edge-litert 1.0.0 to 2.3.0"
    assert _range(eight, "onnx", "strategy", (4, 8)) == "onnxruntime 1.19.0 to 1.32.0"
    assert _range(eight, "onnx", "strategy", (2, 8)) == "onnxruntime 1.24.1 to 1.32.0"
    assert _range(four, "litert", "int8", runtime="tflite-2.14", layout="speed") == "tflite-runtime 2.14.0"
    assert _range(four, "executorch-chord", "int8") == "None"


def test_the_command_exports_for_a_runtime_by_name(project: Any, command: Any, tmp_path: Path) -> None:
    shared = ("export", "--master", project / "m.chrm", "--strategy", project / "u5.chrd", "--candidates", 20, "--out", tmp_path / "a")
    made = command(*shared, "--runtime", "tflite-2.14", "--json").json["artifacts"]
    assert [(entry["name"], entry["layout"], entry["runtime"]) for entry in made] == [
        ("tflite-2.14-int8", "speed", "tflite-2.14"),
        ("tflite-2.14-u5", "speed", "tflite-2.14"),
    ]
    layouts: dict[str, Layout] = {"litert-u5": "size", "litert-u5-speed": "speed"}
    for layout in layouts.values():
        command(*shared, "--target", "litert", "--precision", "strategy", "--layout", layout)
    assert set(layouts) <= {path.stem for path in (tmp_path / "a").glob("*.tflite")}
    refused = command(*shared, "--runtime", "tflite-2.14", "--layout", "size")
    assert refused.status == 2 and "use speed" in refused.err
