"""The words of this floor: what an artifact is, and what one is asked to be."""

import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chordkit.errors import CapabilityError, InputError


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

Layout = Literal["size", "speed"]
"""How a strategy's codes lie in a file. ``size``: each channel at its width, channels of one width together. ``speed``: the same codes and
scales, each code in a byte, one tensor a layer in the order of its channels."""

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_+.\-]{0,99}$")]
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+.-]{0,99}")


Version = Annotated[str, Field(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){0,3}$")]


def version_numbers(version: str) -> tuple[int, ...]:
    """What a version is compared by: the numbers that it begins with."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return () if found is None else tuple(int(number) for number in found[0].split("."))


def is_label(name: str) -> bool:
    """Whether ``name`` can name an artifact, a strategy or a set of reference scores, on every file system and in every URL."""
    return _LABEL.fullmatch(name) is not None


def _is_size(layout: object) -> bool:
    return layout == "size"


def _is_one(number: object) -> bool:
    return number == 1


class RuntimeRange(BaseModel):
    """The versions of a runtime that a file runs on, oldest and newest that were run.

    Attributes:
        package: that brings the runtime, in a package index.
        oldest: the first.
        newest: the last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    package: Label
    oldest: Version
    newest: Version

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if version_numbers(self.oldest) > version_numbers(self.newest):
            raise ValueError(f"the oldest version, {self.oldest}, is newer than the newest, {self.newest}")
        return self

    def __str__(self) -> str:
        return f"{self.package} {self.oldest}" + ("" if self.oldest == self.newest else f" to {self.newest}")


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
            has none stays as it was before there were any; likewise the next five.
        runtime: name of the profile that it was made for, see :mod:`chordkit.export.targets.profiles`; None = its target's newest.
        layout: how its codes lie in the file.
        top: how many of its candidates it answers with, best first, as ids and scores; None = it gives all candidates' scores.
        batch: histories per call.
        catalogue: whether its candidates are all items, which then are a part of it and no input.
        reference: the key of the scores that it must reproduce: the strategy's name, else the precision.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )

    activations: Activations
    candidates: Annotated[int, Field(ge=1)]
    strategy: Label | None = None
    user_vector: bool = Field(default=False, exclude_if=operator.not_)
    runtime: Label | None = Field(default=None, exclude_if=operator.not_)
    layout: Layout = Field(default="size", exclude_if=_is_size)
    top: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude_if=operator.not_)
    batch: Annotated[int, Field(ge=1)] = Field(default=1, exclude_if=_is_one)
    catalogue: bool = Field(default=False, exclude_if=operator.not_)
    reference: Label = Field(default_factory=lambda given: given["strategy"] or given["precision"])

    @model_validator(mode="after")
    def _top_of_candidates(self) -> Self:
        if self.top is not None and self.top > self.candidates:
            raise ValueError(f"top: {self.top} is more than the {self.candidates} candidates")
        if self.catalogue and self.top is None:
            raise ValueError("catalogue: without top, and over the whole catalogue the best alone are given")
        return self

    @property
    def is_special(self) -> bool:
        """Whether it has what files of earlier versions cannot say of an artifact: a runtime, another layout or another shape of calls."""
        return (self.runtime, self.layout, self.top, self.batch, self.catalogue) != (None, "size", None, 1, False)

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
        runtime: name of a profile of the target; None = the target's newest runtime.
        layout: how the codes lie in the file; None = the first that the runtime has.
        top: how many of its candidates it answers with, best first, as ids and scores; None = all candidates' scores.
        batch: histories per call.
        catalogue: whether its candidates are all items, which then are a part of it and no input.

    Raises:
        CapabilityError: there is no such precision.
        InputError: ``top`` or ``batch`` is not a possible number, or ``catalogue`` comes without ``top``.
    """

    target: str
    precision: Precision
    candidates: int = 100
    activations: Activations | None = None
    user_vector: bool = False
    runtime: str | None = None
    layout: Layout | None = None
    top: int | None = None
    batch: int = 1
    catalogue: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", find_precision(self.precision))
        if self.top is not None and not 1 <= self.top <= self.candidates:
            raise InputError(f"top: {self.top} is not between 1 and the {self.candidates} candidates; ask for no more than are scored")
        if self.batch < 1:
            raise InputError(f"batch: {self.batch} is not a number of histories; use at least 1")
        if self.catalogue and self.top is None:
            raise InputError("catalogue: an artifact over the whole catalogue gives the best alone; say how many (top)")

    @property
    def given(self) -> int | None:
        """How many candidates a call is given; None = none, they are all items."""
        return None if self.catalogue else self.candidates
