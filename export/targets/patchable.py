"""How a uniform int8 file of layout ``speed`` becomes a master file: its patch table is found by comparing files of several strategies.

Nothing here knows a container or a lowering. Three strategies, in which each channel has each of the widths 0, 2 and 4 once, are lowered
beside the uniform one. A layer's codes stand where all four files have the codes of their widths; its scales stand where all four have the
scales of their widths, times one number that the lowering may have folded in. What the table says of them is read from the files, so it is
what the exporter writes. If a file differs from another anywhere else, there is no table.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from chordkit.errors import MasterWarning, PatchError
from chordkit.export.artifact import ArtifactSpec, Precision
from chordkit.export.targets.target import Target
from chordkit.patching import MasterFile, PatchedLayer, PatchTable, attached, table_bytes
from chordkit.quantization import MasterWeights, select_codes
from chordkit.strategy import Strategy, to_wire

Place = TypeVar("Place", int, tuple[int, int])

_OTHERS = (0, 2, 4)
_SEED = 20260715
# Rows may be padded to multiples of these.
_BLOCKS = (1, 4, 8, 16, 32)
# Of a scale as it is found to what it should be: a folded factor is rounded once or twice.
_CLOSE = 1e-6


@dataclass(frozen=True)
class _Samples:
    """Files of one model, uniform int8 first, and the widths that each has."""

    widths: tuple[np.ndarray, ...]
    files: tuple[bytes, ...]

    @property
    def others(self) -> tuple[tuple[np.ndarray, bytes], ...]:
        """All but the uniform one."""
        return tuple(zip(self.widths[1:], self.files[1:], strict=True))


def master_file(target: Target, spec: ArtifactSpec, source: tuple[MasterWeights, np.ndarray]) -> bytes:
    """A uniform int8 file of layout ``speed`` with its patch table, or without one where the target's files have none.

    Warns:
        MasterWarning: of this model no table can be made: its strategies are exported one by one.
    """
    if target.before_patch_table(0) is None:
        return target.lower(spec, source)
    from chordkit.export.program import traced_once

    master, strategy = source[0], replace(spec, precision=Precision.STRATEGY)
    with traced_once():
        content = target.lower(spec, source)
        try:
            return with_patch_table(content, lambda widths: target.lower(strategy, (master, widths)), master, target.before_patch_table)
        except PatchError as error:
            warnings.warn(
                f"{target}: the file carries no patch table: {error}; export each strategy by itself", MasterWarning, stacklevel=3
            )
            return content


def with_patch_table(
    content: bytes, lower: Callable[[np.ndarray], bytes], master: MasterWeights, gap: Callable[[int], bytes | None]
) -> bytes:
    """The master file of a uniform int8 file.

    Args:
        content: the file, every channel at 8 bits.
        lower: the same for other widths uint8 ``[channels]``.
        master: what all are made from.
        gap: what the container needs before so many bytes that it does not know.

    Raises:
        PatchError: the files differ in more than codes and scales, so that no table describes them.
    """
    samples = _samples(content, lower, master.channel_table.channels)
    table = _table(samples, master)
    data = attached(content, table, gap(table_bytes(len(table.layers), table.channels)) or b"")
    everybody = MasterFile(data)
    for widths, file in samples.others:
        if everybody.patched(to_wire(Strategy(widths, master.fingerprint))) != file:
            raise PatchError("files of several strategies differ in more than the codes and scales of their layers")
    return data


def _samples(content: bytes, lower: Callable[[np.ndarray], bytes], channels: int) -> _Samples:
    # Drawn, so that layers with equal codes have other widths and are told from each other.
    turns = np.random.default_rng(_SEED).permuted(np.tile(np.array(_OTHERS, np.uint8), (channels, 1)), axis=1)
    widths = (np.full(channels, 8, np.uint8), *(np.ascontiguousarray(turns[:, turn]) for turn in range(len(_OTHERS))))
    return _Samples(widths, (content, *(lower(each) for each in widths[1:])))


def _table(samples: _Samples, master: MasterWeights) -> PatchTable:
    if len({len(file) for file in samples.files}) > 1:
        raise PatchError("files of several strategies are not of one length")
    arrays = [np.frombuffer(file, np.uint8) for file in samples.files]
    changed = np.logical_or.reduce([array != arrays[0] for array in arrays[1:]])
    names = list(master.layers)
    ranges = [master.channel_table.layer_slice(name) for name in names]
    pieces = [
        [select_codes(master.layers[name].rows, widths[channels]) for widths in samples.widths]
        for name, channels in zip(names, ranges, strict=True)
    ]
    places = []
    for name, each in zip(names, pieces, strict=True):
        start, stride = _only(list(_code_places(samples.files, [codes for codes, _ in each])), f"the codes of {name}")
        rows, columns = each[0][0].shape
        changed[start : start + (rows - 1) * stride + columns] = False
        places.append((start, stride))
    candidates = np.flatnonzero(changed)
    layers, found = [], []
    for name, channels, each, (start, stride) in zip(names, ranges, pieces, places, strict=True):
        widths = np.stack([every[channels] for every in samples.widths])
        at = _only(_scale_places(arrays, candidates, np.stack([scales for _, scales in each]), widths), f"the scales of {name}")
        stored = np.stack([np.frombuffer(file, "<f4", len(each[0][1]), at) for file in samples.files])
        off = np.unique(stored[widths == 0])
        if len(off) != 1:
            raise PatchError(f"channels of {name} that are off do not have one scale")
        layers.append(PatchedLayer(start, stride, each[0][0].shape[0], each[0][0].shape[1], at, float(off[0])))
        found.append(np.stack([_at_width(stored, widths, width) for width in (2, 4)]))
    ratios = np.concatenate([master.layers[name].rows.ratios for name in names], axis=1)
    return PatchTable(master.fingerprint, tuple(layers), np.concatenate(found, axis=1).astype(np.float32), ratios)


def _at_width(stored: np.ndarray, widths: np.ndarray, width: int) -> np.ndarray:
    """Of ``[files, channels]`` each channel's entry in the file where it has this width."""
    return stored[(widths == width).argmax(axis=0), np.arange(stored.shape[1])]


