"""OpenVINO without its telemetry.

``import openvino`` tells Intel's Google Analytics of itself and writes ``~/intel/openvino_ga_cid``, unless the package that does so cannot
be imported. Whoever wants it imports ``openvino`` before.
"""

import sys
from typing import Any


def runtime() -> Any:
    """The module ``openvino``.

    Raises:
        ImportError: it is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


runtime()
