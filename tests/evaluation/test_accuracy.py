"""Files beside files: the same values as in a whole evaluation, paired over the same users, and nothing that has learned what tests."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone
from chordkit.data import Dataset, split, split_identity
from chordkit.errors import InputError
from chordkit.evaluation import ExperimentOptions, Models, measure_models, train_models
from chordkit.evaluation.accuracy import MEASURES
from chordkit.evaluation.accuracy_run import measure_accuracy
from chordkit.evaluation.contenders import Contender, of_backbone, of_hypernetwork
from chordkit.evaluation.files import Files
from chordkit.evaluation.measure import Measured
from chordkit.training import save_backbone

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def models(dataset: Dataset, backbone: Backbone, folder: Path, options) -> Models:
    """Of the first seed, from their checkpoints."""
    return train_models(dataset, options(), 0, folder, backbone=backbone)


def test_strategies_are_worth_what_a_whole_evaluation_says(dataset: Dataset, backbone: Backbone, models: Models, options) -> None:
    chosen: ExperimentOptions = options(ages=())
    rows = {row.key: row.test for row in measure_models(dataset, models, chosen, 0).rows}
    personal, static = models.personal, models.static
    assert static is not None

    def make(part):
        return [
            *of_backbone("start", backbone)[:1],
            *of_hypernetwork("p", personal.hypernetwork, personal.master, part, 0)[:3],
            *of_hypernetwork("s", static.hypernetwork, static.master, part, 0)[:1],
        ]

    found = {line.name: line for line in measure_accuracy(dataset, make, held_out=2, validation=2, seed=0).lines}
    for name, key in (("start", "start"), ("p: own", "own"), ("p: another's", "other"), ("p: mean", "mean"), ("s: static", "static")):
        for measure in MEASURES:
            assert found[name].values[measure].value == pytest.approx(float(rows[key][measure].mean()), abs=1e-6), (name, measure)
            if name != "start":
                difference = rows[key][measure].astype(float) - rows["start"][measure]
                assert found[name].minus_first[measure].value == pytest.approx(difference.mean(), abs=1e-6)
    assert {"popularity", "last item", "item-kNN", "EASE"} < set(found) and not found["start"].minus_first
    assert found["p: own"].bits == pytest.approx(personal.options.average_bits)


def planted(name: str, values: np.ndarray, few: bool = False) -> Contender:
    """Hits the target of user u with probability values[u], of which every measure is made."""

    def ask(part, candidates):
        assert len(candidates["n100"]) == len(part)
        column = values[part.users].astype(np.float64)
        return Measured(dict.fromkeys(MEASURES, column), np.zeros((len(part), 10), np.int32))

    return Contender(name, name, "artifact", "", None, ask, few)


def test_who_was_asked_about_few_users_is_compared_over_these(dataset: Dataset) -> None:
    values = np.random.default_rng(0).random(dataset.users)
    make = lambda part: [planted("all", values), planted("few", values + 0.25, few=True)]  # noqa: E731
    first, few, *_ = measure_accuracy(dataset, make, few_users=10, held_out=2).lines
    assert (first.users, few.users) == (dataset.users, 10)
    gain = few.minus_first["ndcg10"]
    assert [gain.low, gain.value, gain.high] == pytest.approx([0.25] * 3, abs=1e-6), "the same for everybody, if the users are the same"
    assert few.values["ndcg10"].value != pytest.approx(values.mean() + 0.25, abs=1e-3)
    some = measure_accuracy(dataset, make, users=7, few_users=10).lines
    assert [line.users for line in some[:2]] == [7, 7]


def test_two_of_one_name_are_refused(dataset: Dataset) -> None:
    values = np.zeros(dataset.users)
    with pytest.raises(InputError, match="two of the files are called 'a'"):
        measure_accuracy(dataset, lambda part: [planted("a", values), planted("a", values)])


def test_what_has_learned_from_the_test_items_is_not_asked(dataset: Dataset, backbone: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    save_backbone(path, backbone, {"dataset_fingerprint": dataset.fingerprint, "split": split_identity(dataset, 1, 1, None)})
    with pytest.raises(InputError, match=r"b\.safetensors: it was trained with --held-out 1.*give --held-out 1, or"):
        Files(dataset, split_identity(dataset, 5, 1, None), 0).add_backbone(path)
    files = Files(dataset, split_identity(dataset, 1, 1, None), 0)
    files.add_backbone(path)
    assert files.remarks() == []
    save_backbone(path, backbone, {})
    files.add_backbone(path)
    assert "when these were trained: b.safetensors." in files.remarks()[0]
    save_backbone(path, backbone, {"dataset_fingerprint": "another"})
    files.add_backbone(path)
    assert files.remarks()[0].startswith("b.safetensors was trained on other data")


def test_what_was_trained_on_a_split_by_time_is_asked_about_that_split(backbone: Backbone, dataset: Dataset, tmp_path: Path) -> None:
    at = "80%,90%"
    moments = np.random.default_rng(0).integers(0, 1000, len(dataset.flat))
    timed = replace(dataset, times=np.concatenate([np.sort(moments[start:stop]) for start, stop in pairwise(dataset.offsets)]))
    path = tmp_path / "b.safetensors"
    save_backbone(path, backbone, {"dataset_fingerprint": timed.fingerprint, "split": split_identity(timed, 1, 1, at)})
    with pytest.raises(InputError, match=r"b\.safetensors: it was trained on another split of this data; give the --split-at"):
        Files(timed, split_identity(timed, 1, 1, None), 0).add_backbone(path)
    files = Files(timed, split_identity(timed, 3, 1, at), 0)
    files.add_backbone(path)
    found = measure_accuracy(timed, files.contenders, held_out=3, split_at=at)
    assert found.protocol.startswith("Split by time at 80%,90%") and not found.notes
    assert found.lines[0].users == len(np.unique(split(timed, 1, 3, 1, at).test.users)) < timed.users


def test_a_model_of_another_catalogue_is_refused(dataset: Dataset, backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(tmp_path / "b.safetensors", backbone, {})
    smaller = Dataset.from_sequences("small", [[1, 2, 3], [3, 2, 1]])
    with pytest.raises(InputError, match=r"it knows 150 items and small has 3"):
        Files(smaller, split_identity(smaller, 1, 1, None), 0).add_backbone(tmp_path / "b.safetensors")


def test_quantised_evenly_is_the_backbone_quantised(dataset: Dataset, backbone: Backbone) -> None:
    torch.manual_seed(0)
    part = split(dataset, 1, 1, 1).test
    full, *even = of_backbone("b", backbone)
    names = ["b: 2 bits", "b: 4 bits", "b: 8 bits", "b: 8 bits, int4 tables"]
    assert [(each.name, each.bits) for each in even] == list(zip(names, (2, 4, 8, 8), strict=True))
    values = [each.ask(part, {}).values["raw_likelihood"] for each in (full, *even)]
    errors = [float(np.abs(each - values[0]).mean()) for each in values[1:]]
    assert errors[0] > errors[1] > errors[2] > 0 and errors[3] > 2 * errors[2], "a table in int4 costs more than one in int8"
