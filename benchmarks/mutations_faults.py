"""Deliberate faults in what an artifact is made from: the constants of a lowering, for benchmarks/mutations.py and the tests of the gate.

A fault is a function of the right :class:`Constants`, a generator that draws where it is planted, and perhaps the layer to plant it in; it
gives the wrong ones. ``mutations_source`` puts them into a program or a master, ``mutations_planting`` into a finished file.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mutations_source import Constants, Layer

from chordkit.quantization import RANGES

Fault = Callable[[Constants, np.random.Generator, str | None], "Constants | None"]
"""None: there is no place for it in this model."""

FAULTS: dict[str, Fault] = {}


def plant(kind: str, constants: Constants, generator: np.random.Generator, layer: str | None = None) -> Constants | None:
    """``constants`` with the fault called ``kind``; None where it changes nothing, or where there is no place for it."""
    found = FAULTS[kind](constants, generator, layer)
    return None if found is None or same(found, constants) else found


def same(a: Constants, b: Constants) -> bool:
    """Whether a file has the same weights in it either way: channels that are off have no codes."""

    def parts(of: Constants) -> list[np.ndarray]:
        layers = [x for y in of.layers.values() for x in (y.codes, np.where(y.codes.any(1), y.scales, 0), y.bias) if x is not None]
        return layers + [x for table in of.tables.values() for x in table] + list(of.tensors.values())

    return a.config == b.config and all(np.array_equal(x, y) for x, y in zip(parts(a), parts(b), strict=True))


def fault(name: str) -> Callable[[Fault], Fault]:
    """Register a fault."""

    def register(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return register


def _layer_fault(name: str, change: Callable[[Layer, np.random.Generator], tuple[Layer, str] | None]) -> None:
    """Register a fault in one layer, drawn where none is named."""

    def function(constants: Constants, generator: np.random.Generator, layer: str | None) -> Constants | None:
        chosen = layer or str(generator.choice(list(constants.layers)))
        found = change(constants.layers[chosen], generator)
        return None if found is None else constants.with_layer(chosen, *found)

    FAULTS[name] = function


def _on(layer: Layer) -> np.ndarray:
    """Channels that are on and have a code that is not 0."""
    return np.flatnonzero(layer.codes.any(1) & (layer.widths > 0))


def _pair(layer: Layer, generator: np.random.Generator) -> np.ndarray:
    """Two channels of one width: the artifact has the same groups and sizes, and only its rows are wrong."""
    first = generator.choice(_on(layer))
    others = [other for other in _on(layer) if layer.widths[other] == layer.widths[first] and other != first]
    return np.array([first, generator.choice(others)] if others else [first, first])


def _exchange(size: int, pair: np.ndarray) -> np.ndarray:
    order = np.arange(size)
    order[pair] = pair[::-1]
    return order


# --- channels ---------------------------------------------------------------------------------------------------------


def _swapped(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    pair = _pair(layer, generator)
    return layer.channels(_exchange(len(layer.codes), pair)), f"channels {pair[0]}, {pair[1]}"


def _swapped_scales(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    pair = _pair(layer, generator)
    return replace(layer, scales=layer.scales[_exchange(len(layer.scales), pair)]), f"channels {pair[0]}, {pair[1]}"


def _swapped_inputs(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    pair = generator.choice(layer.codes.shape[1], 2, replace=False)
    return replace(layer, codes=layer.codes[:, _exchange(layer.codes.shape[1], pair)]), f"inputs {pair[0]}, {pair[1]}"


def _unordered(layer: Layer, _: np.random.Generator) -> tuple[Layer, str]:
    return layer.channels(np.argsort(layer.widths, kind="stable")), "rows left in groups"


def _ordered_twice(layer: Layer, _: np.random.Generator) -> tuple[Layer, str]:
    return layer.channels(np.argsort(np.argsort(layer.widths, kind="stable"))), "the order instead of its inverse"


def _columns_unordered(layer: Layer, _: np.random.Generator) -> tuple[Layer, str] | None:
    outputs, inputs = layer.codes.shape
    return (replace(layer, codes=layer.codes[:, np.argsort(layer.widths, kind="stable")]), "columns") if outputs == inputs else None


def _rolled(layer: Layer, _: np.random.Generator) -> tuple[Layer, str]:
    return layer.channels(np.roll(np.arange(len(layer.codes)), 1)), "by one"


def _heads(layer: Layer, _: np.random.Generator) -> tuple[Layer, str]:
    return layer.channels(np.roll(np.arange(len(layer.codes)), len(layer.codes) // 2)), "halves"


def _one_off(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    channel = int(generator.choice(_on(layer)))
    codes = layer.codes.copy()
    codes[channel] = 0
    return replace(layer, codes=codes), f"channel {channel}"


def _negative(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    channel = int(generator.choice(_on(layer)))
    codes = layer.codes.copy()
    codes[channel] = np.clip(-codes[channel].astype(np.int16), *RANGES[max(int(layer.widths[channel]), 2)])
    return replace(layer, codes=codes), f"channel {channel}"


_layer_fault("swapped channels", _swapped)
_layer_fault("swapped scales", _swapped_scales)
_layer_fault("swapped inputs", _swapped_inputs)
_layer_fault("missing permutation", _unordered)
_layer_fault("inverse permutation", _ordered_twice)
_layer_fault("permuted columns", _columns_unordered)
_layer_fault("rows rolled by one", _rolled)
_layer_fault("heads exchanged", _heads)
_layer_fault("channel switched off", _one_off)
_layer_fault("channel negated", _negative)


# --- scales -----------------------------------------------------------------------------------------------------------


def _scaled(factor: float) -> Callable[[Layer, np.random.Generator], tuple[Layer, str]]:
    def change(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
        channel = int(generator.choice(_on(layer)))
        scales = layer.scales.copy()
        scales[channel] *= np.float32(factor)
        return replace(layer, scales=scales), f"channel {channel}, {layer.widths[channel]} bits"

    return change


for _factor in (1.001, 1.01, 1.1, 2.0):
    _layer_fault(f"scale of a channel x {_factor:g}", _scaled(_factor))
_layer_fault("scales of a layer x 1.01", lambda layer, _: (replace(layer, scales=layer.scales * np.float32(1.01)), ""))
_layer_fault("scales in half precision", lambda layer, _: (replace(layer, scales=layer.scales.astype(np.float16).astype(np.float32)), ""))
_layer_fault("one scale for a layer", lambda layer, _: (replace(layer, scales=np.full_like(layer.scales, layer.scales.max())), ""))


# --- codes ------------------------------------------------------------------------------------------------------------


def _code_off(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    channel, column = int(generator.choice(_on(layer))), int(generator.integers(layer.codes.shape[1]))
    codes = layer.codes.copy()
    _, high = RANGES[int(layer.widths[channel])]
    codes[channel, column] += 1 if codes[channel, column] < high else -1
    return replace(layer, codes=codes), f"channel {channel}, {layer.widths[channel]} bits"


def _row_off(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    channel = int(generator.choice(_on(layer)))
    codes = layer.codes.copy()
    low, high = RANGES[int(layer.widths[channel])]
    codes[channel] = np.clip(codes[channel].astype(np.int16) + 1, low, high)
    return replace(layer, codes=codes), f"channel {channel}, {layer.widths[channel]} bits"


def _full_range(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str] | None:
    lowest = {8: -127, 4: -7}
    found = [at for at in _on(layer) if (layer.codes[at] == lowest.get(int(layer.widths[at]), -128)).any()]
    if not found:
        return None
    channel = int(generator.choice(found))
    codes = layer.codes.copy()
    codes[channel] = np.where(codes[channel] == lowest[int(layer.widths[channel])], codes[channel] - 1, codes[channel])
    return replace(layer, codes=codes), f"channel {channel}, {layer.widths[channel]} bits"


def _nibbles(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str] | None:
    narrow = layer.widths == generator.choice([2, 4])
    if not narrow.any() or layer.codes.shape[1] % 2:
        return None
    exchanged = layer.codes.reshape(len(layer.codes), -1, 2)[:, :, ::-1].reshape(layer.codes.shape)
    return replace(layer, codes=np.where(narrow[:, None], exchanged, layer.codes)), "channels of a width"


def _unsigned(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str] | None:
    channels = np.flatnonzero((layer.widths == 8) & (layer.codes < 0).any(1))
    if not len(channels):
        return None
    channel = int(generator.choice(channels))
    codes = layer.codes.copy()
    codes[channel] = np.where(codes[channel] < 0, 127, codes[channel])
    return replace(layer, codes=codes), f"channel {channel}: negative codes saturate"


def _rounded_down(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    codes, chosen = layer.codes.copy(), layer.codes > 0
    codes[chosen] -= (generator.random(int(chosen.sum())) < 0.5).astype(np.int8)
    return replace(layer, codes=codes), "half of the positive codes"


def _tail(layer: Layer, generator: np.random.Generator) -> tuple[Layer, str]:
    share = int(generator.choice([1, 4, 16]))
    codes = layer.codes.copy()
    codes[-share:] = 0
    return replace(layer, codes=codes), f"last {share} rows"


def _transposed(layer: Layer, _: np.random.Generator) -> tuple[Layer, str] | None:
    square = layer.codes.shape[0] == layer.codes.shape[1] and (layer.widths == layer.widths[0]).all()
    return (replace(layer, codes=np.ascontiguousarray(layer.codes.T)), "") if square else _transposed_clipped(layer)


def _transposed_clipped(layer: Layer) -> tuple[Layer, str] | None:
    if layer.codes.shape[0] != layer.codes.shape[1]:
        return None
    ends = np.array([RANGES[max(int(width), 2)] for width in layer.widths])
    return replace(layer, codes=np.clip(layer.codes.T, ends[:, :1], ends[:, 1:]).astype(np.int8)), ""


_layer_fault("one code off by one", _code_off)
_layer_fault("codes of a channel off by one", _row_off)
_layer_fault("full-range codes", _full_range)
_layer_fault("neighbouring codes exchanged", _nibbles)
_layer_fault("sign of codes lost", _unsigned)
_layer_fault("codes rounded down", _rounded_down)
_layer_fault("truncated codes", _tail)
_layer_fault("transposed layer", _transposed)


# --- biases -----------------------------------------------------------------------------------------------------------


def _bias(change: Callable[[Layer, np.ndarray], np.ndarray]) -> Callable[[Layer, np.random.Generator], tuple[Layer, str] | None]:
    return lambda layer, _: None if layer.bias is None else (replace(layer, bias=change(layer, layer.bias).astype(np.float32)), "")


_layer_fault("bias times the channel's scale", _bias(lambda layer, bias: bias * layer.scales))
_layer_fault("bias x 1.1", _bias(lambda _, bias: bias * np.float32(1.1)))
_layer_fault("bias dropped", _bias(lambda _, bias: np.zeros_like(bias)))
_layer_fault("bias shifted by a channel", _bias(lambda _, bias: np.roll(bias, 1)))


# --- tables -----------------------------------------------------------------------------------------------------------


def _rows(constants: Constants, generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    codes, scales = constants.tables["item_embedding"]
    return codes.copy(), scales.copy(), generator.choice(len(codes) - 1, count, replace=False) + 1


@fault("wrong table row")
def _wrong_row(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    codes, scales, (row, other) = _rows(constants, generator, 2)
    codes[row], scales[row] = codes[other], scales[other]
    return constants.with_table("item_embedding", codes, scales, f"row {row} is row {other}")


@fault("two table rows exchanged")
def _rows_exchanged(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    codes, scales, rows = _rows(constants, generator, 2)
    codes[rows], scales[rows] = codes[rows[::-1]], scales[rows[::-1]]
    return constants.with_table("item_embedding", codes, scales, f"rows {rows[0]}, {rows[1]}")


@fault("scale of a table row x 1.1")
def _row_scaled(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    codes, scales, (row,) = _rows(constants, generator, 1)
    scales[row] *= np.float32(1.1)
    return constants.with_table("item_embedding", codes, scales, f"row {row}")


@fault("table code off by one")
def _table_code(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    codes, scales, (row,) = _rows(constants, generator, 1)
    column = int(generator.integers(codes.shape[1]))
    codes[row, column] += 1 if codes[row, column] < 7 else -1
    return constants.with_table("item_embedding", codes, scales, f"row {row}, column {column}")


@fault("ids off by one")
def _ids_off(constants: Constants, _: np.random.Generator, __: str | None) -> Constants:
    codes, scales = constants.tables["item_embedding"]
    order = np.r_[0, np.roll(np.arange(1, len(codes)), -1)]
    return constants.with_table("item_embedding", codes[order], scales[order])


@fault("last table row missing")
def _last_row(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    codes, scales, _at = _rows(constants, generator, 1)
    codes[-1] = 0
    return constants.with_table("item_embedding", codes, scales)


def _positions(constants: Constants) -> tuple[str, np.ndarray, np.ndarray] | None:
    names = [name for name in constants.tables if "position" in name]
    return (names[0], *constants.tables[names[0]]) if names else None


@fault("positions shifted by one")
def _shifted(constants: Constants, _: np.random.Generator, __: str | None) -> Constants | None:
    found = _positions(constants)
    return None if found is None else constants.with_table(found[0], np.roll(found[1], 1, 0), np.roll(found[2], 1))


@fault("positions from the other end")
def _reversed(constants: Constants, _: np.random.Generator, __: str | None) -> Constants | None:
    found = _positions(constants)
    return None if found is None else constants.with_table(found[0], found[1][::-1].copy(), found[2][::-1].copy())


@fault("wrong position row")
def _position_row(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants | None:
    found = _positions(constants)
    if found is None:
        return None
    name, codes, scales = found[0], found[1].copy(), found[2].copy()
    row = int(generator.integers(len(codes)))
    codes[row] = 0
    return constants.with_table(name, codes, scales, f"row {row} is zero")


# --- between layers ---------------------------------------------------------------------------------------------------


@fault("two layers exchanged")
def _layers_exchanged(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants | None:
    names = list(constants.layers)
    pairs = [(a, b) for a in names for b in names if a < b and _alike(constants.layers[a], constants.layers[b])]
    if not pairs:
        return None
    one, other = pairs[int(generator.integers(len(pairs)))]
    first, second = constants.layers[one], constants.layers[other]
    layers = {**constants.layers, one: _clipped(second, first), other: _clipped(first, second)}
    return replace(constants, layers=layers, where=f"{one}, {other}")


def _alike(a: Layer, b: Layer) -> bool:
    return a.codes.shape == b.codes.shape and (a.bias is None) is (b.bias is None)


def _clipped(layer: Layer, into: Layer) -> Layer:
    """``layer``'s numbers as far as the widths of ``into`` can hold them."""
    ends = np.array([RANGES[max(int(width), 2)] for width in into.widths])
    return replace(layer, codes=np.clip(layer.codes, ends[:, :1], ends[:, 1:]).astype(np.int8), widths=into.widths)


