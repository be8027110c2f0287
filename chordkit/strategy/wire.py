"""The strategy on the wire: magic, version, fingerprint, 2 bits a channel, CRC (DESIGN.md, contract 2; docs/formats.md)."""

import struct
from dataclasses import dataclass

import numpy as np

from chordkit.errors import StrategyError
from chordkit.strategy.record import Record

MAGIC = b"CHRD"
VERSION = 1
RAW = 0
FLAG_OFF = 1
_RECORD = Record("strategy", MAGIC, VERSION, struct.Struct("<4sBBH8sI"), StrategyError, "make it again", "fetch it again")
_WIDTH_OF_CODE = np.array([0, 2, 4, 8], np.uint8)
_ILLEGAL = 255
_CODE_OF_WIDTH = np.full(256, _ILLEGAL, np.uint8)
_CODE_OF_WIDTH[_WIDTH_OF_CODE] = np.arange(4)


@dataclass(frozen=True, eq=False)
class Strategy:
    """The width of every channel of one backbone, for one user.

    Attributes:
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}, in channel-table order; 0 = the channel is off. Copied, read-only.
        fingerprint: the 8 bytes of ``MasterWeights.fingerprint``.

    Raises:
        StrategyError: no channels, an illegal width, or a fingerprint that is not 8 bytes.
    """

    widths: np.ndarray
    fingerprint: bytes

    def __post_init__(self) -> None:
        given = np.asarray(self.widths)
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
            raise StrategyError(f"strategy: widths are {given.dtype} of shape {given.shape}; integers [channels], at least one, are needed")
        # What is no uint8 becomes 255, which is illegal. A table look-up, because the cloud makes thousands a second.
        index = given if given.dtype == np.uint8 else np.where((given < 0) | (given > 255), 255, given)
        illegal = _CODE_OF_WIDTH[index] == _ILLEGAL
        if illegal.any():
            channel = int(illegal.argmax())
            raise StrategyError(f"strategy: channel {channel} has width {given[channel]}, which is not one of 0, 2, 4, 8")
        _RECORD.check_fingerprint(self.fingerprint)
        widths = given.astype(np.uint8)
        widths.flags.writeable = False
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "fingerprint", bytes(self.fingerprint))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strategy):
            return NotImplemented
        return self.fingerprint == other.fingerprint and np.array_equal(self.widths, other.widths)

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.widths.tobytes()))


def wire_bytes(channels: int) -> int:
    """Bytes of an encoded strategy: 24 + ceil(channels / 4); 216 for 768 channels."""
    return _RECORD.size((channels + 3) // 4)


def encode(strategy: Strategy, *, allow_off: bool = False) -> bytes:
    """The wire bytes, version 1, raw encoding.

    Args:
        strategy: what to encode.
        allow_off: sets flag bit 0; without it a width 0 is an error.

    Raises:
        StrategyError: a channel is off although ``allow_off`` is not set.
    """
    widths = strategy.widths
    if not allow_off and not widths.all():
        channel = int(np.flatnonzero(widths == 0)[0])
        raise StrategyError(f"strategy: channel {channel} is off (width 0); encode with allow_off=True or give it 2, 4 or 8 bits")
    flags = FLAG_OFF if allow_off else 0
    return _RECORD.seal(RAW, flags, strategy.fingerprint, len(widths), payload=_pack(_CODE_OF_WIDTH[widths[None]])[0].tobytes())


def to_wire(strategy: Strategy) -> bytes:
    """The wire bytes, with the flag that allows channels to be off exactly when one is."""
    return encode(strategy, allow_off=not strategy.widths.all())


def encode_each(widths: np.ndarray, fingerprint: bytes) -> list[bytes]:
    """:func:`to_wire` of many users at once: legal widths uint8 ``[users, channels]``, as ``allocate`` gives them.

    Raises:
        StrategyError: no channels, an illegal width, or a fingerprint that is not 8 bytes.
    """
    return [row.tobytes() for row in encode_widths(widths, fingerprint)]


def encode_widths(widths: np.ndarray, fingerprint: bytes) -> np.ndarray:
    """:func:`encode_each` as one array, uint8 ``[users, wire_bytes(channels)]``: all strategies of a backbone have one length.

    Raises:
        StrategyError: no channels, an illegal width, or a fingerprint that is not 8 bytes.
    """
    codes = _CODE_OF_WIDTH[widths]
    if widths.shape[1] == 0 or (codes == _ILLEGAL).any():
        raise StrategyError("strategies: there are no channels, or a width is not one of 0, 2, 4, 8")
    _RECORD.check_fingerprint(fingerprint)
    plain, off = (_RECORD.header(RAW, flag, fingerprint, widths.shape[1]) for flag in (0, FLAG_OFF))
    return _RECORD.seal_each(np.where((codes == 0).any(1)[:, None], off, plain), _pack(codes))


def _pack(codes: np.ndarray) -> np.ndarray:
    """2-bit codes uint8 ``[users, channels]``, four a byte, the first lowest: uint8 ``[users, ceil(channels / 4)]``."""
    lanes = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 4))).reshape(len(codes), -1, 4)
    return lanes[..., 0] | lanes[..., 1] << 2 | lanes[..., 2] << 4 | lanes[..., 3] << 6


def decode(data: bytes | bytearray | memoryview, *, fingerprint: bytes, channels: int, allow_off: bool = True) -> Strategy:
    """Read a strategy that is meant for one backbone.

    The checks run in this order, as in the C engine, and the message names the first that fails: length of the header, magic,
    version, encoding, flags, fingerprint, channel count, length, CRC, codes, pad bits.

    Args:
        data: the wire bytes, no more and no less.
        fingerprint: of the master weights in use.
        channels: of the master weights in use.
        allow_off: False = refuse a strategy whose flag allows channels to be off (a target that cannot do it).

    Raises:
        StrategyError: one of the checks failed.
    """
    data = bytes(data)
    encoding, flags, theirs, count = _RECORD.fields(data)
    if encoding != RAW:
        raise StrategyError(f"strategy: encoding: {encoding} is unknown (only {RAW}, raw 2-bit codes, is); make the strategy again")
    if flags & ~FLAG_OFF:
        raise StrategyError(f"strategy: flags: {flags:#06x} has bits that version {VERSION} does not know; update chordkit")
    if flags and not allow_off:
        raise StrategyError("strategy: flags: channels may be off, which is not allowed here; make the strategy without off channels")
    _RECORD.check_backbone(theirs, fingerprint)
    if count != channels:
        raise StrategyError(f"strategy: channel count: {count} channels instead of the backbone's {channels}")
    packed = np.frombuffer(_RECORD.payload(data, (count + 3) // 4), np.uint8)
    codes = np.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], axis=-1).reshape(-1)
    if not flags and not codes[:count].all():
        channel = int(np.flatnonzero(codes[:count] == 0)[0])
        raise StrategyError(f"strategy: code: channel {channel} has code 0 although the flags do not allow channels to be off")
    if codes[count:].any():
        raise StrategyError("strategy: pad bits: bits after the last channel are not zero")
    return Strategy(_WIDTH_OF_CODE[codes[:count]], theirs)
