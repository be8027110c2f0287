"""A mirror of a release channel: a server of static files on loopback, and phones' way to it."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_HOST = "127.0.0.1"


class Line:
    """One connection to a mirror; counts what came over it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(_HOST, port, timeout=10)
        self.received = 0

    def fetch(self, path: str, limit: int) -> bytes | None:
        """The file at ``path``, no more than ``limit + 1`` bytes of it; None = there is none."""
        self._connection.request("GET", f"/{path}")
        response = self._connection.getresponse()
        data = response.read(limit + 1)
        if not response.isclosed():
            self._connection.close()  # what is left is not read
        if response.status != 200:
            return None
        self.received += len(data)
        return data

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a header and a body are two writes

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[Line]:
    """The files of a folder, and one line to them, as long as the block runs."""
    server = ThreadingHTTPServer((_HOST, 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    line = Line(server.server_port)
    try:
        yield line
    finally:
        line.close()
        server.shutdown()
        server.server_close()
        thread.join()