def _only(found: Sequence[Place], what: str) -> Place:
    if len(found) != 1:
        raise PatchError(f"{what} are found at {len(found)} places of the file")
    return found[0]


def _code_places(files: Sequence[bytes], codes: Sequence[np.ndarray]) -> Iterator[tuple[int, int]]:
    """Offset and stride where every file has its codes ``[rows, columns]``."""
    rows, columns = codes[0].shape
    # Found by the row that is least like any other bytes.
    anchor = int(np.argmax([len(np.unique(row)) for row in codes[0]]))
    wanted = codes[0][anchor].tobytes()
    strides = sorted({-(-columns // block) * block for block in _BLOCKS}) if rows > 1 else [columns]
    at = files[0].find(wanted)
    while at >= 0:
        for stride in strides:
            start = at - anchor * stride
            if start >= 0 and start + (rows - 1) * stride + columns <= len(files[0]):
                views = [np.ndarray((rows, columns), np.int8, file, start, (stride, 1)) for file in files]
                if all(np.array_equal(view, each) for view, each in zip(views, codes, strict=True)):
                    yield start, stride
        at = files[0].find(wanted, at + 1)


def _scale_places(arrays: Sequence[np.ndarray], changed: np.ndarray, scales: np.ndarray, widths: np.ndarray) -> list[int]:
    """Offsets where every file has its scales ``[files, rows]`` times one number that is the same in all."""
    # Found by the channel whose scales differ most from width to width.
    anchor = int(np.argmax(np.ptp(np.log(scales), axis=0)))
    begins = np.unique((changed[:, None] - np.arange(4)).reshape(-1)) if len(changed) else changed
    begins = begins[(begins >= 4 * anchor) & (begins + 4 * (scales.shape[1] - anchor) <= len(arrays[0]))]
    stored = np.stack([array[begins[:, None] + np.arange(4)].copy().view("<f4")[:, 0] for array in arrays])
    off = stored[int(np.flatnonzero(widths[:, anchor] == 0)[0])]
    with np.errstate(all="ignore"):
        likely = np.isfinite(off) & (off > 0) & (np.abs(stored - scales[:, anchor, None] * off) <= _CLOSE * np.abs(stored)).all(axis=0)
    places = []
    for begin, factor in zip(begins[likely].tolist(), off[likely], strict=True):
        at = begin - 4 * anchor
        whole = np.stack([array[at : at + 4 * scales.shape[1]].copy().view("<f4") for array in arrays])
        if np.allclose(whole, scales * factor, rtol=_CLOSE, atol=0):
            places.append(at)
    return places
