"""What a backbone is to the rest of chordkit: one value that holds everything of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chordkit.backbones.backbone import Backbone
from chordkit.backbones.channel_order import ChannelOrder
from chordkit.backbones.config import BackboneConfig


@dataclass(frozen=True)
class Architecture:
    """A kind of backbone; ``docs/training.md`` and CONTRIBUTING ("Add a backbone") say how one is made.

    Attributes:
        title: the name that people read.
        config: class of the configuration; its ``architecture`` is the name that commands and master weights carry.
        model: makes the backbone from a configuration.
        examples: small configurations that together reach every branch of the model; the conformance tests run on each.
        accuracy: what training with the defaults reaches, with the place where it was measured.
        training: options of :class:`chordkit.training.TrainingOptions` that differ from its defaults.
        demo_epochs: at most so many in the demo, which is to stay within minutes on two cores; early stopping may end them sooner.
        trained: whether ``model`` makes backbones that have weights worth keeping; training goes on from them instead of fresh ones.
        channel_order: reorders the channels of a master, without changing what the model computes, so that channels of one width stand
            together (:mod:`chordkit.backbones.channel_order`). None = the order stays as it is: right, only slower on runtimes that
            store one width a tensor.
    """

    title: str
    config: type[BackboneConfig]
    model: Callable[[Any], Backbone]
    examples: tuple[BackboneConfig, ...]
    accuracy: str
    training: Mapping[str, Any] = field(default_factory=dict)
    demo_epochs: int = 20
    trained: bool = False
    channel_order: Callable[[ChannelOrder], None] | None = None

    @property
    def name(self) -> str:
        """What commands and master weights call it."""
        return self.config.architecture
