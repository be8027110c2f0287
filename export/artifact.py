"""The words of this floor: what an artifact is, and what one is asked to be."""

import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from chordkit.errors import CapabilityError


class Precision(StrEnum):
    """How the weights of an artifact are stored: all float32, all int8, or each channel as its user's strategy says."""

    FP32 = "fp32"
    INT8 = "int8"
    STRATEGY = "strategy"


def find_precision(name: str) -> Precision:
    """The precision called ``name``.

    Raises:
        CapabilityError: there is none.
    """
    try:
        return Precision(name)
    except ValueError:
        raise CapabilityError(f"{name}: there is no such precision; use {', '.join(Precision)}") from None


Activations = Literal["fp32", "int8"]
"""What quantised layers compute with."""

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_+.\-]{0,99}$")]
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.-]{0,99}")


def is_label(name: str) -> bool:
    """Whether ``name`` can name an artifact, a strategy or a set of reference scores, on every file system and in every URL."""
    return _LABEL.fullmatch(name) is not None


class Identity(BaseModel):
    """By what an artifact goes in every list and table; PyTorch beside it has one too.

    Attributes:
        name: how it is asked for; unique where it stands.
        target: whose runtime runs it.
        precision: of its weights, see :class:`Precision`.
    """

    name: Label
    target: Label
    precision: Label


class Artifact(Identity):
    """One runnable file, as everything that lists, bundles, checks or times it speaks of it.

    Target and precision are names, so that a file that lists an artifact of a newer chordkit can still be read; whoever runs it looks the
    target up and says what it does not know.

    Attributes:
        activations: what its quantised layers compute with, which sets the tolerance.
        candidates: how many it scores per call.
        strategy: name of the strategy it was made with, if any.
        user_vector: whether a user vector is an input of it, beside history and candidates. Written only where it is one, so that what
            has none stays as it was before there were any.
        reference: the key of the scores that it must reproduce: the strategy's name, else the precision.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )

    activations: Activations
    candidates: Annotated[int, Field(ge=1)]
    strategy: Label | None = None
    user_vector: bool = Field(default=False, exclude_if=operator.not_)
    reference: Label = Field(default_factory=lambda given: given["strategy"] or given["precision"])

    @classmethod
    def of(cls, artifact: "Artifact", **more: Any) -> Self:
        """``artifact`` as this kind of entry, with what the kind has besides."""
        return cls(**{name: getattr(artifact, name) for name in Artifact.model_fields}, **more)


@dataclass(frozen=True)
class ArtifactSpec:
    """What is to be made.

    Attributes:
        target: name of the runtime.
        precision: of the weights; a plain string is as good.
        candidates: scored per call; fixed in the artifact.
        activations: what quantised layers compute with; None = the target's default.
        user_vector: whether it takes a user vector, as (history, user, candidates).

    Raises:
        CapabilityError: there is no such precision.
    """

    target: str
    precision: Precision
    candidates: int = 100
    activations: Activations | None = None
    user_vector: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", find_precision(self.precision))
