"""Every backbone that there is: those of ``chordkit/backbones/architectures/``, found because the file is there, and registered ones."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from chordkit.backbones import architectures
from chordkit.backbones.architecture import Architecture
from chordkit.backbones.backbone import Backbone
from chordkit.backbones.config import BackboneConfig
from chordkit.errors import InputError


def _shipped() -> dict[str, Architecture]:
    modules = (importlib.import_module(f"{architectures.__name__}.{each.name}") for each in pkgutil.iter_modules(architectures.__path__))
    return {architecture.name: architecture for architecture in (module.ARCHITECTURE for module in modules)}


_known = _shipped()
_SHIPPED = frozenset(_known)
# By name; live and read-only, so that whoever imports it sees what is registered later.
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(_known)


def register(architecture: Architecture) -> None:
    """Make a backbone that lives outside chordkit known under its name, in this process.

    Master weights and checkpoints carry the name only: whoever loads one registers its architecture first. Registering a name again
    replaces what was registered, so that a notebook's cell can be run twice.

    Raises:
        InputError: the name is no name, or that of a backbone of chordkit's own.
    """
    name = getattr(architecture.config, "architecture", None)
    if not isinstance(name, str) or not name.isprintable() or not name.strip():
        raise InputError(f"backbone architecture: {architecture.config.__name__}.architecture = {name!r} is no name: give a short text")
    if name in _SHIPPED:
        raise InputError(f"backbone architecture: {name!r} is one of chordkit's own: choose another name")
    _known[name] = architecture


def find_architecture(name: object) -> Architecture:
    """The architecture called ``name``.

    Raises:
        InputError: there is none; the message names those that there are.
    """
    if isinstance(name, str) and name in _known:
        return _known[name]
    raise InputError(
        f"backbone configuration: architecture = {name!r} is unknown: use one of {', '.join(_known)}, "
        "or make it known first (chordkit.backbones.register; chordkit.backbones.adapt for a module of your own)"
    )


def build(config: BackboneConfig) -> Backbone:
    """A backbone of the architecture that ``config`` stands for, with torch's initial weights.

    Raises:
        InputError: ``config`` is not the configuration of a known architecture.
    """
    architecture = find_architecture(getattr(config, "architecture", type(config).__name__))
    if not isinstance(config, architecture.config):
        raise InputError(f"build: {architecture.name} needs a {architecture.config.__name__}, not a {type(config).__name__}")
    return architecture.model(config)


def default_config(architecture: str, items: int, **changes: Any) -> BackboneConfig:
    """The configuration that reaches the documented quality, with ``changes``.

    Raises:
        InputError: unknown architecture or field, or an impossible value.
    """
    return find_architecture(architecture).config.create({"items": items, **changes})


def config_from_dict(values: Mapping[str, Any]) -> BackboneConfig:
    """Rebuild a configuration from :func:`config_to_dict` (or its JSON form, where tuples are lists).

    Fields that only training reads take their deployed value (no dropout) when absent.

    Raises:
        InputError: an unknown architecture or field, a missing field, or an impossible value.
    """
    kind = find_architecture(values.get("architecture")).config
    return kind.create(kind.deployed_values() | {name: value for name, value in values.items() if name != "architecture"})
