"""What every target owes every backbone that it claims, collected from both registries: the parity gate, and that it goes red.

An architecture's examples may be smaller than an engine's kernels take, which the engine says in a sentence: a target is then held to
the examples that it takes, and to one of each architecture at least.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from chordkit.backbones import ARCHITECTURES, Backbone, BackboneConfig, build, config_to_dict, initialise, make_master
from chordkit.errors import CapabilityError, MasterError
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, VectorSet, draw, parity, references
from chordkit.export.targets import Runner, Target, all_targets, load_runner, lower
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows
from chordkit.strategy import Strategy, to_wire

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("installed_target")]

CANDIDATES, HISTORIES = 8, 32
CLAIMED = [
    (target, architecture.name) for target in all_targets() for architecture in ARCHITECTURES.values() if target.knows(architecture.name)
]
EACH_CLAIM = pytest.mark.parametrize(("target", "architecture"), CLAIMED, ids=[f"{target}-{name}" for target, name in CLAIMED])


@functools.cache
def model(config: BackboneConfig) -> Backbone:
    """A random backbone whose layers all have their say in the scores, and whose attention is no sharper than a trained one's."""
    backbone = initialise(build(config), "random", distribution="normal", seed=5).eval()
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.dim() == 1:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, 0.6 * layer.in_features**-0.5, generator=generator)
        backbone.item_embedding.weight[1:].normal_(0, 1, generator=generator)
    return backbone


@functools.cache
def vectors_of(config: BackboneConfig, candidates: int = CANDIDATES) -> VectorSet:
    generator = np.random.default_rng(1)
    histories = generator.integers(1, config.items + 1, (HISTORIES, config.max_length)).astype(np.int32)
    for row in range(HISTORIES // 2):
        histories[row, : generator.integers(0, config.max_length)] = 0
    return draw(histories, generator.integers(1, config.items + 1, HISTORIES), config.items, count=HISTORIES, candidates=candidates)


def mixed(master: MasterWeights, seed: int, widths: tuple[int, ...] = (0, 2, 4, 8)) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array(widths, np.uint8), master.channel_table.channels)


def load(
    target: Target,
    precision: Precision,
    activations: str,
    master: MasterWeights,
    widths: np.ndarray,
    backbone: Backbone,
    user_vector: bool = False,
    candidates: int = CANDIDATES,
) -> Runner:
    wire = to_wire(Strategy(widths, master.fingerprint))
    if target.capability.suffix is None:
        return load_runner(target.name, master.to_bytes(), strategy=wire, candidates=candidates)
    spec = ArtifactSpec(target.name, precision, candidates, activations, user_vector)  # type: ignore[arg-type]
    data = lower(spec, backbone if precision is Precision.FP32 else (master, widths))
    return load_runner(target.name, data, master=master.to_bytes())


def verdict(
    target: Target,
    precision: Precision,
    activations: str,
    master: MasterWeights,
    widths: np.ndarray,
    config: BackboneConfig,
    runner: Runner,
    users: list[np.ndarray] | None = None,
    fed: Callable[[np.ndarray], np.ndarray] = np.array,
    candidates: int = CANDIDATES,
) -> ParityReport:
    """The gate's own judgement of ``runner`` as an artifact of ``master`` and ``widths``, with the vectors of ``users`` in turn.

    ``fed`` gives what the artifact is fed with instead of the reference's vectors ``[n, dim]``.
    """
    backbone = model(config)
    strategy = {"mix": Strategy(widths, master.fingerprint)} if precision is Precision.STRATEGY else {}
    known = references(master, backbone, strategy)
    artifact = Artifact(
        name="x", target=target.name, precision=precision, activations=activations, candidates=candidates,  # type: ignore[arg-type]
        strategy="mix" if strategy else None, user_vector=users is not None,
    )  # fmt: skip
    vectors = vectors_of(config, candidates) if users is None else vectors_of(config, candidates).with_users(users)
    vectors = vectors.with_scores({artifact.reference: known[artifact.reference]})
    if vectors.users is not None:
        vectors = dataclasses.replace(vectors, users=fed(vectors.users))
    return judge(artifact, runner, master, widths if strategy else None, vectors)


