"""What configurations of backbones share: frozen, validated, and flat enough to travel inside the master weights."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

import numpy as np

from chordkit.errors import InputError

ConfigValue = int | float | str | tuple[int, ...]

LARGEST = (1 << 31) - 1
"""A whole number of a configuration fits the int32 of the master file."""
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_DEPLOYED = "deployed"
_ABSENT = "absent at its default"


def training_only(default: Any, deployed: Any = 0.0) -> Any:
    """A field that only training reads: a phone has no use for it, so it stays out of the master weights.

    Args:
        default: as of any dataclass field.
        deployed: what the field is in a configuration that comes back from master weights.
    """
    return field(default=default, metadata={_DEPLOYED: deployed})


def later(default: Any) -> Any:
    """A field that came when there were masters already: files carry it only where it is not its default, so that those from before, their
    fingerprints and the engines that run them stay as they are."""
    return field(default=default, metadata={_ABSENT: True})


@dataclass(frozen=True)
class BackboneConfig:
    """Base of every backbone's configuration: a frozen dataclass of numbers, flags, texts and tuples of whole numbers.

    A subclass sets ``architecture``, adds its fields, and checks them in ``__post_init__`` (after ``super().__post_init__()``) with
    the methods below; each raises InputError that names architecture, field and mend.

    Attributes:
        items: number of items, without the padding id 0.
        max_length: slots of the left-padded history, the newest item in the last slot.
        dim: width of the item embeddings and of the final hidden state.
    """

    items: int
    max_length: int = 50
    dim: int = 64
    architecture: ClassVar[str]

    def __post_init__(self) -> None:
        self.require_whole("items", "max_length", "dim")

    def require(self, condition: bool, name: str, mend: str) -> None:
        """Refuse the configuration because of field ``name`` unless ``condition`` holds."""
        if not condition:
            raise InputError(f"{self.architecture} configuration: {name} = {getattr(self, name)!r} is not possible: {mend}")

    def require_whole(self, *names: str) -> None:
        """Each of the fields is a whole number of at least 1."""
        for name in names:
            value = getattr(self, name)
            self.require(_is_whole(value) and value >= 1, name, "give a whole number of at least 1")
            self.require(value <= LARGEST, name, f"a master holds numbers up to {LARGEST}")

    def require_choice(self, name: str, *choices: str) -> None:
        """The field is one of ``choices``."""
        self.require(getattr(self, name) in choices, name, f"use {' or '.join(choices)}")

    def require_probability(self, *names: str) -> None:
        """Each of the fields is a number in [0, 1)."""
        for name in names:
            value = getattr(self, name)
            self.require(_is_number(value) and 0.0 <= value < 1.0, name, "give a number in [0, 1)")

    def require_positive(self, *names: str) -> None:
        """Each of the fields is a positive number; kept is the nearest fp32 number's shortest decimal, as the master file gives it back."""
        for name in names:
            value = getattr(self, name)
            possible = _is_number(value) and 0 < value <= _LARGEST_FLOAT and np.float32(value) > 0
            self.require(bool(possible), name, "give a positive number")
            object.__setattr__(self, name, float(str(np.float32(value))))

    def require_flag(self, *names: str) -> None:
        """Each of the fields is true or false; 0 and 1, as the master file has it, become so."""
        for name in names:
            value = getattr(self, name)
            self.require(isinstance(value, (int, np.bool_)) and value in (0, 1), name, "give true or false")
            object.__setattr__(self, name, bool(getattr(self, name)))

    def require_whole_tuple(self, name: str) -> None:
        """The field is a list of whole numbers, at least one; it is kept as a tuple, which JSON makes a list of."""
        value = getattr(self, name)
        whole = isinstance(value, (tuple, list)) and bool(value) and all(_is_whole(each) and abs(each) <= LARGEST for each in value)
        self.require(whole, name, "give a list of whole numbers, at least one")
        object.__setattr__(self, name, tuple(int(each) for each in value))

    @classmethod
    def deployed_values(cls) -> dict[str, Any]:
        """The fields that only training reads, each with its value in a configuration that comes back from master weights."""
        return {each.name: each.metadata[_DEPLOYED] for each in fields(cls) if _DEPLOYED in each.metadata}

    @classmethod
    def create(cls, values: Mapping[str, Any]) -> Self:
        """A configuration with the fields ``values`` and defaults for the others.

        Raises:
            InputError: an unknown field, a missing field, or an impossible value.
        """
        known = {each.name: each for each in fields(cls)}
        for name in values:
            if name not in known:
                raise InputError(f"{cls.architecture} configuration: unknown field {name!r}: use {', '.join(known)}")
        for name, each in known.items():
            if name not in values and each.default is MISSING and each.default_factory is MISSING:
                raise InputError(f"{cls.architecture} configuration: the field {name!r} is missing: add it")
        return cls(**values)


def config_to_dict(config: BackboneConfig, *, training: bool = True) -> dict[str, ConfigValue]:
    """Flat dictionary of a configuration, ``architecture`` first; booleans become 0 and 1.

    ``training=False`` leaves out what only training reads (dropout): the form the master weights carry. A field that came :func:`later`
    is there only where it is not its default.
    """
    left_out = set() if training else set(config.deployed_values())
    left_out |= {each.name for each in fields(config) if _ABSENT in each.metadata and getattr(config, each.name) == each.default}
    flat: dict[str, ConfigValue] = {"architecture": config.architecture}
    for name, value in asdict(config).items():
        if name not in left_out:
            flat[name] = int(value) if isinstance(value, bool) else value
    return flat


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, (float, np.floating)) and math.isfinite(value))
