"""Builds the reference of the public Python API into ``build/docs``: ``make docs``. What the generator warns of is an error."""

import importlib
import re
import shutil
import warnings
from pathlib import Path

import pdoc

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "docs"
PUBLIC = (
    "chordkit",
    "chordkit.errors",
    "chordkit.quantization",
    "chordkit.strategy",
    "chordkit.data",
    "chordkit.backbones",
    "chordkit.training",
    "chordkit.hypernetwork",
    "chordkit.kernels",
    "chordkit.export.targets",
    "chordkit.export.parity",
    "chordkit.export.bundle",
    "chordkit.runtime_bench.contender",
    "chordkit.runtime_bench.devices.device",
    "chordkit.runtime_bench.devices.registry",
    "chordkit.runtime_bench.results",
    "chordkit.report",
)
"""The modules whose names are public (docs/compatibility.md)."""


def build(folder: Path) -> None:
    """Write one page for each public module, and an index that can be searched."""
    for name in PUBLIC:
        importlib.import_module(name)  # what other packages warn of on the way is theirs
    everything_else = rf"(?!({'|'.join(map(re.escape, PUBLIC))})$)"
    pdoc.render.configure(docformat="google", search=True, show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc("chordkit", f"!{everything_else}", output_directory=folder)


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    build(FOLDER)
    print(FOLDER / "index.html")
