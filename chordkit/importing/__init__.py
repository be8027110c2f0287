"""Backbones out of other frameworks' checkpoints (docs/your-model.md)."""

from chordkit.importing.frameworks import FRAMEWORKS, Framework, Settings, find_framework
from chordkit.importing.importing import Imported, import_backbone
from chordkit.importing.rows import read_item_ids
from chordkit.importing.verification import Agreement

__all__ = ["FRAMEWORKS", "Agreement", "Framework", "Imported", "Settings", "find_framework", "import_backbone", "read_item_ids"]
