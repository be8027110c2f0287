"""Configurations of the backbones: frozen, validated, and flat enough to travel inside the master weights."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from chordkit.errors import InputError

ConfigValue = int | float | str | tuple[int, ...]

# Fields that only training reads: a phone has no use for them, so they stay out of the master weights.
_TRAINING_ONLY = frozenset({"dropout"})


def _float32(value: float) -> float:
    """The shortest decimal of the nearest fp32 number: what the fp32 fields of the master file give back."""
    return float(str(np.float32(value)))


def _require(condition: bool, architecture: str, field: str, value: object, mend: str) -> None:
    if not condition:
        raise InputError(f"{architecture} configuration: {field} = {value!r} is not possible: {mend}")


@dataclass(frozen=True)
class SASRecConfig:
    """Self-attentive sequential recommendation (Kang and McAuley, ICDM 2018).

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history, the newest item in the last slot.
        dim: width of the embeddings and hidden states.
        blocks: number of attention + feed-forward blocks.
        heads: attention heads; must divide ``dim``.
        ffn_dim: hidden width of the feed-forward layers; ``None`` means ``dim``, as in the paper.
        activation: ``relu`` or ``gelu`` (the exact erf form).
        norm_first: True = pre-LN with a final norm; False = post-LN with a norm after the embeddings.
        norm_eps: epsilon of every LayerNorm.
        dropout: probability, on embeddings, attention weights and both sub-layers; training only.
    """

    items: int
    max_length: int = 50
    dim: int = 64
    blocks: int = 2
    heads: int = 2
    ffn_dim: int | None = None
    activation: str = "relu"
    norm_first: bool = False
    norm_eps: float = 1e-5
    dropout: float = 0.2
    architecture: ClassVar[str] = "sasrec"

    def __post_init__(self) -> None:
        if self.ffn_dim is None:
            object.__setattr__(self, "ffn_dim", self.dim)
        object.__setattr__(self, "norm_first", bool(self.norm_first))
        object.__setattr__(self, "norm_eps", _float32(self.norm_eps))
        for name in ("items", "max_length", "dim", "blocks", "heads", "ffn_dim"):
            value = getattr(self, name)
            _require(isinstance(value, int) and value >= 1, self.architecture, name, value, "give a whole number of at least 1")
        _require(self.dim % self.heads == 0, self.architecture, "heads", self.heads, f"it must divide dim = {self.dim}")
        _require(self.activation in ("relu", "gelu"), self.architecture, "activation", self.activation, "use relu or gelu")
        _require(self.norm_eps > 0, self.architecture, "norm_eps", self.norm_eps, "give a positive number")
        _require(0.0 <= self.dropout < 1.0, self.architecture, "dropout", self.dropout, "give a number in [0, 1)")


@dataclass(frozen=True)
class CaserConfig:
    """Convolutional sequence embedding (Tang and Wang, WSDM 2018), without the user embedding: the history is the user.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history.
        dim: width of the embeddings and of the final hidden state.
        heights: heights of the horizontal filters, one ChannelLinear each.
        filters: horizontal filters per height (n_h of the paper).
        vertical_filters: vertical filters over all slots (n_v of the paper).
        item_bias: whether a per-item bias is added to the score.
        dropout: probability, on the embeddings and on the concatenated filter outputs; training only.
    """

    items: int
    max_length: int = 50
    dim: int = 64
    heights: tuple[int, ...] = (2, 3, 4)
    filters: int = 16
    vertical_filters: int = 4
    item_bias: bool = False
    dropout: float = 0.4
    architecture: ClassVar[str] = "caser"

    def __post_init__(self) -> None:
        object.__setattr__(self, "heights", tuple(int(height) for height in self.heights))
        object.__setattr__(self, "item_bias", bool(self.item_bias))
        for name in ("items", "max_length", "dim", "filters", "vertical_filters"):
            value = getattr(self, name)
            _require(isinstance(value, int) and value >= 1, self.architecture, name, value, "give a whole number of at least 1")
        fits = bool(self.heights) and all(1 <= height <= self.max_length for height in self.heights)
        _require(fits, self.architecture, "heights", self.heights, f"give at least one height, each in 1..{self.max_length}")
        _require(0.0 <= self.dropout < 1.0, self.architecture, "dropout", self.dropout, "give a number in [0, 1)")


BackboneConfig = SASRecConfig | CaserConfig

_CONFIGS: dict[str, type[SASRecConfig] | type[CaserConfig]] = {"sasrec": SASRecConfig, "caser": CaserConfig}
ARCHITECTURES = tuple(_CONFIGS)


def default_config(architecture: str, items: int, **changes: Any) -> BackboneConfig:
    """The configuration that reaches the documented quality, with ``changes``.

    Raises:
        InputError: unknown architecture or field, or an impossible value.
    """
    kind = _kind(architecture)
    _check_names(kind, {"items": items, **changes})
    return kind(items=items, **changes)


def config_to_dict(config: BackboneConfig, *, training: bool = True) -> dict[str, ConfigValue]:
    """Flat dictionary of a configuration, ``architecture`` first; booleans become 0 and 1.

    ``training=False`` leaves out what only training reads (dropout): the form the master weights carry.
    """
    flat: dict[str, ConfigValue] = {"architecture": config.architecture}
    for name, value in asdict(config).items():
        if training or name not in _TRAINING_ONLY:
            flat[name] = int(value) if isinstance(value, bool) else value
    return flat


def config_from_dict(values: Mapping[str, Any]) -> BackboneConfig:
    """Rebuild a configuration from :func:`config_to_dict` (or its JSON form, where tuples are lists).

    Fields that only training reads are zero when absent. Raises InputError for an unknown architecture or field, a
    missing field, or an impossible value.
    """
    given = {name: value for name, value in values.items() if name != "architecture"}
    kind = _kind(values.get("architecture"))
    _check_names(kind, given)
    return kind(**dict.fromkeys(_TRAINING_ONLY, 0.0) | given)


def _kind(architecture: Any) -> type[SASRecConfig] | type[CaserConfig]:
    if architecture not in _CONFIGS:
        raise InputError(f"backbone configuration: architecture = {architecture!r} is unknown: use one of {', '.join(ARCHITECTURES)}")
    return _CONFIGS[architecture]


def _check_names(kind: type[SASRecConfig] | type[CaserConfig], given: Mapping[str, Any]) -> None:
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{kind.architecture} configuration: unknown field {unknown[0]!r}: use {', '.join(known)}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        raise InputError(f"{kind.architecture} configuration: the field {missing[0]!r} is missing: add it")
