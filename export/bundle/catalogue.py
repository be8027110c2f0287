"""What a bundle says of its items beside the model: the owner's ids, and words for people where the owner has any.

``items.json``, ``names.json`` and ``categories.json`` are lists of texts by index, the first of them padding's and empty. Words are for
screens and terminals, so that what either would act on is in none of them, and each is as long as a line can be.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence

from chordkit.documents import parse_json

LONGEST = 200
"""Characters of a name or of a category."""

_LARGEST = 4 * LONGEST + 3  # bytes of UTF-8, quotes and comma
# Controls, separators of lines, marks that turn the direction of what follows, halves of UTF-16 pairs.
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def to_bytes(texts: Sequence[str]) -> bytes:
    """The one spelling of such a list: JSON in UTF-8, without spaces, nothing escaped that need not be."""
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":")).encode()


def read_ids(data: bytes, items: int) -> list[str]:
    """Item ids by index.

    Raises:
        ValueError: what is wrong with them, for the caller's sentence.
    """
    ids = _texts(data)
    if ids is None or len(ids) != items + 1:
        raise ValueError(f"is not a list of {items + 1} item ids")
    if problem := problem_with_ids(ids):
        raise ValueError(f"cannot be used: {problem}")
    return ids


def read_words(data: bytes, items: int) -> list[str]:
    """Names or categories by index.

    Raises:
        ValueError: what is wrong with them, for the caller's sentence.
    """
    words = _texts(data) if len(data) <= 1 + (items + 1) * _LARGEST else None
    if words is None or len(words) != items + 1:
        raise ValueError(f"is not a list of {items + 1} texts of at most {LONGEST} characters")
    if problem := problem_with_words(words, items):
        raise ValueError(f"cannot be used: {problem}")
    if to_bytes(words) != data:
        raise ValueError("is not written the way chordkit writes it")
    return words


def problem_with_ids(ids: Sequence[str]) -> str | None:
    """What is wrong with item ids by index, or None: the first is padding's, and no item is called as another is."""
    if not ids or ids[0] != "":
        return "its first entry, which is padding's, is not empty"
    if len(set(ids)) == len(ids):
        return None
    return f"the item id {Counter(ids).most_common(1)[0][0][:100]!r} comes more than once"


def problem_with_words(words: Sequence[str], items: int) -> str | None:
    """What is wrong with names or categories by index, or None."""
    if len(words) != items + 1:
        return f"it has {len(words)} entries, and there is one for each of {items} items after the padding's"
    if words[0] != "":
        return "its first entry, which is padding's, is not empty"
    for item, text in enumerate(words):
        if len(text) > LONGEST:
            return f"that of item {item} has {len(text):,} characters, where {LONGEST} are possible"
        if found := _NOT_SHOWN.search(text):
            return f"that of item {item} holds the character U+{ord(found[0]):04X}, which is not shown"
    return None


def fitting_words(words: Sequence[str]) -> list[str]:
    """Names or categories as a bundle can have them: each on one line, without what a terminal acts on, cut where it is too long."""
    return [_fitting(text) for text in words]


def _fitting(text: str) -> str:
    shown = " ".join(_NOT_SHOWN.sub(" ", text).split())
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1].rstrip() + "…"


def _texts(data: bytes) -> list[str] | None:
    """A list of texts, or None where it is none."""
    try:
        texts = parse_json(data, None)
    except ValueError:
        return None
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else None
