"""An experiment trains and measures once, goes on where it stopped, and refuses the results of another."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit import kernels
from chordkit.backbones import Backbone
from chordkit.data import Dataset
from chordkit.errors import CheckpointError, InputError
from chordkit.evaluation import MEASURES, SeedResult, measure_latency, measure_models, run_evaluation, run_experiment, train_models
from chordkit.evaluation import experiment as module

pytestmark = pytest.mark.long


def same(first: SeedResult, second: SeedResult) -> bool:
    return [row.key for row in first.rows] == [row.key for row in second.rows] and all(
        np.array_equal(a.test[name], b.test[name]) and np.array_equal(a.valid[name], b.valid[name]) and a.phone_bytes == b.phone_bytes
        for a, b in zip(first.rows, second.rows, strict=True)
        for name in MEASURES
    )


def test_every_rival_has_every_measure_of_every_user(results: list[SeedResult], dataset: Dataset) -> None:
    assert [result.seed for result in results] == [0, 1] and not same(*results)
    for row in results[0].rows:
        assert set(MEASURES) <= set(row.test) == set(row.valid)
        assert all(values.shape == (dataset.users,) and np.isfinite(values).all() for values in row.test.values())
    assert {"own", "static", "own_vector", "static_vector", "fp32_vector", "own_age3"} <= {row.key for row in results[0].rows}


def test_a_finished_seed_is_read_and_not_trained(
    results: list[SeedResult], dataset: Dataset, backbone: Backbone, options, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "train_hypernetwork", never)
    again = run_experiment(dataset, options(), folder, backbone=backbone)
    assert all(same(a, b) and a.seconds == b.seconds > 0 for a, b in zip(results, again, strict=True))
    with pytest.raises(AssertionError, match="trained again"):
        run_experiment(dataset, options(seeds=(5,)), folder, backbone=backbone)


def test_an_interrupted_experiment_ends_with_what_an_uninterrupted_one_has(
    results: list[SeedResult], dataset: Dataset, backbone: Backbone, options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "measure_models", stop)
        run_experiment(dataset, options(seeds=(0,)), tmp_path, backbone=backbone)
    resumed = run_experiment(dataset, options(seeds=(0,)), tmp_path, backbone=backbone)
    assert same(resumed[0], results[0])


def test_what_no_budget_touches_is_trained_once(
    dataset: Dataset, backbone: Backbone, options, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def count(*arguments, **named):
        trained.append((arguments[3].quantised, arguments[4].relative_to(folder), len(list(arguments[4].glob("*")))))
        return real(*arguments, **named)

    real = module.train_hypernetwork
    monkeypatch.setattr(module, "train_hypernetwork", count)
    plan = options(seeds=(0,))
    other = replace(plan, personal=replace(plan.personal, average_bits=2.0, widths=(0, 8)))
    models = train_models(dataset, other, 0, folder, backbone=backbone)
    # The fp32 rivals find their own checkpoints; had their identity another budget in it, they would be refused.
    assert {str(where) for quantised, where, files in trained if not quantised and files} == {
        f"checkpoints/seed0/{name}" for name in ("fp32", "fp32-vector", "fp32-long")
    }
    assert {str(where.parent) for quantised, where, files in trained if quantised and not files} == {"checkpoints/seed0/2-of-0.8"}
    before = train_models(dataset, plan, 0, folder, backbone=backbone)
    assert all(torch.equal(a, b) for a, b in zip(models.full.backbone.parameters(), before.full.backbone.parameters(), strict=True))


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"ages": (4,)}, "ages"), ({"held_out": 1}, "split"), ({"vectors": False}, "vectors")],
)
def test_the_results_of_another_experiment_are_refused(
    changes: dict, field: str, results: list[SeedResult], dataset: Dataset, backbone: Backbone, options, folder: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"seed0.safetensors: .*experiment {field}"):
        run_experiment(dataset, options(**changes), folder, backbone=backbone)


def test_another_start_is_refused(results: list[SeedResult], dataset: Dataset, backbone: Backbone, options, folder: Path) -> None:
    other = type(backbone)(backbone.config)
    with pytest.raises(CheckpointError, match="experiment start"):
        run_experiment(dataset, options(), folder, backbone=other)


def test_a_damaged_result_is_refused(dataset: Dataset, backbone: Backbone, options, folder: Path, tmp_path: Path) -> None:
    run_experiment(dataset, options(), folder, backbone=backbone)
    data = bytearray((folder / "3-of-2.4.8" / "seed0.safetensors").read_bytes())
    data[-5] ^= 1
    (tmp_path / "3-of-2.4.8").mkdir()
    (tmp_path / "3-of-2.4.8" / "seed0.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged"):
        run_experiment(dataset, options(), tmp_path, backbone=backbone)


def test_a_rival_that_diverged_is_named(dataset: Dataset, backbone: Backbone, options, folder: Path) -> None:
    models = train_models(dataset, options(), 0, folder, backbone=backbone)
    models.static.master.embeddings["item_embedding"].scales[:] = 1e30
    with pytest.raises(InputError, match=r"seed 0: the scores of 'static' are no numbers.*lower lr"):
        measure_models(dataset, models, options(), 0)


def test_a_training_that_diverged_is_named(dataset: Dataset, backbone: Backbone, options) -> None:
    diverging = replace(options().personal, backbone_lr=1e30)
    with pytest.raises(InputError, match=r"seed 0, personal: .*NaN.*lower"):
        train_models(dataset, options(personal=diverging), 0, backbone=backbone)


def test_an_evaluation_has_a_case_for_every_budget(dataset: Dataset, backbone: Backbone, options, folder: Path) -> None:
    found = run_evaluation(dataset, options(seeds=(0,)), [(3.0, (2, 4, 8)), (2.0, (0, 8))], folder, backbone=backbone, finetuned_users=0)
    assert [(case.options.average_bits, case.options.widths) for case in found.cases] == [(3.0, (2, 4, 8)), (2.0, (0, 8))]
    for case, products in zip(found.cases, (1.0, 0.25), strict=True):
        assert case.summary.line("own").products == pytest.approx(products, rel=0.05)
    assert found.window == 6 and found.minutes > 0
    document = found.to_json()
    assert document["format"] == "chordkit-evaluation" and document["cases"][1]["options"]["widths"] == [0, 8]
    assert document["machine"]["cpu"] and document["seeds"] == [0]


def test_seeds_side_by_side_find_what_they_find_one_after_the_other(
    results: list[SeedResult], dataset: Dataset, backbone: Backbone, options, tmp_path: Path
) -> None:
    found = run_evaluation(dataset, options(), [(3.0, (2, 4, 8))], tmp_path, backbone=backbone, finetuned_users=0, jobs=2)
    assert found.seeds == (0, 1)
    assert all(same(*pair) for pair in zip(results, run_experiment(dataset, options(), tmp_path, backbone=backbone), strict=True))


def test_an_error_in_a_seed_of_its_own_process_is_the_same_error(dataset: Dataset, backbone: Backbone, options, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="vectors"):
        run_evaluation(dataset, options(vectors=False), [(3.0, (2, 4, 8))], folder, backbone=backbone, finetuned_users=0, jobs=2)


class DiesWhereItIsSent:
    """Ends the process that unpickles it, as the system does with one that takes too much memory."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_a_process_that_is_killed_is_told_with_the_mend(options, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer jobs"):
        run_evaluation(DiesWhereItIsSent(), options(), [(3.0, (2, 4, 8))], tmp_path, finetuned_users=0, jobs=2)


