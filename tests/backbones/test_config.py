"""Impossible configurations are refused with the mend."""

import pytest

from chordkit.backbones import SASRecConfig, config_from_dict
from chordkit.errors import InputError


def test_ffn_dim_defaults_to_dim():
    assert SASRecConfig(items=3, dim=32).ffn_dim == 32


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"architecture": "sasrec"}, "items"),
        ({"architecture": "sasrec", "items": 3, "colour": 1}, "colour"),
        ({"architecture": "sasrec", "items": 3, "heads": 3}, "heads"),
        ({"architecture": "sasrec", "items": 0}, "items"),
        ({"architecture": "sasrec", "items": "3"}, "items"),
        ({"architecture": "sasrec", "items": True}, "items"),
        ({"architecture": "sasrec", "items": 3, "dropout": "much"}, "dropout"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": None}, "norm_eps"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": 1e-60}, "norm_eps"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": 1e300}, "norm_eps"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": 10**400}, "norm_eps"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": True}, "norm_eps"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": 9e-13}, "norm_eps = 9e-13 .* 1e-12 to 10000"),
        ({"architecture": "sasrec", "items": 3, "norm_eps": 10001.0}, "norm_eps"),
        ({"architecture": "sasrec", "items": 2**31}, "items"),
        ({"architecture": "sasrec", "items": 3, "norm_first": 1.0}, "norm_first"),
        ({"architecture": "caser", "items": 3, "heights": [True]}, "heights"),
        ({"architecture": "sasrec", "items": 3, "norm_first": "no"}, "norm_first"),
        ({"architecture": "sasrec", "items": 3, "activation": ["relu"]}, "activation"),
        ({"architecture": "sasrec", "items": 3, "activation": "tanh"}, "activation"),
        ({"architecture": "sasrec", "items": 3, "dropout": 1.0}, "dropout"),
        ({"architecture": "caser", "items": 3, "heights": []}, "heights"),
        ({"architecture": "caser", "items": 3, "heights": 2}, "heights"),
        ({"architecture": "caser", "items": 3, "heights": "23"}, "heights"),
        ({"architecture": "caser", "items": 3, "heights": [2.5]}, "heights"),
        ({"architecture": "caser", "items": 3, "item_bias": 2}, "item_bias"),
        ({"architecture": "caser", "items": 3, "max_length": 4, "heights": [5]}, "heights"),
    ],
)
def test_an_impossible_configuration_is_refused_naming_the_field(values, field):
    with pytest.raises(InputError, match=field):
        config_from_dict(values)
