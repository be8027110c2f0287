"""All devices: every module of this folder that offers ``find`` and ``connect``."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from chordkit.errors import DeviceError
from chordkit.runtime_bench import devices
from chordkit.runtime_bench.devices.device import Device, DeviceList, DeviceModule


def schemes() -> dict[str, DeviceModule]:
    """The module of each scheme, by what a device's name begins with."""
    found = {each.name: importlib.import_module(f"{devices.__name__}.{each.name}") for each in pkgutil.iter_modules(devices.__path__)}
    return {name.replace("_", "-"): module for name, module in found.items() if isinstance(module, DeviceModule)}


def list_devices() -> DeviceList:
    """Everything that any module finds, what can be measured on first.

    Raises:
        DeviceError: a module cannot look although what that takes is installed.
    """
    lists = [module.find() for module in schemes().values()]
    listed = [device for each in lists for device in each.devices]
    return DeviceList(
        devices=tuple(sorted(listed, key=lambda device: not device.measurable)),
        remarks=tuple(remark for each in lists for remark in each.remarks),
    )


def connect(name: str) -> Device:
    """The device called ``name``, ready to measure.

    Raises:
        DeviceError: there is no such device, or it cannot be measured on.
    """
    scheme, _, argument = name.partition(":")
    known = schemes()
    if scheme not in known:
        raise DeviceError(
            f"there is no device {name!r}; names begin with {' or '.join(known)}, and `chordkit devices` lists what is attached"
        )
    return known[scheme].connect(argument)


def preparer(scheme: str) -> Callable[..., BaseModel]:
    """The function that fetches and builds what the devices of ``scheme`` are made of, ``prepare(progress)`` of its module.

    Raises:
        DeviceError: nothing of that name can be prepared.
    """
    ready = {name: getattr(module, "prepare", None) for name, module in schemes().items()}
    known = [name for name, prepare in ready.items() if prepare is not None]
    prepare: Any = ready.get(scheme)
    if prepare is None:
        raise DeviceError(f"{scheme!r} is nothing that can be prepared; use {' or '.join(known)}")
    return prepare
