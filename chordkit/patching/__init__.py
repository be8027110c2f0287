"""One file for everybody becomes one user's: codes and scales of a strategy written into a master file (docs/patching.md); numpy only.

::

    from chordkit.patching import MasterFile

    everybody = MasterFile(open("litert-int8-speed.tflite", "rb").read())
    mine = everybody.patched(open("17.chrd", "rb").read())  # byte for byte what the exporter writes for this strategy
"""

from chordkit.patching.master_file import MasterFile
from chordkit.patching.table import MOST_GAP, PatchedLayer, PatchTable, attached, carries_table, table_bytes

__all__ = ["MOST_GAP", "MasterFile", "PatchTable", "PatchedLayer", "attached", "carries_table", "table_bytes"]
