"""What an artifact is made from, as plain arrays that can be made wrong: for benchmarks/mutations.py and the tests of the gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch.export import ExportedProgram

from chordkit.export.program import renewed
from chordkit.quantization import WIDTHS, MasterLayer, MasterWeights, QuantizedRows, QuantizedTable, select_codes


@dataclass(frozen=True)
class Layer:
    """One layer as a lowering sees it: int8 codes ``[out, in]``, float32 scales ``[out]``, widths ``[out]``, bias ``[out]`` or None."""

    codes: np.ndarray
    scales: np.ndarray
    widths: np.ndarray
    bias: np.ndarray | None

    def channels(self, order: np.ndarray) -> "Layer":
        """The layer with its rows in another order; biases stay."""
        return replace(self, codes=self.codes[order], scales=self.scales[order])


@dataclass(frozen=True)
class Constants:
    """All that a lowering stores: layers, tables (codes ``[rows, dim]``, scales ``[rows]``), other tensors, values of the configuration."""

    layers: Mapping[str, Layer]
    tables: Mapping[str, tuple[np.ndarray, np.ndarray]]
    tensors: Mapping[str, np.ndarray]
    config: Mapping[str, object] = field(default_factory=dict)
    where: str = ""

    def with_layer(self, name: str, layer: Layer, where: str = "") -> "Constants":
        return replace(self, layers={**self.layers, name: layer}, where=f"{name} {where}".strip())

    def with_table(self, name: str, codes: np.ndarray, scales: np.ndarray, where: str = "") -> "Constants":
        return replace(self, tables={**self.tables, name: (codes, scales)}, where=f"{name} {where}".strip())


def constants_of(master: MasterWeights, widths: np.ndarray, *, derived: bool = True) -> Constants:
    """The right constants; codes derived for the widths, or the master's own, which a target derives from itself."""
    layers = {}
    for name, layer in master.layers.items():
        chosen = widths[master.channel_table.layer_slice(name)]
        codes, scales = select_codes(layer.rows, chosen)
        layers[name] = Layer(codes if derived else layer.rows.codes, scales, chosen, layer.bias)
    tables = {name: (table.codes, table.scales) for name, table in master.embeddings.items()}
    return Constants(layers, tables, dict(master.tensors), dict(master.config))


def faulty_program(program: ExportedProgram, constants: Constants) -> ExportedProgram:
    """The program with other constants; it is left as it is."""
    state = dict(program.state_dict)

    def put(name: str, array: np.ndarray | None) -> None:
        if array is not None:
            assert state[f"backbone.{name}"].shape == array.shape, name
            tensor = torch.from_numpy(np.array(array))
            before = state[f"backbone.{name}"]
            state[f"backbone.{name}"] = torch.nn.Parameter(tensor) if isinstance(before, torch.nn.Parameter) else tensor

    for name, layer in constants.layers.items():
        for part in ("codes", "scales", "widths", "bias"):
            put(f"{name}.{part}", getattr(layer, part))
    for name, (codes, scales) in constants.tables.items():
        put(f"{name}.codes", codes)
        put(f"{name}.scales", scales)
    for name, tensor in constants.tensors.items():
        put(name, tensor)
    return renewed(program, state=state)


def faulty_master(master: MasterWeights, constants: Constants) -> MasterWeights:
    """The master with other constants (of ``derived=False``): a scale is that of the channel's width, ratios stay where they are.

    Raises:
        MasterError: no master may hold them.
    """
    layers = {}
    for name, layer in constants.layers.items():
        rows = master.layers[name].rows
        scales = rows.scales.copy()
        for row, width in enumerate(WIDTHS):
            scales[row] = np.where(layer.widths == width, layer.scales, scales[row])
        layers[name] = MasterLayer(QuantizedRows(layer.codes, scales, rows.ratios), layer.bias)
    tables = {name: QuantizedTable(codes, scales, master.embeddings[name].bits) for name, (codes, scales) in constants.tables.items()}
    return replace(master, layers=layers, embeddings=tables, tensors=dict(constants.tensors), config=dict(constants.config))  # type: ignore[arg-type]
