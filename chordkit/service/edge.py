"""Around every request: a line in the access log, and a count."""

import re
import secrets
import time
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chordkit.service.diary import AccessLog
from chordkit.service.metrics import Metrics
from chordkit.service.routes import NOTE, Handler

_ROUTES = frozenset({"/v1/strategy", "/v1/samples", "/healthz", "/readyz", "/metrics", "/openapi.json"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """Middleware. What it writes down of a request is its route, status, milliseconds, bytes, whose token it had, for which backbone, and
    its identifier; of a path that is no route not even that.

    Args:
        app: what is inside.
        metrics: what counts.
        log: of requests; None = none.
        direct: by their path, POST routes that are called from here, since to look for them the framework takes as long as they do.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: AccessLog | None, direct: dict[str, Handler]) -> None:
        self._app, self._metrics, self._log, self._direct = app, metrics, log, direct
        self._process, self._count = secrets.token_hex(4), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note: dict[str, Any] = {}
        scope[NOTE] = note
        begun = time.perf_counter()
        status, size = 500, 0
        identifier = self._identifier(scope)

        async def sending(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", identifier)]
            else:
                size += len(message.get("body", b""))
            await send(message)

        route = scope["path"] if scope["path"] in _ROUTES else "other"
        direct = self._direct.get(route) if scope["method"] == "POST" else None
        try:
            if direct is None:
                await self._app(scope, receive, sending)
            else:
                await (await direct(Request(scope, receive)))(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - begun
            self._metrics.request(route, status, seconds)
            if self._log is not None:
                method = scope["method"] if route != "other" else "-"
                told = {"method": method, "route": route, "status": status, **note, "out": size}
                self._log(told | {"ms": round(seconds * 1000, 3), "request": identifier.decode()})

    def _identifier(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return bytes(value)
        self._count += 1
        return f"{self._process}-{self._count}".encode()
