"""What a service says while it runs: lines of JSON, requests on stdout, events on stderr. Never a profile, item, subject or token."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TextIO

Tell = Callable[[str, str], None]
"""(event, sentence): writes an event down."""


def timestamp(seconds: float) -> str:
    """A time in UTC, to the millisecond."""
    return f"{_whole(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(2)
def _whole(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def tell(event: str, sentence: str) -> None:
    """Write an event on stderr."""
    print(json.dumps({"time": timestamp(time.time()), "event": event, "text": sentence}), file=sys.stderr, flush=True)


class AccessLog:
    """A line a request, those of one turn of the event loop in one write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def __call__(self, record: dict[str, Any]) -> None:
        """Write a request down; its time is now."""
        self._lines.append(json.dumps({"time": timestamp(time.time()), **record}))
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what has gathered. A log that nobody reads any more is no reason to stop answering."""
        lines, self._lines = self._lines, []
        if lines:
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                return
