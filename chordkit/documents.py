"""JSON documents that chordkit reads back: one model, one version, one sentence when it is not that."""

import os
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from chordkit.errors import InputError
from chordkit.files import read_bytes

Document = TypeVar("Document", bound=BaseModel)


def read_document(path: str | os.PathLike[str], model: type[Document], what: str, mend: str) -> Document:
    """Read a document; ``model`` begins with its ``format`` and ``version``, so that nothing is required of a newer one before these.

    Args:
        path: the file.
        model: the document's class.
        what: its name in errors ("report", "export index").
        mend: how to make it again, an imperative.

    Raises:
        InputError: the file is missing, is not JSON, is of another version, or breaks the model; the message names the field.
    """
    try:
        return model.model_validate_json(read_bytes(path, what))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["loc"] == ("version",) and isinstance(first["input"], int):
            known = first["ctx"]["expected"]
            raise InputError(
                f"{path}: {what} version {first['input']} is unknown, this chordkit reads version {known}; update chordkit, or {mend}"
            ) from None
        field = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(f"{path}: not a chordkit {what}: {field}: {first['msg']}; {mend}") from None
