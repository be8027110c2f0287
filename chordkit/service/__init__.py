"""The cloud as a service: a strategy, or samples, for whoever sends a profile (docs/service.md).

Nothing here imports a web framework but :mod:`chordkit.service.app` and what it is made of, so that the client needs none.
"""

from chordkit.extras import require_extra
from chordkit.service.client import Client
from chordkit.service.settings import Settings

__all__ = ["Client", "Settings", "require_packages"]


def require_packages() -> None:
    """Hold that what the service is built on is installed.

    Raises:
        MissingRuntimeError: it is not; the message names the extra that brings it.
    """
    require_extra("the service needs", "serve", "fastapi", "uvicorn", "prometheus-client")
