"""The application: routes, what is around them, and its life from the first request to the last."""

import asyncio
import contextlib
import gc
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider

from chordkit import __version__
from chordkit.errors import MissingRuntimeError
from chordkit.service import openapi
from chordkit.service.diary import AccessLog
from chordkit.service.edge import Edge
from chordkit.service.routes import DIRECT, router
from chordkit.service.settings import Settings
from chordkit.service.state import State

_ALLOCATIONS = 20_000
"""Between two looks of the collector; a request makes and drops some dozens of objects that it looks at."""


def create_app(settings: Settings, state: State | None = None, tracer_provider: TracerProvider | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: what it does.
        state: what it does it with, if that was made already.
        tracer_provider: where spans go; None = where OpenTelemetry's own environment variables say (``OTEL_EXPORTER_OTLP_ENDPOINT``, ...).

    Raises:
        InputError: models, key or tokens cannot be read.
        MissingRuntimeError: tracing is asked for and not installed.
    """
    state = state or State(settings)
    if settings.tracing and importlib.util.find_spec("opentelemetry.sdk") is None:
        raise MissingRuntimeError("--tracing needs the package opentelemetry-sdk; pip install 'chordkit[tracing]'")
    log = AccessLog(sys.stdout) if settings.access_log else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # What is there now stays: the collector need not walk through all of torch again and again, nor look after every few requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_ALLOCATIONS, 10, 10)
        watching = asyncio.create_task(state.watch())
        exchanging = None if state.reports is None else asyncio.create_task(state.reports.watch())
        _end_with_parent()
        with _signals(state, asyncio.get_running_loop()):
            yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        if state.reports is not None and exchanging is not None:
            state.reports.end()
            await exchanging
        state.close()
        if log is not None:
            log.flush()

    app = FastAPI(
        title="chordkit",
        version=__version__,
        description="Strategies and samples for phones: docs/service.md.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # The framework's own: a span a request, below the one that its traceparent names, and nothing of what is in it.
        telemetry={
            "tracing": settings.tracing,
            "tracer_provider": tracer_provider,
            "auto_configure": settings.tracing and tracer_provider is None,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
        },
    )
    app.state.service = state
    app.include_router(router)
    app.add_middleware(Edge, metrics=state.metrics, log=log, direct={} if settings.tracing else DIRECT)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app


def _end_with_parent() -> None:
    """One of several processes ends as if it were told to when the one that watches over them is gone: nobody else could start it anew, and
    it would hold the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, daemon=True, name="parent").start()


Handler = Callable[[int, FrameType | None], Any]


@contextlib.contextmanager
def _signals(state: State, loop: asyncio.AbstractEventLoop) -> Any:
    """SIGTERM and SIGINT make the service say that it is not ready, and a while later reach whoever handled them before: the server, which
    answers what it has and ends. A second one reaches it at once. SIGHUP has models, tokens and the registry looked at now."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def end(number: int, frame: FrameType | None) -> None:
        handler = before[number]
        if not callable(handler):
            return
        if state.draining or not state.settings.drain_s:
            state.draining = True
            handler(number, frame)
            return
        state.draining = True
        loop.call_soon_threadsafe(loop.call_later, state.settings.drain_s, handler, number, None)

    def look_again(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(loop.run_in_executor, None, state.refresh)
        if state.reports is not None:
            loop.call_soon_threadsafe(state.reports.exchange_now)

    for number in before:
        signal.signal(number, end)
    old = signal.signal(signal.SIGHUP, look_again)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, old)
        for number, handler in before.items():
            signal.signal(number, handler)