def test_the_engine_times_the_phones_window_beside_the_long_one(dataset: Dataset, backbone: Backbone, options, folder: Path) -> None:
    if not kernels.available():
        pytest.skip("the native engine was not compiled")
    models = train_models(dataset, options(), 0, folder, backbone=backbone)
    found = measure_latency(dataset, models, options(), rounds=5)
    assert not isinstance(found, str) and (found.window, found.long_window) == (6, 10)
    assert 0 < found.own.p50_us <= found.own.p90_us and found.ratio.low <= found.ratio.value <= found.ratio.high


def test_a_model_that_the_engine_does_not_run_is_skipped_with_the_reason(
    dataset: Dataset, backbone: Backbone, options, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = train_models(dataset, options(), 0, folder, backbone=backbone)
    monkeypatch.setattr(kernels, "backbones", lambda: ("caser",))
    assert measure_latency(dataset, models, options()) == "the native engine does not run sasrec"
    monkeypatch.setattr(kernels, "available", lambda: False)
    assert "not compiled" in measure_latency(dataset, models, options())


@pytest.mark.parametrize("architecture", ["caser", "gru4rec", "sasrec"])
def test_a_finished_seed_is_known_again_whatever_the_architecture(architecture: str, dataset: Dataset, options) -> None:
    identity = module.experiment_identity(dataset, options(architecture=architecture), 0, None)
    assert identity == json.loads(json.dumps(identity)) and identity["configuration"]["architecture"] == architecture
