"""Does a file hold the master's numbers? Codes and scales of every channel, and every table, are looked up among its bytes.

Scores tell whether constants are used rightly, not whether each is the right one: a code that is off by one moves them by less than float32
rounding may. Bytes tell that, and nothing else: not which layer reads them, nor in which order. So channels are looked up one by one,
wherever they stand. Nothing here knows how a target makes its files; what a file may store a channel as is all that counts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from chordkit.quantization import WIDTHS, MasterWeights, narrowest, pack_codes, select_codes
from chordkit.quantization.tables import is_int4_table

if TYPE_CHECKING:
    from chordkit.export.program import Kept

Form = Callable[[np.ndarray], bytes]
"""Codes of one channel to the bytes that they may be stored as."""

_ROWS_ONE_BY_ONE = 4096
"""Tables of more rows are looked up in one piece: they are never in another order."""
_FIRST = 64
"""Rows of a table of which one at least is there, if it is stored in a form that is known here."""


def missing_constants(
    data: bytes,
    master: MasterWeights,
    widths: np.ndarray,
    *,
    factors: Sequence[float] = (1.0,),
    reordered: bool = False,
    kept: Mapping[str, "Kept"] | None = None,
) -> str | None:
    """Which of the master's numbers a file lacks, as the end of a sentence, or None.

    A layer of which no channel's codes are found is stored in a form that is not known here, and left to the scores; so are channels
    whose codes fill no whole bytes. Biases and tensors are left to them as well, for a lowering may lawfully fold them away.

    Args:
        data: the file.
        master: the master weights, in the order in which the target stores them.
        widths: uint8 ``[channels]``, of its strategy.
        factors: what a lowering may have multiplied all scales of a layer by.
        reordered: whether a layer's inputs may stand in the order of another layer's channels, grouped by width.
        kept: what of a layer is enough, where that is not all of it: channels that another's leave without effect, and inputs.
    """
    words, kept = _words(data), kept or {}
    table = master.channel_table
    orders = _orders(master, widths, kept) if reordered else []
    for name, layer in master.layers.items():
        chosen = widths[table.layer_slice(name)]
        codes, scales = select_codes(layer.rows, chosen)
        every = np.arange(codes.shape[1])
        rows, columns = (kept[name].rows, kept[name].columns) if name in kept else (np.arange(len(codes)), every)
        on = rows[codes[np.ix_(rows, columns)].any(1)]
        whole = on[chosen[on].astype(int) * len(columns) % 8 == 0]
        inputs = [every, columns] if len(columns) < len(every) else [every]
        selections = [*inputs, *(each[order] for each in inputs for order in orders if len(order) == len(each))]
        absent = _absent_rows(data, codes[whole], chosen[whole], selections)
        if absent:
            return f"of layer {name} it lacks the codes of channel {whole[absent[0]]} ({len(absent)} channels in all)"
        lacking = min((np.flatnonzero(~_held(words, scales[on] * np.float32(factor))) for factor in factors), key=len)
        if (absent is not None and len(lacking)) or 0 < len(lacking) < len(on):
            return f"of layer {name} it lacks the scale of channel {on[lacking[0]]} ({len(lacking)} channels in all)"
    for name, embedding in master.embeddings.items():
        if not any(piece in data for piece in _table_forms(embedding.codes)) and _lacks_rows(data, embedding.codes):
            return f"it does not hold the codes of {name}"
        scales = np.ascontiguousarray(embedding.scales, np.float32)
        if scales.tobytes() not in data and 0 < (~_held(words, scales)).sum() < len(scales):
            return f"it does not hold the scales of {name}"
    return None


def _words(data: bytes) -> np.ndarray:
    """Every four neighbouring bytes of ``data`` as a number, sorted: the float32 numbers that it may hold."""
    found = [np.frombuffer(data, "<u4", (len(data) - start) // 4, start) for start in range(4) if len(data) >= start + 4]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.uint32)


def _held(words: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Which of float32 ``numbers`` are among the words."""
    wanted = np.ascontiguousarray(numbers, "<f4").view("<u4")
    places = np.minimum(np.searchsorted(words, wanted), max(len(words) - 1, 0))
    return words[places] == wanted if len(words) else np.zeros(len(wanted), bool)


