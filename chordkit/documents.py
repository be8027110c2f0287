"""JSON documents that chordkit reads back: one model, one version, one sentence when it is not that."""

import json
import math
import os
from typing import Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from chordkit.errors import InputError
from chordkit.files import read_bytes

MOST_BYTES = 16 << 20
"""A document of chordkit's is never larger; a parsed one takes up to twenty times its bytes."""

_MOST_MEMBERS = 1 << 16
_DEEPEST = 64


def _hasty(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_hasty(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    lists = {"fail_fast": True} if schema.get("type") in ("list", "tuple", "set", "frozenset") else {}
    return {name: _hasty(value) for name, value in schema.items()} | lists


class Document(BaseModel):
    """Base of what is read from outside: a list ends at its first bad element, so that wrong JSON costs no more than good JSON does.

    3 MB of ``[{},{},...]`` took two minutes and 10 GB of errors. pydantic has this for single fields alone, hence the hook.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _hasty(handler(source))
        return schema


Kind = TypeVar("Kind", bound=Document)


def parse_json(text: bytes | str, limit: int | None = MOST_BYTES) -> Any:
    """What JSON from outside holds: the one place where chordkit parses any.

    Refused is also what Python's parser lets pass: a member named twice, NaN, infinity and numbers beyond float64. Time and memory are
    proportional to the text.

    Args:
        text: UTF-8, or text already.
        limit: most bytes (characters); None = whoever calls has bounded them.

    Raises:
        ValueError: it is not JSON, larger than ``limit``, nested more than 64 deep, or an object has more than 65,536 members; in a few
            words, for the caller's sentence.
    """
    if limit is not None and len(text) > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode(), parse_constant=_constant, parse_float=_float, object_pairs_hook=_members
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} deep") from None
    level = [value] if isinstance(value, (list, dict)) else []
    for _ in range(_DEEPEST):
        children = (child for each in level for child in (each.values() if isinstance(each, dict) else each))
        level = [child for child in children if isinstance(child, (list, dict))]
        if not level:
            return value
    raise ValueError(f"it is nested more than {_DEEPEST} deep")


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MOST_MEMBERS:
        raise ValueError(f"an object has more than {_MOST_MEMBERS} members")
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the member {twice[:40]!r} is there twice")
    return found


def read_document(path: str | os.PathLike[str], model: type[Kind], what: str, mend: str) -> Kind:
    """Read a document; ``model`` begins with its ``format`` and ``version``, so that nothing is required of a newer one before these.

    Args:
        path: the file.
        model: the document's class.
        what: its name in errors ("report", "export index").
        mend: how to make it again, an imperative.

    Raises:
        InputError: the file is missing, larger than 16 MiB, is not JSON, is of another version, or breaks the model; the message names
            the field.
    """
    data = read_bytes(path, what, MOST_BYTES)
    try:
        parse_json(data)
    except ValueError as error:
        raise InputError(f"{path}: not a chordkit {what}: {error}; {mend}") from None
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["loc"] == ("version",) and isinstance(first["input"], int):
            known = first["ctx"]["expected"]
            raise InputError(
                f"{path}: {what} version {first['input']} is unknown, this chordkit reads version {known}; update chordkit, or {mend}"
            ) from None
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: not a chordkit {what}: {field}: {first['msg']}; {mend}") from None
