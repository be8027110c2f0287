"""chordkit: personal mixed-precision recommenders, from the cloud to the phone.

An implementation of CHORD (arXiv 2510.03038): a frozen backbone on the device, a 2-bit-a-channel strategy from the cloud. These names carry
the whole way, from clicks to a signed bundle and to scores out of it::

    import chordkit

    data = chordkit.load_data("clicks.csv")
    ...

What is importable from ``chordkit`` and from its packages (``chordkit.data``, ``chordkit.export.targets``, ...) is public; what is not is
ours to change (``docs/compatibility.md``). Importing this package loads nothing: each name is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chordkit.backbones import adapt, default_config, from_master, make_master
    from chordkit.data import load_named as load_data
    from chordkit.data import split, synthesize
    from chordkit.export.assembly import assemble, validate_bundle
    from chordkit.export.bundle import open as open_bundle
    from chordkit.export.bundle import write as write_bundle
    from chordkit.export.collection import Sources, export_artifacts
    from chordkit.export.targets import load_runner
    from chordkit.hypernetwork import HypernetworkOptions, make_strategies, to_strategy, train_hypernetwork
    from chordkit.importing import import_backbone
    from chordkit.inputs import pad_history
    from chordkit.kernels import Engine
    from chordkit.training import default_options, train_backbone

__version__ = "0.1.0"

_HOMES = {
    "Engine": "kernels",
    "HypernetworkOptions": "hypernetwork",
    "Sources": "export.collection",
    "adapt": "backbones",
    "assemble": "export.assembly",
    "default_config": "backbones",
    "default_options": "training",
    "export_artifacts": "export.collection",
    "from_master": "backbones",
    "import_backbone": "importing",
    "load_data": "data:load_named",
    "load_runner": "export.targets",
    "make_master": "backbones",
    "make_strategies": "hypernetwork",
    "open_bundle": "export.bundle:open",
    "pad_history": "inputs",
    "split": "data",
    "synthesize": "data",
    "to_strategy": "hypernetwork",
    "train_backbone": "training",
    "train_hypernetwork": "hypernetwork",
    "validate_bundle": "export.assembly",
    "write_bundle": "export.bundle:write",
}
__all__ = [
    "Engine",
    "HypernetworkOptions",
    "Sources",
    "adapt",
    "assemble",
    "default_config",
    "default_options",
    "export_artifacts",
    "from_master",
    "import_backbone",
    "load_data",
    "load_runner",
    "make_master",
    "make_strategies",
    "open_bundle",
    "pad_history",
    "split",
    "synthesize",
    "to_strategy",
    "train_backbone",
    "train_hypernetwork",
    "validate_bundle",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chordkit' has no attribute {name!r}")
    module, _, own_name = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"chordkit.{module}"), own_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
