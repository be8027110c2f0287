"""Configurations survive every form they travel in, and impossible ones are refused with the mend."""

import json

import pytest

from chordkit.backbones import CaserConfig, SASRecConfig, config_from_dict, config_to_dict
from chordkit.errors import InputError

CONFIGS = [
    SASRecConfig(items=10),
    SASRecConfig(
        items=10, max_length=7, dim=32, blocks=1, heads=4, ffn_dim=128, activation="gelu", norm_first=True, norm_eps=1e-8, dropout=0.1
    ),
    CaserConfig(items=10),
    CaserConfig(items=10, max_length=5, heights=(1, 5), item_bias=True, dropout=0.5),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_configuration_survives_json(config):
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize("config", CONFIGS)
def test_the_deployed_form_carries_no_training_field_and_only_plain_values(config):
    flat = config_to_dict(config, training=False)
    assert "dropout" not in flat
    assert all(type(value) in (int, float, str, tuple) for value in flat.values())
    assert config_from_dict(flat).dropout == 0.0


def test_ffn_dim_defaults_to_dim():
    assert SASRecConfig(items=3, dim=32).ffn_dim == 32


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"architecture": "gru", "items": 3}, "architecture"),
        ({"architecture": "sasrec"}, "items"),
        ({"architecture": "sasrec", "items": 3, "colour": 1}, "colour"),
        ({"architecture": "sasrec", "items": 3, "heads": 3}, "heads"),
        ({"architecture": "sasrec", "items": 0}, "items"),
        ({"architecture": "sasrec", "items": "3"}, "items"),
        ({"architecture": "sasrec", "items": 3, "activation": "tanh"}, "activation"),
        ({"architecture": "sasrec", "items": 3, "dropout": 1.0}, "dropout"),
        ({"architecture": "caser", "items": 3, "heights": []}, "heights"),
        ({"architecture": "caser", "items": 3, "max_length": 4, "heights": [5]}, "heights"),
    ],
)
def test_an_impossible_configuration_is_refused_naming_the_field(values, field):
    with pytest.raises(InputError, match=field):
        config_from_dict(values)
