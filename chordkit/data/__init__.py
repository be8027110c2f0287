"""Data sets: readers, filters, splits, windows, statistics, and an embedded synthetic generator."""

from chordkit.data.dataset import Dataset
from chordkit.data.generator import synthesize
from chordkit.data.splits import Split, SplitPart, left_pad, split, windows

__all__ = ["Dataset", "Split", "SplitPart", "left_pad", "split", "synthesize", "windows"]
