"""The channel table: the order that gives every channel of a backbone its index."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chordkit.errors import MasterError


@dataclass(frozen=True)
class ChannelLayer:
    """One layer of the strategy: its first channel has index ``offset``."""

    name: str
    out_channels: int
    in_features: int
    offset: int


@dataclass(frozen=True)
class ChannelTable:
    """The ordered layers of a backbone that take part in the strategy."""

    layers: tuple[ChannelLayer, ...]

    @classmethod
    def from_sizes(cls, sizes: Iterable[tuple[str, int, int]]) -> "ChannelTable":
        """Build from (name, out channels, in features) in order."""
        layers, offset = [], 0
        for name, out_channels, in_features in sizes:
            layers.append(ChannelLayer(name, out_channels, in_features, offset))
            offset += out_channels
        return cls(tuple(layers))

    def __post_init__(self) -> None:
        offset = 0
        names = set()
        for layer in self.layers:
            if layer.offset != offset or layer.out_channels < 1 or layer.in_features < 1 or layer.name in names:
                raise MasterError(f"channel table: layer '{layer.name}' is repeated, empty or out of order")
            names.add(layer.name)
            offset += layer.out_channels

    @property
    def channels(self) -> int:
        """Channels of all layers."""
        return self.layers[-1].offset + self.layers[-1].out_channels if self.layers else 0

    @cached_property
    def in_features(self) -> np.ndarray:
        """int32 ``[channels]``: weights of each channel."""
        return np.repeat(
            np.array([layer.in_features for layer in self.layers], np.int32),
            np.array([layer.out_channels for layer in self.layers], np.int64),
        )

    def layer_slice(self, name: str) -> slice:
        """Where the channels of a layer stand.

        Raises:
            MasterError: no layer has this name.
        """
        for layer in self.layers:
            if layer.name == name:
                return slice(layer.offset, layer.offset + layer.out_channels)
        raise MasterError(f"channel table: no layer '{name}'; there are {', '.join(layer.name for layer in self.layers)}")

    def to_json(self) -> list[dict[str, Any]]:
        """A list of objects with name, out_channels, in_features and offset."""
        return [
            {"name": layer.name, "out_channels": layer.out_channels, "in_features": layer.in_features, "offset": layer.offset}
            for layer in self.layers
        ]

    @classmethod
    def from_json(cls, value: Any) -> "ChannelTable":
        """The inverse of :meth:`to_json`.

        Raises:
            MasterError: the value is not such a list.
        """
        try:
            layers = tuple(
                ChannelLayer(str(item["name"]), int(item["out_channels"]), int(item["in_features"]), int(item["offset"])) for item in value
            )
        except (TypeError, KeyError, ValueError) as error:
            raise MasterError(f"channel table: not a list of layers with name, out_channels, in_features and offset ({error!r})") from None
        return cls(layers)
