"""An experiment whose split is by time: others validate than test, some of either have nothing trained on, and nobody is mixed up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chordkit.backbones import Backbone
from chordkit.data import Dataset
from chordkit.errors import CheckpointError, DataError
from chordkit.evaluation import Models, run_experiment, summarise_seeds, train_models
from chordkit.evaluation.finetune import finetune, summarise_tuned
from chordkit.evaluation.results import SeedResult
from chordkit.evaluation.summary import halves

pytestmark = pytest.mark.long
CUT = "50%,75%"


@pytest.fixture(scope="module")
def timed(dataset: Dataset) -> Dataset:
    """Users who come and go: each one's interactions are a day apart from a day of their own on."""
    begins = np.random.default_rng(0).integers(0, 30, dataset.users)
    within = np.arange(dataset.interactions) - np.repeat(dataset.offsets[:-1], dataset.lengths)
    days = np.repeat(begins, dataset.lengths) + within
    return replace(dataset, times=(days * 86_400_000_000).astype(np.int64))


@pytest.fixture(scope="module")
def by_time(options):
    return options(seeds=(0,), vectors=False, split_at=CUT)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by-time")


@pytest.fixture(scope="module")
def result(timed: Dataset, by_time, backbone: Backbone, kept: Path) -> SeedResult:
    return run_experiment(timed, by_time, kept, backbone=backbone)[0]


@pytest.fixture(scope="module")
def models(timed: Dataset, by_time, backbone: Backbone, kept: Path, result: SeedResult) -> Models:
    return train_models(timed, by_time, 0, kept, None, backbone)


def test_users_who_validate_and_users_who_test_are_told_apart(
    result: SeedResult, timed: Dataset, by_time, backbone: Backbone, kept: Path
) -> None:
    parts = by_time.split(timed, 6)
    validating, testing = np.unique(parts.valid.users), np.unique(parts.test.users)
    assert len(validating) != len(testing) and len(np.setdiff1d(validating, testing)) and len(np.setdiff1d(testing, validating))
    assert any(len(parts.train[user]) == 0 for user in testing), "somebody of whom nothing is trained on has to be among them"
    for row in result.rows:
        assert all(len(values) == len(testing) and np.isfinite(values).all() for values in row.test.values())
        assert all(len(values) == len(validating) for values in row.valid.values())
    assert result.choosing is not None and result.choosing_valid is not None
    assert result.choosing.tolist() == halves(timed.users)[testing].tolist()
    assert result.choosing_valid.tolist() == halves(timed.users)[validating].tolist()
    again = run_experiment(timed, by_time, kept, backbone=backbone)[0]
    assert again.choosing is not None and again.choosing.tolist() == result.choosing.tolist()


def test_the_half_that_chooses_is_of_the_same_users_on_both_parts(result: SeedResult, timed: Dataset) -> None:
    def planted(users: int, choosing: np.ndarray | None, gain: float) -> np.ndarray:
        assert choosing is not None and len(choosing) == users
        return (np.where(choosing, gain, 0.0) + np.linspace(0, 1e-3, users)).astype(np.float32)

    rows = []
    for row in result.rows:
        gain = 1.0 if row.key == "own" else 0.0
        test = {name: planted(len(values), result.choosing, 2 * gain) for name, values in row.test.items()}
        valid = {name: planted(len(values), result.choosing_valid, gain) for name, values in row.valid.items()}
        rows.append(replace(row, test=test, valid=valid))
    summary = summarise_seeds([replace(result, rows=tuple(rows))])
    assert summary.difference("own", "static", "likelihood", "choice").value == pytest.approx(2.0)
    assert summary.difference("own", "static", "likelihood", "confirmation").value == pytest.approx(0.0)
    verdict = summary.verdict
    assert verdict.ship == "own" and verdict.choice is not None and verdict.confirmation is not None
    assert verdict.choice.value == pytest.approx(1.0) and verdict.confirmation.value == pytest.approx(0.0)


def test_fine_tuning_draws_users_who_have_something_to_test(models: Models, timed: Dataset, by_time) -> None:
    tested = np.unique(by_time.split(timed, 6).test.users)
    found = finetune(timed, models, by_time, 0, timed.users)
    assert all(np.isin(each.users, tested).all() and 2 <= len(each.users) <= len(tested) for each in found)
    assert all(len(values) == len(each.users) for each in found for values in each.before.values())
    assert summarise_tuned([found], timed.users)[0].users == len(found[0].users)


def test_results_of_another_split_are_refused(timed: Dataset, by_time, backbone: Backbone, kept: Path, result: SeedResult) -> None:
    for other in ("40%,75%", None):
        with pytest.raises(CheckpointError, match="split"):
            run_experiment(timed, replace(by_time, split_at=other), kept, backbone=backbone)
    # The same sequences, and so the same fingerprint, at other times.
    assert timed.times is not None
    moved = replace(timed, times=timed.times + np.arange(timed.interactions))
    assert moved.fingerprint == timed.fingerprint
    with pytest.raises(CheckpointError, match="split"):
        run_experiment(moved, by_time, kept, backbone=backbone)


def test_too_few_users_after_the_cut_are_refused_before_anything_is_trained(by_time) -> None:
    last = Dataset.from_sequences("late", [[1, 2, 3]] * 9 + [[1, 2, 3, 4, 5, 6]], times=[[0, 1, 2]] * 9 + [[0, 1, 2, 3, 8, 9]])
    with pytest.raises(DataError, match="1 users have items that validate, too few for a half that chooses"):
        run_experiment(last, replace(by_time, split_at="1970-01-01T00:00:00.000003,1970-01-01T00:00:00.000009"))
