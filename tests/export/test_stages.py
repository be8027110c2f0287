"""Stage by stage: a fault that was planted at a stage, in a layer, is found there; what is right is found right."""

import dataclasses
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, SASRecConfig, build, make_master
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.parity import VectorSet, draw, reference_scores
from chordkit.export.stages import Subject, walk
from chordkit.export.stages.content import find_difference, first_bad
from chordkit.export.targets import all_targets, find_target, lower
from chordkit.kernels import available
from chordkit.quantization import MasterWeights
from chordkit.strategy import Strategy

pytestmark = pytest.mark.checkout

ITEMS, LENGTH, CANDIDATES = 40, 8, 20
LAYERS = ("blocks.0.key", "blocks.0.ffn2")
SWAP = "swapped channels"


@pytest.fixture(scope="module")
def planting() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import stages_planting

        with stages_planting.traced_sparingly():
            yield stages_planting


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    backbone = build(SASRecConfig(items=ITEMS, max_length=LENGTH, dim=16, blocks=1, heads=2))
    with torch.no_grad():  # as large as trained weights, so that every layer has its say in the scores
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, layer.in_features**-0.5)
        backbone.item_embedding.weight[1:].normal_(0, 1)
    return backbone.eval()


@pytest.fixture(scope="module")
def master(backbone: Backbone) -> MasterWeights:
    return make_master(backbone)


@pytest.fixture(scope="module")
def widths(master: MasterWeights) -> np.ndarray:
    return np.random.default_rng(1).choice(np.array([0, 2, 4, 8], np.uint8), master.channel_table.channels)


@pytest.fixture(scope="module")
def vectors() -> VectorSet:
    generator = np.random.default_rng(0)
    histories = generator.integers(1, ITEMS + 1, (32, LENGTH)).astype(np.int32)
    histories[::2, :3] = 0
    return draw(histories, generator.integers(1, ITEMS + 1, 32), ITEMS, count=32, candidates=CANDIDATES)


@pytest.fixture(scope="module")
def made(planting: ModuleType, master: MasterWeights, widths: np.ndarray, vectors: VectorSet) -> Any:
    """Targets with their right file: ``made(name) -> (planter, subject of a file)``."""
    kept: dict[str, Any] = {}

    def find(name: str, **more: Any) -> tuple[Any, Any]:
        if find_target(name).capability.runtime is None:
            if not available():
                pytest.skip("the native engine is not compiled")
        elif find_target(name).installed() is None:
            pytest.skip(f"{name} is not installed")
        if name not in kept:
            spec = find_target(name).settle(ArtifactSpec(name, Precision.STRATEGY, CANDIDATES), "sasrec", widths)
            import mutations_planting

            kept[name] = mutations_planting.Planter(spec, master, widths)
        planter = kept[name]
        return planter, lambda data: planting.subject_of(planter.spec, master, widths, vectors, data, **more)

    return find


@pytest.fixture(scope="module")
def exports() -> dict[Any, bytes]:
    """Files by what they are made from: every search asks for the same ones."""
    return {}


