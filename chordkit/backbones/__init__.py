"""Backbones: SASRec and Caser, exportable as they stand, with every Linear's output channel open to a strategy."""

from chordkit.backbones.architectures.caser import Caser
from chordkit.backbones.architectures.sasrec import SASRec
from chordkit.backbones.build import build
from chordkit.backbones.config import (
    ARCHITECTURES,
    BackboneConfig,
    CaserConfig,
    SASRecConfig,
    config_from_dict,
    config_to_dict,
    default_config,
)
from chordkit.backbones.initialise import DISTRIBUTIONS, freeze_channel_layers, initialise
from chordkit.backbones.layers import Backbone, ChannelLinear
from chordkit.backbones.master import attach_widths, from_master, make_master
from chordkit.backbones.scorers import CatalogueScorer, Reranker

__all__ = [
    "ARCHITECTURES",
    "DISTRIBUTIONS",
    "Backbone",
    "BackboneConfig",
    "Caser",
    "CaserConfig",
    "CatalogueScorer",
    "ChannelLinear",
    "Reranker",
    "SASRec",
    "SASRecConfig",
    "attach_widths",
    "build",
    "config_from_dict",
    "config_to_dict",
    "default_config",
    "freeze_channel_layers",
    "from_master",
    "initialise",
    "make_master",
]