@fault("another night's weights")
def _trained_on(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants:
    layers = {}
    for name, layer in constants.layers.items():
        ends = np.array([RANGES[max(int(width), 2)] for width in layer.widths]) * (layer.widths > 0)[:, None]
        moved = np.sign(layer.codes) * (generator.random(layer.codes.shape) < 0.1)
        codes = np.clip(layer.codes - moved, ends[:, :1], ends[:, 1:]).astype(np.int8)
        layers[name] = replace(layer, codes=np.where(layer.widths[:, None] > 0, codes, layer.codes))
    return replace(constants, layers=layers, where="a tenth of all codes nearer to zero by one")


@fault("norm's weight shifted")
def _norm_weight(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants | None:
    return _tensor(constants, generator, "norm", "weight", lambda tensor: np.roll(tensor, 1))


@fault("norm's bias dropped")
def _norm_bias(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants | None:
    return _tensor(constants, generator, "norm", "bias", np.zeros_like)


def _tensor(
    constants: Constants, generator: np.random.Generator, word: str, part: str, change: Callable[[np.ndarray], np.ndarray]
) -> Constants | None:
    names = [name for name in constants.tensors if word in name and name.endswith(part)]
    if not names:
        return None
    name = str(generator.choice(names))
    return replace(constants, tensors={**constants.tensors, name: change(constants.tensors[name])}, where=name)


@fault("epsilon of the norms")
def _epsilon(constants: Constants, generator: np.random.Generator, _: str | None) -> Constants | None:
    if "norm_eps" not in constants.config:
        return None
    value = float(generator.choice([1e-12, 1e-3]))
    return replace(constants, config={**constants.config, "norm_eps": value}, where=f"{value:g}")


# --- strategies -------------------------------------------------------------------------------------------------------


def other_widths(widths: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, str]:
    """Another user's strategy, or yesterday's: a few channels of it have moved."""
    share = float(generator.choice([0.002, 0.02, 1.0]))
    if share == 1.0:
        return generator.permutation(widths), "another user's"
    other = widths.copy()
    moved = generator.choice(np.flatnonzero(widths < 8), round(share * len(widths)), replace=False)
    other[moved] = np.where(widths[moved] == 0, 2, 2 * widths[moved])
    return other, f"yesterday's, {int((other != widths).sum())} of {len(widths)} channels moved"
