"""The document of ``chordkit evaluate accuracy``: files beside files, on the same held-out items."""

import os
from typing import Any, Literal

from pydantic import ConfigDict

from chordkit.documents import Document, read_document
from chordkit.estimate import Estimate

Measure = Literal["ndcg10", "hr10", "masked_ndcg10", "masked_hr10", "n100_ndcg10", "n100_hr10"]
MEASURES: tuple[Measure, ...] = ("ndcg10", "hr10", "masked_ndcg10", "masked_hr10", "n100_ndcg10", "n100_hr10")
Group = Literal["baseline", "backbone", "strategy", "artifact"]


class _Model(Document):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AccuracyLine(_Model):
    """One way to answer, and how good its answers are.

    Attributes:
        name: unique in the document: a file, an artifact, a baseline.
        label: what it is, in words.
        group: what kind of thing it is.
        runtime: that answered: PyTorch, an artifact's own, or "" for a baseline.
        users: whose test items were asked.
        bits: average bits a weight of the channel layers, where there are such.
        values: by measure, the mean over users with its interval: full ranking, ``masked`` (no seen item competes), ``n100`` (against 100
            random unseen items).
        minus_first: this minus the document's first line, paired over the users that both were asked for; empty for that line itself.
    """

    name: str
    label: str
    group: Group
    runtime: str
    users: int
    bits: float | None = None
    values: dict[Measure, Estimate]
    minus_first: dict[Measure, Estimate] = {}  # noqa: RUF012 (pydantic copies it)


class Accuracy(_Model):
    """What was asked, and the lines, the first of which the others are compared with."""

    format: Literal["chordkit-accuracy"] = "chordkit-accuracy"
    version: Literal[1] = 1
    dataset: str
    fingerprint: str
    users: int
    items: int
    interactions: int
    protocol: str
    seed: int
    lines: list[AccuracyLine]
    notes: list[str] = []  # noqa: RUF012 (pydantic copies it)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a file."""
        return self.model_dump(mode="json")


def load_accuracy(path: str | os.PathLike[str]) -> Accuracy:
    """Read a document.

    Raises:
        InputError: the file is missing, is not JSON, is of another version, or breaks the schema; the message names the field.
    """
    return read_document(path, Accuracy, "accuracy", "make one with 'chordkit evaluate accuracy --out'")
