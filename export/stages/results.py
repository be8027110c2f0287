"""What a walk over the stages found."""

import os
from typing import Literal

from pydantic import BaseModel, ConfigDict

from chordkit.documents import Document, read_document
from chordkit.export.artifact import Label
from chordkit.export.parity import ParityReport

StageName = Literal["master", "strategy", "reference", "program", "lowered", "serialised", "loaded", "arm64"]

Verdict = Literal["right", "wrong", "told", "absent"]
"""``told``: it changes the model on purpose, so that its distance is no fault. ``absent``: this artifact has no such stage, or it was not
asked for, or what it takes is not here."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageVerdict(_Model):
    """One stage.

    Attributes:
        name: of the stage.
        what: what is run or compared at this stage of this target.
        verdict: see :data:`Verdict`.
        reason: why it is wrong or absent; None else.
        report: the comparison with the reference; None where nothing was run.
    """

    name: StageName
    what: str
    verdict: Verdict
    reason: str | None = None
    report: ParityReport | None = None


class ArtifactStages(_Model):
    """The stages of one artifact, in order, up to the first that is wrong.

    Attributes:
        artifact: its name; target: whose runtime runs it.
        stages: every stage that was looked at.
        first_bad: the first that is wrong; None = none is.
        layer: the first layer, table or other tensor that is wrong there; None = none is, or the fault is in none of them alone.
        suspects: others that it could be, where the way of the search cannot tell them apart.
        found_by: how ``layer`` was searched for, and what it was told from; None = there was nothing to search.
    """

    artifact: Label
    target: Label
    stages: tuple[StageVerdict, ...]
    first_bad: StageName | None = None
    layer: str | None = None
    suspects: tuple[str, ...] = ()
    found_by: str | None = None

    @property
    def passed(self) -> bool:
        """Whether no stage is wrong."""
        return self.first_bad is None

    def summary(self) -> str:
        """The finding in one sentence."""
        if self.first_bad is None:
            return "every stage is right"
        reason = next(stage.reason for stage in self.stages if stage.name == self.first_bad)
        where = "" if self.layer is None else f", first with {self.layer}"
        others = f" (or {', '.join(self.suspects)})" if self.suspects else ""
        return f"the first bad stage is {self.first_bad}{where}{others}: {reason}"


class StagesDocument(Document):
    """What ``chordkit validate --stages --json`` gives of a bundle, and a report shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["chordkit-stages"] = "chordkit-stages"
    version: Literal[1] = 1
    bundle: str
    passed: bool
    artifacts: tuple[ArtifactStages, ...]


def load_stages(path: str | os.PathLike[str]) -> StagesDocument:
    """Read a document of stages.

    Raises:
        InputError: the file is missing, is not JSON, is of another version, or breaks the schema; the message names the field.
    """
    return read_document(path, StagesDocument, "walk over stages", "make it with 'chordkit validate --stages --json'")
