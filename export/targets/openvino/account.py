"""Where the bytes of an ``.ovzip`` go: its graph names every constant after what it is for, and says where in the weights it lies."""

import re

from chordkit.errors import CapabilityError, InputError
from chordkit.export.targets.ledger import Kind, Ledger
from chordkit.export.targets.openvino.archive import unpack, weights_start

_CONSTANT = re.compile(
    rb'<layer [^>]*name="([^"]*)" type="Const"[^>]*>\s*<data element_type="(\w+)" shape="([0-9, ]*)" offset="(\d{1,15})" size="(\d{1,15})"'
)
_KINDS = {
    "int2": Kind.WEIGHTS_2,
    "int4": Kind.WEIGHTS_4,
    "int8": Kind.WEIGHTS_8,
    "weight": Kind.WEIGHTS_32,
    "scales": Kind.SCALES,
    "order": Kind.ORDERS,
    "table": Kind.EMBEDDINGS,
    "table-scales": Kind.EMBEDDINGS,
    "positions": Kind.POSITIONS,
    "positions-scales": Kind.POSITIONS,
}


def account(data: memoryview, ledger: Ledger) -> None:
    """Claim the bytes of constants; the deflated graph, and the archive around both, are the graph's.

    Raises:
        InputError: the file is damaged.
    """
    try:
        graph, _ = unpack(bytes(data))
    except CapabilityError as error:
        raise InputError(str(error)) from None
    start = weights_start(bytes(data))
    for name, element, shape, offset, size in _CONSTANT.findall(graph):
        ledger.claim(start + int(offset), int(size), _kind(name.decode(), element, shape))


def _kind(name: str, element: bytes, shape: bytes) -> Kind:
    what = name.rpartition("/")[2].partition(".")[0]
    if what == "constant" and element == b"f32" and b", " in shape and not shape.startswith(b"1, "):
        return Kind.POSITIONS  # float rows that are added as they are
    return _KINDS.get(what, Kind.CONSTANTS)
