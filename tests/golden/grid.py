"""Golden vectors: the number grid: derivation, packing, allocation."""

from typing import Any

import numpy as np

from chordkit.quantization import (
    ChannelTable,
    derive_codes,
    pack_codes,
)
from chordkit.strategy import Budget, allocate


def derivation() -> dict[str, Any]:
    """Every int8 code under ratios at the ends, on ties, and in between; packed too."""
    codes = np.arange(-127, 128, dtype=np.int8)
    ratios = [1, 129, 258, 516, 1806, 2341, 4681, 8192, 10923, 16384, 16513, 21845, 32766, 32767]
    rows = np.broadcast_to(codes, (len(ratios), len(codes)))
    both = np.array([ratios, ratios], np.int16)
    cases = []
    for width in (4, 2):
        derived = derive_codes(rows, both, width)
        packed = pack_codes(derived, width)
        for ratio, row, row_bytes in zip(ratios, derived, packed, strict=True):
            cases.append({"width": width, "ratio": ratio, "derived": row.tobytes().hex(), "packed": row_bytes.tobytes().hex()})
    return {"codes": codes.tobytes().hex(), "cases": cases}


def packing() -> dict[str, Any]:
    """Rows of 1 to 9 codes, so that every number of pad bits occurs."""
    cases = []
    for width in (2, 4, 8):
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        for count in range(1, 10):
            codes = [[(low + 5 * i + 3 * row) % (high - low + 1) + low for i in range(count)] for row in range(2)]
            cases.append({"width": width, "codes": codes, "packed": pack_codes(np.array(codes, np.int8), width).tobytes().hex()})
    return {"cases": cases}


def allocations() -> dict[str, Any]:
    """Widths of two users on a table whose layers differ in size."""
    table = ChannelTable.from_sizes([("horizontal.0", 6, 8), ("horizontal.1", 6, 16), ("vertical", 2, 5), ("fc", 8, 20)])
    importance = np.stack([np.sin(np.arange(22) * 1.7), np.cos(np.arange(22) * 2.3)]).astype(np.float32).round(3)
    cases = []
    for average, shares, allow_off in [(3.0, None, False), (3.0, (0.7, 0.2, 0.1), False), (5.0, None, False), (1.5, None, True)]:
        widths = allocate(importance, table, Budget(average, shares), allow_off=allow_off)
        cases.append({"average_bits": average, "shares": shares, "allow_off": allow_off, "widths": widths.tolist()})
    return {"channel_table": table.to_json(), "importance": [[float(str(x)) for x in user] for user in importance], "cases": cases}
