"""The one graph that every target starts from: the re-ranker as an exported program, and orders of its channels."""

from chordkit.export.program.attention import absorbed, scaled_queries
from chordkit.export.program.constants import future_value
from chordkit.export.program.grouping import Run, by_width, regroup, runs
from chordkit.export.program.marked import (
    MarkedEmbedding,
    MarkedLinear,
    export_program,
    item_count,
    marked_backbone,
    traced_once,
    with_widths,
)
from chordkit.export.program.off_channels import Kept, kept_channels, without_off_channels
from chordkit.export.program.refusal import refusal
from chordkit.export.program.renewed import renewed
from chordkit.export.program.spelling import is_spelled_out, spelled_out
from chordkit.export.program.walk import constant_paths, walk

__all__ = [
    "Kept",
    "MarkedEmbedding",
    "MarkedLinear",
    "Run",
    "absorbed",
    "by_width",
    "constant_paths",
    "export_program",
    "future_value",
    "is_spelled_out",
    "item_count",
    "kept_channels",
    "marked_backbone",
    "refusal",
    "regroup",
    "renewed",
    "runs",
    "scaled_queries",
    "spelled_out",
    "traced_once",
    "walk",
    "with_widths",
    "without_off_channels",
]
