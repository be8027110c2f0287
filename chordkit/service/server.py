"""The application under uvicorn, in one process or several."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import Multiprocess

from chordkit.errors import InputError
from chordkit.service.factory import application
from chordkit.service.settings import METRICS_VARIABLE, Settings

if TYPE_CHECKING:
    from chordkit.service.state import State

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BACKLOG = 1024
_SIGN_OF_LIFE_S = 30  # of a process on a machine that is busy
_KEEP_ALIVE_S = 75  # longer than nginx keeps its own, so that it is the proxy that closes


@dataclass(frozen=True)
class Place:
    """Where a service listens, and in how many processes.

    Raises:
        InputError: half a certificate, or no process.
    """

    host: str = "127.0.0.1"
    port: int = 8350
    workers: int = 1
    certificate: Path | None = None
    certificate_key: Path | None = None
    shutdown_s: int = 30

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.certificate_key is None):
            raise InputError("serve: --tls-certificate and --tls-key go together; give both, or neither and end TLS at a proxy")
        for path in (self.certificate, self.certificate_key):
            if path is not None and not path.is_file():
                raise InputError(f"{path}: there is no such file; give the certificate and its key as PEM")


def run(settings: Settings, place: Place) -> None:
    """Serve until SIGTERM or SIGINT; returns when everything that was asked before has its answer.

    Raises:
        InputError: models, key, tokens or certificate cannot be read, or a service without tokens would be open to a network.
        OSError: the address is taken.
    """
    if settings.tokens is None and place.host not in LOOPBACK:
        raise InputError(f"serve: --host {place.host} is open to others; give --tokens (`chordkit serve token NAME` makes one)")
    from chordkit.service.state import State

    # In this process, so that what is wrong is said before anything is started.
    with _counting_together(place.workers):
        state = State(settings)
        if place.workers == 1:
            # uvicorn raises the signal once more when it has ended, for whoever handled it before.
            with contextlib.suppress(KeyboardInterrupt):
                uvicorn.Server(configuration(settings, place, state)).run()
            return
        config = configuration(settings, place)
        listening = config.bind_socket()
        with contextlib.closing(listening), contextlib.suppress(KeyboardInterrupt):
            Multiprocess(config, sockets=[listening]).run()


def configuration(settings: Settings, place: Place, state: "State | None" = None) -> uvicorn.Config:
    """What uvicorn is told; without ``state`` each process makes its own."""
    return uvicorn.Config(
        # Handed to other processes where there are several, and called in each.
        partial(application, settings, state),
        factory=True,
        host=place.host,
        port=place.port,
        workers=place.workers,
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_worker_healthcheck=_SIGN_OF_LIFE_S,
        timeout_graceful_shutdown=place.shutdown_s,
        ssl_certfile=place.certificate,
        ssl_keyfile=place.certificate_key,
    )


@contextlib.contextmanager
def _counting_together(workers: int) -> Iterator[None]:
    """A folder where several processes leave what they counted."""
    if workers == 1 or METRICS_VARIABLE in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="chordkit-metrics-") as folder:
        os.environ[METRICS_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[METRICS_VARIABLE]
