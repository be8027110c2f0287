"""Channel grouping: the same model in another order, with few runs."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chordkit.backbones import ARCHITECTURES, CaserConfig, Reranker, SASRecConfig, build, initialise, reflected_order
from chordkit.backbones.master import from_master, make_master
from chordkit.errors import InputError
from chordkit.export.program import regroup, runs
from chordkit.export.targets.executorch.graph import storage_groups

GROUPS = st.lists(st.integers(0, 2), min_size=1, max_size=40).map(np.array)


@given(GROUPS)
def test_runs_tile_the_channels_and_count_within_their_group(groups):
    rebuilt = np.full(groups.size, -1)
    used = dict.fromkeys(range(3), 0)
    for run in runs(groups):
        assert run.first == used[run.group]
        used[run.group] += run.stop - run.start
        rebuilt[run.start : run.stop] = run.group
    np.testing.assert_array_equal(rebuilt, groups)


@given(GROUPS, st.data(), st.booleans())
@settings(max_examples=50)
def test_the_reflected_order_is_a_permutation_with_a_bounded_number_of_runs(first, data, falling):
    second = data.draw(st.lists(st.integers(0, 1), min_size=first.size, max_size=first.size).map(np.array))
    order = reflected_order([first, second], falling)
    np.testing.assert_array_equal(np.sort(order), np.arange(first.size))
    blocks = len(np.unique(first))
    assert len(runs(first[order])) == blocks
    # Neighbouring blocks meet in the same group of the second key: one run fewer for each border.
    assert len(runs(second[order])) <= 2 * blocks - (blocks - 1)


@pytest.mark.parametrize(
    "config",
    [
        SASRecConfig(items=40, max_length=8, dim=16, heads=2, blocks=3),
        SASRecConfig(items=40, max_length=8, dim=16, heads=1, blocks=1, norm_first=True, ffn_dim=64, activation="gelu"),
        CaserConfig(items=40, max_length=8, dim=16, heights=(1, 3), filters=6, vertical_filters=3, item_bias=True),
    ],
)
def test_a_regrouped_model_gives_the_same_scores_with_fewer_runs(config):
    backbone = initialise(build(config), "random", seed=3).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
        backbone.item_embedding.weight[0] = 0
    master = make_master(backbone)
    table = master.channel_table
    widths = np.random.default_rng(0).choice(np.array([0, 2, 4, 8], np.uint8), table.channels)
    other, moved, _ = regroup(master, widths, storage_groups)

    generator = torch.Generator().manual_seed(0)
    history = torch.randint(1, 41, (3, 8), generator=generator)
    history[1, :5] = 0
    candidates = torch.randint(1, 41, (3, 20), generator=generator)
    with torch.no_grad():
        expected = Reranker(from_master(master, widths).double())(history, candidates)
        actual = Reranker(from_master(other, moved).double())(history, candidates)
    # In float64 only the order of sums differs: 1e-12 is some thousand roundings.
    assert (actual - expected).abs().max() <= 1e-12 * expected.abs().max()

    def total(chosen):
        return sum(len(runs(storage_groups(chosen[table.layer_slice(layer.name)]))) for layer in table.layers)

    assert total(moved) < 0.6 * total(widths)
    np.testing.assert_array_equal(np.sort(moved), np.sort(widths))


def test_without_a_rule_the_order_stays_as_it_is(monkeypatch):
    master = make_master(build(SASRecConfig(items=5, max_length=4, dim=4, heads=1, blocks=1)))
    widths = np.random.default_rng(0).choice(np.array([2, 8], np.uint8), 24)
    assert not np.array_equal(regroup(master, widths, storage_groups)[1], widths)
    without = dataclasses.replace(ARCHITECTURES["sasrec"], channel_order=None)
    monkeypatch.setattr("chordkit.export.program.grouping.find_architecture", lambda name: without)
    other, moved, _ = regroup(master, widths, storage_groups)
    assert other is master and moved is widths


def test_an_unknown_architecture_is_refused_with_those_that_there_are():
    master = make_master(build(SASRecConfig(items=5, max_length=4, dim=4, heads=1, blocks=1)))
    master.config["architecture"] = "rnn"
    with pytest.raises(InputError, match=r"'rnn'.*sasrec"):
        regroup(master, np.full(24, 8, np.uint8), storage_groups)
