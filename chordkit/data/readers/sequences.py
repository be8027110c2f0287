"""Sequence files: one user per line, ``user item item ...``, oldest item first, ids whole numbers."""

from pathlib import Path

import numpy as np

from chordkit.data.events import Events
from chordkit.errors import DataError


def read_sequences(path: Path, data: bytes) -> Events:
    """Parse a sequence file; ids keep their numeric order, so dense 1-based ids keep their values.

    Raises:
        DataError: a field is not a whole number below 2**63, or a user has two lines; the message names the line.
    """
    first_line: dict[int, int] = {}
    lengths: list[int] = []
    values: list[int] = []
    for number, line in enumerate(data.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if not b"".join(fields).isdigit():
            bad = next(field for field in fields if not field.isdigit())
            text = bad.decode("utf-8", "backslashreplace")[:40]
            raise DataError(f"{path}:{number}: '{text}' is not a whole number; a line reads 'user item item ...'")
        # 18 digits always fit 63 bits; longer ones have to be looked at (and int() refuses thousands of digits).
        longest = max(fields, key=len)
        if len(longest) > 18 and (len(longest) > 40 or max(map(int, fields)) > np.iinfo(np.int64).max):
            raise DataError(f"{path}:{number}: id {longest[:40].decode()} is too large; ids must be below 2**63")
        user, *items = map(int, fields)
        if user in first_line:
            raise DataError(f"{path}:{number}: user {user} already has line {first_line[user]}; join the two lines")
        first_line[user] = number
        lengths.append(len(items))
        values += items
    user_ids, users = np.unique(np.array(list(first_line), np.int64), return_inverse=True)
    item_ids, items_codes = np.unique(np.array(values, np.int64), return_inverse=True)
    return Events(
        users=np.repeat(users, lengths).astype(np.int64),
        items=items_codes.astype(np.int64),
        user_ids=[str(user) for user in user_ids],
        item_ids=[str(item) for item in item_ids],
    )
