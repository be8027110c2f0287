"""The main job, end to end: from clicks to a signed, validated, measured bundle and a report."""

from chordkit.demo.pipeline import DemoOptions, DemoResult, run

__all__ = ["DemoOptions", "DemoResult", "run"]
