"""Channels that are off leave a program: the same scores, up to rounding, from smaller products.

A channel that is off gives every row its bias, so whoever reads it can take that into a bias of its own:

* ffn1, filters, and any layer that one other layer alone reads, through ReLU, GELU or nothing, perhaps the largest of all rows: the
  reader's bias grows by its weights times act(bias);
* values: likewise the bias of the layer behind the attention, because the weights of a softmax sum to one;
* keys: such a channel adds one number to all slots of a query's logits, which a softmax does not see. It goes, and the query's with it.
  Where the key is on and the query off, the query's bias times the key is another number for each slot: both stay, unless the bias is zero.

Heads keep equally many channels. What a layer keeps is rounded up to a multiple of :data:`MULTIPLE` by channels that are off, which then
give their biases as before. Codes and scales of channels that are on stay what they are. A layer that is called more than once, as in a
recurrence, or is read in any other way keeps all of its channels.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from chordkit.export.program.junctions import PREFIX, Junction, Meeting, meetings
from chordkit.export.program.marked import export_program
from chordkit.export.program.recognise import arguments
from chordkit.export.program.renewed import renewed
from chordkit.export.program.spelling import anything_spelled_out
from chordkit.export.program.walk import constant_paths
from chordkit.quantization import MasterWeights

MULTIPLE = 8
"""Of channels that a layer keeps."""


@dataclass(frozen=True)
class Kept:
    """What stays of a layer.

    Attributes:
        rows: its channels, ascending.
        columns: its inputs, ascending.
    """

    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class _Layer:
    """What decides about a layer: widths uint8 and biases ``[channels]``, and the number of inputs."""

    widths: np.ndarray
    bias: np.ndarray | None
    inputs: int


def kept_channels(master: MasterWeights, widths: np.ndarray) -> dict[str, Kept]:
    """What :func:`without_off_channels` leaves of the layers of which it does not leave everything, by name.

    Args:
        master: the master weights.
        widths: uint8 ``[channels]``.
    """
    if np.all(widths):
        return {}
    table = master.channel_table
    layers = {name: _Layer(widths[table.layer_slice(name)], layer.bias, layer.rows.codes.shape[1]) for name, layer in master.layers.items()}
    return _kept(_junctions_of(master), layers)


_FOUND: dict[tuple[object, ...], tuple[Junction, ...]] = {}


def _junctions_of(master: MasterWeights) -> tuple[Junction, ...]:
    """Those of its architecture, which is traced once for each configuration."""
    key = tuple(sorted(master.config.items()))
    if key in _FOUND and not anything_spelled_out():
        return _FOUND[key]
    program = export_program((master, np.full(master.channel_table.channels, 8, np.uint8)), 1)
    found = tuple(each.junction for each in meetings(program.graph_module, constant_paths(program)))
    if not anything_spelled_out():
        _FOUND[key] = found
    return found


def without_off_channels(program: ExportedProgram) -> ExportedProgram:
    """The same re-ranker without the channels that are off, as far as what reads them can do without.

    Args:
        program: from :func:`chordkit.export.program.export_program`; it is left as it is.

    Returns:
        A program in the same spelling, whose layers have fewer channels and inputs. It is ``program`` itself where nothing goes.
    """
    paths = constant_paths(program)
    state = dict(program.state_dict)
    if all(bool(tensor.all()) for path, tensor in state.items() if path.endswith(".widths")):
        return program
    module = copy.deepcopy(program.graph_module)
    found = list(meetings(module, paths))
    names = {name for each in found for name in (*each.junction.writers, each.junction.reader) if name is not None}
    kept = _kept([each.junction for each in found], {name: _layer(state, name) for name in names})
    if not kept:
        return program
    for each in found:
        _carry(state, each, kept)
    for name, left in kept.items():
        _cut(state, name, left)
    _reshape(module, state, paths, found)
    module.graph.lint()
    module.recompile()
    return renewed(program, module=module, state=state)


# --- which channels stay ---------------------------------------------------------------------------------------------------


def _kept(junctions: Sequence[Junction], layers: Mapping[str, _Layer]) -> dict[str, Kept]:
    found: dict[str, Kept] = {}

    def part(name: str) -> Kept:
        layer = layers[name]
        return found.get(name, Kept(np.arange(len(layer.widths)), np.arange(layer.inputs)))

    for junction in junctions:
        writers = [layers[name] for name in junction.writers]
        rows = _chosen(_needed(writers), junction.heads, junction.spread)
        if len(rows) == len(writers[0].widths):
            continue
        for name in junction.writers:
            found[name] = replace(part(name), rows=rows)
        if junction.reader is not None:
            columns = np.setdiff1d(part(junction.reader).columns, _inputs(junction, _others(rows, len(writers[0].widths))))
            found[junction.reader] = replace(part(junction.reader), columns=columns)
    return found


def _needed(writers: Sequence[_Layer]) -> np.ndarray:
    """Which channels give more than one number for all rows that count."""
    if len(writers) == 1:
        return writers[0].widths != 0
    query, key = writers
    return (key.widths != 0) & ((query.widths != 0) | (query.bias is not None and query.bias != 0))


def _others(rows: np.ndarray, channels: int) -> np.ndarray:
    return np.setdiff1d(np.arange(channels), rows)


def _inputs(junction: Junction, channels: np.ndarray) -> np.ndarray:
    """Inputs of the reader that are these channels of the writer."""
    return (junction.first + channels[:, None] * junction.spread + np.arange(junction.spread)).reshape(-1)


def _chosen(needed: np.ndarray, heads: int, spread: int) -> np.ndarray:
    """Those channels, and of each head the first others up to as many as are kept of each."""
    parts = needed.reshape(heads, -1)
    size = parts.shape[1]
    step = MULTIPLE // math.gcd(MULTIPLE, heads * spread)
    count = min(size, max(1, -(-int(parts.sum(1).max()) // step)) * step)
    first = np.argsort(~parts, axis=1, kind="stable")[:, :count]
    return (np.sort(first, axis=1) + np.arange(heads)[:, None] * size).reshape(-1)


# --- what is left of the program -------------------------------------------------------------------------------------------


def _layer(state: Mapping[str, Tensor], name: str) -> _Layer:
    bias = state.get(f"{PREFIX}{name}.bias")
    widths, codes = (state[f"{PREFIX}{name}.{field}"] for field in ("widths", "codes"))
    return _Layer(widths.numpy(), None if bias is None else bias.numpy(), codes.shape[1])


def _carry(state: dict[str, Tensor], meeting: Meeting, kept: Mapping[str, Kept]) -> None:
    """Add to the reader's bias what the writer's channels leave that go."""
    writer, reader = meeting.junction.writers[0], meeting.junction.reader
    bias = state.get(f"{PREFIX}{writer}.bias")
    if reader is None or bias is None or writer not in kept:
        return
    activation = meeting.activation
    left = bias if activation is None else activation.target(bias, **activation.kwargs)  # type: ignore[operator]
    gone = _others(kept[writer].rows, len(bias))
    inputs = torch.from_numpy(_inputs(meeting.junction, gone))
    constants = left[torch.from_numpy(gone)].repeat_interleave(meeting.junction.spread)
    codes, scales = state[f"{PREFIX}{reader}.codes"], state[f"{PREFIX}{reader}.scales"]
    added = (codes[:, inputs].double() @ constants.double()) * scales.double()
    path = f"{PREFIX}{reader}.bias"
    state[path] = (state[path].double() + added).float()


def _cut(state: dict[str, Tensor], name: str, kept: Kept) -> None:
    rows, columns = torch.from_numpy(kept.rows), torch.from_numpy(kept.columns)
    for field in ("codes", "scales", "widths", "bias"):
        path = f"{PREFIX}{name}.{field}"
        if path in state:
            state[path] = state[path][rows]
    state[f"{PREFIX}{name}.codes"] = state[f"{PREFIX}{name}.codes"][:, columns].contiguous()


def _reshape(module: GraphModule, state: Mapping[str, Tensor], paths: Mapping[str, str], found: Sequence[Meeting]) -> None:
    """Give the constants, and what follows from them, their new shapes."""
    junctions = {node: meeting.junction for meeting in found for node in meeting.shaped}
    changed: set[Node] = set()
    for node in module.graph.nodes:
        constant = state.get(paths.get(node.name, ""))
        if constant is not None and constant.shape != node.meta["val"].shape:
            node.meta["val"] = node.meta["val"].new_empty(constant.shape)
            changed.add(node)
        elif node.op == "call_function" and not changed.isdisjoint(node.all_input_nodes):
            if node in junctions:
                junction = junctions[node]
                count = len(state[f"{PREFIX}{junction.writers[0]}.scales"])
                x, shape = arguments(node)
                joins = len(shape) < x.meta["val"].dim()
                node.args = (x, [*shape[:-1], count * junction.spread if joins else count // junction.heads])
            value = node.target(*_values(node.args), **node.kwargs)
            if value.shape != node.meta["val"].shape:
                node.meta["val"] = value
                changed.add(node)


def _values(operands: Any) -> Any:
    return torch.fx.map_arg(operands, lambda node: node.meta["val"])
