"""The one graph that every target starts from: the re-ranker as an exported program, and orders of its channels."""

from chordkit.export.program.grouping import Run, regroup, runs
from chordkit.export.program.marked import MarkedEmbedding, MarkedLinear, export_program, item_count, marked_backbone, with_widths
from chordkit.export.program.masks import future_value
from chordkit.export.program.refusal import refusal

__all__ = [
    "MarkedEmbedding",
    "MarkedLinear",
    "Run",
    "export_program",
    "future_value",
    "item_count",
    "marked_backbone",
    "refusal",
    "regroup",
    "runs",
    "with_widths",
]
