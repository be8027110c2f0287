"""Which bytes of the base a piece of the result is best told from: by member, by tensor and row of the master, else by what they share."""

import json
from collections.abc import Iterator, Mapping

import numpy as np

from chordkit.errors import BundleError, MasterError
from chordkit.export.bundle import container
from chordkit.export.bundle.delta.anchors import Piece, Range, overlaid, said_before, shared
from chordkit.export.bundle.manifest import ITEMS, MASTER
from chordkit.quantization.container import unpack

_BY_ITEM = ("embeddings/item_embedding/codes", "embeddings/item_embedding/scales", "tensors/item_bias")
_NOWHERE = Range(0, 0)
_AGAIN = 64
"""Fewer bytes cost less as differences than as a segment of their own, and the one after it."""

Alternatives = tuple[list[Piece], ...]
"""Pieces of one range of the result, in its order; more than one list where only trying shows which is shorter."""


def align(base: np.ndarray, result: np.ndarray) -> Iterator[Alternatives]:
    """The result, range by range in its order."""
    ours, theirs = _members(base), _members(result)
    if not ours or not theirs:
        whole = Range(0, len(base)), Range(0, len(result))
        yield _master(base, result, *whole, None) or _unknown(base, result, *whole)
        return
    rows = _rows(_item_ids(base, ours), _item_ids(result, theirs))
    frames, tail = _frames(ours, len(base))
    headers, end = _frames(theirs, len(result))
    for name, member in theirs.items():
        yield _unknown(base, result, frames.get(name, _NOWHERE), headers[name])
        counterpart = ours.get(name, _NOWHERE)
        tensors = _master(base, result, counterpart, member, rows) if name == MASTER else None
        yield _again(base, result, member, _unknown(base, result, counterpart, member)) if tensors is None else tensors
    yield _unknown(base, result, tail, end)


def _members(data: np.ndarray) -> dict[str, Range]:
    """The members' data by name, in file order; nothing where it is no bundle."""
    try:
        found = container.read(data.data.toreadonly(), "bundle")
    except BundleError:
        return {}
    return {each.entry.name: Range(each.offset, each.offset + each.entry.size) for each in found}


def _frames(members: Mapping[str, Range], size: int) -> tuple[dict[str, Range], Range]:
    """What stands before each member, and behind the last."""
    before, found = 0, {}
    for name, member in members.items():
        found[name], before = Range(before, member.start), member.stop
    return found, Range(before, size)


def _unknown(base: np.ndarray, result: np.ndarray, ours: Range, theirs: Range) -> Alternatives:
    """A range of which nothing is known: against its counterpart as it stands where they have one size, and by what they share."""
    if theirs.size == 0:
        return ()
    if ours.size == 0:
        return ([Piece(theirs.start, theirs.size, None)],)
    found = list(shared(base, result, ours, theirs))
    if ours.size != theirs.size:
        return (found,)
    return ([Piece(theirs.start, theirs.size, ours.start)], found)


def _again(base: np.ndarray, result: np.ndarray, theirs: Range, ways: Alternatives) -> Alternatives:
    """The same ways, and each with what the result has before: an artifact holds the codes of the master."""
    said = list(said_before(result, theirs, _AGAIN)) if theirs.size >= _AGAIN else []
    return (*ways, *(overlaid(pieces, _news(base, result, pieces, said, theirs)) for pieces in ways)) if said else ways


def _news(base: np.ndarray, result: np.ndarray, pieces: list[Piece], said: list[Piece], theirs: Range) -> list[Piece]:
    """Of what is said again that which is no copy of the base anyway."""
    changed = np.ones(theirs.size, np.bool_)
    for each in pieces:
        if each.base is not None:
            begin = each.start - theirs.start
            changed[begin : begin + each.length] = result[each.start :][: each.length] != base[each.base :][: each.length]
    return [each for each in said if changed[each.start - theirs.start :][: each.length].any()]


# --- the master ----------------------------------------------------------------------------------------------------


def _master(base: np.ndarray, result: np.ndarray, ours: Range, theirs: Range, rows: np.ndarray | None) -> Alternatives | None:
    """Tensor against tensor of one name, row against row; None where one of the two is no master."""
    known, wanted = _tensors(base, ours), _tensors(result, theirs)
    if not known or not wanted:
        return None
    pieces, ended = [], theirs.start
    before = ours.start
    for name, (start, tensor) in wanted.items():
        counterpart = known.get(name)
        if start > ended:
            there = _NOWHERE if counterpart is None or counterpart[0] < before else Range(before, counterpart[0])
            pieces += _best_guess(base, result, there, Range(ended, start))
        if counterpart is None or counterpart[1].dtype != tensor.dtype or counterpart[1].shape[1:] != tensor.shape[1:]:
            pieces.append(Piece(start, tensor.nbytes, None, tensor.itemsize))
        else:
            mapped = rows if name in _BY_ITEM else None
            pieces += _rowwise(counterpart[0], counterpart[1], start, tensor, mapped)
            before = counterpart[0] + counterpart[1].nbytes
        ended = start + tensor.nbytes
    if theirs.stop > ended:
        pieces += _best_guess(base, result, Range(before, ours.stop), Range(ended, theirs.stop))
    return (pieces,)


def _best_guess(base: np.ndarray, result: np.ndarray, ours: Range, theirs: Range) -> list[Piece]:
    """What stands between two tensors: the table of all of them, texts, zeros."""
    return (_unknown(base, result, ours, theirs) or ([],))[0]


def _tensors(data: np.ndarray, place: Range) -> dict[str, tuple[int, np.ndarray]]:
    """The tensors of a master by name, in the order of the file, each with where it begins; nothing where it is none."""
    whole = data[place.start : place.stop]
    try:
        entries, _ = unpack(whole.data.toreadonly())
    except MasterError:
        return {}
    begin = whole.__array_interface__["data"][0] - place.start
    arrays = {name: value for name, value in entries.items() if isinstance(value, np.ndarray)}
    return {name: (value.__array_interface__["data"][0] - begin, value) for name, value in arrays.items()}


def _rowwise(ours: int, known: np.ndarray, theirs: int, wanted: np.ndarray, rows: np.ndarray | None) -> Iterator[Piece]:
    """Rows of ``wanted`` against those of ``known``: the same ones, or those that ``rows`` says, -1 = none."""
    count = len(wanted) if wanted.ndim else 1
    if not count:
        return
    size = wanted.nbytes // count
    if rows is None or len(rows) != count:
        rows = np.arange(count)
    rows = np.where(rows < (len(known) if known.ndim else 1), rows, -1)
    breaks = np.flatnonzero(np.where(rows[1:] >= 0, rows[1:] != rows[:-1] + 1, rows[:-1] >= 0)) + 1
    for start, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), count], strict=True):
        base = None if rows[start] < 0 else ours + int(rows[start]) * size
        yield Piece(theirs + start * size, (stop - start) * size, base, wanted.itemsize)


def _item_ids(data: np.ndarray, members: Mapping[str, Range]) -> list[str]:
    place = members.get(ITEMS, _NOWHERE)
    try:
        found = json.loads(data[place.start : place.stop].tobytes())
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else []


def _rows(ours: list[str], theirs: list[str]) -> np.ndarray | None:
    """For each item of the result its row in the base, -1 = none; None where the two catalogues do not say."""
    if not ours or not theirs:
        return None
    places = {each: row for row, each in enumerate(ours)}
    return np.array([places.get(each, -1) for each in theirs])
