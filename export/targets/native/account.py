"""Where the bytes of a master file go."""

import numpy as np

from chordkit.export.targets.ledger import Kind, Ledger
from chordkit.quantization import container

MAGIC = container.MAGIC


def account(data: memoryview, ledger: Ledger) -> None:
    """Claim the bytes of a master file.

    Raises:
        MasterError: it is none.
    """
    account_master(data, ledger, 0)


def account_master(data: memoryview, ledger: Ledger, start: int) -> None:
    """Claim the bytes of a master file that begins at ``start`` of the ledger's file.

    Raises:
        MasterError: it is none.
    """
    size = int.from_bytes(data[8:16], "little")  # a constant may be followed by padding
    data = data[:size] if size < len(data) else data
    entries, _ = container.unpack(data)
    base = np.frombuffer(data, np.uint8).ctypes.data
    for name, value in entries.items():
        if not isinstance(value, str) and value.size and not name.startswith("config/"):
            ledger.claim(start + value.ctypes.data - base, value.nbytes, _kind_of(name))


def _kind_of(name: str) -> Kind:
    group, _, rest = name.partition("/")
    part = rest.rpartition("/")[2]
    if group == "layers" and part in ("codes", "scales", "ratios"):
        return Kind.WEIGHTS_8 if part == "codes" else Kind.SCALES
    if group == "embeddings" and part != "bits":
        return Kind.EMBEDDINGS if rest.startswith("item_embedding/") else Kind.POSITIONS
    return Kind.CONSTANTS
