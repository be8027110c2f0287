"""Somebody's own module on the stock runtimes: strategies of two users through the parity gate, and what has no form said by place."""

import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chordkit.backbones import from_master, make_master, registry
from chordkit.data import synthesize
from chordkit.errors import CapabilityError, MissingRuntimeError
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, VectorSet, draw, references
from chordkit.export.targets import Runner, Target, all_targets, find_target, load_runner, lower
from chordkit.hypernetwork import HypernetworkOptions, make_strategies, train_hypernetwork
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows
from chordkit.strategy import Strategy

pytestmark = pytest.mark.long

CANDIDATES, HISTORIES = 12, 48
TARGETS = [target for target in all_targets() if target.capability.backbones is None]
EACH_TARGET = pytest.mark.parametrize("target", TARGETS, ids=str)


@dataclasses.dataclass
class Brought:
    """An adapted module with what a hypernetwork has made for two users."""

    master: MasterWeights
    strategies: list[np.ndarray]
    vectors: VectorSet

    def verdict(
        self, target: Target, activations: str, runner: Runner, widths: np.ndarray, master: MasterWeights | None = None
    ) -> ParityReport:
        """The gate's judgement of an artifact, as one of ``master``."""
        master = master or self.master
        known = references(master, None, {"user": Strategy(widths, master.fingerprint)})
        vectors = self.vectors.with_scores({"user": known["user"]})
        artifact = Artifact(
            name="own", target=target.name, precision=Precision.STRATEGY, activations=activations, candidates=CANDIDATES,  # type: ignore[arg-type]
            strategy="user", user_vector=self.vectors.users is not None,
        )  # fmt: skip
        return judge(artifact, runner, master, widths, vectors)


