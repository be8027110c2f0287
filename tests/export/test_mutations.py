"""benchmarks/mutations.py: deliberate faults of every kind are seen by the gate, or move no score that anybody could notice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from chordkit.backbones import SASRecConfig, build, make_master
from chordkit.data import synthesize
from chordkit.export.assembly import vectors_from
from chordkit.export.targets import find_target

pytestmark = [pytest.mark.checkout, pytest.mark.long]

COUNT = {"native": 60, "onnx": 16}  # every kind at least once where a fault takes milliseconds


@pytest.fixture(scope="module")
def mutations(script: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield script("benchmarks/mutations.py")


def _gate(mutations: ModuleType, contender: str) -> object:
    data = synthesize(1, users=60, items=80, mean_length=12, max_length=20)
    torch.manual_seed(0)
    backbone = build(SASRecConfig(items=data.items, max_length=8, dim=16, blocks=1, heads=2))
    with torch.no_grad():  # as large as trained weights, so that every layer has its say in the scores
        for layer in backbone.channel_layers().values():
            layer.weight.normal_(0, layer.in_features**-0.5)
            layer.bias.normal_(0, 0.1)
        backbone.item_embedding.weight[1:].normal_(0, 1)
    master = make_master(backbone)
    drawn = vectors_from(data, 8, histories=40, candidates=20, seed=0)
    return mutations.Gate(contender, master, mutations.mixed(master.channel_table.channels, 0), drawn, 16, data)


@pytest.mark.parametrize("contender", ["onnx", "native"])
def test_a_fault_of_every_kind_is_seen_or_moves_no_score(contender: str, mutations: ModuleType) -> None:
    target = find_target(mutations.CONTENDERS[contender][0])
    if target.capability.runtime is not None and target.installed() is None:
        pytest.skip(f"{target} is not installed")
    found = mutations.run(_gate(mutations, contender), COUNT[contender], 1)
    assert len(found) == COUNT[contender]
    for verdict in found:
        if verdict.outcome == "passed":
            # What passes is within the tolerance, and changes nobody's ten best by more than that allows.
            assert verdict.margin <= 1 and verdict.top10 >= 0.99, verdict
    outcomes = {verdict.outcome for verdict in found}
    assert outcomes >= ({"red"} if contender == "onnx" else {"red", "red by its constants", "refused by the runtime"})
    table = mutations.tables({contender: found})
    assert f"| {contender} | {COUNT[contender]} |" in table


def test_without_the_constants_some_faults_pass(mutations: ModuleType) -> None:
    gate = _gate(mutations, "native")
    gate.scores_only = True  # type: ignore[attr-defined]
    passed = {verdict.kind for verdict in mutations.run(gate, COUNT["native"], 1) if verdict.outcome == "passed"}
    assert "scale of a channel x 1.001" in passed
    assert passed.isdisjoint({"swapped channels", "missing permutation", "stale strategy", "wrong table row", "transposed layer"})


def test_a_fault_lands_in_the_layer_that_is_named(mutations: ModuleType) -> None:
    gate = _gate(mutations, "native")
    right = gate.planter.constants  # type: ignore[attr-defined]
    wrong = mutations.plant("swapped channels", right, np.random.default_rng(0), "blocks.0.value")
    changed = [name for name in right.layers if not np.array_equal(right.layers[name].codes, wrong.layers[name].codes)]
    assert changed == ["blocks.0.value"]
