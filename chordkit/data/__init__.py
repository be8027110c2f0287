"""Data sets: readers, filters, splits, windows, statistics, and an embedded synthetic generator."""

from chordkit.data.columns import FILE_ORDER, Columns
from chordkit.data.dataset import Dataset
from chordkit.data.detection import Format
from chordkit.data.generator import synthesize, world_behind
from chordkit.data.names import ItemColumns
from chordkit.data.places import split_identity
from chordkit.data.preparation import CATALOGUE, load_named, prepare
from chordkit.data.splits import Split, SplitPart, learned_of, split, windows
from chordkit.data.summary import readable, split_statistics, statistics
from chordkit.data.world import World
from chordkit.inputs import left_pad

__all__ = [
    "CATALOGUE",
    "FILE_ORDER",
    "Columns",
    "Dataset",
    "Format",
    "ItemColumns",
    "Split",
    "SplitPart",
    "World",
    "learned_of",
    "left_pad",
    "load_named",
    "prepare",
    "readable",
    "split",
    "split_identity",
    "split_statistics",
    "statistics",
    "synthesize",
    "windows",
    "world_behind",
]
