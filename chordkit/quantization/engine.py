"""What libchord runs, known without it: whoever makes a master hears on the spot what the engine would say on the phone.

The limits are those of docs/formats.md ("What the engine runs"), which ``kernels/libchord/src/plan.c`` and the file of each architecture
check; the differential fuzzer (``tests/fuzz``) holds the two to one answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from chordkit.quantization.master import MasterWeights

LARGEST_FLOAT = np.float32(1e4)
"""Scales, biases, norms and other floats beyond this are refused: they could overflow on the way through the model."""
SMALLEST_EPS = np.float32(1e-12)
_LARGEST = {"items": (1 << 30) - 1, "max_length": 1024, "dim": 512, "layers": 256, "inputs": 1 << 16, "channels": 1 << 20}


class _Refused(Exception):
    """What the engine would say."""


@dataclass(frozen=True)
class _Parts:
    """All that a master of one configuration has, beside what every architecture has."""

    config: frozenset[str]
    layers: list[tuple[str, int, int]]
    """Name, output channels and inputs, in channel order; each has a bias."""
    embeddings: dict[str, int]
    """Rows by name."""
    tensors: dict[str, tuple[int, ...]]


def engine_refusal(master: MasterWeights) -> str | None:
    """Why the native engine does not run this master, as one sentence; None = it does."""
    try:
        _require_runnable(master)
    except _Refused as refused:
        return f"the native engine does not run this master: {refused}"
    return None


def _require_runnable(master: MasterWeights) -> None:
    parts_of = _PARTS.get(str(master.config["architecture"]))
    if parts_of is None:
        raise _Refused(f"architecture '{master.config['architecture']}' is none of {', '.join(_PARTS)}")
    items = _whole(master, "items", 1, _LARGEST["items"])
    _whole(master, "max_length", 1, _LARGEST["max_length"])
    dim = _whole(master, "dim", 16, _LARGEST["dim"])
    if dim % 16:
        raise _Refused(f"dim = {dim} is not a multiple of 16")
    parts = parts_of(master)
    _same("a configuration", master.config, {"architecture", "items", "max_length", "dim", *parts.config})
    _same("an embedding", master.embeddings, {"item_embedding", *parts.embeddings})
    _same("a tensor", master.tensors, set(parts.tensors))
    for name, rows in {"item_embedding": items + 1, **parts.embeddings}.items():
        _shape(f"embeddings/{name}", master.embeddings[name].codes, (rows, dim))
    if master.embeddings["item_embedding"].codes[0].any():
        raise _Refused("row 0 of 'embeddings/item_embedding', the padding's, is not zero")
    for name, shape in parts.tensors.items():
        _shape(f"tensors/{name}", master.tensors[name], shape)
    if list(master.layers) != [name for name, _, _ in parts.layers]:
        raise _Refused("its layers are not those of its configuration, or in another order")
    for name, out, inputs in parts.layers:
        _shape(f"layers/{name}", master.layers[name].rows.codes, (out, inputs))
        if master.layers[name].bias is None:
            raise _Refused(f"'layers/{name}/bias' is missing")
    channels, deepest = sum(out for _, out, _ in parts.layers), max(inputs for _, _, inputs in parts.layers)
    if len(parts.layers) > _LARGEST["layers"] or deepest > _LARGEST["inputs"] or channels > _LARGEST["channels"]:
        raise _Refused(f"{len(parts.layers)} layers, {deepest} inputs and {channels} channels are more than 256, 65536 and 1048576")
    for entry, values in _floats(master):
        most = np.abs(values).max()
        if not most <= LARGEST_FLOAT:
            raise _Refused(f"'{entry}' holds {most:g}, and it runs numbers up to {LARGEST_FLOAT:g}")


def _floats(master: MasterWeights) -> Iterator[tuple[str, np.ndarray]]:
    for name, layer in master.layers.items():
        yield f"layers/{name}/scales", layer.rows.scales
        if layer.bias is not None:
            yield f"layers/{name}/bias", layer.bias
    for name, table in master.embeddings.items():
        yield f"embeddings/{name}/scales", table.scales
    for name, tensor in master.tensors.items():
        yield f"tensors/{name}", tensor


def _whole(master: MasterWeights, key: str, least: int, most: int) -> int:
    value = master.config.get(key)
    if not isinstance(value, int) or not least <= value <= most:
        raise _Refused(f"{key} = {value} is not a whole number of {least} to {most}")
    return value


def _same(what: str, found: object, known: set[str]) -> None:
    assert hasattr(found, "keys")
    for name in known.symmetric_difference(found.keys()):
        raise _Refused(f"'{name}' is {'missing' if name in known else f'{what} that this architecture does not have'}")


def _shape(entry: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise _Refused(f"'{entry}' has the shape {values.shape} instead of the configuration's {shape}")


def _sasrec(master: MasterWeights) -> _Parts:
    dim, length = _whole(master, "dim", 16, _LARGEST["dim"]), _whole(master, "max_length", 1, _LARGEST["max_length"])
    blocks, heads = _whole(master, "blocks", 1, 32), _whole(master, "heads", 1, _LARGEST["dim"])
    wide, first = _whole(master, "ffn_dim", 1, _LARGEST["inputs"]), _whole(master, "norm_first", 0, 1)
    if dim % heads:
        raise _Refused(f"heads = {heads} does not divide dim = {dim}")
    if master.config.get("activation") not in ("relu", "gelu"):
        raise _Refused(f"activation = {master.config.get('activation')!r} is neither relu nor gelu")
    eps = master.config.get("norm_eps")
    if not isinstance(eps, float) or not SMALLEST_EPS <= np.float32(eps) <= LARGEST_FLOAT:
        raise _Refused(f"norm_eps = {eps} is not a number of {SMALLEST_EPS:g} to {LARGEST_FLOAT:g}")
    # Masters were made before there were positions of another kind than those of slots.
    optional = {"positions_from_oldest"} & master.config.keys()
    for name in optional:
        _whole(master, name, 0, 1)
    sides = [("query", dim, dim), ("key", dim, dim), ("value", dim, dim), ("output", dim, dim), ("ffn1", wide, dim), ("ffn2", dim, wide)]
    norms = ["final_norm" if first else "embedding_norm"]
    norms += [f"blocks.{block}.{name}" for block in range(blocks) for name in ("attention_norm", "ffn_norm")]
    return _Parts(
        frozenset({"blocks", "heads", "ffn_dim", "norm_first", "activation", "norm_eps", *optional}),
        [(f"blocks.{block}.{name}", out, inputs) for block in range(blocks) for name, out, inputs in sides],
        {"position_embedding": length},
        {f"{norm}.{part}": (dim,) for norm in norms for part in ("weight", "bias")},
    )


def _caser(master: MasterWeights) -> _Parts:
    items, dim = _whole(master, "items", 1, _LARGEST["items"]), _whole(master, "dim", 16, _LARGEST["dim"])
    length = _whole(master, "max_length", 1, _LARGEST["max_length"])
    filters, vertical = _whole(master, "filters", 1, 4096), _whole(master, "vertical_filters", 1, 4096)
    biased, heights = _whole(master, "item_bias", 0, 1), master.config.get("heights")
    if not isinstance(heights, tuple) or not 1 <= len(heights) <= 64 or not all(1 <= height <= length for height in heights):
        raise _Refused(f"heights = {heights} are not 1 to 64 whole numbers of 1 to max_length")
    if sum(-(-height * filters // 16) * 16 for height in heights) > _LARGEST["inputs"]:
        raise _Refused(f"{filters} filters of the heights {heights} are too many")
    layers = [(f"horizontal.{index}", filters, height * dim) for index, height in enumerate(heights)]
    layers += [("vertical", vertical, length), ("fc", dim, filters * len(heights) + vertical * dim)]
    tensors: dict[str, tuple[int, ...]] = {"item_bias": (items + 1,)} if biased else {}
    return _Parts(frozenset({"filters", "vertical_filters", "item_bias", "heights"}), layers, {}, tensors)


_PARTS: dict[str, Callable[[MasterWeights], _Parts]] = {"sasrec": _sasrec, "caser": _caser}
ENGINE_ARCHITECTURES = tuple(_PARTS)
"""The architectures that the engine runs, by their names in master weights: ``chordkit.kernels.backbones()``, known without it, since a
machine may export for a phone and have no engine."""
