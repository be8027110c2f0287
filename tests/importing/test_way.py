"""The whole way of a checkpoint: the command, the hypernetwork over it, and the runtimes that run it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from chordkit.backbones import make_master
from chordkit.data import Dataset, synthesize
from chordkit.errors import CapabilityError, MissingRuntimeError
from chordkit.export.artifact import Artifact, ArtifactSpec, Precision
from chordkit.export.judge import judge
from chordkit.export.parity import draw, references
from chordkit.export.targets import find_target, load_runner, lower
from chordkit.importing import Imported, import_backbone
from chordkit.strategy import Strategy, to_wire
from chordkit.training import load_backbone

HERE = Path(__file__).parent
ITEMS = 12
GIVEN: dict[str, dict[str, Any]] = {
    "recbole-sasrec": {"framework": "recbole-sasrec", "heads": 2},
    "pmixer-before": {"framework": "pmixer-sasrec", "heads": 2, "max_length": 5, "norm": "before"},
}


@functools.cache
def imported(name: str) -> Imported:
    data = Dataset.from_sequences("shop", [np.arange(1, ITEMS + 1)])
    return import_backbone(HERE / f"{name}.safetensors", data=data, item_ids="same", **GIVEN[name])


@pytest.mark.parametrize(
    ("name", "target"),
    [*(("recbole-sasrec", target) for target in ("native", "litert", "onnx")), ("pmixer-before", "litert"), ("pmixer-before", "onnx")],
)
def test_a_runtime_scores_as_the_imported_model_does(name: str, target: str) -> None:
    chosen = find_target(target)
    try:
        chosen.prepare()
    except MissingRuntimeError as error:
        pytest.skip(str(error))
    backbone = imported(name).backbone
    master = make_master(backbone)
    strategy = Strategy(np.random.default_rng(0).choice(np.array([2, 4, 8], np.uint8), master.channel_table.channels), master.fingerprint)
    histories = load_file(HERE / f"{name}.scores.safetensors")["histories"].numpy()[-16:, -5:].astype(np.int32)
    vectors = draw(histories, np.full(len(histories), 3), ITEMS, count=len(histories), candidates=6)
    vectors = vectors.with_scores(references(master, None, {"mix": strategy}))
    data = master.to_bytes()
    if chosen.capability.suffix is not None:
        data = lower(ArtifactSpec(target, Precision.STRATEGY, 6, chosen.capability.activations[0]), (master, strategy.widths))
    runner = load_runner(target, data, strategy=to_wire(strategy), candidates=6)
    activations = chosen.capability.activations[0]
    artifact = Artifact(name="x", target=target, precision=Precision.STRATEGY, activations=activations, candidates=6, strategy="mix")
    report = judge(artifact, runner, master, strategy.widths, vectors)
    assert report.passed, report.reasons
    other = Strategy(strategy.widths[::-1].copy(), master.fingerprint)
    wrong = vectors.with_scores(references(master, None, {"mix": other}))
    assert not judge(artifact, runner, master, strategy.widths, wrong).passed


def test_the_native_engine_refuses_what_it_has_no_part_for() -> None:
    with pytest.raises(CapabilityError, match=r"native: the backbone 'pmixer' is not supported: .*; use "):
        find_target("native").check("pmixer", Precision.INT8)


def test_the_command_makes_a_backbone_that_a_hypernetwork_is_trained_over(tmp_path: Path, command: Callable[..., Any]) -> None:
    world = synthesize(0, users=30, items=ITEMS, mean_length=8)
    order = [str(item) for item in (7, 2, 12, 1, 3, 4, 5, 6, 8, 9, 10, 11)]
    Dataset.from_sequences("shop", world.sequences, ["", *order]).save(tmp_path / "shop.safetensors")
    scores = HERE / "pmixer-after.scores.safetensors"
    arguments = ("--from", "pmixer-sasrec", "--heads", 2, "--max-length", 5, "--norm", "after", "--data", tmp_path / "shop.safetensors")
    arguments = ("import", HERE / "pmixer-after.safetensors", *arguments, "--item-ids", "numbers", "--out", tmp_path / "b.safetensors")
    made = command(*arguments, "--verify", scores, "--json").json
    assert made["architecture"] == "pmixer" and made["imported"]["agreement"]["histories"] == 18
    weights = load_file(HERE / "pmixer-after.safetensors")["item_emb.weight"].float()
    assert torch.equal(load_backbone(tmp_path / "b.safetensors")[0].item_embedding.weight[1], weights[7])
    outcome = command(*arguments)
    assert outcome.status == 0 and "nothing was compared" in outcome.out + outcome.err
    trained = command(
        "train", "hypernetwork", "--data", tmp_path / "shop.safetensors", "--backbone", tmp_path / "b.safetensors", "--epochs", 1,
        "--out", tmp_path / "h.safetensors", "--master", tmp_path / "m.chrm", "--window", 4, "--json",
    )  # fmt: skip
    assert trained.json["channels"] == 2 * 6 * 8 and trained.json["window"] == 4


def test_other_scores_are_status_1_and_no_file(tmp_path: Path, command: Callable[..., Any]) -> None:
    Dataset.from_sequences("shop", [np.arange(1, ITEMS + 1)]).save(tmp_path / "shop.safetensors")
    content = load_file(HERE / "recbole-sasrec.scores.safetensors")
    content["scores"][3, 5] += 1e-3
    save_file(content, tmp_path / "scores.safetensors")
    outcome = command(
        "import", HERE / "recbole-sasrec.safetensors", "--from", "recbole-sasrec", "--heads", 2, "--data", tmp_path / "shop.safetensors",
        "--item-ids", "same", "--verify", tmp_path / "scores.safetensors", "--out", tmp_path / "b.safetensors",
    )  # fmt: skip
    assert outcome.status == 1 and "scores differ by up to 0.001" in outcome.err and "(row 3, '5')" in outcome.err
    assert not (tmp_path / "b.safetensors").exists()