@pytest.fixture(scope="module")
def brought(bring: Any, kind: type[nn.Module]) -> Iterator[Brought]:
    """One epoch of hypernetwork training through the module."""
    dataset = synthesize(3, users=40, items=bring.ITEMS, mean_length=12.0, max_length=20)
    with mock.patch.dict(registry._known):
        backbone = bring.own(bring.trained(kind))
        options = HypernetworkOptions(backbone_init="trained", epochs=1, batch=32, hidden=8, pools=(3, 6), stride=6)
        personal = train_hypernetwork(dataset, backbone, options=options)
        generator = np.random.default_rng(1)
        histories = generator.integers(1, bring.ITEMS + 1, (HISTORIES, bring.LENGTH)).astype(np.int32)
        for row in range(HISTORIES // 2):
            histories[row, : generator.integers(0, bring.LENGTH)] = 0
        targets = generator.integers(1, bring.ITEMS + 1, HISTORIES)
        vectors = draw(histories, targets, bring.ITEMS, count=HISTORIES, candidates=CANDIDATES)
        strategies = list(make_strategies(personal.hypernetwork, histories[-2:]))
        yield Brought(personal.master, strategies, vectors)


def made(target: Target, activations: str, master: MasterWeights, widths: np.ndarray, user_vector: bool = False) -> Runner:
    try:
        target.prepare()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    spec = ArtifactSpec(target.name, Precision.STRATEGY, CANDIDATES, activations, user_vector)  # type: ignore[arg-type]
    return load_runner(target.name, lower(spec, (master, widths)), master=master.to_bytes())


def exchanged(master: MasterWeights, name: str) -> MasterWeights:
    """The master with the first two rows of a layer in each other's place."""
    layer = master.layers[name]
    order = np.arange(len(layer.rows.codes))
    order[:2] = 1, 0
    rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
    return dataclasses.replace(master, layers={**master.layers, name: MasterLayer(rows, layer.bias)})


@EACH_TARGET
def test_the_strategies_of_two_users_pass_the_gate_and_exchanged_channels_do_not(brought: Brought, target: Target) -> None:
    first, second = brought.strategies
    assert not np.array_equal(first, second) and len(np.unique(np.concatenate([first, second]))) > 1
    for activations in target.capability.activations:
        for widths in (first, second):
            runner = made(target, activations, brought.master, widths)
            report = brought.verdict(target, activations, runner, widths)
            assert report.passed, report.reasons
        for name in brought.master.layers:
            wrong = brought.verdict(target, activations, runner, second, exchanged(brought.master, name))
            assert not wrong.passed, f"{name}: two channels were exchanged unseen"


def test_a_user_vector_is_an_input_of_an_own_module_too(brought: Brought) -> None:
    # One target: what lies between the inputs and the sum at the end is tests/conformance's.
    target = find_target("litert")
    vector = np.random.default_rng(2).normal(0, 0.5, brought.master.dim).astype(np.float32)
    personal = dataclasses.replace(brought, vectors=brought.vectors.with_users([vector]))
    widths, activations = brought.strategies[0], target.capability.activations[-1]
    runner = made(target, activations, brought.master, widths, user_vector=True)
    report = personal.verdict(target, activations, runner, widths)
    assert report.passed, report.reasons
    wrong = runner.scores(brought.vectors.histories[0], brought.vectors.candidates[0], vector[::-1])
    assert not np.allclose(wrong, runner.scores(brought.vectors.histories[0], brought.vectors.candidates[0], vector))


class Deciding(nn.Module):
    """Does in Python what only a graph can do on a phone."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.items = nn.Embedding(31, 8, padding_idx=0)
        self.layer = nn.Linear(8, 8)

    def forward(self, history: Tensor) -> Tensor:
        x = self.layer(self.items(history))
        if self.how == "a branch":
            return x[:, -1] if x.sum() > 1e9 else x[:, -1] + 1
        if self.how == "a number":
            return x[:, -1] * float(torch.ones(1).sum())
        if self.how == "a size":
            return torch.stack([row[ids != 0].amax(0) for row, ids in zip(x, history, strict=True)])
        return x[:, -1] + torch.from_numpy(x[:, 0].detach().numpy())


@pytest.mark.parametrize("how", ["a branch", "a number", "a size", "numpy"])
def test_what_is_no_graph_of_fixed_shapes_is_refused_in_a_sentence(bring: Any, how: str) -> None:
    master = make_master(bring.own(Deciding(how)))
    with pytest.raises(CapabilityError, match=r"'own' is no graph of fixed shapes \(.*\): let no tensor decide|has no lowering"):
        lower(ArtifactSpec("litert", Precision.INT8, CANDIDATES), (master, np.full(master.channel_table.channels, 8, np.uint8)))


class Running(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cumsum(x, dim=1)


class Unusual(nn.Module):
    """Has an operator that no target has, two floors down."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(31, 8, padding_idx=0)
        self.body = nn.Sequential(nn.Linear(8, 8), Running())

    def forward(self, history: Tensor) -> Tensor:
        return self.body(self.items(history))[:, -1]


@EACH_TARGET
def test_an_operator_without_a_form_is_named_with_its_place(bring: Any, target: Target) -> None:
    master = make_master(bring.own(Unusual()))
    with pytest.raises(
        CapabilityError, match=r"the operator aten\.cumsum\.default in model\.body\.1 \(Running, test_exported\.py line \d+\) has no"
    ):
        made(target, target.capability.activations[0], master, np.full(master.channel_table.channels, 4, np.uint8))


def test_the_native_engine_says_that_it_knows_its_own_backbones_only(bring: Any) -> None:
    master = make_master(bring.own(bring.trained(bring.MeanMLP)))
    for target in (find_target("native"), find_target("executorch-chord")):
        with pytest.raises(CapabilityError, match=f"{target}: the backbone 'own' is not supported"):
            lower(ArtifactSpec(target.name, Precision.INT8, CANDIDATES), (master, np.full(master.channel_table.channels, 8, np.uint8)))


def test_an_artifact_of_float_weights_computes_what_the_module_does(bring: Any, kind: type[nn.Module]) -> None:
    pytest.importorskip("onnxruntime")
    module = bring.trained(kind)
    backbone, rows = bring.own(module), bring.histories().int()
    runner = load_runner("onnx", lower(ArtifactSpec("onnx", Precision.FP32, 4), backbone))
    candidates = torch.tensor([1, 5, 2, 30], dtype=torch.int32)
    with torch.no_grad():
        expected = (module.eval()(rows) @ module.items.weight[candidates.long()].T).numpy()
    found = np.stack([runner.scores(row.numpy(), candidates.numpy()) for row in rows])
    # float32 sums of at most 36 terms in another order, through at most 4 layers and a norm.
    assert np.abs(found - expected).max() < 4 * 36 * 2.0**-22 * np.abs(expected).max()
    assert not from_master(make_master(backbone)).training
