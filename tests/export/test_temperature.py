"""The temperature that a bundle carries for phones that train: what makes logits of the model's scores."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from chordkit.backbones import Backbone, default_config, from_master, make_master
from chordkit.data import Dataset, split, synthesize
from chordkit.export import bundle
from chordkit.export.assembly import fitted_temperature
from chordkit.export.collection import Sources
from chordkit.hypernetwork.likelihood import mean_likelihood
from chordkit.strategy import Strategy
from chordkit.training import default_options, train_backbone


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return synthesize(seed=0, users=80, items=40, mean_length=15)


@pytest.fixture(scope="module")
def backbone(dataset: Dataset) -> Backbone:
    config = default_config("sasrec", dataset.items, dim=16, max_length=8)
    return train_backbone(dataset, config, default_options("sasrec", epochs=4)).backbone


def sources(backbone: Backbone, widths: tuple[int, ...] = ()) -> Sources:
    master = make_master(backbone)
    channels = master.channel_table.channels
    return Sources(master, None, {str(width): Strategy(np.full(channels, width, np.uint8), master.fingerprint) for width in widths})


def test_no_other_temperature_makes_what_people_chose_more_probable(dataset: Dataset, backbone: Backbone) -> None:
    made = sources(backbone)
    fitted = fitted_temperature(made, dataset, 80)
    part, model = split(dataset, 8).valid, from_master(made.master)
    states = model.encode(torch.from_numpy(part.histories).long())
    likelihood = {each: mean_likelihood(model, states, part, masked=True, temperature=each * fitted) for each in (0.8, 1.0, 1.25)}
    assert max(likelihood, key=likelihood.__getitem__) == 1.0


def test_scores_twice_as_large_have_twice_the_temperature(dataset: Dataset, backbone: Backbone) -> None:
    master = make_master(backbone)
    last_norm = {name: 2 * tensor for name, tensor in master.tensors.items() if name.startswith("blocks.1.ffn_norm.")}
    doubled = dataclasses.replace(master, tensors=master.tensors | last_norm)
    once, twice = (fitted_temperature(Sources(each, None, {}), dataset, 80) for each in (master, doubled))
    assert once is not None and twice == pytest.approx(2 * once, rel=2e-3)  # four digits each


def test_it_is_that_of_the_strategies_in_the_bundle(dataset: Dataset, backbone: Backbone) -> None:
    eight, two = (fitted_temperature(sources(backbone, widths), dataset, 80) for widths in ((8,), (2,)))
    assert eight == fitted_temperature(sources(backbone), dataset, 80) != two


def test_a_manifest_has_it_or_does_not_speak_of_it(toy, tmp_path: Path) -> None:
    for temperature in (0.75, None):
        bundle.write(tmp_path / "x.chord", dataclasses.replace(toy.contents(), temperature=temperature), toy.KEY)
        with bundle.open(tmp_path / "x.chord", toy.PUBLIC) as opened:
            assert opened.manifest.backbone.temperature == temperature
            assert (b'"temperature": 0.75' in opened.manifest.to_bytes()) is (temperature is not None)


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1e7, "1", True])
def test_an_impossible_one_is_refused(toy, tmp_path: Path, wrong: object) -> None:
    bundle.write(tmp_path / "x.chord", toy.contents(), toy.KEY)
    data = toy.with_manifest(toy.members(tmp_path / "x.chord"), lambda document: document["backbone"].update(temperature=wrong))
    assert "backbone.temperature" in toy.refused(data, toy.PUBLIC)
