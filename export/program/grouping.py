"""Channel grouping: reorder a model's channels, without changing what it computes, so that equal widths stand together.

A runtime stores one width per weight tensor. A layer whose channels have several widths becomes one tensor per *group*
of channels, and its output has to be put back into order. Hidden channels have no order of their own: permuting the
rows of one layer and the columns of its readers gives the same model. :func:`regroup` uses every such freedom of an
architecture, so that what is left to restore are a few contiguous *runs*:

* the two sides of an inner product (query and key of a head) share an order, so do a layer and its only reader (value
  and output of a head, ffn1 and ffn2, Caser's filters and fc);
* the residual stream has one order for all that is added to it, that looks it up (embedding columns) or normalises it.

Several layers that share an order are sorted by a reflected code: layer by layer, each next one alternating between
rising and falling, so that the k-th of them falls into at most ``groups**k`` runs and neighbours merge.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chordkit.errors import CapabilityError
from chordkit.quantization import MasterLayer, MasterWeights, QuantizedRows


@dataclass(frozen=True)
class Run:
    """Neighbouring channels ``start .. stop`` of one group; they are channels ``first ..`` of the group's own tensor."""

    group: int
    start: int
    stop: int
    first: int


def runs(groups: np.ndarray) -> list[Run]:
    """Cut ``groups [channels]`` into maximal runs of one group, in channel order."""
    groups = np.asarray(groups)
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), groups.size]
    found: list[Run] = []
    used: dict[int, int] = {}
    for start, stop in itertools.pairwise(edges):
        group = int(groups[start])
        found.append(Run(group, start, stop, used.get(group, 0)))
        used[group] = used.get(group, 0) + stop - start
    return found


def reflected_order(keys: Sequence[np.ndarray], falling: bool = False) -> np.ndarray:
    """A permutation that sorts channels by several keys at once with few runs in each.

    Args:
        keys: one array ``[channels]`` per layer that shares the order, the one that should have the fewest runs first.
        falling: begin with the highest group of the first key.

    Returns:
        ``order [channels]``: position ``j`` of the new order holds channel ``order[j]``. Stable among equal channels.
    """

    def sort(channels: np.ndarray, depth: int, falling: bool) -> list[np.ndarray]:
        if depth == len(keys):
            return [channels]
        values = np.unique(keys[depth][channels])
        parts: list[np.ndarray] = []
        for block, value in enumerate(values[::-1] if falling else values):
            # Each block is left in the direction opposite to how it was entered: the border keeps the deeper keys.
            parts += sort(channels[keys[depth][channels] == value], depth + 1, bool(block % 2) != falling)
        return parts

    if not keys:
        raise ValueError("reflected_order: give at least one key")
    return np.concatenate(sort(np.arange(keys[0].size), 0, falling))


def regroup(master: MasterWeights, widths: np.ndarray, group_of: Callable[[np.ndarray], np.ndarray]) -> tuple[MasterWeights, np.ndarray]:
    """The same model with its channels reordered for the strategy ``widths``.

    Args:
        master: the master weights; their fingerprint stays the one that names the backbone.
        widths: uint8 ``[channels]`` in {0, 2, 4, 8}.
        group_of: maps widths to group numbers; channels of one group are stored in one tensor.

    Returns:
        Master and widths that give the same scores, up to the order of float32 sums.

    Raises:
        CapabilityError: the architecture is not known here.
    """
    try:
        rule = _RULES[str(master.config["architecture"])]
    except KeyError:
        raise CapabilityError(f"channel grouping has no rule for the architecture {master.config['architecture']!r}") from None
    draft = _Draft(master, np.asarray(widths), group_of)
    rule(draft)
    return replace(master, layers=draft.layers, embeddings=draft.embeddings, tensors=draft.tensors), draft.all_widths()