def _orders(master: MasterWeights, widths: np.ndarray, kept: Mapping[str, "Kept"]) -> list[np.ndarray]:
    """Each layer's channels grouped by width: the orders that inputs of the next layer may have."""
    found: dict[bytes, np.ndarray] = {}
    for name in master.layers:
        chosen = widths[master.channel_table.layer_slice(name)]
        for stored in (chosen, *([chosen[kept[name].rows]] if name in kept else [])):
            for off in (2, narrowest(stored, 2)):  # where those that are off stood before, and stand
                order = np.argsort(np.where(stored == 0, off, stored), kind="stable")
                found[order.tobytes()] = order
    return list(found.values())


def _absent_rows(data: bytes, codes: np.ndarray, widths: np.ndarray, selections: list[np.ndarray]) -> list[int] | None:
    """Rows that the file holds in no form, by the selection of inputs of which it holds most; None where it holds none."""
    best: list[int] | None = None
    for order in selections:
        at, absent = 0, []
        usual: dict[int, Form] = dict.fromkeys(WIDTHS, _bytes_of)
        for row, width in enumerate(widths):
            forms = _forms(len(order), int(width))
            # The form of one channel is that of the next of its width, as a rule.
            forms.sort(key=lambda form, width=int(width): form is not usual[width])  # type: ignore[misc]
            at, found = _find(data, codes[row, order], forms, at)
            if found is not None:
                usual[int(width)] = found
            else:
                absent.append(row)
                if row == len(absent) - 1 == 3:  # nothing of the first four: another order, or another form
                    absent = list(range(len(codes)))
                    break
        if len(absent) < len(codes) and (best is None or len(absent) < len(best)):
            best = absent
        if not absent:
            break
    return best


def _find(data: bytes, row: np.ndarray, forms: Sequence[Form], near: int) -> tuple[int, Form | None]:
    """Where one of the forms stands, and which; looked for from the last place on, where the neighbour is."""
    for form in forms:
        piece = form(row)
        place = data.find(piece, near)
        if place < 0:
            place = data.find(piece, 0, near + len(piece))
        if place >= 0:
            return place, form
    return near, None


def _forms(inputs: int, width: int) -> list[Form]:
    """What a channel may be stored as: at its width or wider, as far as its codes fill whole bytes."""
    found: list[Form] = [_bytes_of]
    if width <= 4 and inputs % 2 == 0:
        found += [_nibbles, _offset_nibbles]
    if width <= 2 and inputs % 4 == 0:
        found += [_crumbs, _offset_crumbs]
    return found


def _bytes_of(row: np.ndarray) -> bytes:
    return row.astype(np.int8).tobytes()


def _nibbles(row: np.ndarray) -> bytes:
    return pack_codes(row[None], 4).tobytes()


def _crumbs(row: np.ndarray) -> bytes:
    return pack_codes(row[None], 2).tobytes()


def _offset_crumbs(row: np.ndarray) -> bytes:
    """2-bit codes plus 2: OpenVINO's, which has no signed type of them."""
    return pack_codes(row[None] ^ -2, 2).tobytes()


def _offset_nibbles(codes: np.ndarray) -> bytes:
    """4-bit codes plus 8, lowest bits first: XNNPACK's."""
    unsigned = (codes.astype(np.int16).reshape(-1, 2) + 8).astype(np.uint8)
    return (unsigned[:, 0] | unsigned[:, 1] << 4).astype(np.uint8).tobytes()


def _table_forms(codes: np.ndarray) -> Iterator[bytes]:
    yield np.ascontiguousarray(codes).tobytes()
    if is_int4_table(codes):
        yield pack_codes(codes, 4).tobytes()
        yield _offset_nibbles(codes)
        half = codes.shape[1] // 2  # a row's halves in the halves of its bytes
        lifted = (codes + 8).astype(np.uint8)
        yield (lifted[:, :half] | lifted[:, half:] << 4).tobytes()


def _lacks_rows(data: bytes, codes: np.ndarray) -> bool:
    """Whether a table that is not there in one piece is there in part."""
    kept = codes[codes.any(1)]
    first = _rows_held(data, kept[:_FIRST])
    if first == 0 or len(kept) > _ROWS_ONE_BY_ONE:
        return first > 0
    return first + _rows_held(data, kept[_FIRST:]) < len(kept)


def _rows_held(data: bytes, codes: np.ndarray) -> int:
    return sum(any(form in data for form in _table_forms(row[None])) for row in codes)
