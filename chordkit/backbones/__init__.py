"""Backbones: a registry of architectures, exportable as they stand, with every Linear's output channel open to a strategy."""

from chordkit.backbones.adapt import adapt
from chordkit.backbones.architecture import Architecture
from chordkit.backbones.architectures.caser import Caser, CaserConfig
from chordkit.backbones.architectures.sasrec import SASRec, SASRecConfig
from chordkit.backbones.backbone import Backbone, CausalBackbone
from chordkit.backbones.channel_order import ChannelOrder, order_within, reflected_order
from chordkit.backbones.config import BackboneConfig, config_to_dict, training_only
from chordkit.backbones.initialise import DISTRIBUTIONS, freeze_channel_layers, initialise
from chordkit.backbones.layers import ChannelLinear
from chordkit.backbones.master import attach_widths, from_master, make_master
from chordkit.backbones.outline import require_outline
from chordkit.backbones.registry import ARCHITECTURES, build, config_from_dict, default_config, find_architecture, register
from chordkit.backbones.scorers import CatalogueScorer, PersonalCatalogueScorer, PersonalReranker, Reranker
from chordkit.backbones.window import shorten

__all__ = [
    "ARCHITECTURES",
    "DISTRIBUTIONS",
    "Architecture",
    "Backbone",
    "BackboneConfig",
    "Caser",
    "CaserConfig",
    "CatalogueScorer",
    "CausalBackbone",
    "ChannelLinear",
    "ChannelOrder",
    "PersonalCatalogueScorer",
    "PersonalReranker",
    "Reranker",
    "SASRec",
    "SASRecConfig",
    "adapt",
    "attach_widths",
    "build",
    "config_from_dict",
    "config_to_dict",
    "default_config",
    "find_architecture",
    "freeze_channel_layers",
    "from_master",
    "initialise",
    "make_master",
    "order_within",
    "reflected_order",
    "register",
    "require_outline",
    "shorten",
    "training_only",
]
