"""Golden vectors: personal files that are read, and damaged ones."""

import zlib
from typing import Any

import numpy as np

from chordkit.quantization import read_personal, write_personal
from tests.golden.masters import small_master


def _sealed(data: bytearray) -> str:
    data[8:12] = len(data).to_bytes(4, "little")
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "little")
    return bytes(data).hex()


def personal() -> dict[str, Any]:
    """A file, the master that it expands into, and files that break one rule each, with what the refusal says."""
    master, widths = small_master(), np.array([2, 4, 8, 0, 4], np.uint8)
    data = write_personal(master, widths)
    read = read_personal(data)
    # The widths' byte is the one before the codes, which the file's end is counted back from.
    first_codes = len(data) - sum(part for part in (1 + 2 + 4, 12, 12, 3, 4, 20, 20, 5 * 2, 20, 16))

    def changed(place: int, value: int) -> str:
        damaged = bytearray(data)
        damaged[place] = value
        return _sealed(damaged)

    refused = [
        ("magic", b"CHRQ".hex() + data[4:].hex(), "does not begin with CHRP"),
        ("version", changed(4, 2), "version 2"),
        ("length", (data + b"\0").hex(), "instead of the"),
        ("checksum", (data[:-1] + bytes([data[-1] ^ 1])).hex(), "checksum"),
        ("more behind the last part", _sealed(bytearray(data + b"\0")), "follow the last part"),
        ("pad bits of the widths", changed(first_codes - 1, data[first_codes - 1] | 0x80), "pad bit of the widths"),
        ("cut", _sealed(bytearray(data[:-4])), "truncated"),
        ("a scale of 0", _sealed(bytearray(data[: first_codes + 7] + bytes(4) + data[first_codes + 11 :])), "layers/first/scales"),
        ("a zero byte in a name", _sealed(bytearray(data.replace(b"\3dim", b"\3di\0"))), "config/di"),
        ("-8 in 4 bits", changed(first_codes + 1, 0x88), "outside the grid"),
    ]
    return {
        "bytes": data.hex(),
        "widths": widths.tolist(),
        "master": master.to_bytes().hex(),
        "fingerprint": master.fingerprint.hex(),
        "expanded": read.master.to_bytes().hex(),
        "refused": [{"case": case, "bytes": text, "says": says} for case, text, says in refused],
    }
