"""From a backbone to its master weights and back: the reference that every artifact is measured against."""

import dataclasses

import numpy as np
import pytest
import torch

from chordkit.backbones import CaserConfig, SASRecConfig, attach_widths, build, from_master, initialise, make_master
from chordkit.errors import MasterError
from chordkit.quantization import WIDTHS, MasterWeights, ScalePolicy

CONFIGS = [
    SASRecConfig(items=20, max_length=6, dim=32, heads=2, ffn_dim=64),
    SASRecConfig(items=20, max_length=6, dim=32, norm_first=True, activation="gelu", norm_eps=1e-8),
    CaserConfig(items=20, max_length=6, dim=32, heights=(2, 3), item_bias=True),
]
EACH = pytest.mark.parametrize("config", CONFIGS, ids=["sasrec-post", "sasrec-pre", "caser"])


def make(config):
    return initialise(build(config), "random", seed=1).eval()


def histories() -> torch.Tensor:
    rows = torch.randint(1, 21, (4, 6), generator=torch.Generator().manual_seed(0))
    rows[0, :4] = 0
    return rows


@EACH
@pytest.mark.parametrize("bits", [8, 4])
def test_the_reference_carries_exactly_the_dequantised_weights(config, bits):
    backbone = make(config)
    master = make_master(backbone, embedding_bits=bits)
    assert list(master.layers) == list(backbone.channel_layers())
    assert not any("dropout" in key for key in master.config)
    reference = from_master(master)
    assert dataclasses.replace(reference.config, dropout=config.dropout) == config
    for name, tensor in backbone.state_dict().items():
        found = reference.state_dict()[name]
        if name.removesuffix(".weight") in master.layers or name.removesuffix(".weight") in master.embeddings:
            # At most half a step of the row's grid per value: absmax / (2 * 127), of a 4-bit table absmax / (2 * 7).
            levels = 127 if bits == 8 or name.removesuffix(".weight") in master.layers else 7
            error = (found - tensor).norm(dim=-1)
            step = tensor.abs().amax(dim=-1) / levels
            assert (error <= 0.5 * step * tensor.shape[-1] ** 0.5 * 1.001 + 1e-12).all(), name
        else:
            assert torch.equal(found, tensor), name
    assert not reference.item_embedding.weight[0].any()
    assert not reference.training


@EACH
def test_the_master_survives_its_bytes_with_the_same_reference(config):
    master = make_master(make(config))
    again = MasterWeights.from_bytes(master.to_bytes())
    assert again.fingerprint == master.fingerprint
    first, second = from_master(master), from_master(again)
    assert torch.equal(first.encode(histories()), second.encode(histories()))
    assert first.config == second.config


@EACH
@pytest.mark.parametrize("policy", list(ScalePolicy))
def test_choice_mode_with_one_hot_choices_is_the_reference_of_that_strategy(config, policy):
    backbone = make(config)
    master = make_master(backbone, policy)
    model = attach_widths(from_master(master), master)
    generator = np.random.default_rng(0)
    widths = generator.choice(np.array(WIDTHS, dtype=np.uint8), size=master.channel_table.channels)
    reference = from_master(master, widths)
    choices = {}
    for name, layer in model.channel_layers().items():
        own = torch.from_numpy(widths[master.channel_table.layer_slice(name)].astype(np.int64))
        one_hot = (own[:, None] == torch.tensor(WIDTHS)).float()
        choices[name] = one_hot.expand(len(histories()), layer.out_features, 3)
    expected = reference.encode(histories()).detach()
    # The same fp32 products in sums of at most 192 terms; hidden states are of order 1 to 10.
    tolerance = 2 * 192 * 2.0**-24 * max(1.0, float(expected.abs().max()))
    assert (model.encode(histories(), choices) - expected).abs().max() < tolerance
    assert (model(histories(), choices)[:, -1] - expected).abs().max() < tolerance
    assert (from_master(master).encode(histories()) - expected).abs().max() > 10 * tolerance


def test_an_off_channel_keeps_its_bias():
    backbone = make(CONFIGS[0])
    with torch.no_grad():
        backbone.blocks[0].query.bias.fill_(0.25)
    master = make_master(backbone)
    reference = from_master(master, np.zeros(master.channel_table.channels, dtype=np.uint8))
    assert not reference.blocks[0].query.weight.any()
    assert (reference.blocks[0].query.bias == 0.25).all()


def test_a_master_that_contradicts_its_configuration_is_refused():
    master = make_master(make(CONFIGS[0]))
    wrong_blocks = dataclasses.replace(master, config=master.config | {"blocks": 1})
    with pytest.raises(MasterError, match="make the master again"):
        from_master(wrong_blocks)
    wrong_items = dataclasses.replace(master, config=master.config | {"items": 21})
    with pytest.raises(MasterError, match=r"item_embedding"):
        from_master(wrong_items)
