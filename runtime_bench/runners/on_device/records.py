"""The records that the program writes."""

from __future__ import annotations

import json
from typing import Any

from .system import Refused, write_all


class Records:
    """The file of records: every line is there as soon as it is said."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._stream = open(path, "wb", buffering=0)  # noqa: SIM115 - open until the process ends
        except OSError as error:
            raise Refused(f"{path}: cannot be made ({error.strerror})") from None

    def say(self, event: str, **fields: Any) -> None:
        self._write({"event": event, **fields}, "")

    def times(self, event: str, ns: list[int], **fields: Any) -> None:
        self._write({"event": event, **fields}, ',"us":[' + ",".join([f"{each / 1e3:.3f}" for each in ns]) + "]")

    def _write(self, record: dict[str, Any], more: str) -> None:
        line = json.dumps(record, separators=(",", ":"), allow_nan=False)[:-1] + more + "}\n"
        write_all(self._stream, self._path, line.encode())


def microseconds(ns: int) -> float:
    """As records have it: three decimals."""
    return round(ns / 1e3, 3)