def artifacts_of(target: Target, first: bool) -> list[tuple[Precision, str]]:
    """Every combination for an architecture's first example, mixed widths for the others."""
    precisions = target.capability.precisions if first else (Precision.STRATEGY,)
    return [
        (precision, activations)
        for precision in precisions
        for activations in target.capability.activations
        if (precision, activations) != (Precision.FP32, "int8")
    ]


def exchanged(master: MasterWeights, name: str, one: int, other: int) -> MasterWeights:
    """``master`` as a faulty lowering would have it: two rows of a layer have changed places."""
    layer = master.layers[name]
    order = np.arange(len(layer.rows.codes))
    order[[one, other]] = order[[other, one]]
    rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
    return dataclasses.replace(master, layers={**master.layers, name: MasterLayer(rows, layer.bias)})


def two_alike(master: MasterWeights, widths: np.ndarray) -> tuple[str, int, int]:
    """The first layer with two channels of 8 bits, and the first and the last of them."""
    for layer in master.channel_table.layers:
        wide = np.flatnonzero(widths[layer.offset : layer.offset + layer.out_channels] == 8)
        if len(wide) > 1:
            return layer.name, int(wide[0]), int(wide[-1])
    raise AssertionError("no layer has two channels of 8 bits")


@EACH_CLAIM
def test_every_artifact_of_a_claimed_backbone_passes_the_gate_and_none_with_exchanged_channels(target: Target, architecture: str) -> None:
    judged = red = 0
    for index, config in enumerate(ARCHITECTURES[architecture].examples):
        backbone = model(config)
        master = make_master(backbone)
        for precision, activations in artifacts_of(target, index == 0):
            widths = mixed(master, index) if precision is Precision.STRATEGY else np.full(master.channel_table.channels, 8, np.uint8)
            try:
                runner = load(target, precision, activations, master, widths, backbone)
            except MasterError as error:
                assert "outside" in str(error) and "runs" in str(error), error
                continue
            report = verdict(target, precision, activations, master, widths, config, runner)
            assert report.passed, f"{config_to_dict(config)} {precision} {activations}: {report.reasons}"
            judged += 1
            if precision is Precision.STRATEGY:
                # One layer; tests/export/test_parity_gate.py goes through all of them.
                name, one, other = two_alike(master, widths)
                wrong = verdict(target, precision, activations, exchanged(master, name, one, other), widths, config, runner)
                assert not wrong.passed, f"{config_to_dict(config)} {activations}: two channels were exchanged unseen"
                red += 1
    assert judged and red, "the target takes no example of a backbone that it claims"


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_with_one_candidate_a_call_the_strategy_of_a_wrong_user_turns_the_gate_red(target: Target) -> None:
    config = ARCHITECTURES["caser"].examples[0]
    backbone = copy.deepcopy(model(config))
    with torch.no_grad():  # scores so small that no error of theirs would be above a limit that were absolute
        for parameter in backbone.get_submodule("fc").parameters():
            parameter *= 1e-3
    master = make_master(backbone)
    own, others = (mixed(master, seed) for seed in (1, 2))
    activations = target.capability.activations[-1]
    runner = load(target, Precision.STRATEGY, activations, master, own, backbone, candidates=1)
    judged = functools.partial(verdict, target, Precision.STRATEGY, activations, master, config=config, runner=runner, candidates=1)
    right, wrong = judged(widths=own), judged(widths=others)
    assert right.passed, right.reasons
    assert not wrong.passed and wrong.relative_rms_error > 0.2


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_masked_slots_contribute_nothing_whatever_the_logits(target: Target) -> None:
    config = ARCHITECTURES["sasrec"].examples[0]
    backbone = copy.deepcopy(model(config))
    with torch.no_grad():  # logits of both signs, of some ten thousands
        for name, layer in backbone.channel_layers().items():
            layer.weight *= 300 if name.endswith(("query", "key")) else 1
    master = make_master(backbone)
    widths = mixed(master, 1)
    activations = target.capability.activations[0]
    vectors = vectors_of(config)
    histories = vectors.histories.copy()
    if activations == "int8":
        # Which of two items such attention looks at is decided by the noise of 8 bits; with one item only a masked slot could win.
        histories[:, :-1] = 0
    runner = load(target, Precision.STRATEGY, activations, master, widths, backbone)
    reference = references(master, None, {"mix": Strategy(widths, master.fingerprint)})["mix"]
    report = parity(runner, reference, histories, vectors.candidates, target.tolerance(activations).for_few(HISTORIES, CANDIDATES))
    assert report.passed, report.reasons


