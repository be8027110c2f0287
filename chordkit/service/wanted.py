"""Requests: the terms that headers or JSON name, and the profile or items beside them."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, JsonValue, ValidationError

from chordkit.documents import Document, parse_json
from chordkit.release.report import MOST_BYTES, PATTERN
from chordkit.service.settings import BITS_STEP, HIGHEST_BITS, LOWEST_BITS
from chordkit.strategy.envelope import LARGEST_NUMBER, LARGEST_SUBJECT

PROFILE_TYPE = "application/octet-stream"
ITEMS_TYPE = "application/vnd.chordkit.items"
JSON_TYPE = "application/json"
DEADLINE = b"chord-deadline-ms"
_PREFIX = b"chord-"
MOST_NUMBERS = 4096
MOST_SAMPLE_BYTES = 3072


class Refused(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class _Terms(Document):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$", description="Of the backbone that the phone has, in hexadecimal.")


class StrategyTerms(_Terms):
    """What a strategy is asked for, beside the profile."""

    bits: float | None = Field(
        None, ge=LOWEST_BITS, le=HIGHEST_BITS, multiple_of=BITS_STEP, description="Average bits of a weight; without, the backbone's own."
    )
    device: str | None = Field(
        None, pattern=r"^[a-z0-9_-]{1,32}$", description="Instead of bits: a class of devices that the service knows."
    )
    form: Literal["envelope", "strategy"] = Field("envelope", description="Signed, or bare where the service hands such out.")
    serial: int = Field(1, ge=1, le=LARGEST_NUMBER, description="What the envelope carries: one more than that of the last one adopted.")
    subject: str = Field(
        "", pattern=rf"^([0-9a-f]{{2}}){{0,{LARGEST_SUBJECT}}}$", description="What the envelope carries, in hexadecimal: whom it is for."
    )
    report: str | None = Field(
        None,
        max_length=MOST_BYTES,
        description="Release and self-check of the phone: release=12,counter=12,runtime=native,abi=arm64-v8a,app=3.4.0,check=passed",
        json_schema_extra={"pattern": f"^{PATTERN}$"},  # which is held by hand, and says what is wrong in a sentence
    )


class SamplesTerms(_Terms):
    """What samples are asked for, beside the profile."""

    count: int = Field(200, ge=1, le=4096, description="How many samples.")
    most_bytes: int = Field(
        MOST_SAMPLE_BYTES, ge=256, le=MOST_SAMPLE_BYTES, description="What they may weigh; where more is found, less stands before each."
    )


_Numbers = Annotated[list[float], Field(min_length=2, max_length=MOST_NUMBERS)]
_Items = Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(min_length=1, max_length=MOST_NUMBERS)]
_ONE_OF: dict[str, JsonValue] = {"oneOf": [{"required": ["profile"]}, {"required": ["items"]}]}


class _Inputs(Document):
    profile: _Numbers = Field([], description="Pooled item embeddings and the count, as the phone's Profile makes it.")
    items: _Items = Field([], description="Instead, where the service allows it: indices of items, oldest first.")


class StrategyRequest(StrategyTerms, _Inputs):
    """A request for a strategy as JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True, json_schema_extra=_ONE_OF)


class SamplesRequest(SamplesTerms, _Inputs):
    """A request for samples as JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True, json_schema_extra=_ONE_OF)


def read_terms(terms: type[_Terms], headers: dict[bytes, bytes]) -> Any:
    """What the headers ``Chord-...`` say, as ``terms``; other headers are nobody's business.

    Raises:
        Refused: one of them is wrong.
    """
    given = {}
    for name, value in headers.items():
        if name.startswith(_PREFIX) and name != DEADLINE:
            given[name[len(_PREFIX) :].decode("latin-1").replace("-", "_")] = value.decode("latin-1")
    return _validated(terms, given, "header Chord-")


def read_json(model: type[_Inputs], body: bytes) -> Any:
    """A request in JSON, as ``model``.

    Raises:
        Refused: it is none.
    """
    try:
        value = parse_json(body)
    except ValueError as error:
        raise Refused(422, f"body: not JSON: {error}") from None
    found = _validated(model, value, "")
    if bool(found.profile) == bool(found.items):
        raise Refused(422, "body: give either profile or items")
    return found


def _validated(model: type[Document], value: Any, prefix: str) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        field = f"{prefix}{where.replace('_', '-').title()}" if prefix else where or "body"
        raise Refused(422, f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def items_of(body: bytes) -> list[int]:
    """The items of a body of int32, little-endian.

    Raises:
        Refused: it holds none, too many, or one below 1.
    """
    if not body or len(body) % 4 or len(body) > 4 * MOST_NUMBERS:
        raise Refused(422, f"body: {len(body)} bytes are not 1 to {MOST_NUMBERS} items of 4 bytes each")
    found = np.frombuffer(body, "<i4")
    if int(found.min()) < 1:
        raise Refused(422, "body: an item below 1; send indices of the catalogue, without empty slots")
    listed: list[int] = found.tolist()
    return listed
