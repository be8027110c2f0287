"""SASRec's positions: by slot, or counted from the oldest item of the window."""

import pytest
import torch

from chordkit.backbones import Backbone, SASRecConfig, build, config_from_dict, config_to_dict, initialise, make_master

CONFIG = SASRecConfig(items=20, max_length=6, dim=16, positions_from_oldest=True)


def backbone_of(config: SASRecConfig) -> Backbone:
    backbone = initialise(build(config), seed=1).double().eval()
    with torch.no_grad():
        backbone.position_embedding.weight.normal_(0, 1, generator=torch.Generator().manual_seed(2))
        backbone.item_embedding.weight[1:].normal_(0, 1, generator=torch.Generator().manual_seed(3))
    return backbone


@pytest.mark.parametrize("length", range(1, 7))
def test_row_0_is_that_of_the_oldest_item(length: int) -> None:
    counted = backbone_of(CONFIG)
    by_slot = build(SASRecConfig(items=20, max_length=6, dim=16)).double().eval()
    by_slot.load_state_dict(counted.state_dict())
    history = torch.cat([torch.zeros(6 - length, dtype=torch.int64), torch.arange(1, 1 + length)]).unsqueeze(0)
    with torch.no_grad():
        # By slot, with the first rows of the positions in the last slots, is the same.
        by_slot.position_embedding.weight.copy_(counted.position_embedding.weight.roll(6 - length, dims=0))
        expected, found = by_slot.encode(history), counted.encode(history)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(counted(history)[:, -length:], by_slot(history)[:, -length:], rtol=0, atol=1e-12)


def test_files_from_before_there_was_a_choice_stay_as_they_are() -> None:
    flat = config_to_dict(SASRecConfig(items=20))
    assert "positions_from_oldest" not in flat and not config_from_dict(flat).positions_from_oldest
    assert "positions_from_oldest" not in make_master(build(SASRecConfig(items=20, dim=16))).config
    flat = config_to_dict(CONFIG, training=False)
    assert flat["positions_from_oldest"] == 1 and config_from_dict(flat).positions_from_oldest is True