def takes_it_its_own_way(architecture: str) -> bool:
    kind = type(build(ARCHITECTURES[architecture].examples[0]))
    return kind.encode_personal is not Backbone.encode_personal


# Of those that add it to the hidden state one is enough.
PERSONAL = ["caser", *filter(takes_it_its_own_way, ARCHITECTURES)]


@pytest.mark.parametrize(
    ("target", "architecture"), [claim for claim in CLAIMED if claim[0].capability.user_vector and claim[1] in PERSONAL], ids=str
)
def test_an_artifact_that_takes_a_user_vector_passes_the_gate_and_with_a_wrong_one_does_not(target: Target, architecture: str) -> None:
    def exchanged_entries(vectors: np.ndarray) -> np.ndarray:
        return vectors[:, [1, 0, *range(2, vectors.shape[1])]]

    # SASRec has its norms after the blocks in its first example and before them in the second.
    for index, config in enumerate(ARCHITECTURES[architecture].examples[: 2 if architecture == "sasrec" else 1]):
        backbone = model(config)
        master = make_master(backbone)
        generator = np.random.default_rng(2)
        users = [generator.normal(0, 0.5, config.dim).astype(np.float32) for _ in range(2)]
        for precision, activations in artifacts_of(target, index == 0):
            widths = mixed(master, index) if precision is Precision.STRATEGY else np.full(master.channel_table.channels, 8, np.uint8)
            runner = load(target, precision, activations, master, widths, backbone, user_vector=True)
            judged = functools.partial(verdict, target, precision, activations, master, widths, config, runner, users)
            report = judged()
            assert report.passed, f"{config_to_dict(config)} {precision} {activations}: {report.reasons}"
            for wrong in (exchanged_entries, np.flipud, np.zeros_like):
                assert not judged(wrong).passed, f"{config_to_dict(config)} {precision} {activations}: {wrong.__name__} was not seen"


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_a_target_without_user_vectors_refuses_one_with_a_sentence(target: Target) -> None:
    if target.capability.user_vector:
        assert target.check("sasrec", Precision.INT8, user_vector=True)
        return
    with pytest.raises(CapabilityError, match=f"{target}: a user vector is not supported: .*; leave it out, or use another target"):
        lower(ArtifactSpec(target.name, Precision.INT8, CANDIDATES, user_vector=True), int8_source("sasrec"))


def int8_source(architecture: str) -> tuple[MasterWeights, np.ndarray]:
    master = make_master(model(ARCHITECTURES[architecture].examples[0]))
    return master, np.full(master.channel_table.channels, 8, np.uint8)


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_a_backbone_that_is_not_claimed_is_refused_with_a_sentence(target: Target) -> None:
    for architecture in ARCHITECTURES.values():
        if not target.knows(architecture.name):
            with pytest.raises(CapabilityError, match=f"{target}: the backbone '{architecture.name}' is not supported: .*; use "):
                target.check(architecture.name, Precision.INT8)


def test_a_target_is_called_as_its_folder_is() -> None:
    # --help lists the folders, and does not import them.
    for target in all_targets():
        assert type(target).__module__ == f"chordkit.export.targets.{target.name.replace('-', '_')}"


@pytest.mark.parametrize("target", all_targets(), ids=str)
def test_the_same_model_gives_the_same_bytes(target: Target) -> None:
    if target.capability.suffix is None:
        pytest.skip("it has no file")
    config = ARCHITECTURES["sasrec"].examples[0]
    master = make_master(model(config))
    spec = ArtifactSpec(target.name, Precision.STRATEGY, CANDIDATES)
    first, second = (lower(spec, (master, mixed(master, 3))) for _ in range(2))
    assert first == second
