"""Differences between bundles, "CHRX": from one file that a phone has to another that it is to have (docs/delta.md, docs/formats.md)."""

from chordkit.export.bundle.delta.applier import apply_difference, apply_difference_file, apply_difference_to
from chordkit.export.bundle.delta.format import Difference, read_difference
from chordkit.export.bundle.delta.writer import difference, difference_files

__all__ = [
    "Difference",
    "apply_difference",
    "apply_difference_file",
    "apply_difference_to",
    "difference",
    "difference_files",
    "read_difference",
]
