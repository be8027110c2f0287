"""From a configuration to a backbone."""

from chordkit.backbones.architectures.caser import Caser
from chordkit.backbones.architectures.sasrec import SASRec
from chordkit.backbones.config import BackboneConfig, CaserConfig, SASRecConfig
from chordkit.backbones.layers import Backbone


def build(config: BackboneConfig) -> Backbone:
    """A backbone of the architecture that ``config`` stands for, with torch's initial weights.

    Raises:
        TypeError: ``config`` is not one of the known configurations.
    """
    if isinstance(config, SASRecConfig):
        return SASRec(config)
    if isinstance(config, CaserConfig):
        return Caser(config)
    raise TypeError(f"build: {type(config).__name__} is not a backbone configuration")
