"""From a backbone to its master weights and back: the reference that every artifact is measured against."""

import dataclasses

import numpy as np
import pytest

from chordkit.backbones import Backbone, SASRecConfig, build, from_master, initialise, make_master
from chordkit.errors import MasterError


def make() -> Backbone:
    return initialise(build(SASRecConfig(items=20, max_length=6, dim=32, heads=2, ffn_dim=64)), "random", seed=1).eval()


def test_an_off_channel_keeps_its_bias():
    backbone = make()
    backbone.blocks[0].query.bias.data.fill_(0.25)
    master = make_master(backbone)
    reference = from_master(master, np.zeros(master.channel_table.channels, dtype=np.uint8))
    assert not reference.blocks[0].query.weight.any()
    assert (reference.blocks[0].query.bias == 0.25).all()


def test_a_master_that_contradicts_its_configuration_is_refused():
    master = make_master(make())
    wrong_blocks = dataclasses.replace(master, config=master.config | {"blocks": 1})
    with pytest.raises(MasterError, match="make the master again"):
        from_master(wrong_blocks)
    wrong_items = dataclasses.replace(master, config=master.config | {"items": 21})
    with pytest.raises(MasterError, match=r"item_embedding"):
        from_master(wrong_items)


def test_a_tensor_with_two_names_is_refused():
    backbone = make()
    backbone.blocks[1].query.weight = backbone.blocks[0].query.weight
    with pytest.raises(MasterError, match=r"'blocks.0.query.weight' and 'blocks.1.query.weight' are one tensor"):
        make_master(backbone)