@pytest.fixture
def kept_exports(exports: dict[Any, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(spec: ArtifactSpec, source: Any) -> bytes:
        key = (spec, source[0].digest, source[1].tobytes())
        if key not in exports:
            exports[key] = lower(spec, source)
        return exports[key]

    monkeypatch.setattr("chordkit.export.stages.subject.lower", kept)


@pytest.mark.usefixtures("kept_exports")
@pytest.mark.parametrize("target", ["litert", "onnx", "native"])
def test_a_right_file_is_right_at_every_stage_and_a_fault_in_it_has_its_layer(target: str, made: Any, backbone: Backbone) -> None:
    planter, subject = made(target, backbone=backbone)
    found = walk(subject(planter.right))
    assert found.passed and found.layer is None, found.summary()
    assert [stage.name for stage in found.stages if stage.verdict == "right"][-2:] == ["serialised", "loaded"]
    from mutations_faults import plant

    for kind, layer in ((SWAP, LAYERS[0]), ("one code off by one", LAYERS[1]))[: 2 if target == "litert" else 1]:
        wrong = plant(kind, planter.constants, np.random.default_rng(1), layer)
        found = walk(subject(planter.faulty(wrong).data))
        assert (found.first_bad, found.layer) == ("serialised", layer), found.summary()


@pytest.mark.parametrize(
    ("target", "place"),
    [("litert", "program"), ("litert", "lowered"), ("litert", "loaded"), ("openvino", "lowered"), ("executorch-chord-linear", "lowered")],
)
def test_a_faulty_export_is_named_with_its_stage_and_its_layer(target: str, place: str, planting: ModuleType, made: Any) -> None:
    _, subject = made(target)
    with planting.planted(place, find_target(target), SWAP, LAYERS[1]):
        # The lowering is wrong before there is a file, which takes ExecuTorch long.
        found = walk(subject(b"" if place == "lowered" else subject(b"").make()))
    assert (found.first_bad, found.layer, found.suspects) == (place, LAYERS[1], ())
    assert LAYERS[1] in found.summary() and place in found.summary()


@pytest.mark.parametrize("shape", [{"top": 5}, {"top": 5, "catalogue": True}, {"batch": 3}], ids=lambda shape: "-".join(shape))
@pytest.mark.parametrize("place", ["program", "lowered", "loaded"])
def test_files_that_choose_or_take_several_histories_are_walked_as_well(
    shape: dict[str, Any], place: str, planting: ModuleType, master: MasterWeights, widths: np.ndarray, vectors: VectorSet
) -> None:
    litert = find_target("litert")
    if litert.installed() is None:
        pytest.skip("litert is not installed")
    candidates = ITEMS if "catalogue" in shape else CANDIDATES
    spec = litert.settle(ArtifactSpec("litert", Precision.STRATEGY, candidates, **shape), "sasrec", widths)
    subject = planting.subject_of(spec, master, widths, vectors, b"")
    right = walk(dataclasses.replace(subject, data=subject.make()))
    assert right.passed and {"program", "lowered", "serialised", "loaded"} <= {
        each.name for each in right.stages if each.verdict == "right"
    }
    with planting.planted(place, litert, SWAP, LAYERS[1]):
        found = walk(dataclasses.replace(subject, data=subject.make()))
    assert (found.first_bad, found.layer) == (place, LAYERS[1]), found.summary()


def test_the_engine_is_asked_without_single_layers(made: Any, master: MasterWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    planter, subject = made("native")
    from mutations_faults import plant
    from mutations_source import constants_of, faulty_master

    wrong = plant(SWAP, constants_of(master, planter.widths, derived=False), np.random.default_rng(1), LAYERS[1])
    assert wrong is not None
    spoilt = faulty_master(master, wrong).to_bytes()
    from chordkit.export.stages import subject as module

    right = module.load_runner

    def broken(target: str, data: bytes, *, strategy: bytes, candidates: int, **_: Any) -> Any:
        """An engine that reads a layer wrongly, whatever it is given."""
        from chordkit.strategy import decode, to_wire

        other = MasterWeights.from_bytes(spoilt)
        widths = decode(strategy, fingerprint=master.fingerprint, channels=master.channel_table.channels).widths
        return right(target, spoilt, strategy=to_wire(Strategy(widths, other.fingerprint)), candidates=candidates)

    monkeypatch.setattr(module, "load_runner", broken)
    found = walk(subject(planter.right))
    assert found.first_bad == "loaded"
    assert LAYERS[1] in (found.layer, *found.suspects) and len(found.suspects) < 3, found


@pytest.mark.usefixtures("kept_exports")
def test_stale_scores_and_a_stale_strategy_are_told_apart(made: Any, widths: np.ndarray, master: MasterWeights) -> None:
    planter, subject = made("litert")
    other = np.random.default_rng(7).permutation(widths)
    stale = subject(planter.stale(other).data)
    found = walk(stale)
    assert found.first_bad == "serialised" and found.layer in master.layers, found.summary()
    right = subject(planter.right)
    before = dataclasses.replace(right, vectors=right.with_widths(other).vectors)
    assert walk(before).first_bad == "reference"


@pytest.mark.usefixtures("kept_exports")
def test_a_cut_off_file_is_wrong_before_it_is_loaded(made: Any) -> None:
    planter, subject = made("litert")
    found = walk(subject(planter.right[:-40]))
    assert found.first_bad == "serialised" and "bytes" in found.summary()


def test_a_master_of_other_weights_is_named_by_its_first_layer(made: Any, backbone: Backbone, master: MasterWeights) -> None:
    planter, _ = made("native")
    from mutations_faults import plant
    from mutations_source import constants_of, faulty_master

    wrong = plant("one code off by one", constants_of(master, planter.widths, derived=False), np.random.default_rng(3), LAYERS[0])
    assert wrong is not None
    spoilt = faulty_master(master, wrong)
    _, subject = made("native", backbone=backbone)
    base: Subject = subject(planter.right)
    found = walk(dataclasses.replace(base, master=spoilt, data=spoilt.to_bytes(), strategy=Strategy(planter.widths, spoilt.fingerprint)))
    assert (found.first_bad, found.layer) == ("master", LAYERS[0])


def test_an_fp32_file_is_walked_with_its_float_backbone(backbone: Backbone, master: MasterWeights, vectors: VectorSet) -> None:
    if find_target("onnx").installed() is None:
        pytest.skip("onnx is not installed")
    from chordkit.export.artifact import Artifact

    artifact = Artifact(name="onnx-fp32", target="onnx", precision="fp32", activations="fp32", candidates=CANDIDATES)
    inputs = dataclasses.replace(vectors, scores={}).with_scores({"fp32": reference_scores(backbone)})
    data = lower(ArtifactSpec("onnx", Precision.FP32, CANDIDATES), backbone)
    right = Subject(artifact, data, master, None, backbone, inputs)
    assert walk(right).passed
    weight = backbone.channel_layers()[LAYERS[0]].weight.detach().numpy()
    spoilt = data.replace(weight.tobytes(), np.roll(weight, 1, axis=0).tobytes())
    assert spoilt != data
    found = walk(dataclasses.replace(right, data=spoilt))
    assert (found.first_bad, found.layer) == ("serialised", LAYERS[0]), found.summary()
    without = walk(dataclasses.replace(right, backbone=None))
    assert without.passed and {stage.name for stage in without.stages if stage.verdict == "right"} == {"loaded"}


@pytest.mark.parametrize("target", [target.name for target in all_targets() if target.lowered_form])
@pytest.mark.parametrize("user_vector", [False, True], ids=["plain", "user"])
def test_what_is_lowered_computes_what_the_reference_does(
    target: str, user_vector: bool, master: MasterWeights, widths: np.ndarray, vectors: VectorSet
) -> None:
    found = find_target(target)
    if found.capability.runtime is not None and found.installed() is None:
        pytest.skip(f"{target} is not installed")
    from chordkit.backbones import from_master
    from chordkit.export.artifact import Artifact
    from chordkit.export.judge import expectation

    few = vectors.head(8)
    if user_vector:
        few = few.with_users([np.random.default_rng(2).normal(size=master.dim).astype(np.float32)])
    few = dataclasses.replace(few, scores={}).with_scores({"user": reference_scores(from_master(master, widths))})
    for activations in found.capability.activations:
        spec = found.settle(ArtifactSpec(target, Precision.STRATEGY, CANDIDATES, activations, user_vector), "sasrec", widths)
        scores = found.lowered(spec, (master, widths))
        assert scores is not None
        artifact = Artifact(
            name="a",
            target=target,
            precision="strategy",
            activations=activations,
            candidates=CANDIDATES,
            strategy="user",
            user_vector=user_vector,
        )
        report = expectation(artifact, master, widths, few).judge(scores(*few.inputs))
        assert report.passed, report.reasons


# --- bytes without a reader -------------------------------------------------------------------------------------------

PARTS = ["table", "one", "two", "three"]


def _file(parts: dict[str, bytes], head: bytes = b"head") -> bytes:
    body = b"".join(head + parts[name] for name in PARTS)
    return body + zlib.crc32(body).to_bytes(4, "little")


def _toy(seed: int = 0) -> dict[str, bytes]:
    generator = np.random.default_rng(seed)
    return {name: generator.bytes(40) for name in PARTS}


def _found(file: bytes, length: int = 40) -> str | None:
    right = _toy()
    other = {name: bytes(255 - byte for byte in content)[:length] for name, content in right.items()}
    return find_difference(
        file, _file(right), PARTS, lambda chosen: _file({name: other[name] if name in chosen else right[name] for name in PARTS})
    ).part


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_wrong_byte_belongs_to_the_part_that_moves_it(part: str, place: int) -> None:
    wrong = _toy()
    content = bytearray(wrong[part])
    content[place] ^= 1
    assert _found(_file(wrong | {part: bytes(content)})) == part
    # In a file of another length it is searched for by content.
    assert _found(_file(wrong | {part: bytes(content)}, head=b"another head")) == part


def test_bytes_of_nobody_and_files_whose_parts_move_name_none() -> None:
    right = bytearray(_file(_toy()))
    right[1] ^= 1  # of the first head
    assert _found(bytes(right)) is None
    wrong = _toy() | {"two": bytes(40)}
    assert _found(_file(wrong), length=39) is None


def test_the_first_bad_part_is_found_wherever_it_is() -> None:
    for count in range(1, 9):
        for bad in range(count):
            assert first_bad(count, lambda n, bad=bad: n > bad) == bad
        assert first_bad(count, lambda n: False) is None
    assert first_bad(0, lambda n: True) is None