class _Draft:
    """A master under reordering; every method keeps one side of one tensor's permutation."""

    def __init__(self, master: MasterWeights, widths: np.ndarray, group_of: Callable[[np.ndarray], np.ndarray]) -> None:
        table = master.channel_table
        self.config: Mapping[str, object] = master.config
        self.layers = dict(master.layers)
        self.embeddings = dict(master.embeddings)
        self.tensors = dict(master.tensors)
        self.widths = {layer.name: widths[table.layer_slice(layer.name)] for layer in table.layers}
        self.group_of = group_of

    def number(self, field: str) -> int:
        value = self.config[field]
        assert isinstance(value, int)
        return value

    def keys(self, names: Sequence[str]) -> list[np.ndarray]:
        return [np.asarray(self.group_of(self.widths[name])) for name in names]

    def rows(self, name: str, order: np.ndarray) -> None:
        layer = self.layers[name]
        rows = QuantizedRows(layer.rows.codes[order], layer.rows.scales[:, order], layer.rows.ratios[:, order])
        self.layers[name] = MasterLayer(rows, None if layer.bias is None else layer.bias[order])
        self.widths[name] = self.widths[name][order]

    def columns(self, name: str, order: np.ndarray) -> None:
        layer = self.layers[name]
        self.layers[name] = replace(layer, rows=replace(layer.rows, codes=layer.rows.codes[:, order]))

    def table(self, name: str, order: np.ndarray) -> None:
        self.embeddings[name] = replace(self.embeddings[name], codes=self.embeddings[name].codes[:, order])

    def norm(self, name: str, order: np.ndarray) -> None:
        for part in ("weight", "bias"):
            self.tensors[f"{name}.{part}"] = self.tensors[f"{name}.{part}"][order]

    def all_widths(self) -> np.ndarray:
        return np.concatenate(list(self.widths.values())).astype(np.uint8)


def _within(heads: int, keys: Sequence[np.ndarray]) -> np.ndarray:
    """An order that keeps every channel in its head; every other head is sorted backwards, so that neighbours merge."""
    split = [key.reshape(heads, -1) for key in keys]
    size = split[0].shape[1]
    return np.concatenate([head * size + reflected_order([key[head] for key in split], head % 2 == 1) for head in range(heads)])


def _sasrec(draft: _Draft) -> None:
    heads, blocks = draft.number("heads"), [f"blocks.{index}." for index in range(draft.number("blocks"))]
    for block in blocks:
        order = _within(heads, draft.keys([block + "key", block + "query"]))
        draft.rows(block + "query", order)
        draft.rows(block + "key", order)
        for writer, reader, parts in (("value", "output", heads), ("ffn1", "ffn2", 1)):
            order = _within(parts, draft.keys([block + writer]))
            draft.rows(block + writer, order)
            draft.columns(block + reader, order)
    # The first blocks work on every slot, the last one on a single slot: the first get the fewest runs.
    stream = reflected_order(draft.keys([block + name for block in blocks for name in ("output", "ffn2")]))
    for block in blocks:
        for name in ("query", "key", "value", "ffn1"):
            draft.columns(block + name, stream)
        for name in ("output", "ffn2"):
            draft.rows(block + name, stream)
    for name in draft.embeddings:
        draft.table(name, stream)
    for name in draft.tensors:
        if name.endswith("norm.weight"):
            draft.norm(name.removesuffix(".weight"), stream)


def _caser(draft: _Draft) -> None:
    dim = draft.number("dim")
    stream = reflected_order(draft.keys(["fc"]))
    columns: list[np.ndarray] = []
    start = 0
    for name in [name for name in draft.layers if name != "fc"]:
        filters = draft.widths[name].size
        order = reflected_order(draft.keys([name]))
        draft.rows(name, order)
        if name == "vertical":
            # fc reads vertical filters as [filter, dim]; the inner axis is the embedding's.
            columns.append(start + (order[:, None] * dim + stream).reshape(-1))
            start += filters * dim
        else:
            slots = draft.layers[name].rows.codes.shape[1] // dim
            draft.columns(name, (np.arange(slots)[:, None] * dim + stream).reshape(-1))
            columns.append(start + order)
            start += filters
    draft.columns("fc", np.concatenate(columns))
    draft.rows("fc", stream)
    for name in draft.embeddings:
        draft.table(name, stream)


_RULES: dict[str, Callable[[_Draft], None]] = {"sasrec": _sasrec, "caser": _caser}
