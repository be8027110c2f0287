"""The strategy on the wire, version 1 (DESIGN.md, contract 2; docs/formats.md has the byte table)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError

MAGIC = b"CHRD"
VERSION = 1
RAW = 0
FLAG_OFF_ALLOWED = 1
_HEADER = struct.Struct("<4sBBH8sI")
_OVERHEAD = _HEADER.size + 4
_WIDTH_OF_CODE = np.array([0, 2, 4, 8], np.uint8)
_CODE_OF_WIDTH = np.full(256, 255, np.uint8)
_CODE_OF_WIDTH[_WIDTH_OF_CODE] = np.arange(4)


@dataclass(frozen=True)
class Strategy:
    """A width for every channel of one backbone.

    Attributes:
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}; 0 = channel off.
        fingerprint: the 8 bytes that name the backbone's master weights.
    """

    widths: np.ndarray
    fingerprint: bytes

    def __post_init__(self) -> None:
        widths = np.ascontiguousarray(self.widths)
        if widths.ndim != 1 or not len(widths) or not np.isin(widths, _WIDTH_OF_CODE).all():
            raise StrategyError("a strategy needs one width of 0, 2, 4 or 8 for each channel")
        if len(self.fingerprint) != 8:
            raise StrategyError(f"a backbone fingerprint has 8 bytes, not {len(self.fingerprint)}")
        object.__setattr__(self, "widths", widths.astype(np.uint8))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and self.fingerprint == other.fingerprint and np.array_equal(self.widths, other.widths)

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.widths.tobytes()))


def wire_bytes(channels: int) -> int:
    """Bytes of a raw strategy on the wire."""
    return _OVERHEAD + (channels + 3) // 4


def encode(strategy: Strategy, *, allow_off: bool = False) -> bytes:
    """Write a strategy.

    Args:
        strategy: what to write.
        allow_off: set the flag that gives code 0 its meaning "channel off".

    Raises:
        StrategyError: a channel is off although ``allow_off`` is not set.
    """
    codes = _CODE_OF_WIDTH[strategy.widths]
    if not allow_off and not codes.all():
        channel = int(np.flatnonzero(codes == 0)[0])
        raise StrategyError(f"strategy: channel {channel} is off, which needs allow_off")
    padded = np.zeros((len(codes) + 3) // 4 * 4, np.uint8)
    padded[: len(codes)] = codes
    lanes = padded.reshape(-1, 4)
    payload = lanes[:, 0] | lanes[:, 1] << 2 | lanes[:, 2] << 4 | lanes[:, 3] << 6
    flags = FLAG_OFF_ALLOWED if allow_off else 0
    body = _HEADER.pack(MAGIC, VERSION, RAW, flags, strategy.fingerprint, len(codes)) + payload.astype(np.uint8).tobytes()
    return body + struct.pack("<I", zlib.crc32(body))


def decode(data: bytes | memoryview, *, fingerprint: bytes, channels: int, allow_off: bool = True) -> Strategy:
    """Read a strategy that must belong to the backbone at hand.

    Args:
        data: the bytes as received.
        fingerprint: of the master weights in use.
        channels: of the master weights in use.
        allow_off: accept a strategy whose flag allows channels to be off.

    Raises:
        StrategyError: the first of these checks that fails, by name: length of the header, magic, version, encoding, flags,
            fingerprint, channel count, length, CRC, an illegal code, a pad bit.
    """
    data = bytes(data)
    if len(data) < _OVERHEAD:
        raise StrategyError(f"strategy: length: {len(data)} bytes are too few for a header; the strategy is truncated")
    magic, version, encoding, flags, named, count = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise StrategyError("strategy: magic: the bytes do not begin with CHRD; this is not a strategy")
    if version != VERSION:
        raise StrategyError(f"strategy: version {version} is not {VERSION}; update chordkit or ask the cloud for version {VERSION}")
    if encoding != RAW:
        raise StrategyError(f"strategy: encoding {encoding} is unknown; only raw ({RAW}) can be read")
    if flags & ~FLAG_OFF_ALLOWED:
        raise StrategyError(f"strategy: flags {flags:#06x} hold an unknown bit; update chordkit")
    if flags and not allow_off:
        raise StrategyError("strategy: flags allow channels to be off, which is not supported here")
    if named != fingerprint:
        raise StrategyError(
            f"strategy: fingerprint {named.hex()} is not that of the backbone in use ({fingerprint.hex()}); ask for a strategy of this backbone"
        )
    if count != channels:
        raise StrategyError(f"strategy: channel count {count} is not that of the backbone in use ({channels})")
    if len(data) != wire_bytes(channels):
        raise StrategyError(f"strategy: length: {len(data)} bytes instead of {wire_bytes(channels)} for {channels} channels")
    if struct.unpack_from("<I", data, len(data) - 4)[0] != zlib.crc32(data[:-4]):
        raise StrategyError("strategy: CRC does not match; the strategy is damaged, ask for it again")
    payload = np.frombuffer(data, np.uint8, len(data) - _OVERHEAD, _HEADER.size)
    codes = (payload[:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3).reshape(-1)
    if codes[channels:].any():
        raise StrategyError("strategy: a pad bit behind the last channel is not zero")
    codes = codes[:channels]
    if not flags and not codes.all():
        raise StrategyError(
            f"strategy: illegal code 0 at channel {int(np.flatnonzero(codes == 0)[0])}; the flag does not allow channels to be off"
        )
    return Strategy(_WIDTH_OF_CODE[codes], fingerprint)
