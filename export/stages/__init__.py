"""Stage by stage: where an artifact stops being its model, and with which layer (``docs/parity.md``).

The way is float -> master -> strategy -> reference -> program -> lowered -> serialised -> loaded here -> loaded elsewhere. Every stage is
held against the same reference; the walk ends at the first that is wrong, and a search over the layers says with which of them.
"""

from chordkit.export.stages.results import ArtifactStages, StageName, StagesDocument, StageVerdict, Verdict, load_stages
from chordkit.export.stages.subject import Elsewhere, Subject
from chordkit.export.stages.walk import walk

__all__ = [
    "ArtifactStages",
    "Elsewhere",
    "StageName",
    "StageVerdict",
    "StagesDocument",
    "Subject",
    "Verdict",
    "load_stages",
    "walk",
]
